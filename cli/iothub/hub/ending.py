"""``iothub down``: the end of a hub, seen from outside of it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Literal

from iothub.errors import NotRunning, StartFailed, Unavailable
from iothub.hub.control import describe_not_running, send_request
from iothub.hub.folder import Folder, Lock, find_holder
from iothub.hub.leftovers import end_leftovers

END_SECONDS = 180.0
"""A worker may take its whole grace period, and the parts end one after the other."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Ended:
    """What there was to end."""

    name: str
    what: Literal["hub", "leftovers", "nothing"]
    """``leftovers`` are processes of a hub that was killed."""
    data_deleted: bool

    @property
    def sentence(self) -> str:
        """For a person."""
        ended = {
            "hub": f"the hub {self.name!r} has ended",
            "leftovers": f"ended what the hub {self.name!r} had left running when it was killed",
            "nothing": f"no hub {self.name!r} was running",
        }[self.what]
        return f"{ended}; its data is deleted" if self.data_deleted else ended


def end_hub(name: str, *, data: bool) -> Ended:
    """End the hub ``name`` and return once all of it has ended. Raises NotRunning where there is nothing to end.

    With ``data`` what its servers kept is deleted, also that of a hub that has ended before.
    """
    folder = Folder.of(name)
    if not folder.path.exists():
        raise NotRunning(describe_not_running(name))
    lock = Lock(folder)
    what: Literal["hub", "leftovers", "nothing"] = "nothing" if lock.take() else "hub"
    if what == "hub":
        _wait_for_end(folder, name, lock)
    try:
        if end_leftovers(folder.processes) and what == "nothing":
            what = "leftovers"
        folder.state.unlink(missing_ok=True)
        delete = data and folder.data.exists()
        if delete:
            shutil.rmtree(folder.data, ignore_errors=True)
    finally:
        lock.release()
    if what == "nothing" and not delete:
        raise NotRunning(describe_not_running(name))
    return Ended(name, what, delete)


def _wait_for_end(folder: Folder, name: str, lock: Lock) -> None:
    """Ask the hub to end, and return once its process is gone and the folder is ours. Raises StartFailed."""
    deadline = time.monotonic() + END_SECONDS
    holder, asked = find_holder(folder), False
    while not lock.take():
        holder = find_holder(folder) or holder
        if not asked:
            try:
                send_request(folder.socket, {"do": "stop"}, name=name)
                asked = True
            except (NotRunning, Unavailable):
                pass  # it holds its folder and does not listen yet, or not any more, or not now
        if time.monotonic() > deadline:
            raise StartFailed(f"the hub {name!r} has not ended in {END_SECONDS:.0f} s; its logs are in {folder.logs}")
        time.sleep(_LOOK_SECONDS)
    while holder is not None and holder.is_there and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)

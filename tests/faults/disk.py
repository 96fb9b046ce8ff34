"""A disk that is small enough to fill: a tmpfs, which only root may mount."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["fill", "small_disk"]


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Make ``folder`` a file system of ``mib`` MiB for as long as it is entered; skip (CI: fail) where none may."""
    root = _find_root()
    folder.mkdir(parents=True)
    options = f"size={mib}m,uid={os.geteuid()},gid={os.getegid()}"
    subprocess.run([*root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, timeout=30)
    try:
        yield folder
    finally:
        # Lazily: a process that still dies there must not keep it for ever.
        subprocess.run([*root, "umount", "-l", str(folder)], check=True, timeout=30)


def fill(file: Path, *, leave: int) -> None:
    """Make ``file`` so large that its disk has ``leave`` bytes left, or none where others write meanwhile."""
    with file.open("wb") as filler:
        while (room := shutil.disk_usage(file.parent).free - leave) > 0:
            try:
                os.posix_fallocate(filler.fileno(), 0, room)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                # Somebody was quicker, and nothing of it was allocated: again, with what there is now.
            else:
                return


def _find_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], check=False, timeout=30).returncode == 0:
        return ["sudo", "-n"]
    return require.missing(
        "the right to mount a tmpfs", "run the tests as root, or as a user whom sudo asks for no password"
    )

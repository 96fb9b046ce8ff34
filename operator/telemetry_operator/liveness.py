"""Whether the operator is at work, or only alive: what its liveness and readiness probes are told.

Two things can stand still while the process answers: the periodic pass, and a watch. The pass says when it last came
round. A watch proves nothing while nothing happens, so it is judged by what it owes: the pass lists the objects now and
then, and one that the watch has still not shown minutes later means that the watch is frozen. An API server that is
away is neither: no restart of the operator mends it.
"""

from __future__ import annotations

from collections.abc import Callable

from telemetry_operator.store import Store

WATCH_LIMIT_SECONDS = 180.0
"""How long a watch may owe an object: kopf itself reconnects a silent one after 70 s."""
PASS_LIMIT_ROUNDS = 4
"""How many rounds the pass may miss; at least two minutes, since each of its calls may take that long to give up."""


class Liveness:
    """Collects the signs of life. Times are monotonic seconds."""

    def __init__(self, store: Store, resync_seconds: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._pass_limit = max(120.0, PASS_LIMIT_ROUNDS * resync_seconds)
        self._clock = clock
        self._last_pass = clock()
        self._trouble: str | None = "the first lists are not there yet"

    def pass_turned(self) -> None:
        """Note that the periodic pass came round, whatever the API server said to it."""
        self._last_pass = self._clock()

    def api_answered(self) -> None:
        """Note that the API server answered a pass."""
        self._trouble = None

    def api_failed(self, problem: str) -> None:
        """Note that the API server failed a pass."""
        self._trouble = problem

    def find_deaths(self) -> dict[str, str]:
        """Return what only a restart mends, by check; empty while the operator is alive."""
        now = self._clock()
        deaths = {}
        if now - self._last_pass > self._pass_limit:
            deaths["pass"] = f"the periodic pass has not come round for {now - self._last_pass:.0f} s"
        for kind, shelf in self._store.shelves().items():
            since = shelf.oldest_unseen()
            if since is not None and now - since > WATCH_LIMIT_SECONDS:
                deaths[f"watch {kind}"] = f"the watch has not shown for {now - since:.0f} s what a list shows"
        return deaths

    def find_troubles(self) -> dict[str, str]:
        """Return what keeps the operator from its work for now, by check; empty while it is ready."""
        troubles = self.find_deaths()
        if self._trouble is not None:
            troubles["api"] = self._trouble
        return troubles

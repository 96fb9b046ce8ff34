"""Running checks: all at once, each within its time, and none takes another down with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from iothub.doctor.finding import Check, Finding
from iothub.errors import CliError
from telemetry.errors import IotHubError


def run_checks(checks: Sequence[Check]) -> tuple[Finding, ...]:
    """Return what the checks find, in their order."""
    began = time.monotonic()
    runs = [_Run(check) for check in checks]
    return tuple(finding for run in runs for finding in run.wait_until(began + run.check.seconds))


class _Run:
    """One check on a thread of its own, which nobody waits for when its time is over."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self._findings: tuple[Finding, ...] = ()
        self._thread = threading.Thread(target=self._run, name=f"check {check.name}", daemon=True)
        self._thread.start()

    def wait_until(self, deadline: float) -> tuple[Finding, ...]:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            return (Finding.wrong(self.check.name, f"it does not answer within {self.check.seconds:g} s"),)
        return self._findings

    def _run(self) -> None:
        try:
            found = self.check.run()
            self._findings = (found,) if isinstance(found, Finding) else tuple(found)
        except (CliError, IotHubError) as error:
            self._findings = (Finding.wrong(self.check.name, str(error)),)
        except Exception as error:
            # The others' findings are worth having all the same.
            self._findings = (Finding.wrong(self.check.name, f"can't be told: {type(error).__name__}: {error}"),)

"""A pod's status as the kubelet would report it, so that the operator's own judgement holds here too. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from telemetry_operator.status import format_time

Status = dict[str, Any]

SIGKILLED = 137


@dataclass(frozen=True)
class Waiting:
    """A container that is not there yet, or not there again."""

    reason: str
    message: str = ""

    def build(self) -> Status:
        """Return ``state``."""
        return {"waiting": {"reason": self.reason} | ({"message": self.message} if self.message else {})}


@dataclass(frozen=True)
class Running:
    """A container at work since ``since``."""

    since: datetime

    def build(self) -> Status:
        """Return ``state``."""
        return {"running": {"startedAt": format_time(self.since)}}


@dataclass(frozen=True)
class Terminated:
    """A container that has ended, with its last words."""

    code: int
    message: str
    since: datetime
    until: datetime

    def build(self) -> Status:
        """Return ``state``, or ``lastState``."""
        said = {"message": self.message} if self.message else {}
        return {
            "terminated": {
                "exitCode": self.code,
                "reason": "Completed" if self.code == 0 else "Error",
                "startedAt": format_time(self.since),
                "finishedAt": format_time(self.until),
            }
            | said
        }


@dataclass(frozen=True)
class ContainerStatus:
    """One container: how it is, how it was before, how often it was started again."""

    name: str
    image: str
    state: Waiting | Running | Terminated
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False

    def to(
        self, state: Waiting | Running | Terminated, *, ready: bool = False, started: bool = False
    ) -> ContainerStatus:
        """Return it in another state; one that has ended becomes its last one."""
        last = self.state if isinstance(self.state, Terminated) else self.last
        return replace(self, state=state, last=last, ready=ready, started=started)

    def build(self) -> Status:
        """Return the container's status."""
        return {
            "name": self.name,
            "image": self.image,
            "state": self.state.build(),
            "lastState": self.last.build() if self.last else {},
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
        }


@dataclass(frozen=True)
class PodStatus:
    """All of a pod's containers; those of ``init`` come first, one after the other."""

    init: tuple[ContainerStatus, ...]
    containers: tuple[ContainerStatus, ...]
    phase: Literal["Pending", "Running"] = field(default="Pending")

    @property
    def is_ready(self) -> bool:
        """Whether every container is."""
        return all(container.ready for container in self.containers)

    @property
    def restarts(self) -> int:
        """How often its containers were started again."""
        return sum(container.restarts for container in (*self.init, *self.containers))

    def with_container(self, status: ContainerStatus) -> PodStatus:
        """Return it with one container's new status."""
        init = tuple(status if known.name == status.name else known for known in self.init)
        containers = tuple(status if known.name == status.name else known for known in self.containers)
        begun = any(not isinstance(container.state, Waiting) or container.last for container in containers)
        return PodStatus(init, containers, "Running" if begun else "Pending")

    def build(self) -> Status:
        """Return ``status`` of the pod."""
        initialized = all(isinstance(c.state, Terminated) and c.state.code == 0 for c in self.init)
        truths = {
            "PodScheduled": True,
            "Initialized": initialized,
            "ContainersReady": self.is_ready,
            "Ready": self.is_ready,
        }
        return {
            "phase": self.phase,
            "conditions": [{"type": kind, "status": "True" if true else "False"} for kind, true in truths.items()],
            "initContainerStatuses": [container.build() for container in self.init],
            "containerStatuses": [container.build() for container in self.containers],
        }

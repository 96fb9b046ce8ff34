"""What a Deployment's controller decides: which pods to make and which to end, so that enough stay at work. Pure.

The rules are those of Kubernetes' rolling update: at most ``max_surge`` pods more than asked for, at most
``max_unavailable`` fewer ready ones, pods that are not ready first to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PodView:
    """A pod that is not being deleted, as the decision needs it."""

    name: str
    age: int
    """Its place in the order of making: smaller is older."""
    is_new: bool
    """Whether it comes from the template that stands."""
    ready: bool


@dataclass(frozen=True)
class Rollout:
    """What to do now; the next decision follows when something has changed."""

    make: int
    delete: tuple[str, ...]


def plan_rollout(wanted: int, pods: Sequence[PodView], *, max_surge: int, max_unavailable: int) -> Rollout:
    """Return the next step from ``pods`` to ``wanted`` ones of the new template."""
    new = [pod for pod in pods if pod.is_new]
    old = [pod for pod in pods if not pod.is_new]
    if len(new) > wanted:
        return Rollout(0, tuple(pod.name for pod in _first_to_go(new)[: len(new) - wanted]))
    # 1. New ones, as many as fit.
    room = wanted + max_surge - len(pods) if old else wanted - len(new)
    make = max(0, min(room, wanted - len(new)))
    # 2. Old ones that are not at work, where the new ones that start are not counted on.
    least = max(0, wanted - max_unavailable)
    starting = sum(not pod.ready for pod in new) + make
    spare = max(0, len(pods) + make - least - starting)
    broken = [pod for pod in _first_to_go(old) if not pod.ready][:spare]
    # 3. Old ones at work, as long as enough are ready.
    ready = sum(pod.ready for pod in pods)
    at_work = [pod for pod in _first_to_go(old) if pod.ready]
    released = at_work[: max(0, ready - least)]
    return Rollout(make, tuple(pod.name for pod in (*broken, *released)))


def _first_to_go(pods: Sequence[PodView]) -> list[PodView]:
    return sorted(pods, key=lambda pod: (pod.ready, -pod.age))

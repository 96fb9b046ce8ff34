"""What a Deployment's controller decides, step by step and to its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iothub.hub.rollout import PodView, Rollout, plan_rollout


def pods(text: str) -> list[PodView]:
    """Return pods from letters, oldest first: n of the new template, o of an old one; capitals are ready."""
    return [PodView(f"{letter}{age}", age, letter in "nN", letter.isupper()) for age, letter in enumerate(text)]


def plan(wanted: int, text: str) -> Rollout:
    return plan_rollout(wanted, pods(text), max_surge=1, max_unavailable=0)


@pytest.mark.parametrize(
    ("wanted", "there", "make", "delete"),
    [
        (2, "", 2, ()),
        (2, "NN", 0, ()),
        (1, "O", 1, ()),  # the new one's preflight runs before the old one leaves
        (1, "On", 0, ()),  # and as long as it is not ready, the old one stays
        (1, "ON", 0, ("O0",)),
        (3, "OOO", 1, ()),
        (3, "OOON", 0, ("O2",)),
        (3, "OON", 1, ()),
        (1, "NNN", 0, ("N2", "N1")),  # the youngest go first
        (1, "Nn", 0, ("n1",)),  # but before them, who is not at work
        (0, "NN", 0, ("N1", "N0")),
        (0, "Oo", 0, ("o1", "O0")),
        (1, "o", 1, ()),
        (1, "oN", 0, ("o0",)),
        (2, "oOn", 0, ()),
        (3, "O", 3, ()),
    ],
)
def test_the_next_step(wanted: int, there: str, make: int, delete: tuple[str, ...]) -> None:
    assert plan(wanted, there) == Rollout(make, delete)


@given(
    wanted=st.integers(0, 6),
    there=st.text("NnOo", max_size=8),
    becoming_ready=st.lists(st.integers(0, 20), max_size=60),
)
def test_enough_stay_at_work_and_it_comes_to_an_end(wanted: int, there: str, becoming_ready: list[int]) -> None:
    """Given any pods, whichever of the new ones becomes ready next, then never fewer are ready than were or are asked
    for, never more are there than fit, and in the end all are new."""
    now, made = pods(there), 100
    most = max(wanted + 1, len(now))
    for turn in range(200):
        ready = sum(pod.ready for pod in now)
        step = plan_rollout(wanted, now, max_surge=1, max_unavailable=0)
        left = [pod for pod in now if pod.name not in step.delete]
        assert sum(pod.ready for pod in left) >= min(ready, wanted)
        now = left + [PodView(f"n{made + number}", made + number, True, False) for number in range(step.make)]
        made += step.make
        assert len(now) <= most
        waiting = [pod for pod in now if pod.is_new and not pod.ready]
        if not waiting and step == Rollout(0, ()):
            break
        if waiting:
            choice = waiting[(becoming_ready[turn] if turn < len(becoming_ready) else 0) % len(waiting)]
            now = [replace(pod, ready=True) if pod is choice else pod for pod in now]
    assert [pod.is_new for pod in now] == [True] * wanted

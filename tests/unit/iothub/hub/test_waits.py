"""Growing waits, which a good run resets."""

from __future__ import annotations

from iothub.hub.waits import Waits


def test_they_grow_to_half_a_minute_and_a_good_run_resets_them() -> None:
    time = 0.0
    waits = Waits(lambda: time)
    taken = []
    for _ in range(7):
        waits.started()
        time += 5
        taken.append(waits.take())
    assert taken == [1, 2, 4, 8, 16, 30, 30]
    waits.started()
    time += 59
    assert waits.take() == 30
    waits.started()
    time += 60
    assert (waits.take(), waits.take()) == (1, 1)

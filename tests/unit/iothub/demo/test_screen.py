"""The demonstration's screen: whole at every size, and readable without colour."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from iothub.demo.screen import render_screen
from iothub.demo.snapshot import ConsumerLine, DeadLetterLine, ReadingLine, Snapshot
from unit.iothub.demo.screens import EMPTY, NOW, SNAPSHOT


def render(snapshot: Snapshot, width: int, height: int) -> list[str]:
    """Return the screen's lines, printed on a console so large that nothing is cut by it."""
    console = Console(file=StringIO(), width=1_000, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as captured:
        console.print(render_screen(snapshot, width, height))
    return captured.get().splitlines()


def check_size(lines: list[str], width: int, height: int) -> None:
    assert len(lines) <= height
    too_wide = [line for line in lines if cell_len(line.rstrip()) > width]
    assert not too_wide


class TestSize:
    @pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 32), (120, 40), (200, 60), (60, 15), (300, 24)])
    def test_fills_the_terminal_and_never_more(self, width: int, height: int) -> None:
        lines = render(SNAPSHOT, width, height)
        check_size(lines, width, height)
        assert len(lines) == height

    @given(width=st.integers(1, 260), height=st.integers(1, 90), data=st.data())
    def test_whatever_it_has_to_show(self, width: int, height: int, data: st.DataObject) -> None:
        words = st.text(st.sampled_from("ab 温é:1"), max_size=90)
        snapshot = replace(
            SNAPSHOT,
            title=data.draw(words),
            now=data.draw(words),
            limits=tuple(data.draw(st.lists(words, max_size=4))),
            problems=tuple(data.draw(st.lists(words, max_size=4))),
            consumers=tuple(
                ConsumerLine(data.draw(words), 1, 2, 10**9, data.draw(words))
                for _ in range(data.draw(st.integers(0, 50)))
            ),
            dead_letters=tuple(
                DeadLetterLine(data.draw(words), 10**7, data.draw(words)) for _ in range(data.draw(st.integers(0, 20)))
            ),
            readings=tuple(ReadingLine(NOW, data.draw(words), {data.draw(words): 1e300}) for _ in range(5)),
        )
        check_size(render(snapshot, width, height), width, height)

    def test_with_nothing_to_show_yet(self) -> None:
        for width, height in ((80, 24), (120, 40)):
            lines = render(EMPTY, width, height)
            check_size(lines, width, height)
            assert sum("none yet" in line for line in lines) >= 3 or width == 120


class TestContent:
    @pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
    def test_everything_has_its_place(self, width: int, height: int) -> None:
        text = "\n".join(render(SNAPSHOT, width, height))
        for wanted in (
            SNAPSHOT.title,
            "Kafka  in memory, at 127.0.0.1:41233",
            "MQTT   amqtt 0.11.3 at 127.0.0.1:18830",
            "Kafka is in memory: what is in it ends with this run.",
            "1,127",
            "48.9",
            "temperature-alarm: waits for its partitions",
            "0/1",
            "not_json",
            "NaN at character 88",
            "newest readings, telemetry.clean",
            "DEV-0001",
            "temperature 21.37  door_open false",
            "0:23 of 1:00",
            "devices publish",
            "3 on their way",
            "Ctrl-C ends it",
        ):
            assert wanted in text, wanted

    def test_nothing_of_it_is_only_a_colour(self) -> None:
        assert "\x1b[" not in "".join(render(SNAPSHOT, 120, 40))

    def test_a_small_terminal_keeps_three_readings_and_the_most_frequent_reason(self) -> None:
        lines = render(replace(SNAPSHOT, consumers=SNAPSHOT.consumers * 10), 80, 24)
        assert sum("DEV-" in line for line in lines) >= 3
        assert any("not_json" in line for line in lines)

    def test_a_consumer_with_trouble_is_never_among_the_hidden(self) -> None:
        well = tuple(ConsumerLine(f"group-{number}", 1, 1, 0) for number in range(30))
        snapshot = replace(SNAPSHOT, consumers=(*well, SNAPSHOT.consumers[2]))
        for width, height in ((80, 24), (120, 40)):
            text = "\n".join(render(snapshot, width, height))
            assert "temperature-alarm: waits for its partitions" in text
            assert "more, " in text

    def test_reasons_that_have_no_room_are_summed_up(self) -> None:
        letters = tuple(DeadLetterLine(f"reason-{number}", 10, "why") for number in range(20))
        text = "\n".join(render(replace(SNAPSHOT, dead_letters=letters), 80, 24))
        shown = text.count("why")
        assert f"{10 * (20 - shown)}  of {20 - shown} more reasons" in text

    def test_problems_stand_above_the_bar(self) -> None:
        lines = render(replace(SNAPSHOT, problems=("the broker is away",)), 80, 24)
        assert lines[-3].strip() == "the broker is away"
        assert "0:23 of 1:00" in lines[-2]

    @pytest.mark.parametrize(("passed", "done"), [(0, 0.0), (30, 0.5), (60, 1.0), (75, 1.0)])
    def test_the_bar_shows_the_time(self, passed: float, done: float) -> None:
        bar = render(replace(SNAPSHOT, passed=passed), 80, 24)[-2]
        cells = bar.count("━") + bar.count("─")
        assert bar.count("━") == round(cells * done)

"""From a snapshot to the demonstration's screen, of exactly the size that there is. Pure.

Every section is a heading and lines; which sections get how many lines is settled first, from what they have to show,
so that nothing is ever cut off in the middle. Large terminals get boxes and two columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from iothub.demo.snapshot import Snapshot

_BARS = "▁▂▃▄▅▆▇█"
_WIDE, _TALL = 100, 32
"""From this size on there are boxes."""
_LIMITS_SMALL, _LIMITS_LARGE = 2, 5
_MOST_DEAD, _MOST_CONSUMERS = 12, 8
_BOX = 2
"""Lines, or columns with two more for the padding, that a box takes."""

_STYLES = {"telemetry.clean": "green", "telemetry.dlq": "yellow"}


def render_screen(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """Return the screen, ``height`` lines of at most ``width`` cells."""
    if width >= _WIDE and height >= _TALL:
        return _render_large(snapshot, width, height)
    return _render_small(snapshot, width, height)


def _render_small(snapshot: Snapshot, width: int, height: int) -> Group:
    head = _head_lines(snapshot, width, snapshot.limits[:_LIMITS_SMALL])
    foot = _foot_lines(snapshot, width)
    flows = [_flow_heading("messages", width), *_flow_lines(snapshot, width)]
    room = max(0, height - len(head) - len(foot) - len(flows))
    consumers, dead, readings = _share(
        room,
        least=(2, 3, 4),
        wishes=(1 + len(snapshot.consumers), 1 + min(len(snapshot.dead_letters), _MOST_DEAD), room),
    )
    lines = [
        *head,
        *flows,
        *[_heading("consumers", "ready    lag", width), *_consumer_lines(snapshot, width, consumers - 1)][:consumers],
        *[_heading("dead letters", "", width), *_dead_lines(snapshot, width, dead - 1)][:dead],
        *[_heading(f"newest readings, {snapshot.readings_from}", "", width), *_reading_lines(snapshot, width)][
            :readings
        ],
    ]
    return _page([*_fill(lines, height - len(foot)), *foot], height)


def _render_large(snapshot: Snapshot, width: int, height: int) -> Group:
    inner = width - 2 * _BOX
    left = width // 2
    head = _head_lines(snapshot, inner, _wrap_limits(snapshot.limits, inner))
    foot = _foot_lines(snapshot, width)
    flows = _flow_lines(snapshot, left - 2 * _BOX)
    consumers = [
        _ends(Text("group", "bold"), Text("ready    lag"), width - left - 2 * _BOX),
        *_consumer_lines(snapshot, width - left - 2 * _BOX, _MOST_CONSUMERS),
    ]
    middle = max(len(flows) + 1, len(consumers))
    room = height - (len(head) - 1 + _BOX) - (middle + _BOX) - len(foot) - 2 * _BOX
    dead_rows, reading_rows = _share(room, least=(3, 8), wishes=(min(len(snapshot.dead_letters), _MOST_DEAD), room))
    top = Table.grid()
    top.add_row(
        _box(
            "messages",
            [_flow_heading("", left - 2 * _BOX), *flows],
            left,
            middle,
        ),
        _box("consumers", consumers, width - left, middle),
    )
    return Group(
        _box(head[0].plain, head[1:], width, len(head) - 1),
        top,
        _box("dead letters", _dead_lines(snapshot, inner, dead_rows), width, dead_rows),
        _box(f"newest readings, {snapshot.readings_from}", _reading_lines(snapshot, inner), width, reading_rows),
        *foot,
    )


# --- the sections ---


def _head_lines(snapshot: Snapshot, width: int, sentences: Sequence[str]) -> list[Text]:
    title = Text(snapshot.title, "bold")
    places = [Text.assemble((f"{name:<6}", "bold"), " ", where) for name, where in snapshot.places]
    limits = [Text(f"{'':<6} {line}", "yellow") for line in sentences]
    return [_fit(line, width) for line in (title, *places, *limits)]


def _wrap_limits(limits: Sequence[str], width: int) -> list[str]:
    """Return the lines of as many whole sentences as there is room for."""
    lines: list[str] = []
    for limit in limits:
        wrapped = wrap(limit, max(20, width - 7))
        if len(lines) + len(wrapped) > _LIMITS_LARGE:
            break
        lines += wrapped
    return lines


def _flow_lines(snapshot: Snapshot, width: int) -> list[Text]:
    lines = []
    for flow in snapshot.flows:
        line = Text(f"{flow.name:<16}", _STYLES.get(flow.name, ""))
        line.append(f" {flow.rate:>8,.1f}  {flow.total:>9,}  ")
        line.append(_sparkline(flow.history, width - line.cell_len), "dim")
        lines.append(_fit(line, width))
    return lines


def _consumer_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    if not snapshot.consumers:
        return [_fit(Text("none yet", "dim"), width)]
    shown, lines = list(snapshot.consumers), []
    if len(shown) > rows > 0:
        # Those with trouble are never among the hidden.
        shown.sort(key=lambda consumer: consumer.is_well)
        hidden = shown[rows - 1 :]
        shown = shown[: rows - 1]
    for consumer in shown:
        tail = f"{consumer.ready}/{consumer.desired:<3} {'?' if consumer.lag is None else f'{consumer.lag:,}':>6}"
        name = consumer.group if not consumer.state else f"{consumer.group}: {consumer.state}"
        lines.append(_ends(Text(name, "" if consumer.is_well else "yellow"), Text(tail), width))
    if len(shown) < len(snapshot.consumers):
        well = sum(consumer.is_well for consumer in hidden)
        lines.append(_fit(Text(f"and {len(hidden)} more, {well} of them ready", "dim"), width))
    return lines


def _dead_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    if not snapshot.dead_letters:
        return [_fit(Text("none yet", "dim"), width)]
    shown = list(snapshot.dead_letters)
    lines = []
    if len(shown) > rows > 0:
        hidden = shown[rows - 1 :]
        shown = shown[: rows - 1]
        rest = Text(f"{sum(letter.count for letter in hidden):>6,}  of {len(hidden)} more reasons", "dim")
        lines.append(_fit(rest, width))
    known = [
        _fit(
            Text.assemble(f"{letter.count:>6,}  ", (f"{letter.reason:<27}", "yellow"), (letter.sentence, "dim")), width
        )
        for letter in shown
    ]
    return [*known, *lines]


def _reading_lines(snapshot: Snapshot, width: int) -> list[Text]:
    if not snapshot.readings:
        return [_fit(Text("none yet", "dim"), width)]
    return [
        _fit(
            Text.assemble(
                (f"{reading.at:%H:%M:%S}  ", "dim"),
                (f"{reading.device:<10}  ", "bold"),
                reading.values,
            ),
            width,
        )
        for reading in snapshot.readings
    ]


def _foot_lines(snapshot: Snapshot, width: int) -> list[Text]:
    share = min(1.0, snapshot.passed / snapshot.seconds) if snapshot.seconds else 1.0
    clock = f" {_show_clock(snapshot.passed)} of {_show_clock(snapshot.seconds)}"
    cells = max(0, width - len(clock))
    done = round(cells * share)
    bar = Text.assemble(("━" * done, "green"), ("─" * (cells - done), "dim"), clock)
    left = f"  {snapshot.awaited:,} on their way" if snapshot.awaited else ""
    now = _ends(Text(snapshot.now), Text(f"{left}  Ctrl-C ends it", "dim"), width)
    problems = [_fit(Text(problem, "bold red"), width) for problem in snapshot.problems[:2]]
    return [*problems, _fit(bar, width), now]


# --- lines and boxes ---


def _share(room: int, *, least: Sequence[int], wishes: Sequence[int]) -> list[int]:
    """Deal out ``room`` lines: each section its least, as far as that goes; then, in turn, what it wishes for."""
    given: list[int] = []
    for lines in least:
        given.append(max(0, min(lines, room - sum(given))))
    for place, wish in enumerate(wishes):
        given[place] += max(0, min(wish - given[place], room - sum(given)))
    return given


def _heading(title: str, columns: str, width: int) -> Text:
    """Return a section's heading: its title, a rule, and the names of the columns at the right end."""
    end = f" {columns}" if columns else ""
    return _fit(Text.assemble((f"{title} ", "bold"), ("─" * (width - len(title) - 1 - len(end)), "dim"), end), width)


def _flow_heading(title: str, width: int) -> Text:
    """Return the heading of the flows, whose columns stand at the left: behind them is room for the bars."""
    rule = ("─" * (15 - len(title)), "dim") if title else (" " * 15, "")
    return _fit(Text.assemble((f"{title} ", "bold"), rule, "  a second      total"), width)


def _ends(left: Text, right: Text, width: int) -> Text:
    """Return a line with ``left`` at its left and ``right`` at its right end; the left one gives way."""
    room = max(0, width - right.cell_len - 1)
    line = left.copy()
    line.truncate(room, overflow="ellipsis", pad=True)
    return _fit(Text.assemble(line, " ", right), width)


def _fit(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(max(0, width), overflow="ellipsis")
    return line


def _fill(lines: list[Text], height: int) -> list[Text]:
    return [*lines, *[Text("")] * (height - len(lines))][: max(0, height)]


def _page(lines: list[Text], height: int) -> Group:
    return Group(*lines[:height])


def _box(title: str, lines: list[Text], width: int, rows: int) -> Panel:
    return Panel(
        Group(*_fill(lines, rows)),
        title=Text(title, "not dim bold"),
        title_align="left",
        width=width,
        height=rows + _BOX,
        border_style="dim",
    )


def _sparkline(history: Sequence[float], cells: int) -> str:
    """Return the last values as little bars, from nothing to the highest of them."""
    shown = history[-cells:] if cells > 0 else ()
    top = max(shown, default=0.0)
    if not top:
        return ""
    return "".join(_BARS[round(max(0.0, value) / top * (len(_BARS) - 1))] for value in shown)


def _show_clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"

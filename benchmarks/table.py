"""The table that a person reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.rows import Row

_TITLES = ("benchmark", "metric", "unit", "ours", "peer", "peer's", "ratio", "goal", "")
_NUMBERS = frozenset({3, 5, 6})


def render_table(rows: Sequence[Row]) -> str:
    """Return the rows as text, columns aligned."""
    lines = [_TITLES, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_TITLES))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.benchmark,
        row.metric,
        row.unit,
        _number(row.ours),
        row.peer or "",
        _number(row.peer_value),
        _number(row.ratio),
        row.goal or "",
        "" if row.holds is None else ("holds" if row.holds else "MISSED"),
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"

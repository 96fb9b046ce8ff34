"""MQTT topic filters (MQTT 5 §4.7): what is one, and what it matches. Pure."""

from __future__ import annotations

import re

_WILDCARDS = {"+": "[^/]*", "#": ".*"}


def check_filter(topic_filter: str) -> None:
    """Raise ValueError unless the wildcards stand where §4.7.1 allows them."""
    levels = topic_filter.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise ValueError(f"{topic_filter!r}: '#' must be the whole last level")
        if "+" in level and level != "+":
            raise ValueError(f"{topic_filter!r}: '+' must be a whole level")


def compile_filter(topic_filter: str, **places: str) -> re.Pattern[str]:
    """Return a pattern that fully matches the filter's topics; ``places`` are further levels and their patterns."""
    levels = topic_filter.split("/")
    # '#' stands for its parent level too (§4.7.1.2).
    below = len(levels) > 1 and levels[-1] == "#"
    patterns = {**_WILDCARDS, **places}
    pattern = "/".join(patterns.get(level, re.escape(level)) for level in (levels[:-1] if below else levels))
    return re.compile(pattern + "(?:/.*)?" if below else pattern, re.DOTALL)

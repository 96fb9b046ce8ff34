"""What a plain scalar of YAML means to kubectl, and so to the API server.

kubectl turns YAML into JSON with the rules of sigs.k8s.io/yaml (go-yaml 2): the booleans of YAML 1.1, octal numbers
that begin with 0, no numbers in base 60, and times that stay the strings they were. PyYAML differs in each of these, so
its own resolver is not used.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|(0[0-7]*)|([1-9][0-9]*))", re.ASCII)
_BASES = (16, 8, 2, 8, 10)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NUMERIC_START = frozenset("+-.0123456789")

_LEAST, _MOST = -(2**63), 2**63 - 1
_MOST_UNSIGNED = 2**64 - 1
_EXPONENT_FROM = 1e21
"""From here on Go writes a float with an exponent, which reads back as a float."""


def resolve_plain(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar as kubectl reads it."""
    if text in _WORDS:
        return _WORDS[text]
    if not text or text[0] not in _NUMERIC_START:
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    integer = _INTEGER.fullmatch(plain)
    if integer is not None:
        sign, *digits = integer.groups()
        value = next(int(found, base) for found, base in zip(digits, _BASES, strict=True) if found)
        value = -value if sign == "-" else value
        if _LEAST <= value <= _MOST_UNSIGNED:
            return value
    # A number that no float holds stays the text that it is.
    return float(plain) if _FLOAT.fullmatch(plain) and math.isfinite(float(plain)) else text


def to_json_number(value: float) -> int | float:
    """Return ``value`` as it is after a way through Go's JSON, there and back: 1.0 is 1, what fits no int64 a float."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXPONENT_FROM:
        # Go writes the fewest digits that tell the float, and zeros behind them.
        value = int(Decimal(repr(value)))
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return float(value)
    return value

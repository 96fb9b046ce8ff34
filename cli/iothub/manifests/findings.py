"""What the API server finds wrong with an object, in its own words.

The forms are those of k8s.io/apimachinery's field errors: ``Required value``, ``Invalid value: <value>: <why>`` and so
on, with values written as Go writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from iothub.manifests.yaml_reading import Place

_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_HTML = str.maketrans({"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "\u2028": r"\u2028", "\u2029": r"\u2029"})
_LEAST_PLAIN_EXPONENT = -4
_FIRST_BIG_EXPONENT = 6


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that a person should know."""

    place: Place
    field: str
    """The field as the API server names it; empty where it names none."""
    sentence: str
    blocks: bool = False
    """Whether the API server leaves the CRD's rules unevaluated for it."""
    warning: bool = False


def show_place(place: Place) -> str:
    """Return ``place`` as the API server writes it: ``spec.topics[1]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def required(place: Place, detail: str = "") -> Finding:
    """A field that is not there."""
    return _found(place, _join("Required value", detail), blocks=True)


def invalid(place: Place, value: object, detail: str) -> Finding:
    """A value that can't be."""
    return _found(place, _join(f"Invalid value: {show_value(value)}", detail))


def wrong_type(place: Place, wanted: str, found: str) -> Finding:
    """A value of another type than the schema's."""
    detail = f"{show_place(place)} in body must be of type {wanted}: {show_value(found)}"
    return _found(place, f"Invalid value: {show_value(found)}: {detail}", blocks=True)


def wrong_in_body(place: Place, value: object, complaint: str) -> Finding:
    """A value that breaks a bound of the schema."""
    return invalid(place, value, f"{show_place(place)} in body {complaint}")


def unsupported(place: Place, value: object, supported: Iterable[object]) -> Finding:
    """A value that is none of an enumeration."""
    shown = ", ".join(show_value(one if isinstance(one, str) else show_json(one)) for one in supported)
    return _found(place, f"Unsupported value: {show_value(value)}: supported values: {shown}", blocks=True)


def too_long(place: Place, most: int) -> Finding:
    """A text that is too long."""
    return _found(place, f"Too long: may not be more than {most} {'byte' if most == 1 else 'bytes'}", blocks=True)


def too_many(place: Place, actual: int, most: int) -> Finding:
    """A list or object with too many members."""
    items = "item" if most == 1 else "items"
    return _found(place, f"Too many: {actual}: must have at most {most} {items}", blocks=True)


def duplicate(place: Place, value: object) -> Finding:
    """A member of a set or a list map that is there before."""
    return _found(place, f"Duplicate value: {show_value(value)}")


def unknown_field(place: Place) -> Finding:
    """A field that the schema does not have, as strict field validation says it."""
    return Finding(place, "", f'unknown field "{show_place(place)}"')


def unnamed(place: Place, detail: str) -> Finding:
    """A complaint for which the API server names no field; ``place`` is where it belongs."""
    return Finding(place, "", f'Invalid value: "": {detail}')


def show_value(value: object) -> str:
    """Return ``value`` as Go's field errors print it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, int):
        return str(value)
    return _quote(value) if isinstance(value, str) else show_json(value)


def show_json(value: object) -> str:
    """Return ``value`` as Go's encoding/json writes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


def show_float(value: float) -> str:
    """Return ``value`` as Go's %v prints a float64."""
    mantissa, _, exponent = f"{value:e}".partition("e")
    size = int(exponent)
    if value == 0 or _LEAST_PLAIN_EXPONENT <= size < _FIRST_BIG_EXPONENT:
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    # repr has the fewest digits that read back as the same value, as Go's shortest form has.
    digits = "".join(map(str, Decimal(repr(value)).normalize().as_tuple().digits))
    sign = "-" if mantissa.startswith("-") else ""
    point = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{point}e{'-' if size < 0 else '+'}{abs(size):02d}"


def _found(place: Place, sentence: str, *, blocks: bool = False) -> Finding:
    return Finding(place, show_place(place), sentence, blocks)


def _join(start: str, detail: str) -> str:
    return f"{start}: {detail}" if detail else start


def _quote(text: str) -> str:
    """Return ``text`` as Go's strconv.Quote does."""
    return f'"{"".join(_quote_character(character) for character in text)}"'


def _quote_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

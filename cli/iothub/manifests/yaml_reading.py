"""From YAML text to the values that kubectl would send, each with its line."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from iothub.manifests.scalars import Scalar, resolve_plain, to_json_number

Place = tuple[str | int, ...]
"""Where a value lies in its document: the keys and indexes on the way to it."""

_PLAIN = "plain"
"""Our tag of a scalar that is neither quoted nor tagged."""
_MOST_NODES = 200_000
"""Aliases of aliases can make a small file huge."""
_STANDARD = "tag:yaml.org,2002:"
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "null": (type(None),),
    "timestamp": (str,),
}
_IN_PLAIN_WORDS: Final = (
    ("found character '\\t'", "a tab: write blanks, YAML knows no tabs before a value"),
    ("mapping values are not allowed", "a ':' where none can stand: check the indentation, or quote the value"),
    ("expected <block end>", "the indentation does not fit the lines above"),
    ("could not find expected ':'", "a ':' is missing after the field's name"),
    ("found unexpected end of stream", "a quote or bracket is opened and never closed"),
    ("found undefined alias", "an alias (*) of an anchor (&) that is not in this document"),
)


class YamlProblem(ValueError):
    """What is wrong with a text, and in which line, from 1 on."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"{line}: {problem}")
        self.line = line
        self.problem = problem


@dataclass(frozen=True)
class Read:
    """One document: its value, and the lines of its values."""

    value: Any
    line: int
    lines: Mapping[Place, int] = field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """Composes nodes and leaves what they mean to us."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else f"{_STANDARD}str"
        return f"{_STANDARD}map" if kind is MappingNode else f"{_STANDARD}seq"


def read_yaml(text: bytes) -> Iterator[Read]:
    """Yield the documents of ``text``, empty ones left out. Raises YamlProblem."""
    loader = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None or (isinstance(node, ScalarNode) and node.tag == _PLAIN and not node.value):
                continue
            lines: dict[Place, int] = {}
            value = _Building(lines).build(node, ())
            yield Read(value, _line(node), lines)
    except yaml.MarkedYAMLError as error:
        raise _explain(error) from error
    except yaml.reader.ReaderError as error:
        raise _explain_character(text, error) from error
    except RecursionError as error:
        raise YamlProblem(1, "it is nested too deeply") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Building:
    """Makes values of one document's nodes and notes their lines."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self._lines = lines
        self._left = _MOST_NODES
        self._open: list[Node] = []

    def build(self, node: Node, place: Place) -> Any:
        self._left -= 1
        if self._left < 0:
            raise YamlProblem(_line(node), f"its aliases make more than {_MOST_NODES} values of it")
        self._lines.setdefault(place, _line(node))
        if isinstance(node, ScalarNode):
            return _read_scalar(node)
        if any(node is other for other in self._open):
            raise YamlProblem(_line(node), "an alias (*) inside of what it stands for")
        self._open.append(node)
        try:
            if isinstance(node, SequenceNode):
                self._expect_tag(node, "seq")
                return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
            self._expect_tag(node, "map")
            return self._build_mapping(node, place)
        finally:
            self._open.pop()

    def _build_mapping(self, node: Node, place: Place) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PLAIN and key_node.value == "<<":
                for other in self._build_merged(value_node, place):
                    merged = other | merged
                continue
            key = _read_key(key_node)
            line = _line(key_node)
            if key in seen:
                raise YamlProblem(line, f"{key!r} is there twice in one object, first in line {seen[key]}")
            seen[key] = line
            # A field is where its name stands, also where its value begins on the next line.
            self._lines[(*place, key)] = line
            own[key] = self.build(value_node, (*place, key))
        return merged | own

    def _build_merged(self, node: Node, place: Place) -> list[dict[str, Any]]:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        if not all(isinstance(part, MappingNode) for part in parts):
            raise YamlProblem(_line(node), "'<<' takes an object, or a list of objects")
        return [self.build(part, place) for part in parts]

    @staticmethod
    def _expect_tag(node: Node, short: str) -> None:
        if node.tag != _STANDARD + short:
            raise YamlProblem(_line(node), f"the tag {_show_tag(node.tag)} means nothing here: leave it out")


def _read_scalar(node: ScalarNode) -> Scalar:
    if node.tag == f"{_STANDARD}str":
        return _join_surrogates(node)
    kind = node.tag.removeprefix(_STANDARD)
    if kind == "binary":
        try:
            return base64.b64decode(node.value, validate=False).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise YamlProblem(_line(node), f"!!binary holds no base64 of a text ({error})") from error
    if node.tag != _PLAIN and kind not in _TYPES:
        raise YamlProblem(_line(node), f"the tag {_show_tag(node.tag)} means nothing here: leave it out")
    value = resolve_plain(node.value)
    if node.tag != _PLAIN and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and bool not in _TYPES[kind])
    ):
        raise YamlProblem(_line(node), f"{node.value!r} is no {_show_tag(node.tag)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise YamlProblem(_line(node), f"{node.value} is no number that JSON has")
    return to_json_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _join_surrogates(node: ScalarNode) -> str:
    """Return the text of a node; JSON writes a character of the higher planes as two escapes, which YAML leaves two."""
    try:
        return str(node.value).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise YamlProblem(_line(node), "half a character: the escapes \\ud800 to \\udfff come in pairs") from error


def _read_key(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise YamlProblem(_line(node), "a field's name is a list or an object: write a text")
    value = _read_scalar(node)
    if value is None:
        raise YamlProblem(_line(node), "a field has no name")
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _explain(error: yaml.MarkedYAMLError) -> YamlProblem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    reason = " ".join(part for part in (error.context, error.problem) if part)
    plain = next((words for start, words in _IN_PLAIN_WORDS if start in (error.problem or "")), None)
    opened = error.context_mark
    if plain is not None and opened is not None and opened.line + 1 != line:
        reason += f" begun in line {opened.line + 1}"
    return YamlProblem(line, f"{plain} ({reason})" if plain is not None else reason)


def _explain_character(text: bytes, error: yaml.reader.ReaderError) -> YamlProblem:
    is_byte = isinstance(error.character, bytes | int) and error.encoding != "unicode"
    before = text[: error.position] if is_byte else text.decode("utf-8", "replace")[: error.position].encode()
    line = before.count(b"\n") + 1
    return YamlProblem(line, f"a character that YAML can't hold ({error.reason})")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _show_tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag

"""Objects as YAML that a person reads and kubectl reads back as the same: order kept, texts quoted where needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from iothub.manifests.scalars import resolve_plain


class _Dumper(yaml.SafeDumper):
    """Writes lists indented under their field, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if not isinstance(resolve_plain(text), str) or not text.replace("\n", "").isprintable():
        # What kubectl would take for a number, a boolean or nothing (PyYAML knows other ones); what needs escapes.
        style = '"'
    elif "\n" in text:
        style = "|"
    else:
        style = None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return ``objects`` as the documents of one text."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31, explicit_start=True)

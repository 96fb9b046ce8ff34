#!/usr/bin/env python3
"""Writes docs/reference/telemetryconsumer.md from the CRD: every field, its bounds, and what is said where it is wrong.

hack/crd-docs.py            writes it
hack/crd-docs.py --check    fails where it is not what would be written
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CRD = ROOT / "crds" / "telemetryconsumer.yaml"
PAGE = ROOT / "docs" / "reference" / "telemetryconsumer.md"

HEAD = """\
# TelemetryConsumer

<!-- made by hack/crd-docs.py from crds/telemetryconsumer.yaml -->

`apiVersion: {group}/{version}`, `kind: {kind}`; short names {names}. How it is used: [operator.md](../operator.md).
"""

Schema = Mapping[str, Any]


def main() -> int:
    """Write the page, or check it."""
    page = build_page(yaml.safe_load(CRD.read_text("utf-8")))
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(page, "utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text("utf-8") != page:
        sys.stderr.write(f"crd-docs: {PAGE.relative_to(ROOT)} is not what the CRD says: run hack/crd-docs.py\n")
        return 1
    return 0


def build_page(crd: Mapping[str, Any]) -> str:
    """Return the page."""
    spec = crd["spec"]
    version = spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = ", ".join(f"`{name}`" for name in spec["names"]["shortNames"])
    parts = [
        HEAD.format(group=spec["group"], version=version["name"], kind=spec["names"]["kind"], names=names),
        build_description(schema["description"]),
        *build_sections("spec", schema["properties"]["spec"]),
        *build_sections("status", schema["properties"]["status"]),
    ]
    return "\n".join(parts)


def build_sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield a section for an object with fields of its own, then those of the objects in it."""
    inner = find_object(schema)
    yield f"## {path}\n" if path.count(".") == 0 else f"### {path}\n"
    yield build_description(schema.get("description", ""))
    yield build_table(inner)
    rules = [rule for one in (schema, schema.get("items", {})) for rule in one.get("x-kubernetes-validations", ())]
    if rules:
        yield "What is refused, and in which words:\n"
        yield "\n".join(f"- {rule['message']}" for rule in rules) + "\n"
    for name, field in inner["properties"].items():
        if find_object(field).get("properties"):
            yield from build_sections(f"{path}.{name}" + ("[]" if field.get("type") == "array" else ""), field)


def find_object(schema: Schema) -> Schema:
    """Return the schema whose fields are a person's matter: of a list, that of an item."""
    found: Schema = schema["items"] if schema.get("type") == "array" else schema
    return found


def build_table(schema: Schema) -> str:
    """Return the fields as a table."""
    required = set(schema.get("required", ()))
    lines = ["| field | what it is | default | |", "| --- | --- | --- | --- |"]
    for name, field in schema["properties"].items():
        default = (
            f"`{json.dumps(field['default'])}`" if "default" in field else ("required" if name in required else "")
        )
        lines.append(f"| `{name}` | {name_type(field)} | {default} | {build_cell(field)} |")
    return "\n".join(lines) + "\n"


def name_type(field: Schema) -> str:
    """Return a field's type and bounds in words."""
    kind = field.get("type", "number or text")
    if kind == "array":
        return f"list of up to {field['maxItems']}: {name_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map of up to {field['maxProperties']}: {name_type(field['additionalProperties'])}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    said = words.get(kind, kind)
    if "enum" in field:
        return f"one of {', '.join(f'`{value}`' for value in field['enum'])}"
    least, most = field.get("minimum"), field.get("maximum")
    if least is not None and most is not None:
        return f"{said}, {least} to {most}"
    if least is not None:
        return f"{said}, from {least}"
    return f"{said} of up to {field['maxLength']}" if "maxLength" in field else said


def build_cell(field: Schema) -> str:
    """Return a description for a table's cell, with what is said where the value is wrong."""
    paragraphs = re.split(r"\n\s*\n|\n", field.get("description", "").strip())
    text = paragraphs[0] if find_object(field).get("properties") else " ".join(part.strip() for part in paragraphs)
    rules = [*field.get("x-kubernetes-validations", ()), *field.get("items", {}).get("x-kubernetes-validations", ())]
    if not find_object(field).get("properties"):
        text += "".join(f" *Else: {rule['message']}.*" for rule in rules)
    return text.replace("|", "\\|").replace("<", "&lt;")


def build_description(text: str) -> str:
    """Return a description as Markdown: what is set in is an example."""
    lines: list[str] = []
    in_example = False
    for line in text.strip().splitlines():
        is_example = line.startswith("  ") or (in_example and not line)
        if is_example and not in_example:
            lines += ["", "```yaml"]
        elif in_example and not is_example:
            lines += ["```", ""]
        in_example = is_example
        lines += [line.removeprefix("  ")] if is_example else [line, ""]
    if in_example:
        lines.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).replace("\n\n```\n", "\n```\n").strip() + "\n"


if __name__ == "__main__":
    sys.exit(main())

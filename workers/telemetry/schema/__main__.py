"""``python -m telemetry.schema`` prints the JSON Schema of telemetry messages; ``--version`` chooses which one's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from telemetry.schema.models import MODELS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_json_schema(version: int) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one version's messages as devices send them. KeyError: no such one."""
    return {"$schema": DIALECT, **MODELS[version].model_json_schema()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m telemetry.schema", description=__doc__)
    parser.add_argument(
        "--version", type=int, choices=sorted(MODELS), default=max(MODELS), help="schema version (the newest)"
    )
    chosen = parser.parse_args(arguments).version
    print(json.dumps(build_json_schema(chosen), indent=2, ensure_ascii=False))  # noqa: T201  # it is what it is for


if __name__ == "__main__":
    main()

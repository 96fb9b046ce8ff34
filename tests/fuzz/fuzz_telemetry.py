"""Fuzzes the way of a raw record through the validator (`fuzz.oracle`), led by which of our lines it reaches.

It needs atheris, which is no dependency of the project:

    uv venv --python 3.11 /tmp/fuzz && uv pip install --python /tmp/fuzz/bin/python atheris .
    PYTHONPATH=tests /tmp/fuzz/bin/python tests/fuzz/fuzz_telemetry.py -max_total_time=600 -max_len=4096 /tmp/corpus

The corpus is kept: another run goes on from there. A finding lies in the current folder as crash-…; it becomes a case
of tests/unit/consumers/test_telemetry_validator.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["telemetry", "consumers"]):
    from fuzz.oracle import check_record

SEEDS = [
    b'{"schema_version":1,"device":"DEV-01","metrics":{"humidity":20,"temperature":20.5},"ts":"2026-02-20 22:45"}',
    b'{"schema_version":1,"metrics":{"on":true},"ts":1771627500.5,"extra":{"a":[1,{"b":null}]},"firmware":"1.2"}',
    b'{"schema_version":1,"device":"\\u00e9:\\"","metrics":{"a:b":-1e-7},"ts":"2016-12-31T23:59:60.999+00:00"}',
    b'{"schema_version":1,"device":"a","device":"a","metrics":{"a":1,"\\u0061":1},"ts":1771627500000}',
    b'{"schema_version":1,"device":"a","metrics":{"a":NaN},"ts":"0001-01-01T00:00+14:00"}',
    b'{"schema_version":1,"device":"a","metrics":{"a":18446744073709551616,"b":-Infinity},"ts":1e300}',
]
DEVICES = [None, "DEV-01", "a", ""]


def fuzz(data: bytes) -> None:
    """Take the first byte for a choice of the device's header, and the rest for the value."""
    if data:
        choice, value = data[0], data[1:]
        device = DEVICES[choice] if choice < len(DEVICES) else value[:choice].decode("utf-8", "replace")
        check_record(value, device)


def main() -> None:
    """Run atheris over the corpus that the arguments name, with the seeds put into it."""
    for folder in (Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")):
        folder.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS):
            (folder / f"seed-{number}").write_bytes(b"\0" + seed)
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

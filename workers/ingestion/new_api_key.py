"""``python -m ingestion.new_api_key NAME [DEVICE …]``: a new API key, and its entry for the file of keys.

The key is shown this once; the hub keeps its hash.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys


def make_entry(name: str, devices: list[str]) -> tuple[str, dict[str, object]]:
    """Return a new key of 256 random bits, and what the file of keys is to hold of it."""
    key = f"iothub_{secrets.token_urlsafe(32)}"
    entry: dict[str, object] = {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest()}
    return key, {**entry, "devices": devices} if devices else entry


def main(arguments: list[str]) -> int:
    """Print the key and the entry; return the exit code."""
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    key, entry = make_entry(arguments[0], arguments[1:])
    sys.stdout.write(f"key:    {key}\nentry:  {json.dumps(entry)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

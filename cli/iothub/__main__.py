"""``iothub``, ``kubectl iothub`` and ``python -m iothub``: runs a command, and ends with its exit code."""

from __future__ import annotations

import sys

_LIBRARIES = frozenset({"amqtt", "cel", "paho", "psutil", "rich", "typer", "watchfiles", "yaml"})


def main() -> None:
    """Run the command that was typed. What can't be done is one sentence on standard error, never a traceback."""
    try:
        from iothub.app import run  # noqa: PLC0415  # says what is missing where the extra is not installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        sys.exit(f"iothub: {error.name} is not installed; install it with: pip install 'iot-hub-telemetry[cli]'")
    sys.exit(run())


if __name__ == "__main__":
    main()

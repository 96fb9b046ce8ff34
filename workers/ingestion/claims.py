"""Which device a message says it is of, for both ways in. Pure.

The claim makes the record's key, so that a device's messages stay in order; whether it is right is the validator's
matter. So is what is no JSON, in which a device may be found or not: its bytes decide, whichever way they came in.
"""

from __future__ import annotations

import msgspec
import orjson

from telemetry.schema.v1 import find_device_problem


class _Claim(msgspec.Struct):
    device: str | None = None


_CLAIM = msgspec.json.Decoder(_Claim)


def find_claimed_device(payload: bytes) -> str | None:
    """Return the device that ``payload`` says it is of, or None where it says none or no valid one.

    The rest of the message is passed over, not decoded, which takes a fifth of the time.
    """
    try:
        device = _CLAIM.decode(payload).device
    except msgspec.ValidationError:
        # No object, or one in which 'device' is no text; or is so at first, and comes again.
        device = _find_last(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return device if device is not None and find_device_problem(device) is None else None


def _find_last(payload: bytes) -> str | None:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    device = document.get("device") if type(document) is dict else None
    return device if type(device) is str else None

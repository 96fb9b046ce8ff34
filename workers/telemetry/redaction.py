"""Secrets never leave a process by its log: what is known to be one is replaced wherever it would be written.

A name tells: the value of ``password`` or ``api_token`` is learnt when it comes in, and does not come out again, be it
in a field of ours, in the text of a library's error or in a traceback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

import orjson

_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|credential|(api|private|access|shared|account)[-_.]?key", re.I)
_PLACE = re.compile(r"(file|dir|folder|path|location)s?$", re.I)
"""Names of where a secret lies, which is none itself."""
_PASSWORD_IN_URL = re.compile(r"://[^/@:\s]*:([^/@\s]+)@")
_SHORTEST = 4
"""What is shorter hides nothing, and would be replaced all over the log."""
_WORDS = frozenset({"true", "false", "none", "null"})
_REPLACEMENT = "***"

_known: list[str] = []
"""The longest first: one may be the beginning of another."""


def learn_secrets(settings: Mapping[str, object]) -> None:
    """Remember the texts in ``settings`` whose name is a secret's, at any depth, and the passwords in URLs.

    A text that is a JSON object, as an environment variable may be, is looked into. What stands there under another
    name too, as a user's name that is the password, is no secret.
    """
    texts = list(_walk(settings, secret=False))
    plain = {text for text, secret in texts if not secret}
    found = set(_known)
    for text, secret in texts:
        if secret and text not in plain and len(text) >= _SHORTEST and text.lower() not in _WORDS:
            # As it is, and as JSON has it.
            found.update((text, json.dumps(text, ensure_ascii=False)[1:-1]))
    _known[:] = sorted(found, key=len, reverse=True)


def redact(text: str) -> str:
    """Return ``text`` without the secrets that were learnt."""
    for secret in _known:
        text = text.replace(secret, _REPLACEMENT)
    return text


def _walk(value: object, *, secret: bool) -> Iterator[tuple[str, bool]]:
    """Yield each text in ``value``, and whether it is a secret."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, secret=secret or _is_secret(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner, secret=secret)
    elif isinstance(value, str):
        yield value, secret
        for password in _PASSWORD_IN_URL.findall(value):
            yield password, True


def _is_secret(name: str) -> bool:
    return _NAME.search(name) is not None and _PLACE.search(name) is None

"""Secrets never leave a process by its log: what is known to be one is replaced wherever it would be written.

A name tells: the value of ``password`` or ``api_token`` is learnt when it comes in, and does not come out again, be it
in a field of ours, in the text of a library's error or in a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|credential|(api|private|access|shared|account)[-_.]?key", re.I)
_PASSWORD_IN_URL = re.compile(r"://[^/@:\s]*:([^/@\s]+)@")
_SHORTEST = 4
"""What is shorter hides nothing, and would be replaced all over the log."""
_REPLACEMENT = "***"

_known: set[str] = set()


def learn_secrets(settings: Mapping[str, object]) -> None:
    """Remember the texts in ``settings`` whose name is a secret's, at any depth, and the passwords in URLs."""
    for name, value in settings.items():
        _learn(value, secret=_NAME.search(str(name)) is not None)


def redact(text: str) -> str:
    """Return ``text`` without the secrets that were learnt."""
    for secret in _known:
        text = text.replace(secret, _REPLACEMENT)
    return text


def _learn(value: object, *, secret: bool) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _learn(inner, secret=secret or _NAME.search(str(name)) is not None)
    elif isinstance(value, list | tuple):
        for inner in value:
            _learn(inner, secret=secret)
    elif isinstance(value, str):
        for found in [value] if secret else _PASSWORD_IN_URL.findall(value):
            if len(found) >= _SHORTEST:
                # As it is, and as JSON has it.
                _known.update((found, orjson.dumps(found).decode()[1:-1]))

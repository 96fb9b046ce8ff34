"""What has to hold for every setting: it can be changed, and a wrong value is blamed by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_settings import BaseSettings


@dataclass(frozen=True)
class Case:
    """One setting: a text from the environment, what it means, and texts that can't work."""

    variable: str
    text: str
    value: Any
    wrong: tuple[str, ...] = ()

    def field(self, cls: type[BaseSettings]) -> str:
        """Return the name of the field in ``cls`` that the variable sets."""
        return self.variable.removeprefix(str(cls.model_config.get("env_prefix", ""))).lower()


def cover(cls: type[BaseSettings], cases: Iterable[Case], *, beyond: type[BaseSettings] | None = None) -> bool:
    """Return whether ``cases`` leave no setting of ``cls`` out, so that a new one can't come without its test.

    Settings of ``beyond``, a base class, have their cases elsewhere.
    """
    elsewhere = set(beyond.model_fields) if beyond is not None else set()
    return {case.field(cls) for case in cases} == set(cls.model_fields) - elsewhere


def wrong_values(cases: Iterable[Case]) -> list[tuple[str, str]]:
    """Return every variable with every text that can't work."""
    return [(case.variable, text) for case in cases for text in case.wrong]

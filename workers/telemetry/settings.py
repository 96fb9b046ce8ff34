"""Loading settings from the environment, so that a wrong one fails at start and by its own name."""

from __future__ import annotations

import re
import warnings
from typing import Any, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsError

from telemetry.errors import ConfigurationError

SettingsT = TypeVar("SettingsT", bound=BaseSettings)

_SHOWN_CHARACTERS = 80


def load_settings(cls: type[SettingsT], **given: Any) -> SettingsT:
    """Return ``cls`` read from the environment, ``given`` overriding it by field name.

    Raises ConfigurationError that names each variable that can't work, with its value unless it is a secret.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return cls(**given)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_describe(cls, problem) for problem in real_problems(error))) from None
    except SettingsError as error:
        # The name of the field stands in pydantic-settings' own sentence: 'error parsing value for field "x" …'.
        found = re.search(r'field "(\w+)"', str(error))
        name = variable_name(cls, found[1]) if found else str(error)
        raise ConfigurationError(f"{name}: must be JSON ({error.__cause__ or error})") from None


def real_problems(error: ValidationError) -> list[ErrorDetails]:
    """Return the error's problems without those that only follow: a list counts as too short for its bad items."""
    problems = error.errors()
    above = {problem["loc"][:depth] for problem in problems for depth in range(len(problem["loc"]))}
    return [problem for problem in problems if problem["type"] != "too_short" or problem["loc"] not in above]


def split_commas(value: object) -> object:
    """Return the parts of a comma-separated text; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def variable_name(cls: type[BaseSettings], field: str) -> str:
    """Return the environment variable that sets ``field`` of ``cls``."""
    return f"{cls.model_config.get('env_prefix', '')}{field}".upper()


def _describe(cls: type[BaseSettings], problem: ErrorDetails) -> str:
    location = problem["loc"]
    if not location:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = variable_name(cls, str(location[0]))
    sentence = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{name}: is required and not set"
    field = cls.model_fields.get(str(location[0]))
    secret = field is not None and SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
    if secret or (field is not None and not field.repr):
        return f"{name}: {sentence}"
    return f"{name}: {sentence} (it is {str(problem['input'])[:_SHOWN_CHARACTERS]!r})"

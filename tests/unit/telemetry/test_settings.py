"""Settings come from the environment; a wrong one fails by its own name, and a secret is never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from telemetry.errors import ConfigurationError
from telemetry.settings import load_settings, variable_name

if TYPE_CHECKING:
    from unit.conftest import SetVariables


class Sample(BaseSettings):
    """One setting of each kind that ours have."""

    model_config = SettingsConfigDict(env_prefix="MQTT_X_", extra="ignore", frozen=True, env_ignore_empty=True)

    name: str
    size: Annotated[int, Field(ge=1)] = 5
    token: SecretStr | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _no_dots(cls, value: str) -> str:
        if "." in value:
            raise ValueError("no dots")
        return value

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 10:
            raise ValueError("is too short")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Sample:
        if self.size > len(self.name) * 1000:
            raise ValueError("MQTT_X_SIZE is too much for MQTT_X_NAME")
        return self


def refusal(**given: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(Sample, **given)
    return str(caught.value)


def test_the_environment_sets_the_fields_and_arguments_override_it(environment: SetVariables) -> None:
    # Given
    environment({"MQTT_X_NAME": "env", "MQTT_X_SIZE": "7", "MQTT_X_OPTIONS": '{"a": [1]}', "MQTT_X_OTHER": "?"})
    # When
    settings = load_settings(Sample, name="given")
    # Then
    assert (settings.name, settings.size, settings.options) == ("given", 7, {"a": [1]})


def test_an_empty_variable_counts_as_not_set(environment: SetVariables) -> None:
    environment({"MQTT_X_NAME": "a", "MQTT_X_SIZE": "", "MQTT_X_TOKEN": ""})
    assert load_settings(Sample) == Sample(name="a", size=5, token=None)


def test_a_missing_variable_is_named(environment: SetVariables) -> None:
    environment({})
    assert refusal() == "MQTT_X_NAME: is required and not set"


def test_every_wrong_variable_is_named_with_its_value(environment: SetVariables) -> None:
    environment({"MQTT_X_NAME": "a.b", "MQTT_X_SIZE": "0"})
    first, second = refusal().split("; ")
    assert first == "MQTT_X_NAME: no dots (it is 'a.b')"
    assert second.startswith("MQTT_X_SIZE: ")
    assert second.endswith("(it is '0')")


def test_a_long_value_is_cut(environment: SetVariables) -> None:
    environment({"MQTT_X_NAME": "x" * 10_000 + "."})
    assert len(refusal()) < 200


def test_a_wrong_secret_is_named_and_not_shown(environment: SetVariables) -> None:
    environment({"MQTT_X_NAME": "a", "MQTT_X_TOKEN": "hunter2"})
    assert refusal() == "MQTT_X_TOKEN: is too short"


def test_what_is_wrong_between_two_settings_is_said_in_one_sentence(environment: SetVariables) -> None:
    environment({"MQTT_X_NAME": "a", "MQTT_X_SIZE": "2000", "MQTT_X_TOKEN": "correct horse battery"})
    assert refusal() == "MQTT_X_SIZE is too much for MQTT_X_NAME"


@pytest.mark.parametrize("text", ["{", "hunter2", "{'a': 1}", '{"a": hunter2}'])
def test_what_is_no_json_is_named_and_not_shown(environment: SetVariables, text: str) -> None:
    environment({"MQTT_X_NAME": "a", "MQTT_X_OPTIONS": text})
    sentence = refusal()
    assert sentence.startswith("MQTT_X_OPTIONS: must be JSON")
    assert "hunter2" not in sentence


def test_the_name_of_a_variable_is_prefix_and_field_in_capitals() -> None:
    assert variable_name(Sample, "size") == "MQTT_X_SIZE"

"""What the unit tests share: how hypothesis searches, and an environment without variables of ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# CI must not fail today on what it passed yesterday; a laptop looks at new examples each time. Neither judges by time:
# a busy machine is no bug.
settings.register_profile(
    "iot-hub", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("iot-hub")

OUR_PREFIXES = ("KAFKA_", "CONSUMER_", "INGESTION_", "MQTT_", "TOPICS_", "OPERATOR_", "LOG_", "HTTP_PORT")


class SetVariables(Protocol):
    """Puts variables into the environment for the rest of the test."""

    def __call__(self, variables: Mapping[str, str]) -> None: ...


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetVariables:
    """An environment that holds none of our variables, and the means to set some."""
    for name in list(os.environ):
        if name.upper().startswith(OUR_PREFIXES):
            monkeypatch.delenv(name)

    def set_variables(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables

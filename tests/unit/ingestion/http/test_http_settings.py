"""The HTTP side's settings: each variable changes what it says, and a wrong one is blamed by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestion.http_settings import HttpSettings
from telemetry.errors import ConfigurationError
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

CASES = [
    Case("INGESTION_HTTP_HOST", "127.0.0.1", "127.0.0.1"),
    Case("INGESTION_HTTP_PORT", "8443", 8443, ("-1", "65536", "http")),
    Case("INGESTION_API_KEYS_FILE", "/etc/keys.json", Path("/etc/keys.json")),
    Case("INGESTION_MAX_BODY_BYTES", "2048", 2048, ("1023", "67108865", "10 MiB")),
    Case("INGESTION_MAX_ITEMS", "50", 50, ("0", "100001", "x")),
    Case("INGESTION_MAX_HEADER_BYTES", "8192", 8192, ("1023", "65537", "x")),
    Case("INGESTION_MAX_CONNECTIONS", "20", 20, ("0", "1000001", "x")),
    Case("INGESTION_MAX_REQUESTS", "20", 20, ("0", "100001", "x")),
    Case("INGESTION_MAX_REQUESTS_PER_KEY", "20", 20, ("0", "100001", "x")),
    Case("INGESTION_MAX_BUFFERED_BYTES", "20971520", 20971520, ("1048575", "x")),
    Case("INGESTION_BODY_TIMEOUT_SECONDS", "1.5", 1.5, ("0", "3601", "x")),
    Case("INGESTION_ACK_TIMEOUT_SECONDS", "2.5", 2.5, ("0.09", "3601", "x")),
    Case("INGESTION_KEEPALIVE_SECONDS", "5", 5, ("0", "3601", "x")),
    Case("INGESTION_RETRY_AFTER_SECONDS", "60", 60, ("0", "3601", "x")),
]


def test_every_setting_has_its_case() -> None:
    assert cover(HttpSettings, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
def test_a_variable_changes_its_setting_and_no_other(environment: SetVariables, case: Case) -> None:
    environment({})
    before = load_settings(HttpSettings)
    environment({case.variable: case.text})
    after = load_settings(HttpSettings)
    assert after == before.model_copy(update={case.field(HttpSettings): case.value})
    assert after != before


@pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
def test_a_wrong_value_is_blamed_by_name(environment: SetVariables, variable: str, text: str) -> None:
    environment({variable: text})
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        load_settings(HttpSettings)


def test_a_buffer_smaller_than_one_body_is_refused(environment: SetVariables) -> None:
    environment({"INGESTION_MAX_BUFFERED_BYTES": "1048576"})
    with pytest.raises(ConfigurationError, match=r"^INGESTION_MAX_BUFFERED_BYTES is 1048576, less than one body"):
        load_settings(HttpSettings)

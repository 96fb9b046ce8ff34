"""What counts as a secret, and where it is taken out."""

from __future__ import annotations

import pytest

from telemetry import redaction
from telemetry.redaction import learn_secrets, redact

NAMES = (
    "password DB_PASSWORD passwd passphrase client_secret token apiToken api_key apikey private-key account.key "
    "sasl.password credentials"
)


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", [])


@pytest.mark.parametrize("name", NAMES.split())
def test_a_name_tells(name: str) -> None:
    learn_secrets({name: "hunter2"})
    assert redact("it is hunter2, hunter2!") == "it is ***, ***!"


@pytest.mark.parametrize(
    "name", ["url", "key", "passenger", "limit", "keys", "device", "INGESTION_API_KEYS_FILE", "token_path"]
)
def test_any_other_is_no_secret(name: str) -> None:
    learn_secrets({name: "hunter2"})
    assert redact("it is hunter2") == "it is hunter2"


def test_below_such_a_name_everything_is_one() -> None:
    learn_secrets({"db": {"password": "first1"}, "tokens": ["second2", {"a": "third3"}], 5: "five"})  # type: ignore[dict-item]
    assert redact("first1 second2 third3 five") == "*** *** *** five"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://iot:hunter2@db:5432/x?sslmode=require", "postgres://iot:***@db:5432/x?sslmode=require"),
        ("redis://:hunter2@cache", "redis://:***@cache"),
        ("http://example.com:8080/a@b", "http://example.com:8080/a@b"),
    ],
)
def test_the_password_in_a_url_is_one(url: str, shown: str) -> None:
    learn_secrets({"url": url})
    assert redact(f"can't reach {url}") == f"can't reach {shown}"


@pytest.mark.parametrize("value", ["", "a", "abc", "true", "None", 1234, None, True, 1.5, "{"])
def test_what_hides_nothing_is_not_replaced(value: object) -> None:
    learn_secrets({"password": value})
    assert redact("abc 1234 None true 1.5 {") == "abc 1234 None true 1.5 {"


def test_what_stands_under_another_name_too_is_none() -> None:
    """As in compose.yaml; every word of the log that is the user's name would become unreadable."""
    learn_secrets({"MQTT_PASSWORD": "ingestion", "MQTT_USERNAME": "ingestion", "KAFKA_SASL_PASSWORD": "hunter2"})
    assert redact("ingestion ends: hunter2") == "ingestion ends: ***"


def test_of_a_secret_that_begins_as_another_nothing_is_left() -> None:
    learn_secrets({"password": "hunter"})
    learn_secrets({"token": "hunter2-and-more"})
    assert redact("hunter2-and-more hunter") == "*** ***"


def test_a_text_of_json_is_looked_into() -> None:
    learn_secrets({"KAFKA_PROPERTIES": '{"ssl.key.password": "hunter2", "linger.ms": "1234"}', "password": "{odd}"})
    assert redact("hunter2 1234 {odd}") == "*** 1234 ***"


def test_a_lone_surrogate_is_no_obstacle() -> None:
    learn_secrets({"password": "hunter\ud800"})
    assert redact("it is hunter\ud800") == "it is ***"


def test_it_is_found_as_json_has_it_too() -> None:
    learn_secrets({"password": 'a"b\nc'})
    assert redact('{"x":"a\\"b\\nc"}') == '{"x":"***"}'

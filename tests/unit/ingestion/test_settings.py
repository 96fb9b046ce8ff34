"""Ingestion's settings: each variable changes what it says, a wrong one is blamed by name, the password is nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ingestion.settings import IngestionSettings, MqttSettings
from telemetry.errors import ConfigurationError
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

USER = {"MQTT_USERNAME": "ingestion"}

INGESTION = [
    Case("INGESTION_TOPIC", "raw.v2", "raw.v2", ("a/b", "..", "t" * 250)),
    Case("INGESTION_DLQ_TOPIC", "dlq.v2", "dlq.v2", ("a b",)),
]
MQTT = [
    Case("MQTT_HOST", "broker", "broker"),
    Case("MQTT_PORT", "8883", 8883, ("0", "65536", "mqtt")),
    Case("MQTT_USERNAME", "ingestion", "ingestion"),
    Case("MQTT_PASSWORD", "hunter2", "hunter2"),
    Case("MQTT_TRANSPORT", "websockets", "websockets", ("ws", "udp")),
    Case("MQTT_WEBSOCKET_PATH", "/ws", "/ws", ("ws",)),
    Case("MQTT_TLS", "true", True, ("on and off",)),
    Case("MQTT_TLS_CA", "/etc/ca.crt", "/etc/ca.crt"),
    Case("MQTT_TLS_CERT", "/etc/tls.crt", "/etc/tls.crt"),
    Case("MQTT_TLS_KEY", "/etc/tls.key", "/etc/tls.key"),
    Case("MQTT_MAX_IN_FLIGHT_BYTES", "1048576", 1_048_576, ("1048575", "64MiB")),
    Case("MQTT_RETAINED", "skip", "skip", ("drop",)),
    Case("MQTT_MAX_USER_PROPERTIES", "0", 0, ("-1", "101")),
    Case("MQTT_MAX_USER_PROPERTY_BYTES", "32768", 32_768, ("-1", "32769")),
    Case("MQTT_PROTOCOL", "3.1.1", "3.1.1", ("4", "3.1", "v5")),
    Case("MQTT_CLIENT_ID", "hub-ingestion-mqtt-0", "hub-ingestion-mqtt-0", ("x" * 129,)),
    Case("MQTT_TOPICS", "a/+, b/#", ("a/+", "b/#"), (",", "a/b+", "a/#/b", "a/+,b#")),
    Case(
        "MQTT_DEVICE_TEMPLATE",
        "+/{device}/#, a/{device}",
        ("+/{device}/#", "a/{device}"),
        (
            "telemetry",
            "a/{device},b",
            "telemetry/+",
            "t/{device}x",
            "t/{device}/{device}",
            "t/{site}/{device}",
            "t/{}",
            "#/{device}",
        ),
    ),
    Case("MQTT_SHARE_GROUP", "hub", "hub", ("a/b", "a+", "#")),
    Case("MQTT_RECEIVE_MAXIMUM", "20", 20, ("0", "65536", "x")),
    Case("MQTT_SESSION_EXPIRY_SECONDS", "3600", 3600, ("59", "4294967295", "1h")),
    Case("MQTT_KEEPALIVE_SECONDS", "60", 60, ("4", "65536", "x")),
    Case("MQTT_STORED_TOPIC", "$SYS/broker/store/messages/count", "$SYS/broker/store/messages/count", ("a/+", "#")),
    Case("MQTT_READY_TOPIC", "ready", "ready", ("a/+", "#", "telemetry/ready")),
]

BESIDE = {"MQTT_PASSWORD": USER, "MQTT_TLS_KEY": {"MQTT_TLS_CERT": "/etc/tls.crt"}}
"""What a setting can't be without."""


class TestIngestion:
    def test_every_setting_has_its_case(self) -> None:
        assert cover(IngestionSettings, INGESTION)

    @pytest.mark.parametrize("case", INGESTION, ids=lambda case: case.variable)
    def test_a_variable_changes_its_setting_and_no_other(self, environment: SetVariables, case: Case) -> None:
        environment({})
        before = load_settings(IngestionSettings)
        environment({case.variable: case.text})
        after = load_settings(IngestionSettings)
        assert after == before.model_copy(update={case.field(IngestionSettings): case.value})
        assert after != before

    @pytest.mark.parametrize(("variable", "text"), wrong_values(INGESTION))
    def test_a_wrong_value_is_blamed_by_name(self, environment: SetVariables, variable: str, text: str) -> None:
        environment({variable: text})
        with pytest.raises(ConfigurationError, match=f"^{variable}: "):
            load_settings(IngestionSettings)

    def test_the_defaults_are_the_topics_of_the_design(self, environment: SetVariables) -> None:
        environment({})
        settings = load_settings(IngestionSettings)
        assert (settings.topic, settings.dlq_topic) == ("telemetry.raw", "telemetry.dlq")


class TestMqtt:
    def test_every_setting_has_its_case(self) -> None:
        assert cover(MqttSettings, MQTT)

    @pytest.mark.parametrize("case", MQTT, ids=lambda case: case.variable)
    def test_a_variable_changes_its_setting_and_no_other(self, environment: SetVariables, case: Case) -> None:
        # Given what some settings need beside them
        environment(BESIDE.get(case.variable, {}))
        before = shown(load_settings(MqttSettings))
        # When
        environment({case.variable: case.text})
        # Then
        after = shown(load_settings(MqttSettings))
        assert after == before | {case.field(MqttSettings): case.value}
        assert after != before

    @pytest.mark.parametrize(("variable", "text"), wrong_values(MQTT))
    def test_a_wrong_value_is_blamed_by_name(self, environment: SetVariables, variable: str, text: str) -> None:
        environment({variable: text})
        with pytest.raises(ConfigurationError, match=f"^{variable}"):
            load_settings(MqttSettings)

    def test_the_defaults(self, environment: SetVariables) -> None:
        environment({})
        assert shown(load_settings(MqttSettings)) == {
            "host": "localhost",
            "port": 1883,
            "username": None,
            "password": None,
            "transport": "tcp",
            "websocket_path": "/mqtt",
            "tls": False,
            "tls_ca": None,
            "tls_cert": None,
            "tls_key": None,
            "protocol": "auto",
            "client_id": "iot-hub-ingestion",
            "topics": ("telemetry/+",),
            "device_template": ("telemetry/{device}",),
            "share_group": None,
            "receive_maximum": 1000,
            "max_in_flight_bytes": 64 * 1024 * 1024,
            "retained": "mark",
            "max_user_properties": 16,
            "max_user_property_bytes": 4096,
            "session_expiry_seconds": 7 * 24 * 3600,
            "keepalive_seconds": 30,
            "ready_topic": "iot-hub/ingestion/ready",
            "stored_topic": None,
        }

    @pytest.mark.parametrize(
        ("variables", "uses_tls"),
        [
            ({}, False),
            ({"MQTT_TLS": "true"}, True),
            ({"MQTT_TLS_CA": "/etc/ca.crt"}, True),
            ({"MQTT_TLS_CERT": "/etc/tls.pem"}, True),
        ],
        ids=str,
    )
    def test_whatever_is_of_tls_turns_it_on(
        self, environment: SetVariables, variables: dict[str, str], uses_tls: bool
    ) -> None:
        environment(variables)
        assert load_settings(MqttSettings).uses_tls is uses_tls

    def test_a_key_without_its_certificate_is_refused_with_both_names(self, environment: SetVariables) -> None:
        environment({"MQTT_TLS_KEY": "/etc/tls.key"})
        with pytest.raises(ConfigurationError, match=r"^MQTT_TLS_KEY is set, MQTT_TLS_CERT is not"):
            load_settings(MqttSettings)

    def test_a_mark_that_would_be_ingested_is_refused_with_both_names(self, environment: SetVariables) -> None:
        environment({"MQTT_TOPICS": "site/+/telemetry,iot-hub/#"})
        with pytest.raises(
            ConfigurationError, match=r"MQTT_READY_TOPIC 'iot-hub/ingestion/ready'.*'iot-hub/#' of MQTT_TOPICS"
        ):
            load_settings(MqttSettings)

    def test_a_version_that_can_t_share_is_refused_with_both_names(self, environment: SetVariables) -> None:
        environment({"MQTT_PROTOCOL": "3.1.1", "MQTT_SHARE_GROUP": "hub"})
        with pytest.raises(ConfigurationError, match=r"^MQTT_SHARE_GROUP is set, and MQTT_PROTOCOL is 3\.1\.1"):
            load_settings(MqttSettings)

    def test_a_shared_subscription_names_its_group_before_each_filter(self, environment: SetVariables) -> None:
        environment({"MQTT_TOPICS": "a/+,b/#"})
        assert load_settings(MqttSettings).filters == ("a/+", "b/#")
        environment({"MQTT_SHARE_GROUP": "hub"})
        assert load_settings(MqttSettings).filters == ("$share/hub/a/+", "$share/hub/b/#")

    @pytest.mark.parametrize(
        ("client_id", "ordinal"),
        [
            ("r-ingestion-mqtt-0", 0),
            ("r-ingestion-mqtt-12", 12),
            ("laptop", 0),
            ("a-1-b", 0),
            ("r3", 0),
            ("a-٣", 0),
            ("7", 0),
        ],
    )
    def test_the_ordinal_is_that_of_the_statefulsets_pod(
        self, environment: SetVariables, client_id: str, ordinal: int
    ) -> None:
        environment({"MQTT_CLIENT_ID": client_id})
        assert load_settings(MqttSettings).ordinal == ordinal


class TestPassword:
    def test_it_needs_a_user(self, environment: SetVariables) -> None:
        environment({"MQTT_PASSWORD": "hunter2"})
        with pytest.raises(ConfigurationError, match=r"^MQTT_PASSWORD is set, MQTT_USERNAME is not") as caught:
            load_settings(MqttSettings)
        assert "hunter2" not in str(caught.value)

    def test_a_user_does_not_need_one(self, environment: SetVariables) -> None:
        environment(USER)
        assert load_settings(MqttSettings).password is None

    def test_it_is_not_in_the_settings_text(self, environment: SetVariables) -> None:
        environment(USER | {"MQTT_PASSWORD": "hunter2"})
        settings = load_settings(MqttSettings)
        assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"

    @pytest.mark.parametrize("via", [MqttSettings, lambda: load_settings(MqttSettings)], ids=["directly", "loaded"])
    @pytest.mark.parametrize("beside", [{}, USER | {"MQTT_PORT": "0"}, USER | {"MQTT_READY_TOPIC": "#"}], ids=str)
    def test_nor_in_the_error_of_wrong_ones(self, environment: SetVariables, beside: dict[str, str], via: Any) -> None:
        environment({"MQTT_PASSWORD": "hunter2"} | beside)
        with pytest.raises((ValueError, ConfigurationError)) as caught:
            via()
        assert "hunter2" not in f"{caught.value} {caught.value!r}"


def shown(settings: MqttSettings) -> dict[str, Any]:
    """Return the settings with the password in clear."""
    password = settings.password.get_secret_value() if settings.password else None
    return settings.model_dump() | {"password": password}

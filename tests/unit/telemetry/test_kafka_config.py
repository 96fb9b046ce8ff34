"""The connection to Kafka: every setting reaches librdkafka, and no secret reaches anybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from telemetry.errors import ConfigurationError
from telemetry.kafka_config import KafkaConfig, find_unknown_variables
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

SASL = {"KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "hub", "KAFKA_SASL_PASSWORD": "hunter2"}

CASES = [
    Case("KAFKA_BOOTSTRAP_SERVERS", "a:9092,b:9092", {"bootstrap.servers": "a:9092,b:9092"}),
    Case("KAFKA_CLIENT_ID", "me", {"client.id": "me"}),
    Case("KAFKA_SECURITY_PROTOCOL", "SSL", {"security.protocol": "SSL"}, ("TLS", "ssl", "SASL_SSL")),
    Case("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", {"sasl.mechanism": "SCRAM-SHA-512"}, ("MD5", "GSSAPI")),
    Case("KAFKA_SASL_USERNAME", "hub", {"sasl.username": "hub"}),
    Case("KAFKA_SASL_PASSWORD", "hunter2", {"sasl.password": "hunter2"}),
    Case("KAFKA_SSL_CA_LOCATION", "/ca.crt", {"ssl.ca.location": "/ca.crt"}),
    Case("KAFKA_SSL_CERTIFICATE_LOCATION", "/tls.crt", {"ssl.certificate.location": "/tls.crt"}),
    Case("KAFKA_SSL_KEY_LOCATION", "/tls.key", {"ssl.key.location": "/tls.key"}),
    Case(
        "KAFKA_PROPERTIES",
        '{"socket.keepalive.enable": true, "debug": "msg"}',
        {"socket.keepalive.enable": True, "debug": "msg"},
        ("socket.keepalive.enable=true", "[]", '{"debug": ["msg"]}', '{"debug": null}'),
    ),
]


def test_every_setting_has_its_case() -> None:
    assert cover(KafkaConfig, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
def test_a_setting_reaches_librdkafka(environment: SetVariables, case: Case) -> None:
    # Given what the properties are without it
    environment({})
    before = load_settings(KafkaConfig).to_librdkafka()
    # When the variable is set
    environment({case.variable: case.text})
    # Then exactly its properties have changed
    after = load_settings(KafkaConfig).to_librdkafka()
    assert after == before | case.value
    assert after != before


@pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
def test_a_wrong_value_is_blamed_by_name(environment: SetVariables, variable: str, text: str) -> None:
    environment({variable: text})
    with pytest.raises(ConfigurationError, match=variable):
        load_settings(KafkaConfig)


def test_without_an_environment_it_is_localhost_in_clear(environment: SetVariables) -> None:
    environment({})
    assert KafkaConfig().to_librdkafka() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "iot-hub",
        "security.protocol": "PLAINTEXT",
    }


def test_arguments_override_the_environment(environment: SetVariables) -> None:
    environment({"KAFKA_BOOTSTRAP_SERVERS": "env:9092"})
    assert KafkaConfig(bootstrap_servers="given:9092").to_librdkafka()["bootstrap.servers"] == "given:9092"


def test_further_properties_win_over_ours(environment: SetVariables) -> None:
    environment({"KAFKA_CLIENT_ID": "ours", "KAFKA_PROPERTIES": '{"client.id": "theirs"}'})
    assert KafkaConfig().to_librdkafka()["client.id"] == "theirs"


def test_a_sasl_connection_needs_all_three_and_then_has_them(environment: SetVariables) -> None:
    environment({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"} | SASL)
    properties = load_settings(KafkaConfig).to_librdkafka()
    assert (
        properties.items()
        >= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "hub",
            "sasl.password": "hunter2",
        }.items()
    )


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("missing", sorted(SASL))
def test_a_sasl_connection_without_one_of_them_is_refused(
    environment: SetVariables, protocol: str, missing: str
) -> None:
    environment({"KAFKA_SECURITY_PROTOCOL": protocol} | {name: text for name, text in SASL.items() if name != missing})
    with pytest.raises(ConfigurationError, match=rf"KAFKA_SECURITY_PROTOCOL is {protocol}.*{missing}") as caught:
        load_settings(KafkaConfig)
    assert "hunter2" not in str(caught.value)


class TestSecrets:
    """Whatever holds a secret may be logged."""

    def test_a_password_is_not_in_the_settings_text(self) -> None:
        config = KafkaConfig(sasl_password="hunter2")
        assert "hunter2" not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"
        assert config.to_librdkafka()["sasl.password"] == "hunter2"

    def test_nor_is_one_among_the_further_properties(self) -> None:
        config = KafkaConfig(properties={"sasl.password": "hunter2", "ssl.key.password": "hunter2"})
        assert "hunter2" not in f"{config!r} {config}"

    @pytest.mark.parametrize("via", [KafkaConfig, lambda: load_settings(KafkaConfig)], ids=["directly", "loaded"])
    @pytest.mark.parametrize(
        "variables",
        [
            {"KAFKA_SASL_PASSWORD": "hunter2", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            {"KAFKA_SASL_PASSWORD": "hunter2", "KAFKA_SECURITY_PROTOCOL": "wrong"},
            {"KAFKA_PROPERTIES": '{"sasl.password": ["hunter2"]}'},
            {"KAFKA_PROPERTIES": '["hunter2"]'},
            {"KAFKA_PROPERTIES": '"hunter2"'},
            {"KAFKA_PROPERTIES": '{"sasl.password": "hunter2"'},
        ],
        ids=str,
    )
    def test_nor_is_one_in_the_error_of_wrong_settings(
        self, environment: SetVariables, variables: dict[str, str], via: Any
    ) -> None:
        environment(variables)
        with pytest.raises((ValueError, ConfigurationError)) as caught:
            via()
        assert "hunter2" not in f"{caught.value} {caught.value!r}"


class TestUnknownVariables:
    def test_what_is_no_setting_of_any_given_class_is_found(self, environment: SetVariables) -> None:
        class Other(KafkaConfig):
            flavour: str = ""

        # Given settings of one class, of another, of none, and names that only begin alike
        environment(
            {"KAFKA_CLIENT_ID": "a", "KAFKA_FLAVOUR": "b", "KAFKA_PORT": "tcp://1", "KAFKA_HOME": "c", "KAFKAX": ""}
        )
        # Then only those of no class are named, in order
        assert find_unknown_variables(KafkaConfig, Other) == ["KAFKA_HOME", "KAFKA_PORT"]
        assert find_unknown_variables(KafkaConfig) == ["KAFKA_FLAVOUR", "KAFKA_HOME", "KAFKA_PORT"]

    def test_they_do_not_keep_the_settings_from_loading(self, environment: SetVariables) -> None:
        environment({"KAFKA_PORT": "tcp://10.0.0.1:9092", "KAFKA_SERVICE_HOST": "10.0.0.1"})
        assert load_settings(KafkaConfig).bootstrap_servers == "localhost:9092"

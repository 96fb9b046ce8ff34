"""``python -m topics FILE``: make the topics of a JSON file as wanted, and say what was left alone.

Idempotent: it can run at every installation and upgrade. TOPICS_WAIT_SECONDS is how long it waits for Kafka.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from telemetry.errors import ConfigurationError, NotYetAvailable
from telemetry.kafka_config import KafkaConfig
from telemetry.process import run_process
from telemetry.settings import load_settings, real_problems
from topics.plan import Configure, Create, FoundTopic, Grow, LeaveAlone, Step, TopicsFile, WantedTopic, plan_topics

_REQUEST = 30.0
_POLL = 1.0

log = structlog.get_logger("topics")


class TopicsSettings(BaseSettings):
    """How the job behaves (``TOPICS_*``)."""

    model_config = SettingsConfigDict(env_prefix="TOPICS_", extra="ignore", frozen=True, env_ignore_empty=True)

    wait_seconds: float = Field(default=300, ge=0)
    """How long to wait for Kafka to answer, and for enough brokers to be there."""


def main() -> int:
    """Run the job and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m topics", description=__doc__)
    parser.add_argument(
        "file", type=Path, help='JSON: {"topics": [{"name", "partitions", "replicationFactor", "configs"}]}'
    )
    file = parser.parse_args().file
    return run_process(lambda _: make_topics(file))


def make_topics(file: Path) -> None:
    """Make the topics of ``file`` as wanted. Raises ConfigurationError, or NotYetAvailable where Kafka is not there."""
    wanted = read_topics_file(file)
    settings, config = load_settings(TopicsSettings), load_settings(KafkaConfig)
    client = _connect(config, brokers=max(topic.replication_factor for topic in wanted), wait=settings.wait_seconds)
    try:
        for step in read_steps(client, wanted):
            _log_step(step)
            apply_step(client, step)
    except KafkaException as error:
        raise NotYetAvailable("KafkaUnavailable", error.args[0].str()) from error
    log.info("topics are as wanted", topics=[topic.name for topic in wanted])


def read_topics_file(path: Path) -> tuple[WantedTopic, ...]:
    """Return the topics that the file asks for. Raises ConfigurationError that says where it is wrong."""
    try:
        return TopicsFile.model_validate_json(path.read_bytes()).topics
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        places = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in real_problems(error))
        raise ConfigurationError(f"{path}: {'; '.join(places)}") from error


def _connect(config: KafkaConfig, *, brokers: int, wait: float) -> AdminClient:
    client = AdminClient(config.to_librdkafka() | {"log_level": 3})
    deadline = time.monotonic() + wait
    while True:
        try:
            there = len(client.list_topics(timeout=5).brokers)
        except KafkaException as error:
            problem = f"no Kafka answers at {config.bootstrap_servers}: {error.args[0].str()}"
        else:
            if there >= brokers:
                return client
            problem = f"{there} brokers are there, a replication factor asks for {brokers}"
        if time.monotonic() >= deadline:
            raise NotYetAvailable("KafkaUnavailable", problem)
        log.info("waiting for Kafka", problem=problem)
        time.sleep(_POLL)


def read_steps(client: AdminClient, wanted: tuple[WantedTopic, ...]) -> list[Step]:
    """Return what has to be done on the Kafka of ``client`` so that its topics are as wanted. Raises KafkaException."""
    return plan_topics(wanted, _read_topics(client, wanted))


def _read_topics(client: AdminClient, wanted: tuple[WantedTopic, ...]) -> dict[str, FoundTopic]:
    there = client.list_topics(timeout=_REQUEST).topics
    names = [topic.name for topic in wanted if topic.name in there]
    if not names:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    configs = {
        resource.name: {name: entry.value for name, entry in future.result(_REQUEST).items()}
        for resource, future in client.describe_configs(resources, request_timeout=_REQUEST).items()
    }
    return {
        name: FoundTopic(len(data.partitions), len(next(iter(data.partitions.values())).replicas), configs[name])
        for name, data in ((name, there[name]) for name in names)
    }


def apply_step(client: AdminClient, step: Step) -> None:
    """Do one step. Raises ConfigurationError where Kafka refuses what is asked for, else KafkaException."""
    match step:
        case Create(topic):
            new = NewTopic(topic.name, topic.partitions, topic.replication_factor, config=topic.configs)
            _wait(client.create_topics([new]), tolerated=KafkaError.TOPIC_ALREADY_EXISTS)
        case Grow(name, partitions):
            _wait(client.create_partitions([NewPartitions(name, partitions)]))
        case Configure(name, configs):
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in configs.items()
            ]
            _wait(
                client.incremental_alter_configs(
                    [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)]
                )
            )
        case LeaveAlone():
            pass


def _log_step(step: Step) -> None:
    match step:
        case Create(topic):
            log.info("creating topic", topic=topic.name, partitions=topic.partitions, configs=topic.configs)
        case Grow(name, partitions):
            log.info("adding partitions", topic=name, partitions=partitions)
        case Configure(name, configs):
            log.info("setting configs", topic=name, configs=dict(configs))
        case LeaveAlone(name, why):
            log.warning("left alone", topic=name, why=why)


def _wait(futures: dict[Any, Future[Any]], *, tolerated: int | None = None) -> None:
    for future in futures.values():
        try:
            future.result(_REQUEST)
        except KafkaException as error:
            code = error.args[0].code()
            if code == tolerated:
                continue
            if code in {
                KafkaError.INVALID_CONFIG,
                KafkaError.INVALID_REPLICATION_FACTOR,
                KafkaError.INVALID_PARTITIONS,
            }:
                raise ConfigurationError(f"Kafka refuses: {error.args[0].str()}") from error
            raise


if __name__ == "__main__":
    sys.exit(main())

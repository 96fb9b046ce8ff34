"""The hub's topics on this machine are those that the chart makes on a cluster."""

from __future__ import annotations

from pathlib import Path

import yaml

from iothub.servers.topics import build_hub_topics

CHART = Path(__file__).parents[4] / "charts" / "iot-hub"


def test_they_are_those_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    wanted = {name: (topic["partitions"], topic["configs"]) for name, topic in values["topics"]["list"].items()}
    assert {topic.name: (topic.partitions, dict(topic.configs)) for topic in build_hub_topics()} == wanted

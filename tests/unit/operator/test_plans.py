"""Plans: made anew whenever anything they come from is another, and only then."""

from __future__ import annotations

import pytest

from telemetry_operator.errors import SpecError
from telemetry_operator.facts import read_consumer
from telemetry_operator.objects.deployment import build_deployment, compute_hash
from telemetry_operator.plans import Plans
from unit.operator.samples import DEFAULTS, KEY, consumer_body


@pytest.fixture
def plans() -> Plans:
    return Plans(DEFAULTS)


def test_a_spec_is_parsed_once_whatever_becomes_of_the_status(plans: Plans) -> None:
    first = plans.parse(read_consumer(consumer_body()))
    body = consumer_body(resourceVersion="11") | {"status": {"replicas": 1}}
    assert plans.parse(read_consumer(body)) is first


@pytest.mark.parametrize(
    "body",
    [
        consumer_body({"replicas": 2}),
        consumer_body(generation=2),
        consumer_body(uid="another"),
        consumer_body(annotations={"telemetry.iot-hub.io/restart": "now"}),
    ],
)
def test_a_change_is_parsed(plans: Plans, body: dict[str, object]) -> None:
    first = plans.parse(read_consumer(consumer_body()))
    assert plans.parse(read_consumer(body)) != first


def test_a_spec_that_cant_work_is_told_each_time_and_the_one_after_it_is_read(plans: Plans) -> None:
    broken = read_consumer(consumer_body({"startFrom": "yesterday"}))
    for _ in range(2):
        with pytest.raises(SpecError, match="startFrom"):
            plans.parse(broken)
    assert plans.parse(read_consumer(consumer_body())).key == KEY


def test_a_plan_is_the_deployment_in_short(plans: Plans) -> None:
    consumer = plans.parse(read_consumer(consumer_body()))
    plan, manifest = plans.plan(consumer, "h"), build_deployment(consumer, DEFAULTS, "h")
    assert plan.build() == manifest
    assert plan.digest == compute_hash(manifest)
    assert plan.metadata == manifest["metadata"]
    annotations = manifest["spec"]["template"]["metadata"]["annotations"]
    assert plan.config_hash == annotations["telemetry.iot-hub.io/config-hash"]


def test_a_plan_is_kept_for_the_same_and_made_anew_for_another(plans: Plans) -> None:
    consumer = plans.parse(read_consumer(consumer_body()))
    plan = plans.plan(consumer, None)
    assert plans.plan(consumer.model_copy(), None) is plan
    other_handler, other_spec = plans.plan(consumer, "h"), plans.plan(consumer.stop(), None)
    assert len({plan.digest, other_handler.digest, other_spec.digest}) == 3


def test_what_is_gone_is_forgotten(plans: Plans) -> None:
    fact = read_consumer(consumer_body())
    consumer = plans.parse(fact)
    plan = plans.plan(consumer, None)
    plans.forget(KEY)
    assert plans.parse(fact) is not consumer
    assert plans.plan(consumer, None) is not plan

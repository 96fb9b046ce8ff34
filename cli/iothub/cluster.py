"""``--context``: a release of the chart on a cluster, and the way to it that last as long as a command.

What is asked of the cluster is little: the release's pods, its TelemetryConsumers, and, only where devices are to be
played, the one Secret with their account or key.
"""

from __future__ import annotations

import base64
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from iothub.errors import NotRunning, NotSupported, Unavailable
from iothub.forwards import Forwards, Route
from iothub.kubectl import Kubectl, Object, find_kubectl
from iothub.servers.ports import LOOPBACK, free_port
from iothub.target import HttpTarget, MqttTarget, Target
from iothub.terminal import Terminal
from telemetry_operator import naming

_PART_OF = "app.kubernetes.io/part-of=iot-hub,app.kubernetes.io/component!=consumer"
"""Pods that a release's chart has made; those of TelemetryConsumers carry the operator's labels."""
_INSTANCE, _NAME = "app.kubernetes.io/instance", "app.kubernetes.io/name"
_POD_INDEX = "apps.kubernetes.io/pod-index"
_FORWARDED_LISTENER = 19092
"""Container port of the listener that the chart makes for port-forwards."""
_FORWARDED_PORT = "FORWARDED_PORT"
"""Variable of Kafka's pods: the port that node 0 says it is at; node N is N further."""
_DEVICES_LISTENER = 1883
_DEVICES_ACCOUNT = "DEVICES_USERNAME"
_COMPONENT = "app.kubernetes.io/component"
_HTTP_LISTENER = 8000
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Needs:
    """What a command is going to use, so that nothing else is forwarded or read."""

    kafka: bool = True
    mqtt: bool = False
    http: bool = False


@dataclass(frozen=True)
class Release:
    """A release of the chart, as its pods tell."""

    name: str
    kubectl: Kubectl
    pods: tuple[Object, ...]

    @property
    def title(self) -> str:
        """For a person: where this is."""
        return f"release {self.name} on context {self.kubectl.context}"

    def pods_of(self, part: str) -> list[Object]:
        """Return the pods of a part: ``kafka``, ``mqtt``, ``ingestion``, ``operator``."""
        return [pod for pod in self.pods if _label(pod, _NAME) == part]


@contextmanager
def open_release(context: str, namespace: str | None, name: str, terminal: Terminal, needs: Needs) -> Iterator[Target]:
    """Yield the target of a release, its ports forwarded while the block lasts. Raises CliError."""
    kubectl = find_kubectl(context, namespace)
    with _ended_in_order():
        with terminal.waiting(f"context {context}"):
            release = read_release(kubectl, name)
            kafka_routes = plan_kafka_routes(release) if needs.kafka else []
            mqtt_routes = [plan_mqtt_route(release)] if needs.mqtt else []
            mqtt = read_mqtt_target(release, mqtt_routes[0]) if mqtt_routes else None
            http_routes = [plan_http_route(release)] if needs.http else []
            http = read_http_target(release, http_routes[0]) if http_routes else None
            groups = read_groups(kubectl)
        target = Target(
            release.title,
            ",".join(f"{LOOPBACK}:{route.port}" for route in kafka_routes) or f"{LOOPBACK}:{_FORWARDED_LISTENER}",
            mqtt=mqtt,
            http=http,
            groups=groups,
        )
        forwards = Forwards(kubectl, [*kafka_routes, *mqtt_routes, *http_routes])
        try:
            with terminal.waiting(f"the port-forwards to {release.title}"):
                forwards.start()
                if kafka_routes:
                    forwards.wait_until(lambda: _answers(target.bootstrap_servers), "Kafka does not answer")
            yield target
        finally:
            forwards.end()


def read_release(kubectl: Kubectl, name: str) -> Release:
    """Return the release ``name`` of the namespace. Raises NotRunning that names the releases that there are."""
    pods = kubectl.get("pods", selector=f"{_PART_OF},{_INSTANCE}={name}")
    if pods:
        return Release(name, kubectl, tuple(pods))
    there: set[str] = set()
    # Where we may not look everywhere, what was looked for has to do.
    with suppress(Unavailable):
        for pod in kubectl.get("pods", selector=_PART_OF, everywhere=True):
            there.add(f"{_label(pod, _INSTANCE)} in namespace {pod['metadata']['namespace']}")
    known = f"there is {', '.join(sorted(there))}: name it with --release and --namespace" if there else "install it"
    raise NotRunning(
        f"no pod of a release {name!r} is in namespace {kubectl.namespace!r} of context {kubectl.context!r}; {known}"
    )


def plan_kafka_routes(release: Release) -> list[Route]:
    """Return the routes to Kafka's nodes. Raises CliError where there can be none."""
    nodes = release.pods_of("kafka")
    if not nodes:
        external = _find_external_kafka(release)
        at = f" at {external}" if external else ""
        raise NotSupported(
            f"{release.title} has no Kafka of its own; it uses one{at}: "
            f"name it with --bootstrap-servers {external or 'HOST:PORT'}"
        )
    first = _environment(nodes[0]).get(_FORWARDED_PORT, {}).get("value")
    if first is None:
        raise NotSupported(
            f"Kafka of {release.title} has no listener for port-forwards: upgrade the release with this version's "
            "chart and kafka.forwarding.enabled=true"
        )
    running = [pod for pod in nodes if pod["status"].get("phase") == "Running"]
    if not running:
        state = nodes[0]["status"].get("phase", "Unknown")
        raise Unavailable(
            f"Kafka of {release.title} is not up: pod {nodes[0]['metadata']['name']} is {state}; "
            f"see iothub doctor --context {release.kubectl.context}"
        )
    advice = (
        "Kafka tells its clients that port, so end that program, or give the release another one: "
        "helm upgrade with kafka.forwarding.port"
    )
    return [
        Route(f"pod/{pod['metadata']['name']}", int(first) + int(_label(pod, _POD_INDEX)), _FORWARDED_LISTENER, advice)
        for pod in running
    ]


def plan_mqtt_route(release: Release) -> Route:
    """Return the route to the devices' listener. Raises CliError where there is none."""
    brokers = release.pods_of("mqtt")
    if not brokers:
        raise NotSupported(f"{release.title} has no MQTT broker of its own: name the broker with --mqtt-host")
    [pod] = brokers
    # A forward goes past the Service, which has no endpoint until ingestion's session keeps what devices send.
    if not is_ready(pod):
        raise Unavailable(
            f"the MQTT broker of {release.title} is not open for devices yet: ingestion has not been there, and what "
            f"devices sent would be lost; see iothub doctor --context {release.kubectl.context}"
        )
    return Route(f"pod/{pod['metadata']['name']}", free_port(), _DEVICES_LISTENER, "try again")


def read_mqtt_target(release: Release, route: Route) -> MqttTarget:
    """Return the broker at the route's port, with the devices' account from its Secret."""
    [pod] = release.pods_of("mqtt")
    accounts = {entry["name"]: entry for entry in _variables(pod, "initContainers")}
    reference = accounts.get(_DEVICES_ACCOUNT, {}).get("valueFrom", {}).get("secretKeyRef")
    if reference is None:
        return MqttTarget(LOOPBACK, route.port)
    secret = release.kubectl.find("secret", reference["name"])
    if secret is None:
        raise Unavailable(f"the Secret {reference['name']} with the devices' account is gone from {release.title}")
    username, password = (base64.b64decode(secret["data"][key]).decode() for key in ("username", "password"))
    return MqttTarget(LOOPBACK, route.port, username=username, password=SecretStr(password))


def plan_http_route(release: Release) -> Route:
    """Return the route to HTTP ingestion. Raises CliError where there is none."""
    pods = [pod for pod in release.pods_of("ingestion") if _label(pod, _COMPONENT) == "http"]
    if not pods:
        raise NotSupported(
            f"{release.title} has no HTTP ingestion: upgrade it with ingestion.http.enabled=true, or name another with "
            "--http-url"
        )
    ready = next(filter(is_ready, pods), None)
    if ready is None:
        raise Unavailable(
            f"HTTP ingestion of {release.title} is not ready; see iothub doctor --context {release.kubectl.context}"
        )
    return Route(f"pod/{ready['metadata']['name']}", free_port(), _HTTP_LISTENER, "try again")


def read_http_target(release: Release, route: Route) -> HttpTarget:
    """Return HTTP ingestion at the route's port, with the API key that the chart has made where it has made one."""
    secret = release.kubectl.find("secret", f"{release.name}-ingestion-http-api-key")
    key = None if secret is None else SecretStr(base64.b64decode(secret["data"]["key"]).decode())
    return HttpTarget(f"http://{LOOPBACK}:{route.port}", key)


def read_groups(kubectl: Kubectl) -> tuple[str, ...]:
    """Return the consumer groups of the namespace's TelemetryConsumers, as far as they can be read."""
    try:
        consumers = kubectl.get(naming.CRD_NAME)
    except Unavailable:
        return ()
    return tuple(sorted({group_of(consumer) for consumer in consumers}))


def group_of(consumer: Object) -> str:
    """Return a TelemetryConsumer's group."""
    metadata = consumer["metadata"]
    named = consumer["spec"].get("groupId") or consumer.get("status", {}).get("groupId")
    return str(named or naming.default_group_id(naming.Key(metadata["namespace"], metadata["name"])))


def is_ready(pod: Object) -> bool:
    """Return whether a pod is ready."""
    conditions = pod["status"].get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _find_external_kafka(release: Release) -> str | None:
    for pod in release.pods:
        address = _environment(pod).get("KAFKA_BOOTSTRAP_SERVERS", {}).get("value")
        if address:
            return str(address)
    return None


def _environment(pod: Object) -> dict[str, Mapping[str, Any]]:
    return {entry["name"]: entry for entry in _variables(pod, "containers")}


def _variables(pod: Object, containers: str) -> list[Mapping[str, Any]]:
    return [entry for container in pod["spec"].get(containers, ()) for entry in container.get("env", ())]


def _label(pod: Object, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))


def _answers(bootstrap_servers: str) -> bool:
    # Silent: that nobody answers yet is what is waited for.
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the command as an exception would, so that what it started ends with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # A handler that somebody has set, or a `nohup`, is left alone.
    taken = [number for number in _ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)

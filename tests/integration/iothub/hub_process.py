"""`iothub up` as a process, and what another terminal asks it; a publisher that knows what it was acknowledged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, Message, TopicPartition
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from iothub.hub.control import send_request
from iothub.hub.folder import Folder
from iothub.hub.state import HubState
from support.waiting import wait_until

Event = dict[str, str]

IOTHUB = (sys.executable, "-m", "iothub")


class HubProcess:
    """A hub with a state folder of its own, started by `iothub up`."""

    def __init__(self, home: Path, *arguments: str, name: str = "test") -> None:
        self.name = name
        self.folder = home / "iot-hub" / name
        self._environment = {**os.environ, "XDG_STATE_HOME": str(home), "IOTHUB_NAME": name}
        self._output = home / f"up-{name}.jsonl"
        home.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(
                [*IOTHUB, "up", "--output", "json", *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    @property
    def output(self) -> str:
        return self._output.read_text("utf-8")

    @property
    def events(self) -> list[Event]:
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    @property
    def state(self) -> HubState:
        return HubState.model_validate_json((self.folder / "state.json").read_bytes())

    def told(self, text: str, *, after: int = 0) -> bool:
        """Return whether an event after the first ``after`` ones has ``text`` in it."""
        return any(text in event["message"] for event in self.events[after:])

    def wait_for(self, text: str, *, after: int = 0, timeout: float = 30) -> None:
        def there() -> bool:
            assert self.returncode is None or self.told(text, after=after), self.output
            return self.told(text, after=after)

        wait_until(there, timeout=timeout, what=f"{text!r} from iothub up", hint=self.tell)

    def wait_until_ready(self, timeout: float = 60) -> HubProcess:
        self.wait_for("ready: devices can publish", timeout=timeout)
        return self

    def iothub(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in another terminal."""
        return subprocess.run(
            [*IOTHUB, *arguments], env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )

    def get(self) -> dict[str, Any]:
        """Ask what `iothub get -o json` asks, without the second that a command takes to start."""
        return send_request(Folder(self.folder).socket, {"do": "get"}, name=self.name)

    def consumer(self, name: str) -> dict[str, Any]:
        """Return a TelemetryConsumer, an empty one as long as there is none."""
        found = [body for body in self.get()["consumers"] if body["metadata"]["name"] == name]
        return dict(found[0]) if found else {"metadata": {}, "spec": {}}

    def part(self, name: str) -> dict[str, Any]:
        (found,) = (part for part in self.get()["parts"] if part["name"] == name)
        return dict(found)

    def ready_condition(self, name: str) -> dict[str, str]:
        conditions = self.consumer(name).get("status", {}).get("conditions", ())
        found = [condition for condition in conditions if condition["type"] == "Ready"]
        return dict(found[0]) if found else {"status": "Unknown", "reason": "", "message": ""}

    def wait_until_running(self, name: str, replicas: int = 1, timeout: float = 60) -> None:
        def running() -> bool:
            body = self.consumer(name)
            conditions = body.get("status", {}).get("conditions", ())
            settled = body.get("status", {}).get("observedGeneration") == body["metadata"].get("generation")
            is_ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            return settled and is_ready and bool(body["status"]["readyReplicas"] == replicas)

        wait_until(running, timeout=timeout, interval=0.3, what=f"{replicas} of {name} at work", hint=self.tell)

    def pods(self, consumer: str) -> list[str]:
        """Return the workers of a TelemetryConsumer that have a folder."""
        return sorted(pod.name for pod in (self.folder / "pods" / "default" / consumer).glob("*"))

    def processes(self) -> list[psutil.Process]:
        """Return every process that the hub has started."""
        return psutil.Process(self.pid).children(recursive=True)

    def worker_pids(self, pod_prefix: str) -> list[int]:
        """Return the processes of the workers whose names begin so, as the hub has noted them."""
        notes = json.loads((self.folder / "processes.json").read_text())
        return [note["pid"] for note in notes if note["name"].startswith(pod_prefix)]

    def interrupt(self, timeout: float = 60) -> int:
        """Press Ctrl-C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout)

    def wait(self, timeout: float = 60) -> int:
        return self._process.wait(timeout)

    def kill(self) -> None:
        """Kill the hub itself, and nothing else."""
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        """End it however it stands, for the end of a test."""
        if self.returncode is None:
            started = self.processes()
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                for process in [*started, psutil.Process(self.pid)]:
                    process.kill()
        else:
            self.iothub("down")

    def tell(self) -> str:
        """Return all that a failure should show."""
        logs = [*self.folder.glob("logs/*.log"), *self.folder.glob("pods/*/*/*/*.log")]
        tails = [f"--- {log}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:]) for log in logs]
        return "\n".join([self.output, *tails])


Up = Callable[..., HubProcess]


class Device:
    """A device that notes what was acknowledged, and sends again what was not; each payload is its message's id."""

    def __init__(self, state: HubState, name: str = "DEV-01") -> None:
        self.acknowledged: set[bytes] = set()
        self._topic = f"telemetry/{name}"
        self._payloads: dict[int, bytes] = {}
        self._numbers = count()
        version = MQTTProtocolVersion(state.mqtt.version)
        if state.mqtt.version == 5:
            self._client = Client(CallbackAPIVersion.VERSION2, f"device-{name}", protocol=version)
        else:
            self._client = Client(CallbackAPIVersion.VERSION2, f"device-{name}", protocol=version, clean_session=False)
        self._client.max_inflight_messages_set(200)
        self._client.max_queued_messages_set(0)
        self._client.on_publish = lambda client, data, mid, reason, properties: self._note(mid)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", state.mqtt.port)
        self._client.loop_start()

    def publish(self, number: int) -> list[bytes]:
        sent = []
        for _ in range(number):
            moment = next(self._numbers)
            payload = json.dumps(
                {
                    "schema_version": 1,
                    "device": self._topic.rpartition("/")[2],
                    "metrics": {"number": moment},
                    "ts": "2026-02-20T22:45:00Z",
                }
            ).encode()
            if moment % 50 == 7:
                payload = b"damaged " + payload
            info = self._client.publish(self._topic, payload, qos=1)
            self._payloads[info.mid] = payload
            sent.append(payload)
        return sent

    def _note(self, mid: int) -> None:
        payload = self._payloads.get(mid)
        if payload is not None:
            self.acknowledged.add(payload)

    def wait_until_acknowledged(self, payloads: Sequence[bytes], timeout: float = 60) -> None:
        wait_until(
            lambda: set(payloads) <= self.acknowledged,
            timeout=timeout,
            what=f"{len(payloads)} acknowledgements (there are {len(self.acknowledged)})",
        )

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def read_topic(bootstrap_servers: str, topic: str) -> list[Message]:
    """Return all that is in ``topic`` now."""
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "reads", "enable.auto.commit": False})
    try:
        partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
        places = [TopicPartition(topic, number, 0) for number in partitions]
        expected = sum(high - low for low, high in (client.get_watermark_offsets(p, timeout=10) for p in places))
        client.assign(places)
        found: list[Message] = []

        def all_there() -> bool:
            found.extend(message for message in client.consume(10_000, 0.2) if message.error() is None)
            return len(found) >= expected

        wait_until(all_there, what=f"{expected} messages of {topic}")
        return found
    finally:
        client.close()


def header(message: Message, name: str) -> str:
    """Return a header's value."""
    headers = message.headers()
    values = [value for key, value in (headers if isinstance(headers, list) else []) if key == name]
    return values[-1].decode() if values and isinstance(values[-1], bytes) else ""

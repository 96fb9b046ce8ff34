"""The hub: the pipeline on this machine, from the MQTT broker to the last TelemetryConsumer.

This is the only place that knows the order in which its parts come and go.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from iothub.errors import CliError, StartFailed
from iothub.hub.control import ControlServer
from iothub.hub.events import Event
from iothub.hub.files import Files
from iothub.hub.folder import Folder, Lock, bound_log, find_holder
from iothub.hub.intakes import describe_http_ingestion, describe_mqtt_ingestion
from iothub.hub.kafka_choice import KafkaChoice, choose_kafka
from iothub.hub.leftovers import Notes, end_leftovers
from iothub.hub.logs import log_to
from iothub.hub.objects import ObjectStore
from iothub.hub.parts import Part, RunningPart, Surroundings
from iothub.hub.pods import Machine
from iothub.hub.processes import build_base_environment
from iothub.hub.scaling import scale
from iothub.hub.state import HttpPart, HubState, KafkaPart, MqttPart, write_state
from iothub.hub.workloads import Workloads, list_consumers, list_groups
from iothub.options import DEFAULT_NAME
from iothub.resources import find_resource
from iothub.servers.mock_kafka import read_bootstrap
from iothub.servers.mqtt import USUAL_PORT, is_marked, prepare_mqtt
from iothub.servers.ports import LOOPBACK, choose_port, is_open
from iothub.servers.server import KafkaServer, MqttServer
from iothub.servers.topics import build_hub_topics, make_topics, touch_topics
from telemetry_operator.api import CONSUMERS, Manifest

MqttChoice = Literal["auto", "mosquitto", "amqtt"]

MOCK_CLIENTS = {"KAFKA_SESSION_TIMEOUT_MS": "3000", "KAFKA_HEARTBEAT_INTERVAL_MS": "500"}
"""The Kafka in memory deals a group's partitions out anew only once a session timeout, less a second, has gone by."""
SESSION = "iot-hub-ingestion-0"
"""Client id of ingestion: the broker keeps messages for it under this name, from run to run."""
USUAL_HTTP_PORT = 8000
LOG_LOOK_SECONDS = 15.0
LISTENER_SECONDS = 30.0
_VALIDATOR, _LOGGER = "telemetry-validator.yaml", "telemetry-raw-logger.yaml"


@dataclass(frozen=True)
class HubOptions:
    """What was asked for."""

    name: str = DEFAULT_NAME
    files: tuple[Path, ...] = ()
    """Files and folders of TelemetryConsumers; none, the packaged validator and raw logger."""
    validator: bool = True
    """Whether the packaged validator runs where none of the files fills telemetry.clean, as the chart brings one."""
    kafka: KafkaChoice = "auto"
    mqtt: MqttChoice = "auto"
    kafka_port: int | None = None
    mqtt_port: int | None = None
    http_port: int | None = None
    fresh: bool = False
    """Whether to begin without what the last run has kept."""


class Hub:
    """One hub, started once and stopped once. ``report`` is told what happens, as sentences (`Event`)."""

    def __init__(self, options: HubOptions, *, report: Callable[[Event], None]) -> None:
        self.options = options
        self.folder = Folder.of(options.name)
        self._report = report
        self._store = ObjectStore()
        examples = find_resource("examples")
        self._files = Files(
            options.files or (examples / _VALIDATOR, examples / _LOGGER),
            self._store,
            report,
            validator=examples / _VALIDATOR if options.validator else None,
        )
        self._notes = Notes(self.folder.processes)
        self._around = Surroundings(self.folder, self._notes, build_base_environment(os.environ), report)
        self._kafka: RunningPart | None = None
        self._mqtt: RunningPart | None = None
        self._ingestion: RunningPart | None = None
        self._http: RunningPart | None = None
        self._workloads: Workloads | None = None
        self._state: HubState | None = None
        self._has_folder = False
        self._held = AsyncExitStack()
        """What is given back last: the lock, the control socket, the log."""
        self._background: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._failure: CliError | None = None

    @property
    def state(self) -> HubState:
        """Where everything is, once `start` has returned."""
        if self._state is None:
            raise StartFailed(f"the hub {self.options.name!r} has not started yet")
        return self._state

    def consumers(self) -> list[Manifest]:
        """Return the TelemetryConsumers with their statuses, as a cluster would give them."""
        return list_consumers(self._store)

    def parts(self) -> list[Part]:
        """Return how Kafka, the MQTT broker and ingestion stand."""
        return [part.part for part in (self._kafka, self._mqtt, self._ingestion, self._http) if part is not None]

    async def start(self) -> None:
        """Return once devices can publish; the workers may still be starting. Raises CliError, and has then stopped."""
        self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            await self._starting
        except BaseException as error:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
            await self.stop()
            if self._failure is not None:
                raise self._failure from error
            if isinstance(error, OSError):
                place = error.filename or self.folder.path
                raise StartFailed(f"{place} can't be used: {error.strerror or error}") from error
            raise
        finally:
            self._starting = None

    @property
    def was_asked_to_end(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._over.is_set() and self._failure is None

    async def wait(self) -> None:
        """Return once somebody has asked for the end. Raises CliError where the hub can't go on."""
        await self._over.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """End everything in order; what was acknowledged to a device is in Kafka by then."""
        # 1. Nothing changes from here on: no file is applied, no worker replaced.
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()
        if self._has_folder:
            # A disk that is read-only by now must not keep anything from ending in order.
            with suppress(OSError):
                self.folder.state.unlink(missing_ok=True)
        # 2. The intake: ingestion hands Kafka what it has, answers for it, and leaves. The broker keeps the rest.
        await _all_of(self._stop_part(self._http), self._stop_part(self._ingestion))
        # 3. The workers finish and commit what they have in hand.
        if self._workloads is not None:
            await self._workloads.stop()
        # 4. The servers, which nobody needs any more.
        await self._stop_part(self._mqtt)
        await self._stop_part(self._kafka)
        await self._held.aclose()
        self._has_folder = False

    async def _start(self) -> None:
        # 1. The folder is ours alone, and nothing of a killed hub is left.
        await self._take_folder()
        # 2. The files, whose errors are told before anything is made; then the servers' preparations, side by side.
        await asyncio.to_thread(self._files.load)
        server, broker = await _all_of(
            choose_kafka(self.folder, self.options.kafka, self.options.kafka_port, self._report), self._prepare_mqtt()
        )
        # 3. Kafka with its topics, and beside it the broker, which does not need it.
        bootstrap, _ = await _all_of(self._start_kafka(server), self._start_broker(broker))
        # 4. Both ends of the pipeline: workers, and ingestion with its session; only then the devices' listener.
        *_, http_port = await _all_of(
            self._start_workloads(bootstrap, in_memory=server.in_memory),
            self._open_intake(bootstrap, broker),
            self._open_http(bootstrap),
        )
        # 5. Everybody may know.
        me = find_holder(self.folder)
        if me is None:
            raise StartFailed(f"{self.folder.lock} was changed by somebody else while the hub started")
        self._state = HubState(
            name=self.options.name,
            pid=me.pid,
            created=me.created,
            kafka=KafkaPart(bootstrap_servers=bootstrap, in_memory=server.in_memory),
            mqtt=MqttPart(port=broker.port, version=broker.version, software=broker.software),
            http=HttpPart(port=http_port),
            groups=list_groups(self._store),
        )
        write_state(self._state)
        self._store.watch(CONSUMERS, self._keep_groups)
        self._tell(f"ready: devices can publish to 127.0.0.1:{broker.port}, or post to 127.0.0.1:{http_port}", "ready")

    async def _take_folder(self) -> None:
        lock = Lock(self.folder)
        if not lock.take():
            holder = find_holder(self.folder)
            who = f" (process {holder.pid})" if holder is not None else ""
            name = self.options.name
            option = "" if name == DEFAULT_NAME else f" --name {name}"
            raise StartFailed(
                f"the hub {name!r} runs already{who}: end it with iothub down{option}, or start another beside it with "
                "iothub up --name OTHER"
            )
        self._held.callback(lock.release)
        self._has_folder = True
        self.folder.state.unlink(missing_ok=True)
        left = await asyncio.to_thread(end_leftovers, self.folder.processes)
        if left:
            names = ", ".join(note.name for note in left)
            self._tell(f"ended what the last run had left behind: {names}", "leftovers")
        self.folder.prepare(fresh=self.options.fresh)
        self._held.enter_context(log_to(self.folder.part_log("hub")))
        control = ControlServer(
            self.folder.socket,
            {"get": self._answer_get, "scale": lambda request: scale(self._store, request), "stop": self._answer_stop},
        )
        await control.start()
        self._held.push_async_callback(control.stop)
        self._run(self._bound_logs())

    async def _prepare_mqtt(self) -> MqttServer:
        given = self.options.mqtt_port
        server = await asyncio.to_thread(
            prepare_mqtt, self.folder.data / "mqtt", port=given, software=self.options.mqtt
        )
        if given is None and server.port != USUAL_PORT:
            sentence = f"port {USUAL_PORT} is taken, so MQTT is at 127.0.0.1:{server.port}"
            self._tell(sentence, "port", "mqtt")
        return server

    async def _start_kafka(self, server: KafkaServer) -> str:
        self._tell(f"starting {server.title}", "starting", "kafka")
        self._kafka = RunningPart(
            server.program,
            self._around,
            kind="kafka",
            software=server.title,
            explain_failure=server.explain_failure,
            on_end=self._lose_memory if server.in_memory else None,
        )
        await self._kafka.start()
        bootstrap = server.bootstrap_servers or read_bootstrap(self.folder.data / "mock-kafka")
        self._kafka.address = bootstrap
        for limit in server.limits:
            self._tell(limit, "limit", "kafka")
        if server.in_memory:
            await self._files.make_topics_with(partial(touch_topics, bootstrap))
        else:
            await asyncio.to_thread(make_topics, bootstrap, build_hub_topics())
        self._tell(f"Kafka is at {bootstrap}", "ready", "kafka")
        return bootstrap

    async def _start_broker(self, server: MqttServer) -> None:
        self._tell(f"starting {server.software}", "starting", "mqtt")
        self._mqtt = RunningPart(
            server.first_program or server.program,
            self._around,
            kind="mqtt",
            software=server.software,
            explain_failure=server.explain_failure,
        )
        self._mqtt.address = f"127.0.0.1:{server.port}"
        await self._mqtt.start()
        for limit in server.limits:
            self._tell(limit, "limit", "mqtt")

    async def _open_intake(self, bootstrap: str, broker: MqttServer) -> None:
        # 1. Ingestion and its session at the broker: from now on nothing that is acknowledged is dropped.
        intake = describe_mqtt_ingestion(bootstrap, broker, SESSION)
        self._ingestion = RunningPart(
            intake.program, self._around, kind="ingestion", software="ingestion.mqtt", liveness=intake.liveness
        )
        await self._ingestion.start()
        # 2. The devices' listener: at once, with ingestion's mark, or in place of the first program.
        await self._wait_for(lambda: is_marked(broker.ingestion_port, version=broker.version), "ingestion's session")
        if self._mqtt is not None and broker.needs_first_session:
            await self._mqtt.replace_program(broker.program, between=broker.note_first_session)
            await self._ingestion.wait_until_ready()
        await self._wait_for(lambda: is_open(broker.port), f"port {broker.port}")
        self._tell(f"MQTT is at 127.0.0.1:{broker.port} ({broker.software})", "ready", "mqtt")

    async def _open_http(self, bootstrap: str) -> int:
        """Start HTTP ingestion, open to anyone on this machine alone; return its port."""
        given = self.options.http_port
        port = choose_port(given or USUAL_HTTP_PORT, fallback=given is None, option="--http-port")
        if given is None and port != USUAL_HTTP_PORT:
            self._tell(f"port {USUAL_HTTP_PORT} is taken, so HTTP is at {LOOPBACK}:{port}", "port", "http")
        intake = describe_http_ingestion(bootstrap, port)
        self._http = RunningPart(
            intake.program, self._around, kind="ingestion", software="ingestion.http", liveness=intake.liveness
        )
        self._http.address = f"{LOOPBACK}:{port}"
        await self._http.start()
        self._tell(f"HTTP is at {LOOPBACK}:{port}", "ready", "http")
        return port

    async def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LISTENER_SECONDS
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"the MQTT broker can't be used: {what} was not there in {LISTENER_SECONDS:.0f} s "
                    f"(logs are in {self.folder.logs})"
                )
            await asyncio.sleep(0.02)

    async def _start_workloads(self, bootstrap: str, *, in_memory: bool) -> None:
        environment = {**self._around.environment, **(MOCK_CLIENTS if in_memory else {})}
        machine = Machine.build(self._store, self.folder, self._notes, environment, self._report)
        self._workloads = Workloads(self._store, machine, bootstrap, self._report, asks_kafka=not in_memory)
        await self._workloads.start()
        self._files.apply()
        self._run(self._files.watch())

    async def _stop_part(self, part: RunningPart | None) -> None:
        if part is not None:
            await part.stop()

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_SECONDS)
            for log in (*self.folder.logs.glob("*.log"), *self.folder.pods.glob("*/*/*/*.log")):
                if not log.name.endswith(".previous.log"):
                    bound_log(log)

    def _lose_memory(self, code: int) -> None:
        """The Kafka in memory has ended, and what it held with it."""
        sentence = (
            f"the Kafka in memory has ended (exit code {code}), and what it held is gone: this hub can't go on; "
            "start it again, or use Apache Kafka, which keeps what it has (iothub doctor says what it needs)"
        )
        self._failure = StartFailed(sentence)
        self._over.set()
        if self._starting is not None:
            self._starting.cancel()

    def _keep_groups(self, body: Manifest, gone: bool) -> None:
        groups = list_groups(self._store)
        if self._state is not None and self._state.groups != groups:
            self._state = self._state.model_copy(update={"groups": groups})
            try:
                write_state(self._state)
            except OSError as error:
                self._tell(f"{self.folder.state} can't be written: {error.strerror}", "failed")

    def _answer_get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"consumers": self.consumers(), "parts": [asdict(part) for part in self.parts()]}

    def _answer_stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.ask_to_end()
        return {}

    def ask_to_end(self) -> None:
        """Have `wait` return; while the hub still starts, have it start no further."""
        self._tell("ending in order: ingestion, workers, servers", "ending")
        self._over.set()
        if self._starting is not None:
            self._starting.cancel()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._see_end)

    def _see_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell(f"a part of the hub's own has ended: {type(error).__name__}: {error}", "failed")

    def _tell(self, sentence: str, kind: str, subject: str = "hub") -> None:
        self._report(Event(sentence, kind=kind, subject=subject))


async def _all_of(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run them beside each other and return their results; the first error ends the others, and is raised."""
    tasks = [asyncio.get_running_loop().create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""What this machine gives a hub: disk, ports, descriptors, watches; and the hubs that run or were killed on it."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from iothub.doctor.finding import Check, Finding
from iothub.forwards import find_holder
from iothub.hub import folder as folders
from iothub.hub.leftovers import read_notes
from iothub.hub.state import folder_of, read_state
from iothub.servers.jars import jars_folder
from iothub.servers.kafka import USUAL_PORT as KAFKA_PORT
from iothub.servers.mqtt import USUAL_PORT as MQTT_PORT

GIB = 1024**3
LEAST_DISK = 1 * GIB
"""Kafka stops where its disk is full; a demonstration of some hours stays far below this."""
LEAST_DESCRIPTORS = 1024
"""Kafka takes a few for each partition, the hub some for each of its processes."""
_UI_PORT = 8080
_IN_MODIFY = 0x2
_MORE_WATCHES = {"fs.inotify.max_user_instances": 1024, "fs.inotify.max_user_watches": 524_288}
_OPTIONS = {KAFKA_PORT: "IOTHUB_KAFKA_PORT", MQTT_PORT: "IOTHUB_MQTT_PORT", _UI_PORT: "IOTHUB_UI_PORT"}


def machine_checks() -> list[Check]:
    """Return the checks of this machine itself."""
    return [
        Check("disk", check_disk),
        Check("ports", check_ports),
        Check("open files", check_descriptors),
        Check("watched files", check_watches),
        Check("hubs", check_hubs),
    ]


def check_disk() -> Iterator[Finding]:
    """Whether there is room where hubs and Kafka's jars are kept."""
    for what, path in (("hubs", folder_of("hub").parent), ("Kafka's jars", jars_folder())):
        name = f"disk for {what}"
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        found = f"{free / GIB:.1f} GiB free for {path}"
        variable = "XDG_STATE_HOME" if what == "hubs" else "XDG_CACHE_HOME"
        if not os.access(there, os.W_OK):
            yield Finding.wrong(name, f"{there} can't be written", advice=f"give it to your user, or set {variable}")
        elif free < LEAST_DISK:
            yield Finding.wrong(name, found, "Kafka stops where its disk is full", f"make room, or set {variable}")
        else:
            yield Finding.ok(name, found)


def check_ports() -> Iterator[Finding]:
    """Whether the usual ports are free, and who has them."""
    for port, variable in _OPTIONS.items():
        holder = find_holder(port)
        if holder is None:
            yield Finding.ok(f"port {port}", "free")
            continue
        up = "`iothub up` takes another one; " if port != _UI_PORT else ""
        means = f"{up}for compose.yaml set {variable} to another one"
        yield Finding.ok(f"port {port}", f"taken by {holder}", means)


def check_descriptors() -> Finding:
    """Whether a process may have enough files and connections open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_DESCRIPTORS:
        more = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
        means = "a hub with Kafka and some consumers opens more"
        return Finding.wrong("open files", f"at most {soft} a process", means, f"ulimit -n {more}")
    return Finding.ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft} a process")


def check_watches() -> Iterator[Finding]:
    """Whether files can be watched: `iothub up` follows the TelemetryConsumers' files."""
    if sys.platform != "linux":
        return
    name, means = "watched files", "`iothub up` does not see when a file changes"
    limit = _find_reached_limit(folder_of("hub"))
    if limit is None:
        yield Finding.ok(name, "can be watched")
        return
    now = Path("/proc/sys", *limit.split(".")).read_text("ascii").strip()
    yield Finding.wrong(
        name, f"this user has used up {limit} ({now})", means, f"sudo sysctl {limit}={_MORE_WATCHES[limit]}"
    )


def _find_reached_limit(path: Path) -> str | None:
    """Return the limit of the kernel's that keeps one more folder from being watched; None where it can be."""
    libc = ctypes.CDLL(None, use_errno=True)
    instance = libc.inotify_init1(os.O_CLOEXEC)
    if instance < 0:
        return "fs.inotify.max_user_instances"
    try:
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        watch = libc.inotify_add_watch(instance, os.fsencode(there), _IN_MODIFY)
        return "fs.inotify.max_user_watches" if watch < 0 and ctypes.get_errno() == errno.ENOSPC else None
    finally:
        os.close(instance)


def check_hubs() -> Iterator[Finding]:
    """Which hubs run here, and what killed ones have left."""
    home = folder_of("hub").parent
    names = sorted(path.name for path in home.iterdir() if path.is_dir()) if home.is_dir() else []
    for hub in names:
        name, folder = f"hub {hub}", folders.Folder.of(hub)
        state = read_state(hub)
        if state is not None:
            kafka = f"Kafka {'in memory ' if state.kafka.in_memory else ''}at {state.kafka.bootstrap_servers}"
            mqtt = f"{state.mqtt.software} at 127.0.0.1:{state.mqtt.port}"
            yield Finding.ok(name, f"runs (process {state.pid}): {kafka}, {mqtt}")
        elif folders.find_holder(folder) is not None:
            yield Finding.ok(name, "is just starting or ending")
        elif left := read_notes(folder.processes):
            parts = ", ".join(f"{note.name} (process {note.pid})" for note in left)
            means = "it was killed; the next `iothub up` of that name ends them"
            yield Finding.wrong(name, f"does not run, but has left {parts}", means, f"iothub down --name {hub}")

"""``python -m telemetry_operator``: starts the operator, or with ``--apply-crds DIR`` applies the CRDs and ends."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from telemetry_operator.errors import ClusterError, SettingsError
from telemetry_operator.kafka.settings import KafkaSettings, load_kafka_settings
from telemetry_operator.logs import configure_logging
from telemetry_operator.settings import Settings, load_settings

EX_OK = 0
EX_SOFTWARE = 70
"""Something failed that a restart may mend (sysexits.h)."""
EX_TEMPFAIL = 75
"""The API server did not do what was asked; another try may help."""
EX_CONFIG = 78
"""The settings can't work."""

log = structlog.get_logger("telemetry_operator")


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run the operator until it is told to stop. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m telemetry_operator", description="Operator of TelemetryConsumers.")
    parser.add_argument("--apply-crds", metavar="DIR", type=Path, help="apply the CRDs of this folder and end")
    given = parser.parse_args(arguments)
    configure_logging()
    try:
        if given.apply_crds is not None:
            return asyncio.run(_apply_crds(given.apply_crds))
        settings = load_settings(environment)
        configure_logging(settings.log_level, settings.log_format)
        return asyncio.run(_operate(settings, load_kafka_settings(environment)))
    except SettingsError as error:
        # One sentence that names the variable: a traceback would bury it.
        log.error("settings can't work", problem=str(error), exit_code=EX_CONFIG)  # noqa: TRY400
        return EX_CONFIG
    except ClusterError as error:
        log.error("the API server did not do what was asked", problem=str(error), exit_code=EX_TEMPFAIL)  # noqa: TRY400
        return EX_TEMPFAIL
    except KeyboardInterrupt:
        return EX_OK


async def _apply_crds(directory: Path) -> int:
    # Imported here, as below: a wrong setting is said at once, and this way does without kopf.
    from telemetry_operator.cluster import Cluster  # noqa: PLC0415
    from telemetry_operator.crds import apply_crds, load_crds  # noqa: PLC0415

    manifests = load_crds(directory)
    async with await Cluster.connect() as cluster:
        await apply_crds(cluster, manifests)
    return EX_OK


async def _operate(settings: Settings, kafka: KafkaSettings) -> int:
    import kopf  # noqa: PLC0415

    from telemetry_operator import handlers  # noqa: F401, PLC0415  # registers them with kopf
    from telemetry_operator.cluster import Cluster  # noqa: PLC0415
    from telemetry_operator.controller import Controller  # noqa: PLC0415
    from telemetry_operator.kafka.observer import Observer  # noqa: PLC0415
    from telemetry_operator.metrics import BUILD_INFO, read_version  # noqa: PLC0415
    from telemetry_operator.probes import Probes  # noqa: PLC0415

    BUILD_INFO.labels(version=read_version(), component="operator").set(1)
    async with await Cluster.connect() as cluster:
        controller = Controller(settings, cluster, observer=lambda on_news: Observer(kafka, on_news=on_news))
        probes = Probes(controller.liveness)
        port = await probes.start(settings.http_port)
        _relax_collector()
        log.info("operator starts", version=read_version(), namespaces=settings.namespaces or "all", http_port=port)
        try:
            # As a container's first process we get no default action: until kopf takes the signal over, this does.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel_this_task())
            await controller.wait_for_cluster()
            # Returns on SIGTERM and SIGINT.
            await kopf.operator(
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                standalone=True,
                memo=kopf.Memo(controller=controller),
            )
        except asyncio.CancelledError:
            log.info("stopped while waiting for the cluster")
        except Exception:
            log.exception("operator failed", exit_code=EX_SOFTWARE)
            return EX_SOFTWARE
        finally:
            await controller.stop()
            await probes.stop()
    log.info("operator ends")
    return EX_OK


def _relax_collector() -> None:
    """Let Python's cyclic garbage collector look rarely, and never at what stays for good.

    What an API server answers is made of many containers and no cycles: by default the collector would run several
    times for each answer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _cancel_this_task() -> Callable[[], object]:
    task = asyncio.current_task()
    return task.cancel if task is not None else sys.exit


if __name__ == "__main__":
    sys.exit(main())

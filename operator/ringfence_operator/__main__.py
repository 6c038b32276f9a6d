"""`python -m ringfence_operator run`: wiring, and nothing else."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Final

import aiohttp
import kopf
import structlog

from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError
from ringfence.kube.kubeconfig import KubeconfigError
from ringfence.runtime.alerts import Alerts
from ringfence_operator import handlers, heartbeat
from ringfence_operator.admission import HOLD_S, Admission, watch_over
from ringfence_operator.entropy import SystemEntropy, jitter
from ringfence_operator.killpath import kill_pass
from ringfence_operator.metrics import Metrics
from ringfence_operator.probes import serving
from ringfence_operator.reconcile import reconcile
from ringfence_operator.settings import Settings, SettingsError, from_environ
from ringfence_operator.workqueue import WorkQueue
from ringfence_operator.world import Key, World, system_now

log = structlog.get_logger()

PASS_TIMEOUT_S: Final = 60.0
KILL_TIMEOUT_S: Final = 10.0
KILL_WORKERS: Final = 16
GIVE_WAY_MAX_S: Final = 1.0


class Told:
    """Metrics and logs of a queue's passes."""

    def __init__(self, queue: str, metrics: Metrics) -> None:
        self._queue = queue
        self._metrics = metrics

    def passed(self, key: Key, seconds: float) -> None:
        self._metrics.reconciles.labels(self._queue, "ok").inc()
        self._metrics.reconcile_seconds.labels(self._queue).observe(seconds)
        log.debug("pass", queue=self._queue, namespace=key[0], name=key[1], seconds=round(seconds, 4))

    def failed(self, key: Key, seconds: float, error: Exception, pause_s: float) -> None:
        self._metrics.reconciles.labels(self._queue, "error").inc()
        self._metrics.errors.labels(self._queue, type(error).__name__).inc()
        self._metrics.reconcile_seconds.labels(self._queue).observe(seconds)
        expected = isinstance(error, ApiError | TimeoutError)
        log.warning(
            "pass failed",
            queue=self._queue,
            namespace=key[0],
            name=key[1],
            error=f"{type(error).__name__}: {error}",
            again_s=round(pause_s, 2),
            exc_info=None if expected else error,
        )


async def run(settings: Settings) -> None:
    """Until SIGTERM, or until a part of it dies."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with _client() as client, aiohttp.ClientSession(trust_env=False) as session:
        alerts = Alerts(settings.alerting, lambda: int(system_now().timestamp() * 1e9))
        metrics.collect(alerts.families)
        world = World(client, settings, SystemEntropy(), metrics, system_now, alerts, session)
        admission = Admission(required=settings.policies_required)
        queues = _queues(world, session, admission)
        async with serving(settings.http_port, queues, metrics, admission):
            log.info("started", namespaces=settings.namespaces or "all", platform_image=settings.platform_image)
            await _until(stop, settings, world, queues, admission)
    log.info("stopped")


async def _until(
    stop: asyncio.Event, settings: Settings, world: World, queues: handlers.Queues, admission: Admission
) -> None:
    """Run all parts; the end of any one ends all, because half an operator is worse than a restarted one."""
    parts = [
        asyncio.create_task(queues.systems.run(), name="systems"),
        asyncio.create_task(queues.kills.run(), name="kills"),
        asyncio.create_task(_beat(world, queues), name="heartbeat"),
        asyncio.create_task(_tell(world), name="alerts"),
        asyncio.create_task(_watch(settings, queues, stop), name="watches"),
        asyncio.create_task(watch_over(world.client, admission, world.metrics), name="policies"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    done, rest = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    watches = next(part for part in parts if part.get_name() == "watches")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.wait([watches])), 5.0)
    for part in rest:
        part.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for part in done:
        part.result()


async def _watch(settings: Settings, queues: handlers.Queues, stop: asyncio.Event) -> None:
    await kopf.operator(
        registry=handlers.registry(queues),
        settings=handlers.kopf_settings(settings),
        namespaces=settings.namespaces,
        clusterwide=not settings.namespaces,
        standalone=True,
        stop_flag=stop,
    )


async def _tell(world: World) -> None:
    """Alerts to Alertmanager; for as long as the operator runs, also where there is none to tell."""
    await world.alerts.run()
    await asyncio.Event().wait()


async def _beat(world: World, queues: handlers.Queues) -> None:
    """Write a beat now and then, where our own watch sees it."""
    settings = world.settings
    namespace = settings.namespaces[0] if settings.namespaces else settings.operator_namespace
    loop = asyncio.get_running_loop()
    while True:
        beat = queues.heartbeat.next()
        try:
            await heartbeat.write(world.client, namespace, beat)
            queues.heartbeat.written(beat, loop.time())
        except ApiError as error:
            log.warning("heartbeat not written", error=str(error))
        await asyncio.sleep(heartbeat.INTERVAL_S if queues.heartbeat.last_seen is not None else 1.0)


def _queues(world: World, session: aiohttp.ClientSession, admission: Admission) -> handlers.Queues:
    async def handle_system(key: Key) -> float | None:
        if admission.faults:
            return HOLD_S
        await _after_kills(queues)
        return await reconcile(world, key)

    async def handle_kill(key: Key) -> float | None:
        arrived = queues.kill_news.pop(key, None)
        return await kill_pass(world, session, key, queues.systems.add, arrived)

    queues = handlers.Queues(
        WorkQueue(
            handle_system,
            concurrency=world.settings.workers,
            timeout_s=PASS_TIMEOUT_S,
            rng=jitter(),
            observer=Told("systems", world.metrics),
        ),
        WorkQueue(
            handle_kill,
            concurrency=KILL_WORKERS,
            timeout_s=KILL_TIMEOUT_S,
            rng=jitter(),
            observer=Told("kills", world.metrics),
            backoff_max_s=2.0,
        ),
        heartbeat.Heartbeat(uuid.uuid4().hex),  # sim-ok: tells this process's beats from another's
    )
    return queues


async def _after_kills(queues: handlers.Queues) -> None:
    """A kill goes first: passes share one thread with it, and building manifests takes its time. Bounded, because a
    gate that cannot be reached must not keep systems from being looked after."""
    loop = asyncio.get_running_loop()
    until = loop.time() + GIVE_WAY_MAX_S
    while loop.time() < until:
        kills = queues.kills.schedule
        if not kills.running and not kills.waiting(loop.time()):
            return
        await asyncio.sleep(0.01)


def _client() -> KubeClient:
    """In a pod by its service account, elsewhere by KUBECONFIG."""
    try:
        return KubeClient.in_cluster()
    except KubeconfigError:
        path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return KubeClient.from_kubeconfig(path)


def configure_logs(level: str) -> None:
    """JSON lines on standard output, kopf's and ours alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)


def main() -> int:
    parser = argparse.ArgumentParser(prog="ringfence_operator", description="The Ringfence operator.")
    parser.add_argument("command", choices=["run"], help="run: serve until SIGTERM; settings are RINGFENCE_* variables")
    parser.parse_args()
    try:
        settings = from_environ(os.environ)
    except SettingsError as error:
        print(f"ringfence_operator: {error}", file=sys.stderr)  # noqa: T201 - there are no logs yet
        return 2
    configure_logs(settings.log_level)
    try:
        asyncio.run(run(settings))
    except KubeconfigError as error:
        log.error("no API server", error=str(error))  # noqa: TRY400 - the sentence says it all
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

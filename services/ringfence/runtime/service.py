"""The life of a service: start, ready, serve, drain, stop.

Gives a service its health and metrics endpoints, its stop signal and its exit: a service that cannot go on
says why in one sentence in its termination message, where Kubernetes and the operator find it.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, NoReturn

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ringfence.runtime.clock import Clock, SystemClock
from ringfence.runtime.config import TERMINATION_LOG, ConfigError, Service
from ringfence.runtime.serving import serving

log = structlog.get_logger()

CANCEL_S: Final = 3.0
BEAT_S: Final = 0.25
BEAT_LATE_S: Final = 10.0
"""A loop that has not turned for this long is dead: /livez fails and Kubernetes restarts the pod."""


class FatalError(Exception):
    """The service cannot run; the message says why and what to do."""


class Health:
    """What /livez and /readyz answer. A service is ready when nothing is left in ``waiting_for``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beat_ns = clock.monotonic_ns()
        self.waiting_for: dict[str, str] = {"start": "starting"}
        """Reason by what is missing."""

    def ready(self, part: str) -> None:
        self.waiting_for.pop(part, None)

    def not_ready(self, part: str, reason: str) -> None:
        self.waiting_for[part] = reason

    def beat(self) -> None:
        self._beat_ns = self._clock.monotonic_ns()

    @property
    def beat_age_s(self) -> float:
        return (self._clock.monotonic_ns() - self._beat_ns) / 1e9


class Host:
    """What a service is given: its clock, health, metrics registry, HTTP routes, tasks and stop signal."""

    def __init__(self, config: Service, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.health = Health(clock)
        self.stopping = asyncio.Event()
        self.routes = web.RouteTableDef()
        self.registry = CollectorRegistry()
        self.failure: BaseException | None = None
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._tasks: set[asyncio.Task[None]] = set()

    def collect(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        """Export metrics computed at scrape time from plain integers."""
        self.registry.register(_Collected(metrics))

    def spawn(self, work: Awaitable[None], name: str) -> None:
        """Run a task for the service's life. One that fails ends the service: nothing dies silently."""
        task = asyncio.ensure_future(_as_coroutine(work))
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def fail(self, error: BaseException) -> None:
        """End the service with this reason."""
        self.failure = self.failure or error
        self.stopping.set()

    async def cancel_tasks(self) -> None:
        """End all tasks. One that does not end is named and left behind: the process is about to end anyway."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, stuck = await asyncio.wait(self._tasks, timeout=CANCEL_S)
            for task in stuck:
                where = "".join(f" {f.f_code.co_filename}:{f.f_lineno}" for f in task.get_stack())
                log.error("a task did not end", task=task.get_name(), where=where)

    def _finished(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self.fail(error)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


class _Collected(Collector):
    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics()


Main = Callable[[Host], contextlib.AbstractAsyncContextManager[None]]
"""Sets up, yields, drains. Setting up must not wait for others: what waits is spawned, and named in health."""


def run(config: Service, main: Main) -> None:
    """Run a service until SIGTERM, SIGINT or failure; exits the process with 0 or 1."""
    configure_logs(config)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        failure = runner.run(serve(config, main, SystemClock()))
    if failure is not None:
        give_up(failure)


def give_up(failure: BaseException) -> NoReturn:
    """Leave the reason where people look for it, and exit."""
    known = isinstance(failure, FatalError | ConfigError)
    sentence = str(failure) if known else f"{type(failure).__name__}: {failure}"
    log.error("stopped", reason=sentence, exc_info=None if known else failure)
    with contextlib.suppress(OSError):
        TERMINATION_LOG.write_text(sentence)
    sys.exit(1)


async def serve(config: Service, main: Main, clock: Clock) -> BaseException | None:
    """The same within a running loop; returns why it ended, None for a wanted stop."""
    host = Host(config, clock)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: the caller stops us
            loop.add_signal_handler(number, host.stopping.set)
    host.spawn(_beat(host), "beat")
    try:
        async with main(host), _http(host):
            host.health.ready("start")
            log.info("started", port=config.http_port)
            gc.freeze()  # what lives as long as the process is not walked by every collection
            await host.stopping.wait()
            log.info("stopping", reason=str(host.failure or "asked to"))
    except Exception as error:  # the boundary: whatever it was becomes the termination message
        host.fail(error)
    finally:
        await host.cancel_tasks()
    return host.failure


async def _beat(host: Host) -> None:
    while not host.stopping.is_set():
        host.health.beat()
        await asyncio.sleep(BEAT_S)


@contextlib.asynccontextmanager
async def _http(host: Host) -> AsyncIterator[None]:
    """Serve health, metrics and the service's own read-only documents."""

    async def livez(_request: web.Request) -> web.Response:
        age_s = host.health.beat_age_s
        return web.Response(status=200 if age_s < BEAT_LATE_S else 503, text=f"event loop turned {age_s:.1f} s ago\n")

    async def readyz(_request: web.Request) -> web.Response:
        missing = host.health.waiting_for
        text = "".join(f"{part}: {reason}\n" for part, reason in sorted(missing.items())) or "ready\n"
        return web.Response(status=503 if missing else 200, text=text)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(host.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    application.add_routes(host.routes)
    async with serving(application, "0.0.0.0", host.config.http_port):  # noqa: S104 - a pod's address is not known
        yield


def configure_logs(config: Service) -> None:
    """JSON lines on standard output, each with the system and the service."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(config.log_level),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(system=config.system, service=config.service)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # optional: a small win, never a need
    except ImportError:
        return None
    return uvloop.new_event_loop

"""The operator's own /livez, /readyz and /metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ringfence_operator.admission import Admission
from ringfence_operator.handlers import Queues
from ringfence_operator.metrics import Metrics


@asynccontextmanager
async def serving(
    port: int,
    queues: Queues,
    metrics: Metrics,
    admission: Admission,
    host: str = "0.0.0.0",  # noqa: S104 - a pod's address is not known
) -> AsyncIterator[int]:
    """Serve until the end of the block; yields the port (which is chosen where 0 was asked for)."""

    async def livez(_request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        alive = queues.heartbeat.alive(now)
        age = queues.heartbeat.overdue_s(now)
        text = f"oldest heartbeat has been on its way for {age:.0f} s\n"
        return web.Response(status=200 if alive else 503, text=text)

    async def readyz(_request: web.Request) -> web.Response:
        why = admission.problem or ("" if queues.heartbeat.last_seen is not None else "no heartbeat came back yet")
        return web.Response(status=503 if why else 200, text=f"{why or 'ready'}\n")

    async def exposition(_request: web.Request) -> web.Response:
        _collect(queues, metrics)
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _collect(queues: Queues, metrics: Metrics) -> None:
    """What is cheaper to read than to keep."""
    now = asyncio.get_running_loop().time()
    metrics.queue_waiting.labels("systems").set(queues.systems.schedule.waiting(now))
    metrics.queue_waiting.labels("kills").set(queues.kills.schedule.waiting(now))
    if queues.heartbeat.last_seen is not None:
        metrics.watch_age_seconds.set(now - queues.heartbeat.last_seen)

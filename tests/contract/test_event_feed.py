"""A reader of order events over real sockets, when its gate goes away and comes back as another one."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from ringfence.model.orders import Submitted
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.clock import ManualClock
from ringfence.runtime.config import Endpoint, Gate
from ringfence.runtime.feed import EventFeed, families
from ringfence.wire.codec import EVENTS_PATH, encode_page
from ringfence.wire.messages import OrderUpdate

GATE = "sim-execution"


def update(sequence: int, life: int) -> OrderUpdate:
    return OrderUpdate(GATE, sequence, "stable", Submitted(client_order_id=f"life{life}", ts=sequence))


class Log:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_update(self, update: OrderUpdate) -> None:
        self.told.append(update)

    def on_restart(self, gate: str, reason: str) -> None:
        self.told.append(f"restart {gate}")

    def on_current(self, gate: str) -> None:
        self.told.append(f"current {gate}")

    def on_behind(self, gate: str, reason: str) -> None:
        self.told.append(f"behind {gate}")


async def serve(port: int, session: int, journal: list[OrderUpdate]) -> web.AppRunner:
    """A gate's HTTP side."""

    async def events(request: web.Request) -> web.Response:
        after, limit = int(request.query["after"]), int(request.query["limit"])
        headers, body = encode_page(session, len(journal), journal[after : after + limit])
        return web.Response(headers=headers, body=body)

    application = web.Application()
    application.add_routes([web.get(EVENTS_PATH, events)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    return runner


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_gate_that_is_gone_is_not_current_and_its_successor_is_not_mixed_in() -> None:
    """Silence for five seconds ends being current; another journal is told as a restart, then from its first event."""
    keys, clock, log = KeyPair.generate(), ManualClock(), Log()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    bus, reading = Bus(GATE, 1, keys), Bus("reader", 1, KeyPair.generate())
    publisher = bus.publisher(0, set, host="127.0.0.1")  # nobody is let in: every live event is lost
    gate = Gate(
        name=GATE,
        venue="sim",
        intents=Endpoint(host="127.0.0.1", port=1, public_key=keys.public),
        events=Endpoint(host="127.0.0.1", port=publisher.port, public_key=keys.public),
        http=f"http://127.0.0.1:{port}",
    )
    first, second = [update(n, 1) for n in range(1, 2501)], [update(n, 2) for n in range(1, 4)]
    runner = await serve(port, 1, first)
    feed = EventFeed(reading, gate, log, clock)
    task = asyncio.create_task(feed.run())
    try:
        await until(lambda: feed.current)
        assert log.told == [*first, f"current {GATE}"]
        await runner.cleanup()
        clock.advance(6_000_000_000)
        await until(lambda: not feed.current)
        runner = await serve(port, 2, second)
        await until(lambda: feed.current)
        assert log.told[2501:] == [f"behind {GATE}", f"restart {GATE}", *second, f"current {GATE}"]
        samples = {s.name: s.value for family in families([feed]) for s in family.samples}
        assert (samples["ringfence_feed_restarts_total"], samples["ringfence_feed_sequence"]) == (1, 3)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()
        bus.close()
        reading.close()

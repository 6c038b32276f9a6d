"""Whoever opens connections leaves none behind, at whatever moment it is told to stop."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from venuerig import SYMBOL, Listener, config

from ringfence.kube import kubeconfig
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import RetryLater
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.serving import serving
from ringfence.simulator.server import serve_simulator
from ringfence.venues.api import VenueError
from ringfence.venues.binance.cancelling import BinanceCancelOnly
from ringfence.venues.binance.market import BinanceMarket
from ringfence.venues.binance.trading import BinanceTrading
from ringfence.watchdog.gate import GateLine

pytestmark = pytest.mark.asyncio
TURNS = (*range(24), *range(24, 72, 4), 100, 150, 250)
"""Of the event loop, after which it is told to stop: while it connects, upgrades, subscribes, and once it is up."""

Opened = Callable[[], Awaitable[None]]
"""Closes it."""


def sockets() -> set[str]:
    """All that this process has open."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the directory's own
            found.add(str(path.readlink()))
    return {name for name in found if name.startswith("socket:")}


class Market:
    def on_market(self, event: Any) -> None: ...
    def on_stream(self, connected: bool, reason: str) -> None: ...


def ending(work: Awaitable[Any], close: Opened) -> Opened:
    """Begin it as a task; to close is to cancel it first."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        try:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await close()

    return end


async def api_request(base: str) -> Opened:
    client = KubeClient(kubeconfig.Access(base))
    return ending(client.raw("GET", "/"), client.close)


async def api_watch(base: str) -> Opened:
    client = KubeClient(kubeconfig.Access(base))

    async def lines() -> None:
        async with client.stream("/", {}, 60) as found:
            async for _ in found:
                pass

    return ending(lines(), client.close)


async def heartbeat(base: str) -> Opened:
    line = GateLine(base, Path(), SystemClock())
    await line.open()
    return ending(line.severity(), line.close)


@asynccontextmanager
async def http() -> AsyncIterator[str]:
    """Answers anything with a line, and no end."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"{}\n")
            await asyncio.sleep(0)
        return response

    application = web.Application()
    application.router.add_get("/{path:.*}", endless)
    async with serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
        yield f"http://127.0.0.1:{port}"


async def turned(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def leaves_none(begin: Callable[[], Awaitable[Opened]]) -> None:
    before = sockets()
    for number, turns in enumerate(TURNS):
        close = await begin()
        await turned(turns)
        closing = asyncio.ensure_future(close())
        if number % 2:  # and every second one is not left to close in peace
            await turned(1 + number % 7)
            closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        async with asyncio.timeout(5):
            while left := sockets() - before:
                await asyncio.sleep(0.001)
        assert not left, f"stopped after {turns} turns"


@pytest.mark.parametrize("begin", [api_request, api_watch, heartbeat])
async def test_a_request_that_is_cancelled_leaves_no_socket(begin: Callable[[str], Awaitable[Opened]]) -> None:
    async with http() as base:
        await leaves_none(lambda: begin(base))


@pytest.mark.parametrize("kind", ["trading", "market", "cancelling"])
async def test_a_venue_that_is_closed_leaves_no_socket(kind: str, tmp_path: Path) -> None:
    """Also while it connects or upgrades to its streams."""
    clock = SystemClock()
    async with serve_simulator(config()) as simulator:
        (tmp_path / "api-key").write_text(simulator.credential.api_key)
        (tmp_path / "api-secret").write_text(simulator.credential.api_secret)

        async def begin() -> Opened:
            rng = random.Random(1)
            if kind == "trading":
                trading = BinanceTrading(simulator.address(), clock, rng, tmp_path)
                await trading.start(Listener())
                return trading.close
            if kind == "market":
                market = BinanceMarket(simulator.address(), clock, rng)
                await market.start((SYMBOL,), Market())
                return ending(market.snapshot(SYMBOL), market.close)
            watchdog = BinanceCancelOnly(simulator.address(), clock, tmp_path)
            await watchdog.open()
            return ending(watchdog.balances(), watchdog.close)

        await leaves_none(begin)


async def test_what_has_been_closed_opens_nothing_again(tmp_path: Path) -> None:
    """A task that is still at work then is refused, as by a peer that is away."""
    before = sockets()
    async with http() as base, serve_simulator(config()) as simulator:
        client = KubeClient(kubeconfig.Access(base))
        await client.close()
        with pytest.raises(RetryLater, match="closed"):
            await client.raw("GET", "/")
        market = BinanceMarket(simulator.address(), SystemClock(), random.Random(1))
        await market.close()
        with pytest.raises(VenueError, match="closed"):
            await market.snapshot(SYMBOL)
        assert len(sockets() - before) == 3, "the servers' own"


async def test_a_market_that_is_closed_while_it_rotates_ends_both_connections() -> None:
    """Once the successor has caught up, and the old connection is only read to its end."""

    def connections() -> list[asyncio.Task[Any]]:
        return [task for task in asyncio.all_tasks() if task.get_name().startswith("binance market ")]

    async with serve_simulator(config()) as simulator:
        market = BinanceMarket(simulator.address(), SystemClock(), random.Random(1), rotate_s=0.3)
        await market.start((SYMBOL,), Market())
        async with asyncio.timeout(20):
            while market.metrics.connects < 2:
                await asyncio.sleep(0.01)
            read = market.metrics.messages
            while market.metrics.messages < read + 40:  # by both of them: by then the new one reaches back to the old
                await asyncio.sleep(0.01)
        assert len(connections()) == 3, "the task that keeps them, and both"
        await market.close()
        assert connections() == []

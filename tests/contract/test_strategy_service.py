"""The strategy and portfolio services as processes: real CurveZMQ, real HTTP, configuration and exit as in a pod."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from ringfence.model.money import parse
from ringfence.model.orders import Filled, OrderEvent, OrderType, Side, Submitted, TimeInForce
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.config import Endpoint, Gate, PortfolioConfig, Service, StrategyConfig
from ringfence.runtime.serving import serving
from ringfence.sdk.testing import instrument
from ringfence.wire.codec import EVENTS_PATH, encode_page
from ringfence.wire.intents import initialized
from ringfence.wire.messages import BookTop, Envelope, FeedStatus, Hello, InstrumentRules, Intent, OrderUpdate, Quote

ROOT = Path(__file__).parents[2]
BTC = instrument("BTCUSDT", "BTC", "USDT")
GATE = "sim-execution"
T0 = 1_700_000_000_000_000_000
TIMEOUT_S = 30

AUTHOR = """
from ringfence.sdk import Strategy, floor_to, units

class OnBook(Strategy):
    def on_book(self, book):
        if not self.context.working() and self.context.position(book.symbol) < units("0.03"):
            self.context.buy(book.symbol, units("0.01"), book.asks[0][0])

class Fails(Strategy):
    def on_quote(self, quote):
        return self.missing
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class World:
    """Marketdata and a gate, in this process: two publishers, a puller, and a journal behind GET /events."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client = KeyPair.generate()
        self.server = KeyPair.generate()
        self.bus = Bus("world", T0, self.server)
        allowed = {self.client.public}
        self.market = self.bus.publisher(0, lambda: allowed, host="127.0.0.1")
        self.events = self.bus.publisher(0, lambda: allowed, host="127.0.0.1")
        self.intents: list[Intent] = []
        self.intents_port = self.bus.puller(0, lambda: allowed, self._intent, host="127.0.0.1")
        self.journal: list[OrderUpdate] = []
        self.mute = False
        self.http_port = free_port()
        self.service_port = free_port()
        self.ts = T0
        self.fills = True

    def endpoint(self, port: int) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=port, public_key=self.server.public)

    @property
    def gate(self) -> Gate:
        return Gate(
            name=GATE,
            venue="sim",
            intents=self.endpoint(self.intents_port),
            events=self.endpoint(self.events.port),
            http=f"http://127.0.0.1:{self.http_port}",
        )

    def record(self, *events: OrderEvent) -> None:
        """Journal first, then the bus, which may lose it."""
        for event in events:
            update = OrderUpdate(GATE, len(self.journal) + 1, "stable", event)
            self.journal.append(update)
            if not self.mute:
                self.events.send(update)

    def _intent(self, envelope: Envelope, _key: str) -> None:
        intent = envelope.body
        if isinstance(intent, Hello):
            return
        assert isinstance(intent, Intent)
        self.intents.append(intent)
        if self.fills:
            self.record(*filled(intent, f"c{len(self.intents)}", self.ts))

    async def get_events(self, request: web.Request) -> web.Response:
        after, limit = int(request.query["after"]), int(request.query["limit"])
        headers, body = encode_page(T0, len(self.journal), self.journal[after : after + limit])
        return web.Response(headers=headers, body=body)

    def tick(self) -> None:
        """One round of market data."""
        self.ts += 100_000_000
        price = parse("61800")
        self.market.send(InstrumentRules("sim", BTC))
        self.market.send(FeedStatus("BTCUSDT", self.ts, True, ""))
        self.market.send(Quote("BTCUSDT", 1, self.ts, price, 1, price + BTC.tick, 1))
        self.market.send(BookTop("BTCUSDT", 1, self.ts, self.ts, ((price, 1),), ((price + BTC.tick, 1),)))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Keep the market going until something is so."""
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self.tick()
                await asyncio.sleep(0.02)


def filled(intent: Intent, client_id: str, ts: int) -> tuple[OrderEvent, ...]:
    return (
        initialized(client_id, intent, ts),
        Submitted(client_order_id=client_id, ts=ts),
        Filled(
            client_order_id=client_id,
            ts=ts,
            trade_id=client_id,
            price=intent.price,
            quantity=intent.quantity,
            commission=0,
            commission_asset="USDT",
            maker=False,
        ),
    )


@contextlib.asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    one = World(directory)
    application = web.Application()
    application.add_routes([web.get(EVENTS_PATH, one.get_events)])
    try:
        async with serving(application, "127.0.0.1", one.http_port):
            yield one
    finally:
        one.bus.close()


@contextlib.asynccontextmanager
async def service(one: World, module: str, config: Service) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service's own process, with the files that a pod has; stopped by SIGTERM."""
    directory = one.directory
    (directory / "curve").mkdir()
    (directory / "curve" / "public").write_text(one.client.public)
    (directory / "curve" / "secret").write_text(one.client.secret)
    (directory / "service.json").write_bytes(msgspec.json.encode(config))
    (directory / "author.py").write_text(AUTHOR)
    environment = os.environ | {
        "RINGFENCE_CONFIG": str(directory / "service.json"),
        "RINGFENCE_CURVE": str(directory / "curve"),
        "RINGFENCE_TERMINATION_LOG": str(directory / "termination-log"),
        "PYTHONPATH": f"{ROOT / 'services'}:{directory}",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, env=environment, stdout=log, stderr=log, cwd=directory
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(TIMEOUT_S):
                await process.wait()


def strategy(one: World, strategy_class: str) -> StrategyConfig:
    return StrategyConfig(
        system="momentum",
        namespace="trading",
        service="stable-strategy",
        http_port=one.service_port,
        track="stable",
        revision="abc123",
        strategy_class=strategy_class,
        parameters={},
        symbols=("BTCUSDT",),
        marketdata=(one.endpoint(one.market.port),),
        gate=one.gate,
    )


async def get(one: World, path: str) -> str:
    """A document of the service, as soon as it serves one."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(TIMEOUT_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(f"http://127.0.0.1:{one.service_port}{path}") as response:
                    return await response.text()
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_unknown_class_ends_with_a_sentence_to_act_on(tmp_path: Path) -> None:
    """Exit 1, and the termination message names the class, the error and the likely cause."""
    async with world(tmp_path) as one, service(one, "ringfence.strategy", strategy(one, "nowhere:Cross")) as process:
        async with asyncio.timeout(TIMEOUT_S):
            assert await process.wait() == 1
    assert (tmp_path / "termination-log").read_text() == (
        "strategy class nowhere:Cross cannot be imported in this image: ModuleNotFoundError: "
        "No module named 'nowhere'; is the package installed in the image?"
    )


@pytest.mark.asyncio
async def test_books_become_intents_and_fills_a_position(tmp_path: Path) -> None:
    """A stream of books leads to intents at the gate; fills come back, and it stops when it holds enough.

    It started before the gate had published anything on this connection: position and orders come from GET /events.
    """
    async with world(tmp_path) as one:
        earlier = Intent(
            "old-1", "stable", "BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, parse("0.01"), 1, False, T0
        )
        one.record(*filled(earlier, "c0", T0))
        async with service(one, "ringfence.strategy", strategy(one, "author:OnBook")) as process:
            await one.until(lambda: len(one.intents) == 2)
            for _ in range(20):
                one.tick()
                await asyncio.sleep(0.01)
            first, second = one.intents
            metrics = await get(one, "/metrics")
            assert await get(one, "/readyz") == "ready\n"
            process.terminate()
            async with asyncio.timeout(TIMEOUT_S):
                assert await process.wait() == 0
    assert (first.side, first.quantity, first.price) == (Side.BUY, parse("0.01"), parse("61800.01"))
    assert first.intent_id.startswith("stable-abc123-")
    assert first.intent_id != second.intent_id
    assert 'ringfence_strategy_intents_total{revision="abc123"} 2.0' in metrics
    assert 'ringfence_strategy_tick_to_intent_seconds_count{revision="abc123"} 2.0' in metrics
    assert not (tmp_path / "termination-log").exists()


@pytest.mark.asyncio
async def test_what_the_bus_loses_is_fetched(tmp_path: Path) -> None:
    """With every order event lost on the bus, the strategy still learns of its fills, within a second or so each."""
    async with world(tmp_path) as one:
        one.mute = True
        async with service(one, "ringfence.strategy", strategy(one, "author:OnBook")):
            await one.until(lambda: len(one.intents) == 3)
            assert len(one.journal) == 9


@pytest.mark.asyncio
async def test_an_exception_of_the_author_ends_the_service_with_its_place(tmp_path: Path) -> None:
    """The operator shows class, hook, error and line; nothing was half decided."""
    async with world(tmp_path) as one, service(one, "ringfence.strategy", strategy(one, "author:Fails")) as process:
        await one.until(lambda: process.returncode is not None)
        assert process.returncode == 1
        assert one.intents == []
    reason = (tmp_path / "termination-log").read_text()
    assert reason.startswith("strategy class author:Fails failed in on_quote: AttributeError: 'Fails' object has no")
    assert f"({tmp_path.name}/author.py line 11)" in reason


@pytest.mark.asyncio
async def test_portfolio_replays_the_journal_and_follows_it(tmp_path: Path) -> None:
    """Positions, profit and fills as exact texts, from events before and after its start."""
    async with world(tmp_path) as one:
        buy = Intent(
            "i1",
            "stable",
            "BTCUSDT",
            Side.BUY,
            OrderType.LIMIT,
            TimeInForce.IOC,
            parse("0.01"),
            parse("61000"),
            False,
            T0,
        )
        one.record(*filled(buy, "c1", T0))
        config = PortfolioConfig(
            system="momentum",
            namespace="trading",
            service="portfolio",
            http_port=one.service_port,
            currency="USDT",
            gates=(one.gate,),
            marketdata=(one.endpoint(one.market.port),),
            symbols=("BTCUSDT",),
            capital=parse("10000"),
        )
        async with service(one, "ringfence.portfolio", config):
            assert (await document(one, "/positions", lambda found: found["complete"] and found["positions"]))[
                "positions"
            ][0]["quantity"] == "0.01"
            one.record(*filled(msgspec.structs.replace(buy, intent_id="i2", price=parse("61600")), "c2", T0))
            found = await document(one, "/positions", lambda found: found["positions"][0]["quantity"] == "0.02")
            pnl = json.loads(await get(one, "/pnl"))
            fills = json.loads(await get(one, "/fills?after=3"))
            refused = await get(one, "/fills?after=x")
    assert (found["positions"][0]["average"], found["positions"][0]["mark"]) == ("61300", "61800.005")
    assert (pnl["gates"][0]["equity"], pnl["gates"][0]["tracks"][0]["unrealised"]) == ("10010.0001", "10.0001")
    assert [(row["sequence"], row["price"]) for row in fills["fills"]] == [(6, "61600")]
    assert refused == "after is 'x': must be a whole number, a gate's sequence\n"


async def document(one: World, path: str, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """A document as soon as it says what is wanted."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            one.tick()
            found: dict[str, Any] = json.loads(await get(one, path))
            if wanted(found):
                return found
            await asyncio.sleep(0.02)

"""Market data of a simulated venue on real sockets: the adapter, the feed, and the service with its bus.

Time is real here, so the tests wait for what must come and never for a length of time.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from ringfence.marketdata.service import Feed, marketdata
from ringfence.model.money import parse
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import Endpoint, GeneratedMarket, MarketdataConfig, SimulatorConfig
from ringfence.runtime.service import Health, Host, serve
from ringfence.simulator.faults import Fault
from ringfence.simulator.server import Simulator, serve_simulator
from ringfence.venues.api import BookDiff, MarketEvent, VenueError
from ringfence.venues.binance.backoff import Backoff
from ringfence.venues.binance.market import BinanceMarket
from ringfence.wire.messages import AnyMessage, BookTop, Envelope, FeedStatus, InstrumentRules, Quote, Trade

SYMBOLS = ("BTCUSDT", "ETHUSDT")
WAIT_S = 20.0


def simulator_config() -> SimulatorConfig:
    return SimulatorConfig(
        system="s",
        namespace="n",
        service="sim",
        symbols=SYMBOLS,
        market=GeneratedMarket(seed=11),
        maker_fee_bps=0,
        taker_fee_bps=0,
        latency_ms=0,
        balances={"USDT": parse("1000")},
        port=0,
        control_port=0,
    )


def marketdata_config(
    simulator: Simulator, port: int = 0, http_port: int = 0, subscribers: dict[str, str] | None = None
) -> MarketdataConfig:
    return MarketdataConfig(
        system="s",
        namespace="n",
        service="sim-marketdata",
        venue=simulator.address(),
        symbols=SYMBOLS,
        book_stale_ms=2000,
        quote_stale_ms=5000,
        subscribers=subscribers or {},
        port=port,
        http_port=http_port,
    )


class Collected:
    """What was published, and a way to wait for more."""

    def __init__(self) -> None:
        self.messages: list[AnyMessage] = []
        self._told = asyncio.Event()

    def __call__(self, message: AnyMessage) -> None:
        self.messages.append(message)
        self._told.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._told.clear()
                await self._told.wait()

    def statuses(self, symbol: str) -> list[FeedStatus]:
        return [m for m in self.messages if isinstance(m, FeedStatus) and m.symbol == symbol]

    def usable(self, symbol: str) -> bool:
        found = self.statuses(symbol)
        return bool(found) and found[-1].usable


class Running:
    def __init__(self, simulator: Simulator, feed: Feed, health: Health, out: Collected) -> None:
        self.simulator = simulator
        self.feed = feed
        self.health = health
        self.out = out

    async def all_usable(self) -> None:
        await self.out.until(lambda: all(self.out.usable(symbol) for symbol in SYMBOLS))


@pytest_asyncio.fixture
async def running() -> AsyncIterator[Running]:
    """A feed that publishes into a list."""
    clock = SystemClock()
    async with serve_simulator(simulator_config()) as simulator:
        venue = BinanceMarket(simulator.address(), clock, random.Random(5))
        health, out = Health(clock), Collected()
        feed = Feed(marketdata_config(simulator), venue, out, health, clock)
        work = [feed.tick(), feed.keep_rules(Backoff(random.Random(5))), feed.repeat_rules()]
        tasks = [asyncio.create_task(one) for one in [*work, *(feed.fetch_snapshots(s) for s in SYMBOLS)]]
        await venue.start(SYMBOLS, feed)
        try:
            yield Running(simulator, feed, health, out)
        finally:
            await venue.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


# --- MarketVenue


class Events:
    def __init__(self) -> None:
        self.events: list[MarketEvent] = []
        self.streams: list[tuple[bool, str]] = []
        self.told = asyncio.Event()

    def on_market(self, event: MarketEvent) -> None:
        self.events.append(event)
        self.told.set()

    def on_stream(self, connected: bool, reason: str) -> None:
        self.streams.append((connected, reason))
        self.told.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.told.clear()
                await self.told.wait()


@pytest.mark.asyncio
async def test_venue_streams_everything_and_comes_back_when_dropped() -> None:
    """Depth, quotes and trades of each symbol; a dropped stream is told and opened again."""
    events = Events()
    async with serve_simulator(simulator_config()) as simulator:
        venue = BinanceMarket(simulator.address(), SystemClock(), random.Random(5))
        await venue.start(SYMBOLS, events)
        try:
            for symbol in SYMBOLS:
                for kind in (BookDiff, Quote, Trade):
                    await events.until(
                        lambda: any(isinstance(e, kind) and e.symbol == symbol for e in events.events)  # noqa: B023
                    )
            simulator.gateway.fault(Fault(kind="drop_streams"))
            await events.until(lambda: [up for up, _ in events.streams] == [True, False, True])
            seen = len(events.events)
            await events.until(lambda: len(events.events) > seen)
            snapshot = await venue.snapshot("BTCUSDT")
            assert snapshot.bids[0] > snapshot.bids[1]
            assert snapshot.bids[0] < snapshot.asks[0] < snapshot.asks[1]
            with pytest.raises(VenueError):
                await venue.snapshot("NOSUCH")
            with pytest.raises(VenueError):
                await venue.instruments(("NOSUCH",))
        finally:
            await venue.close()


@pytest.mark.asyncio
async def test_a_connection_is_replaced_before_the_venue_ends_it_and_nothing_is_missed_or_told_twice() -> None:
    """Depth updates follow each other without a gap through several rotations; no trade comes twice."""
    events = Events()
    async with serve_simulator(simulator_config()) as simulator:
        venue = BinanceMarket(simulator.address(), SystemClock(), random.Random(5), rotate_s=0.5)
        await venue.start(SYMBOLS, events)
        try:
            await events.until(lambda: venue.metrics.rotations >= 2)
            seen = len(events.events)
            await events.until(lambda: len(events.events) > seen + 50)
        finally:
            await venue.close()
    assert events.streams == [(True, "")], "nobody heard of a break"
    for symbol in SYMBOLS:
        diffs = [e for e in events.events if isinstance(e, BookDiff) and e.symbol == symbol]
        assert all(b.first_update_id == a.last_update_id + 1 for a, b in pairwise(diffs))
        trades = [e.trade_id for e in events.events if isinstance(e, Trade) and e.symbol == symbol]
        assert len(set(trades)) == len(trades)
        assert sorted(trades) == list(range(min(trades), max(trades) + 1)), "no trade is missing"


@pytest.mark.asyncio
async def test_a_successor_that_cannot_be_opened_leaves_the_stream_as_it_is() -> None:
    events = Events()
    async with serve_simulator(simulator_config()) as simulator:
        address = simulator.address()
        venue = BinanceMarket(address, SystemClock(), random.Random(5), rotate_s=0.5)
        await venue.start(SYMBOLS, events)
        try:
            await events.until(lambda: events.events)
            refused = asyncio.get_running_loop().create_future()
            original = venue._follow

            async def follow(relay: object, number: int) -> str:
                if not refused.done():
                    refused.set_result(number)
                return "refused"

            venue._follow = follow  # type: ignore[method-assign]
            assert await refused == 2
            venue._follow = original  # type: ignore[method-assign]
            seen = len(events.events)
            await events.until(lambda: len(events.events) > seen + 20)
            assert (venue.metrics.rotations, events.streams) == (0, [(True, "")])
        finally:
            await venue.close()


# --- Feed


@pytest.mark.asyncio
async def test_feed_becomes_usable_and_shows_the_venues_own_book(running: Running) -> None:
    """Ready when every symbol is; and a published book has the best prices that the venue showed for that update."""
    assert set(running.health.waiting_for) >= {"instruments", *SYMBOLS}
    await running.all_usable()
    await running.out.until(lambda: running.feed.sync.symbols["BTCUSDT"].metrics.agreements > 0)
    metrics = [one.metrics for one in running.feed.sync.symbols.values()]
    assert [(m.gaps, m.crossings, m.disagreements) for m in metrics] == [(0, 0, 0)] * 2
    await running.out.until(lambda: any(isinstance(m, InstrumentRules) for m in running.out.messages))
    assert set(running.health.waiting_for) == {"start"}
    tops = [m for m in running.out.messages if isinstance(m, BookTop)]
    assert all(len(m.bids) == len(m.asks) == 20 for m in tops)


@pytest.mark.asyncio
async def test_gap_is_unusable_at_once_and_mended(running: Running) -> None:
    """A lost depth message: unusable with that reason, then a snapshot, then usable again."""
    await running.all_usable()
    running.simulator.gateway.fault(Fault(kind="gap", symbol="BTCUSDT"))
    await running.out.until(lambda: not running.out.usable("BTCUSDT"))
    assert running.out.statuses("BTCUSDT")[-1].reason == "gap: resyncing"
    assert "BTCUSDT" in running.health.waiting_for
    assert running.out.usable("ETHUSDT")
    await running.all_usable()
    assert running.feed.sync.symbols["BTCUSDT"].metrics.snapshots == 2


@pytest.mark.asyncio
async def test_silence_is_stale_and_ends_with_the_next_update(running: Running) -> None:
    """A venue that keeps the connection and says nothing is not a quiet market."""
    await running.all_usable()
    running.simulator.gateway.fault(Fault(kind="silence", symbol="ETHUSDT"))
    await running.out.until(lambda: not running.out.usable("ETHUSDT"))
    assert running.out.statuses("ETHUSDT")[-1].reason.startswith("book stale")
    assert running.out.usable("BTCUSDT")
    running.simulator.gateway.fault(Fault(kind="silence", symbol="ETHUSDT", on=False))
    await running.all_usable()


@pytest.mark.asyncio
async def test_dropped_stream_is_unusable_and_mended(running: Running) -> None:
    """Everything is unusable with the connection's reason, and usable again after a new snapshot."""
    await running.all_usable()
    running.simulator.gateway.fault(Fault(kind="drop_streams"))
    await running.out.until(lambda: not any(running.out.usable(symbol) for symbol in SYMBOLS))
    reasons = [status.reason for status in running.out.statuses("BTCUSDT")]
    assert any(reason.startswith("disconnected: market stream closed") for reason in reasons)
    await running.all_usable()


# --- the service


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


@pytest.mark.asyncio
async def test_service_publishes_to_a_subscriber_and_says_how_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port_factory: Callable[[], int]
) -> None:
    """Over CurveZMQ: books, quotes, trades, status and rules; ready when usable; metrics of each symbol."""
    server, client = KeyPair.generate(), KeyPair.generate()
    (tmp_path / "public").write_text(server.public)
    (tmp_path / "secret").write_text(server.secret)
    monkeypatch.setenv("RINGFENCE_CURVE", str(tmp_path))
    port, http_port = unused_tcp_port_factory(), unused_tcp_port_factory()
    out = Collected()
    async with serve_simulator(simulator_config()) as simulator:
        config = marketdata_config(simulator, port=port, http_port=http_port, subscribers={"strategy": client.public})
        hosts: list[Host] = []

        @contextlib.asynccontextmanager
        async def main(host: Host) -> AsyncIterator[None]:
            hosts.append(host)
            async with marketdata(host):
                yield

        service = asyncio.create_task(serve(config, main, SystemClock()))
        bus = Bus("reader", 1, client)

        def receive(envelope: Envelope) -> None:
            out(envelope.body)

        bus.subscriber([Endpoint(host="127.0.0.1", port=port, public_key=server.public)], [""], receive)
        kinds = (BookTop, Quote, Trade, FeedStatus, InstrumentRules)
        await out.until(lambda: all(any(isinstance(m, kind) for m in out.messages) for kind in kinds))
        await out.until(lambda: all(out.usable(symbol) for symbol in SYMBOLS))
        assert await get(http_port, "/readyz") == (200, "ready\n")
        _, metrics = await get(http_port, "/metrics")
        for line in (
            'ringfence_marketdata_usable{symbol="BTCUSDT"} 1.0',
            'ringfence_marketdata_gaps_total{symbol="ETHUSDT"} 0.0',
            'ringfence_marketdata_messages_total{kind="diffs",symbol="BTCUSDT"}',
            'ringfence_marketdata_book_age_seconds{symbol="BTCUSDT"}',
            'ringfence_marketdata_handle_seconds_bucket{le="+Inf"}',
        ):
            assert line in metrics
        assert bus.metrics.gaps == 0
        hosts[0].stopping.set()
        assert await service is None
        bus.close()

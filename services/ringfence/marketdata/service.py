"""The host: connects the venue, the engine and the bus. No decision is made here, and nothing is logged per message."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from random import Random  # sim-ok: made below, where the process begins, and handed to what needs it
from typing import Final

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from ringfence.marketdata.metrics import HANDLE_US, families
from ringfence.marketdata.sync import (
    Connected,
    Input,
    MarketSync,
    SnapshotArrived,
    SnapshotFailed,
    SnapshotWanted,
    Tick,
)
from ringfence.model.instrument import Instrument
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import CURVE_DIR, MarketdataConfig
from ringfence.runtime.histogram import Histogram
from ringfence.runtime.service import Health, Host
from ringfence.venues.api import MarketEvent, MarketVenue, VenueError
from ringfence.venues.binance.backoff import Backoff
from ringfence.venues.binance.market import BinanceMarket
from ringfence.wire.messages import AnyMessage, FeedStatus, InstrumentRules

log = structlog.get_logger()

TICK_S: Final = 0.1
RULES_S: Final = 1.0
RULES_REFRESH_S: Final = 600.0


class Feed:
    """One venue's data on its way to the bus. Everything runs on the event loop, in the order of arrival."""

    def __init__(
        self,
        config: MarketdataConfig,
        venue: MarketVenue,
        publish: Callable[[AnyMessage], None],
        health: Health,
        clock: Clock,
    ) -> None:
        self.sync = MarketSync(config.symbols, config.book_stale_ms, config.quote_stale_ms)
        self.handled = Histogram(HANDLE_US)
        self._config = config
        self._venue = venue
        self._publish = publish
        self._health = health
        self._clock = clock
        self._wanted: dict[str, SnapshotWanted] = {}
        """The last wish of each symbol: an earlier one has no taker any more."""
        self._wishes = {symbol: asyncio.Event() for symbol in config.symbols}
        self._rules: tuple[Instrument, ...] = ()
        self._reasons: dict[str, str] = {}
        health.not_ready("instruments", "not fetched yet")
        for symbol in config.symbols:
            health.not_ready(symbol, "not connected yet")

    # --- from the venue

    def on_market(self, event: MarketEvent) -> None:
        begun_ns = self._clock.monotonic_ns()
        self._handle(event, event.ts_recv)
        self.handled.observe(self._clock.monotonic_ns() - begun_ns)

    def on_stream(self, connected: bool, reason: str) -> None:
        log.info("market stream", connected=connected, reason=reason)
        self._handle(Connected(connected, reason), self._clock.wall_ns())

    def _handle(self, event: Input, now_ns: int) -> None:
        for output in self.sync.handle(event, now_ns):
            if isinstance(output, SnapshotWanted):
                self._wanted[output.symbol] = output
                self._wishes[output.symbol].set()
                continue
            if isinstance(output, FeedStatus):
                self._note(output)
            self._publish(output)

    def _note(self, status: FeedStatus) -> None:
        if self._reasons.get(status.symbol) == status.reason:
            return
        self._reasons[status.symbol] = status.reason
        log.info("feed", symbol=status.symbol, usable=status.usable, reason=status.reason)
        if status.usable:
            self._health.ready(status.symbol)
        else:
            self._health.not_ready(status.symbol, status.reason)

    # --- what runs for the service's life

    async def tick(self) -> None:
        while True:
            self._handle(Tick(), self._clock.wall_ns())
            await asyncio.sleep(TICK_S)

    async def fetch_snapshots(self, symbol: str) -> None:
        """Fetch what the engine wants, one at a time."""
        wish = self._wishes[symbol]
        while True:
            await wish.wait()
            wish.clear()
            wanted = self._wanted[symbol]
            answer: SnapshotArrived | SnapshotFailed
            try:
                answer = SnapshotArrived(symbol, wanted.generation, await self._venue.snapshot(symbol))
            except VenueError as error:
                answer = SnapshotFailed(symbol, wanted.generation, str(error))
            self._handle(answer, self._clock.wall_ns())

    async def keep_rules(self, backoff: Backoff) -> None:
        """The venue's rules: fetched for ever, since ticks and lots do change, and kept while it does not answer."""
        while True:
            try:
                rules = await self._venue.instruments(self._config.symbols)
            except VenueError as error:
                if not self._rules:
                    self._health.not_ready("instruments", str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            changed, self._rules = rules != self._rules, rules
            self._health.ready("instruments")
            if changed:
                log.info("instruments", symbols=[rule.symbol for rule in rules])
                self._publish_rules()
            await asyncio.sleep(RULES_REFRESH_S)

    async def repeat_rules(self) -> None:
        while True:
            self._publish_rules()
            await asyncio.sleep(RULES_S)

    def _publish_rules(self) -> None:
        for rule in self._rules:
            self._publish(InstrumentRules(self._config.venue.name, rule))


@contextlib.asynccontextmanager
async def marketdata(host: Host) -> AsyncIterator[None]:
    """The service's life, for `runtime.service.run`."""
    config = host.config
    if not isinstance(config, MarketdataConfig):
        raise TypeError(f"{type(config).__name__} is not a MarketdataConfig")
    rng = Random()  # sim-ok: the jitter of reconnects must differ between processes
    keys = KeyPair.read(Path(os.environ.get("RINGFENCE_CURVE", CURVE_DIR)))
    bus = Bus(config.service, host.clock.wall_ns(), keys)
    publisher = bus.publisher(config.port, config.subscribers.values)
    venue = BinanceMarket(config.venue, host.clock, rng)
    feed = Feed(config, venue, publisher.send, host.health, host.clock)

    def metrics() -> Iterable[Metric]:
        yield from families(feed.sync, feed.handled, host.clock.wall_ns())
        yield CounterMetricFamily(
            "ringfence_marketdata_undecodable", "Messages that could not be read", value=venue.metrics.undecodable
        )
        yield CounterMetricFamily(
            "ringfence_marketdata_connects", "Market streams opened", value=venue.metrics.connects
        )
        yield CounterMetricFamily("ringfence_bus_sent", "Messages published", value=bus.metrics.sent)
        yield CounterMetricFamily(
            "ringfence_bus_refused_clients", "Subscribers refused for their key", value=bus.metrics.refused_clients
        )

    host.collect(metrics)
    async with contextlib.AsyncExitStack() as stack:
        # the last first: tasks publish until they are cancelled, and the stream until it is closed
        stack.callback(bus.close)
        stack.push_async_callback(venue.close)
        stack.push_async_callback(host.cancel_tasks)
        host.spawn(feed.tick(), "tick")
        host.spawn(feed.keep_rules(Backoff(rng)), "rules")
        host.spawn(feed.repeat_rules(), "rules on the bus")
        for symbol in config.symbols:
            host.spawn(feed.fetch_snapshots(symbol), f"snapshots of {symbol}")
        await venue.start(config.symbols, feed)
        yield

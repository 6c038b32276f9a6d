"""Order events of a gate, delivered to a listener exactly once and in order: `wire.reader` with sockets.

Hears the bus, and reads the gate's journal over HTTP at the start, after a hole, and once a second while the bus is
silent: silence may be peace, or the loss of the last message.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import aiohttp
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.runtime.bus import Bus
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Gate
from ringfence.runtime.waiting import wait_at_most
from ringfence.wire.codec import EVENTS_LIMIT, EVENTS_PATH, EventsPage, WireError, decode_page
from ringfence.wire.messages import Envelope, OrderUpdate
from ringfence.wire.reader import Delivery, PageError, Reader, Restart

log = structlog.get_logger()

SILENCE_S: Final = 1.0
RETRY_S: Final = 0.25
TIMEOUT_S: Final = 5.0
LOST_AFTER_S: Final = 5.0
"""Without a word of the gate for so long, what we hold is no longer called current."""


class Listener(Protocol):
    """Where the events go, on the event loop. None of these may raise or wait."""

    def on_update(self, update: OrderUpdate) -> None: ...

    def on_restart(self, gate: str, reason: str) -> None:
        """The gate has another journal: forget its events; what comes next begins at its first."""

    def on_current(self, gate: str) -> None:
        """Everything that the gate's journal holds has been delivered."""

    def on_behind(self, gate: str, reason: str) -> None:
        """Events are missing, and are being fetched."""


class EventFeed:
    """One reader of one gate. Create it in the loop, then ``run`` it for the service's life."""

    def __init__(self, bus: Bus, gate: Gate, listener: Listener, clock: Clock) -> None:
        self.gate = gate
        self.reader = Reader(gate.name)
        self.current = False
        self.pages = 0
        self.failures = 0
        self.lag_ns = 0
        """How old the newest event was when it was delivered."""
        self._listener = listener
        self._clock = clock
        self._heard_ns = clock.monotonic_ns()
        self._wake = asyncio.Event()
        bus.subscriber([gate.events], ["orders."], self._receive)

    def rewind(self) -> None:
        """Deliver the whole journal again, from its first event on."""
        self.reader = Reader(self.gate.name)
        self.current = False
        self._wake.set()

    @property
    def silent_s(self) -> float:
        """Time since the gate was last heard, on the bus or by HTTP."""
        return (self._clock.monotonic_ns() - self._heard_ns) / 1e9

    async def run(self) -> None:
        """Fetch what is missing, for ever."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http:
            while True:
                progress = True
                if self.reader.behind or self.silent_s >= SILENCE_S:
                    progress = await self._fetch(http)
                if self.reader.behind and not progress:
                    await asyncio.sleep(RETRY_S)  # the gate is away, or an old process answers for a new one
                elif not self.reader.behind:
                    await wait_at_most(self._wake, SILENCE_S)
                    self._wake.clear()

    def _receive(self, envelope: Envelope) -> None:
        if isinstance(envelope.body, OrderUpdate) and envelope.body.gate == self.gate.name:
            self._heard_ns = self._clock.monotonic_ns()
            self._deliver(self.reader.live(envelope.session, envelope.body), "a hole in the gate's events")

    async def _fetch(self, http: aiohttp.ClientSession) -> bool:
        """Read one page; whether it brought anything."""
        request = self.reader.request()
        try:
            page = await self._get(http, request.after)
            deliveries = self.reader.page(request, page)
        except (aiohttp.ClientError, TimeoutError, WireError, PageError) as error:
            self.failures += 1
            if self.current and self.silent_s > LOST_AFTER_S:
                self._behind(f"{self.gate.name} does not answer: {type(error).__name__}: {error}")
            return False
        self.pages += 1
        self._heard_ns = self._clock.monotonic_ns()
        self._deliver(deliveries, "reading the gate's events")
        return bool(deliveries)

    async def _get(self, http: aiohttp.ClientSession, after: int) -> EventsPage:
        query = {"after": str(after), "limit": str(EVENTS_LIMIT)}
        async with http.get(self.gate.http.rstrip("/") + EVENTS_PATH, params=query) as response:
            response.raise_for_status()
            return decode_page(response.headers, await response.read())

    def _deliver(self, deliveries: list[Delivery], why_behind: str) -> None:
        for delivery in deliveries:
            if isinstance(delivery, Restart):
                log.warning("gate has another journal", gate=self.gate.name, reason=delivery.reason)
                self.current = False
                self._listener.on_restart(self.gate.name, delivery.reason)
            else:
                self._listener.on_update(delivery)
        if deliveries and self.reader.last is not None:
            self.lag_ns = max(0, self._clock.wall_ns() - self.reader.last.event.ts)
        if self.reader.behind:
            self._behind(why_behind)
            self._wake.set()
        elif not self.current:
            self.current = True
            self._listener.on_current(self.gate.name)

    def _behind(self, reason: str) -> None:
        if self.current:
            self.current = False
            self._listener.on_behind(self.gate.name, reason)


def families(feeds: Iterable[EventFeed]) -> Iterable[Metric]:
    """Metrics of a process's feeds."""
    current = GaugeMetricFamily("ringfence_feed_current", "1 while no order event is missing, else 0", labels=["gate"])
    sequence = GaugeMetricFamily("ringfence_feed_sequence", "Newest order event delivered", labels=["gate"])
    silent = GaugeMetricFamily("ringfence_feed_silent_seconds", "Time since the gate was last heard", labels=["gate"])
    lag = GaugeMetricFamily("ringfence_feed_lag_seconds", "Age of the newest event at its delivery", labels=["gate"])
    counters = {
        name: CounterMetricFamily(f"ringfence_feed_{name}", text, labels=["gate"])
        for name, text in (
            ("holes", "Holes seen on the bus, filled from the gate's journal"),
            ("duplicates", "Events that came again and were not delivered again"),
            ("restarts", "New journals that the gate has begun"),
            ("pages", "Pages read from the gate's journal"),
            ("failures", "Pages that could not be read"),
        )
    }
    for feed in feeds:
        name = [feed.gate.name]
        current.add_metric(name, int(feed.current))
        sequence.add_metric(name, feed.reader.sequence)
        silent.add_metric(name, feed.silent_s)
        lag.add_metric(name, feed.lag_ns / 1e9)
        for key in ("holes", "duplicates", "restarts"):
            counters[key].add_metric(name, getattr(feed.reader, key))
        counters["pages"].add_metric(name, feed.pages)
        counters["failures"].add_metric(name, feed.failures)
    yield from (current, sequence, silent, lag, *counters.values())

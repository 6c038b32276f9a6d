"""The twin's host, in a paper gate: feeds it with execution's journal and the market, and exports what it finds."""

import asyncio
from collections.abc import Iterable
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.execution.metrics import moments
from ringfence.execution.twin import Twin
from ringfence.model.money import SCALE
from ringfence.runtime.bus import Bus
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Gate
from ringfence.runtime.feed import EventFeed
from ringfence.wire.messages import AnyMessage, OrderUpdate

P: Final = "ringfence_twin_"
SETTLE_S: Final = 0.1


class Twinning:
    """Listens only: nothing of the twin goes back to execution, or into the paper gate's own books."""

    def __init__(self, bus: Bus, copies: Gate, twin: Twin, clock: Clock) -> None:
        self.twin = twin
        self.feed = EventFeed(bus, copies, self, clock)
        self._clock = clock

    def on_update(self, update: OrderUpdate) -> None:
        self.twin.update(update, self._clock.wall_ns())

    def on_restart(self, _gate: str, _reason: str) -> None:
        self.twin.reset()

    def on_current(self, gate: str) -> None:
        """What was read late has been left out already."""

    def on_behind(self, gate: str, reason: str) -> None:
        """What is missing comes, and what comes too late is left out."""

    def on_market(self, message: AnyMessage) -> None:
        self.twin.market(message, self._clock.wall_ns())

    async def settle(self) -> None:
        while True:
            self.twin.settle(self._clock.wall_ns())
            await asyncio.sleep(SETTLE_S)


def families(twin: Twin) -> Iterable[Metric]:
    """By track and revision of the live orders; amounts in quote currency."""
    labels = ["track", "revision"]
    for name, text, scale in (
        ("orders", "Live orders that were compared with their simulation", 1),
        ("ordered", "What they asked for", SCALE),
        ("live", "What of it filled at the venue", SCALE),
        ("simulated", "What of it filled in the simulation", SCALE),
    ):
        counter = CounterMetricFamily(P + name, text, labels=labels)
        for owner, record in twin.records.items():
            counter.add_metric(owner, getattr(record, name) / scale)
        yield counter
    slippage = {owner: record.slippage for owner, record in twin.records.items()}
    yield from moments(P + "slippage_bps", "Live price against the simulated one; positive is a cost", slippage)
    shares = {owner: record.fill_share for owner, record in twin.records.items()}
    yield from moments(P + "fill_share", "Share of an order that filled, live minus simulated", shares)
    yield CounterMetricFamily(P + "left_out", "Live orders that could not be simulated in time", value=twin.left_out)
    yield GaugeMetricFamily(P + "open", "Live orders that are being simulated", value=len(twin.copies))

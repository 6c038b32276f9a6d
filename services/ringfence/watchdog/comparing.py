"""Looks at the account every few seconds and holds it against execution's events: `dropcopy` with a venue."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from ringfence.model.calendar import Calendar
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import WatchdogConfig
from ringfence.venues.api import VenueError
from ringfence.venues.cancelling import CancelOnly
from ringfence.watchdog.dropcopy import Difference, DropCopy, Look
from ringfence.watchdog.gate import GateLine
from ringfence.wire.kill import Severity
from ringfence.wire.messages import OrderUpdate

log = structlog.get_logger()

SETTLE_S: Final = 1.0
"""Events of what the venue has just shown arrive within this time."""
RETRY_S: Final = 1.0


class Comparison:
    """A listener of the gate's events (`runtime.feed.Listener`), and the task that compares."""

    def __init__(self, config: WatchdogConfig, clock: Clock, venue: CancelOnly, gate: GateLine) -> None:
        self.differences: tuple[Difference, ...] = ()
        self.error = "the venue has not been asked yet"
        self.open_orders: int | None = None
        """Own orders open at the venue when last asked; None = not known."""
        self.foreign_orders = 0
        self.looks = 0
        self.halts = 0
        self.loss_max: int | None = None
        """The limit in force, once it is known."""
        self.current = False
        """All of the gate's events have been delivered."""
        self._config = config
        self._clock = clock
        self._venue = venue
        self._gate = gate
        self._halted = False
        self._copy: DropCopy | None = None
        self.begun = asyncio.Event()
        """The instruments are known: the gate's events can be folded, and should be read, from now on."""
        self._calendar = Calendar(config.time_zone)
        self._began = 0
        """When the present day began, UTC nanoseconds."""
        self._openings: dict[str, int] = {}
        """The venue's prices when that day began, by symbol."""

    @property
    def loss(self) -> int:
        return self._copy.loss if self._copy is not None else 0

    # --- the gate's events

    def on_update(self, update: OrderUpdate) -> None:
        if self._copy is not None:
            self._copy.update(update)

    def on_restart(self, _gate: str, _reason: str) -> None:
        if self._copy is not None:
            self._copy.restart()

    def on_current(self, _gate: str) -> None:
        self.current = True

    def on_behind(self, _gate: str, _reason: str) -> None:
        self.current = False

    def accept(self) -> None:
        """A person has released the switch, and with it accepted the account as it is."""
        self.differences, self._halted = (), False
        if self._copy is not None:
            self._copy.accept()

    # --- the venue

    async def run(self) -> None:
        while True:
            try:
                if self._copy is None:
                    await self._begin()
                await self._look()
                self.error = ""
            except VenueError as error:
                self.error = str(error)
                self.open_orders = None
            await asyncio.sleep(self._config.look_s if not self.error else RETRY_S)

    async def _begin(self) -> None:
        config = self._config
        instruments = await self._venue.instruments(config.symbols)
        self._copy = DropCopy(instruments, config.currency, config.looks, self._calendar)
        self.begun.set()

    async def _look(self) -> None:
        """One look. Without all of the gate's events there is nothing to compare with, and that is told elsewhere."""
        if self._copy is None:
            return
        copy, current = self._copy, self.current
        copy.loss_max = self.loss_max
        copy.asked()
        balances = await self._venue.balances()
        reports = await self._venue.open_orders()
        prices = {}
        for symbol in self._config.symbols:
            price = await self._venue.price(symbol)
            if price.bid and price.ask:
                prices[symbol] = (price.bid + price.ask) // 2
        now = self._clock.wall_ns()
        openings = await self._opened(copy.carried(now), self._calendar.began(now))
        await asyncio.sleep(SETTLE_S)
        ids = frozenset(report.client_order_id for report in reports)
        self.open_orders = len(ids & {*copy.orders.open, *copy.orders.closed})
        if not (current and self.current):
            return
        held = {asset: balance.free + balance.locked for asset, balance in balances.items()}
        look = Look(ts=now, open_ids=ids, balances=held, prices=prices, openings=openings)
        before, self.differences = self.differences, copy.look(look)
        self.foreign_orders = copy.foreign_orders
        self.looks += 1
        if self.differences != before:
            log.warning("account compared", differences=[one.told for one in self.differences])
        if any(one.grave for one in self.differences):
            await self._halt("; ".join(one.told for one in self.differences if one.grave))

    async def _opened(self, symbols: Iterable[str], began: int) -> Mapping[str, int]:
        """Prices when the day began, each asked for until it is known; the comparison does without the rest."""
        if began != self._began:
            self._began, self._openings = began, {}
        for symbol in symbols:
            if symbol not in self._openings:
                with suppress(VenueError):
                    self._openings[symbol] = await self._venue.price_at(symbol, began)
        return self._openings

    async def _halt(self, reason: str) -> None:
        """Money that nothing explains: no new exposure until somebody has looked. Also where the gate is halted by
        something else, which may pass; told once, since the gate keeps it until a person releases it."""
        if not self._halted and await self._gate.kill(Severity.HALT, reason):
            self._halted = True
            self.halts += 1
            log.error("halted the gate", reason=reason)

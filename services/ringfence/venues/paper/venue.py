"""`TradingVenue` over the paper engine: one-way latency in each direction, and delivery in order."""

import asyncio
from typing import Final

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.orders import OrderEvent
from ringfence.runtime.clock import Clock
from ringfence.venues import api
from ringfence.venues.paper.accounts import PaperAccounts
from ringfence.venues.paper.engine import PaperEngine
from ringfence.wire.messages import AnyMessage, BookTop, Quote, Trade

CONNECTED: Final = "connected"


class PaperVenue:
    """Simulated fills on the market data that the host hands over with ``on_market``."""

    def __init__(self, engine: PaperEngine | PaperAccounts, clock: Clock, latency_ms: int) -> None:
        self.engine = engine
        self._clock = clock
        self._latency_s = latency_ms / 1000
        self._listener: api.TradingListener | None = None
        self._closed = False

    def on_market(self, message: AnyMessage) -> None:
        now = self._clock.wall_ns()
        match message:
            case Trade():
                self._deliver(self.engine.trade(message, now))
            case Quote():
                self._deliver(self.engine.quote(message, now))
            case BookTop():
                self._deliver(self.engine.book(message, now))
            case _:
                pass

    async def start(self, listener: api.TradingListener) -> None:
        self._listener = listener
        listener.on_stream(True, CONNECTED)

    async def close(self) -> None:
        self._closed = True

    async def submit(self, order: Approved, may_send: api.MaySend) -> api.SubmitOutcome:
        reason = self._kept_back(order, may_send)
        if reason is not None:
            return api.NotSent(reason)
        await asyncio.sleep(self._latency_s)
        outcome, events = self.engine.submit(order, self._clock.wall_ns())
        self._deliver(events)
        await asyncio.sleep(self._latency_s)
        return outcome

    def _kept_back(self, order: Approved, may_send: api.MaySend) -> str | None:
        reason = may_send(order)
        if reason is None and self._clock.monotonic_ns() > order.deadline_ns:
            return "deadline passed before it could be sent"
        return reason

    async def submit_pair(
        self, first: Approved, second: Approved, may_send: api.MaySend
    ) -> tuple[api.SubmitOutcome, api.SubmitOutcome]:
        reason = self._kept_back(first, may_send) or self._kept_back(second, may_send)
        if reason is not None:
            return api.NotSent(reason), api.NotSent(reason)
        await asyncio.sleep(self._latency_s)
        one, two, events = self.engine.submit_pair(first, second, self._clock.wall_ns())
        self._deliver(events)
        await asyncio.sleep(self._latency_s)
        return one, two

    async def replace(
        self, replaced: str, order: Approved, may_send: api.MaySend, *, untouched: bool
    ) -> tuple[api.CancelOutcome, api.SubmitOutcome]:
        reason = self._kept_back(order, may_send)
        if reason is not None:
            return api.NotSent(reason), api.NotSent(reason)
        await asyncio.sleep(self._latency_s)
        canceled, placed, events = self.engine.replace(replaced, order, self._clock.wall_ns(), untouched=untouched)
        self._deliver(events)
        await asyncio.sleep(self._latency_s)
        return canceled, placed

    async def amend(self, symbol: str, client_order_id: str, quantity: int) -> api.AmendOutcome:
        await asyncio.sleep(self._latency_s)
        outcome, events = self.engine.amend(client_order_id, quantity, self._clock.wall_ns())
        self._deliver(events)
        await asyncio.sleep(self._latency_s)
        return outcome

    async def cancel(self, symbol: str, client_order_id: str) -> api.CancelOutcome:
        await asyncio.sleep(self._latency_s)
        outcome, events = self.engine.cancel(client_order_id, self._clock.wall_ns())
        self._deliver(events)
        await asyncio.sleep(self._latency_s)
        return outcome

    async def order(self, symbol: str, client_order_id: str) -> api.OrderReport | None:
        await asyncio.sleep(2 * self._latency_s)
        found = self.engine.open.get(client_order_id) or self.engine.closed.get(client_order_id)
        return None if found is None else self.engine.report(found)

    async def open_orders(self, symbols: tuple[str, ...] | None = None) -> tuple[api.OrderReport, ...]:
        await asyncio.sleep(2 * self._latency_s)
        found = self.engine.open.values()
        return tuple(self.engine.report(one) for one in found if symbols is None or one.order.symbol in symbols)

    async def trades(self, symbol: str, after_trade_id: str | None) -> tuple[api.TradeReport, ...]:
        await asyncio.sleep(2 * self._latency_s)
        found = self.engine.trades.get(symbol, [])
        for place, report in enumerate(found):
            if report.trade_id == after_trade_id:
                return tuple(found[place + 1 :])
        return tuple(found)  # the id is of an earlier life of this venue: everything here came after it

    async def balances(self) -> dict[str, api.VenueBalance]:
        await asyncio.sleep(2 * self._latency_s)
        return self.engine.balances()

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        missing = [symbol for symbol in symbols if symbol not in self.engine.instruments]
        if missing:
            raise api.VenueError(f"no rules of {', '.join(missing)} yet: marketdata has not sent them")
        return tuple(self.engine.instruments[symbol] for symbol in symbols)

    async def closes(self, symbol: str, hours: int) -> dict[int, int]:
        raise api.VenueError(f"no prices of the last {hours} hours of {symbol}: paper has no past")

    def venue_now_ns(self) -> int:
        return self._clock.wall_ns()

    def _deliver(self, events: list[tuple[str, OrderEvent]]) -> None:
        """The private stream: one way later, in order, then the balances that they led to."""
        if not events or self._listener is None:
            return
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._tell, events)
        else:
            asyncio.get_running_loop().call_soon(self._tell, events)

    def _tell(self, events: list[tuple[str, OrderEvent]]) -> None:
        if self._closed or self._listener is None:
            return
        for symbol, event in events:
            self._listener.on_order_event(symbol, event)
        self._listener.on_balances(self.engine.balances())

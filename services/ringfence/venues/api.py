"""What a venue is to the rest of the platform.

Outcomes are values, not exceptions: a venue's refusal is proven, anything else is unknown until a query has
settled it. The paper venue, the Binance adapter and any later one pass the same contract suite.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.orders import OrderEvent, OrderState, OrderType, Side, TimeInForce
from ringfence.wire.messages import Quote, Trade


class Accepted(msgspec.Struct, frozen=True):
    """The venue has the order (or the cancel). Its fills come as events."""

    venue_order_id: str


class Refused(msgspec.Struct, frozen=True):
    """Proven by the venue's own answer that nothing was done."""

    code: int
    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """Time-out, 5xx, disconnect, unreadable answer: the venue may or may not have done it."""

    reason: str


class NotSent(msgspec.Struct, frozen=True):
    """It was never asked of the venue's matching: ``may_send`` said no at the socket, the rate limit had no room in
    time, or what had to be done first in the same request was not done. Says nothing of the order."""

    reason: str


SubmitOutcome = Accepted | Refused | Unknown | NotSent
CancelOutcome = Accepted | Refused | Unknown | NotSent
AmendOutcome = Accepted | Refused | Unknown | NotSent


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue describes it when asked. Money scaled by 1e-8."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int
    quantity: int
    """Without what was prevented."""
    filled: int
    state: OrderState
    ts_venue: int
    stop_price: int = 0
    trailing_bps: int = 0
    display: int = 0
    group: str = ""
    """The venue's id of its order list; empty for an order on its own."""
    prevented: int = 0
    """What self-trade prevention has taken off; the venue's own quantity includes it."""


class TradeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of our executions as the venue's trade history tells it."""

    trade_id: str
    venue_order_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    commission: int
    commission_asset: str
    maker: bool
    ts_venue: int


class VenueBalance(msgspec.Struct, frozen=True):
    free: int
    locked: int


class VenueError(Exception):
    """A query failed: nothing is known, and nothing may be concluded. Never means empty."""


class TradingListener(Protocol):
    """Where a venue's private stream goes, on the event loop, in the order of arrival."""

    def on_order_event(self, symbol: str, event: OrderEvent) -> None: ...
    def on_balances(self, balances: dict[str, VenueBalance]) -> None: ...
    def on_stream(self, connected: bool, reason: str) -> None:
        """The private stream went up (reconcile now) or down (outcomes may be missed)."""


MaySend = Callable[[Approved], str | None]
"""Asked once more immediately before the bytes leave: None, or why it must not."""


class TradingVenue(Protocol):
    """An account at a venue. One connection owner, one rate limiter, one clock offset."""

    async def start(self, listener: TradingListener) -> None:
        """Connect and keep connected, for ever, until closed."""

    async def close(self) -> None: ...

    async def submit(self, order: Approved, may_send: MaySend) -> SubmitOutcome:
        """Send once. Never repeats a request whose outcome is unknown."""

    async def submit_pair(
        self, first: Approved, second: Approved, may_send: MaySend
    ) -> tuple[SubmitOutcome, SubmitOutcome]:
        """Send two orders of which one at most executes, in one request: both are placed, or none."""

    async def replace(
        self, replaced: str, order: Approved, may_send: MaySend, *, untouched: bool
    ) -> tuple[CancelOutcome, SubmitOutcome]:
        """Cancel one order and place another in one request. Where the cancel fails nothing is placed: NotSent.

        ``untouched``: the cancel is to fail if anything of the old order has filled.
        """

    async def amend(self, symbol: str, client_order_id: str, quantity: int) -> AmendOutcome:
        """Lower an order's total quantity as the venue counts it, with what was prevented; it keeps its place."""

    async def cancel(self, symbol: str, client_order_id: str) -> CancelOutcome: ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """None only where the venue itself says that it knows no such order. Raises VenueError."""

    async def open_orders(self, symbols: tuple[str, ...] | None = None) -> tuple[OrderReport, ...]:
        """Open orders in these instruments, or all of the account; foreign ones too. Raises VenueError."""

    async def trades(self, symbol: str, after_trade_id: str | None) -> tuple[TradeReport, ...]:
        """Our executions, oldest first, all pages. Raises VenueError."""

    async def balances(self) -> dict[str, VenueBalance]:
        """Raises VenueError."""

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        """Raises VenueError, also when a symbol is not listed."""

    async def closes(self, symbol: str, hours: int) -> dict[int, int]:
        """Price at the end of each of the last hours, by the milliseconds at which the hour began; the last one is not
        over yet. Raises VenueError."""

    def venue_now_ns(self) -> int:
        """The venue's clock, estimated."""


class BookSnapshot(msgspec.Struct, frozen=True):
    last_update_id: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class BookDiff(msgspec.Struct, frozen=True):
    """Absolute quantities at changed prices; quantity 0 removes the level."""

    symbol: str
    first_update_id: int
    last_update_id: int
    ts_venue: int
    ts_recv: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


MarketEvent = BookDiff | Quote | Trade


class MarketListener(Protocol):
    def on_market(self, event: MarketEvent) -> None: ...
    def on_stream(self, connected: bool, reason: str) -> None: ...


class MarketVenue(Protocol):
    """A venue's public data."""

    async def start(self, symbols: tuple[str, ...], listener: MarketListener) -> None: ...
    async def close(self) -> None: ...
    async def snapshot(self, symbol: str) -> BookSnapshot:
        """Raises VenueError."""

    async def instruments(self, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
        """Raises VenueError."""

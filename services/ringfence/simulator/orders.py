"""Orders, executions and refusals as the venue keeps them, whatever dialect asks for them.

Money scaled by 1e-8, times are UTC nanoseconds of the venue. Pure.
"""

from enum import StrEnum

import msgspec

from ringfence.model.orders import UNPRICED, OrderType, Side, TimeInForce
from ringfence.simulator.accounts import Balance


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"


OPEN = frozenset({Status.NEW, Status.PARTIALLY_FILLED})


class Reason(StrEnum):
    """Why the venue did not do what it was asked."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    FILTER = "FILTER"
    DUPLICATE_ID = "DUPLICATE_ID"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    WOULD_TAKE = "WOULD_TAKE"
    MARKET_CLOSED = "MARKET_CLOSED"
    TRIGGERED = "TRIGGERED"
    NOT_SMALLER = "NOT_SMALLER"
    UNSUPPORTED = "UNSUPPORTED"
    RESTRICTED = "RESTRICTED"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"


class Prevention(StrEnum):
    """What ends where an order would trade with another of its owner."""

    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"
    """Of both what would have traded: the smaller one ends, the larger one goes on with the rest."""
    TRANSFER = "TRANSFER"
    """The same where both are of one account, and here no two accounts belong together."""
    NONE = "NONE"
    """Nothing: they trade."""


class Refusal(msgspec.Struct, frozen=True):
    reason: Reason
    detail: str = ""
    """Which filter, which symbol."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a client asks for it."""

    symbol: str
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int = 0
    quantity: int = 0
    quote_quantity: int = 0
    """For a market order instead of ``quantity``: how much of the quote asset to trade."""
    stop_price: int = 0
    trailing_bps: int = 0
    display: int = 0
    """Of an iceberg: how much of it the book shows at a time."""
    prevention: Prevention = Prevention.EXPIRE_MAKER


class Execution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One client's end of a trade."""

    trade_id: int
    order_id: int
    account: str
    client_order_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    amount: int
    """Quote amount."""
    commission: int
    commission_asset: str
    maker: bool
    ts: int


class VenueOrder(msgspec.Struct, kw_only=True, gc=False):
    order_id: int
    account: str
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int
    quantity: int
    quote_quantity: int
    created: int
    updated: int
    status: Status = Status.NEW
    filled: int = 0
    amount: int = 0
    """Quote amount executed so far."""
    reserved: int = 0
    """What is locked for it, of the asset that it gives."""
    stop_price: int = 0
    trailing_bps: int = 0
    working: bool = True
    """False while it waits for its trigger."""
    display: int = 0
    prevention: Prevention = Prevention.EXPIRE_MAKER
    prevented: int = 0
    """What will not execute because it would have met another order of its owner."""
    prevented_match: int = -1
    """Where that happened last."""
    list_id: int = -1
    partner: int = 0
    """The other order of its pair; 0 = none (any more)."""

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def left(self) -> int:
        """What may still execute while it is open."""
        return self.quantity - self.filled - self.prevented

    def released(self) -> Request:
        """What it asks for once its trigger was reached."""
        return Request(
            symbol=self.symbol,
            client_order_id=self.client_order_id,
            side=self.side,
            type=OrderType.MARKET if self.type in UNPRICED else OrderType.LIMIT,
            time_in_force=self.time_in_force,
            price=self.price,
            quantity=self.quantity,
            prevention=self.prevention,
        )


class PreventedMatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order has lost because it met another of its owner."""

    match_id: int
    """The same for both."""
    counter_id: int
    """The other order."""
    price: int
    quantity: int
    """What would have traded."""
    lost: int


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something happened to a client's order, as it stood right after."""

    kind: str
    """NEW, REPLACED, TRADE, CANCELED, EXPIRED or TRADE_PREVENTION."""
    order: VenueOrder
    """A copy: what happens later does not change it."""
    execution: Execution | None
    cancel_id: str
    """Client id of the cancel request, where one was the cause."""
    prevented: PreventedMatch | None
    """Of TRADE_PREVENTION."""
    execution_id: int
    ts: int


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    account: str
    balances: dict[str, Balance]
    """Copies of those that may have changed."""
    ts: int


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    symbol: str
    trade_id: int
    price: int
    quantity: int
    aggressor: Side
    ts: int


class BestQuote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    symbol: str
    update_id: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class DepthUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Displayed quantities that changed within one period."""

    symbol: str
    period_ms: int
    first_update_id: int
    last_update_id: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    ts: int


VenueEvent = Report | AccountChange | PublicTrade | BestQuote | DepthUpdate

"""What an order is asked to be, and everything that may happen to it. Money scaled by 1e-8."""

from enum import StrEnum
from typing import Final

import msgspec


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


CONDITIONAL: Final = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)
"""Types that wait off the book until the market has reached their trigger."""
UNPRICED: Final = frozenset({OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT})
"""Types without a limit price."""


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True):
    """Something that happened to one order. Times are UTC nanoseconds."""

    client_order_id: str
    ts: int
    """When we learnt of it (receive time of the host that recorded it)."""


class Initialized(Event, frozen=True, kw_only=True):
    """The intent as it was accepted for checking, stored before anything else happens."""

    intent_id: str
    track: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    price: int
    """Limit price; 0 for an order without one."""
    reduce_only: bool = False
    stop_price: int = 0
    """Trigger of a conditional order; of a trailing one, where it begins to trail (0 = at once)."""
    trailing_bps: int = 0
    """Distance at which the trigger follows the market, in hundredths of a percent (not scaled); 0 = it does not."""
    display: int = 0
    """Quantity that an iceberg shows; 0 = all of it."""
    group: str = ""
    """The same for the two legs of a one-cancels-the-other pair; empty for an order on its own."""
    replaces: str = ""
    """Client order id of the order whose place it takes, where it came by a modification."""
    reason: str = ""
    """Why it exists, where no strategy wanted it: who asked for it by hand and why, or which stop closes by it."""


class Emulated(Event, frozen=True, kw_only=True):
    """Held back here until its condition is met; nothing has been sent."""


class Released(Event, frozen=True, kw_only=True):
    """The condition of an emulated order is met: it goes to the gate again."""


class Denied(Event, frozen=True, kw_only=True):
    """Refused by our own gate; every failed check with its values."""

    reasons: tuple[str, ...]


class Submitted(Event, frozen=True, kw_only=True):
    """Handed to the wire: from here on the outcome belongs to the venue."""

    grant: str = ""
    """Limits that it passed under; empty for an order that another process sent."""
    allocation: int = 0
    """Epoch of the allocation."""
    epoch: int = 0
    """Of the guard."""


class Accepted(Event, frozen=True, kw_only=True):
    venue_order_id: str
    ts_venue: int = 0


class Rejected(Event, frozen=True, kw_only=True):
    """Refused by the venue, proven by its own answer."""

    reason: str


class Triggered(Event, frozen=True, kw_only=True):
    """The market has reached the trigger: what was waiting is on the book, or taking from it."""

    ts_venue: int = 0


class PendingUpdate(Event, frozen=True, kw_only=True):
    """A modification is on its way. Until it is answered the larger of old and new counts."""

    quantity: int
    price: int
    stop_price: int = 0
    replaced_by: str = ""
    """Client order id of the order that takes its place; empty where the venue changes the order itself."""


class Updated(Event, frozen=True, kw_only=True):
    """The order itself was changed, and has kept its id (and, with a smaller quantity, its place)."""

    quantity: int
    """Total, what is filled already included, and without what was prevented."""
    price: int
    ts_venue: int = 0
    prevented: int = 0
    """What self-trade prevention has taken off it so far; the venue still counts it in the order's own quantity."""


class ModifyRejected(Event, frozen=True, kw_only=True):
    """The order is as it was."""

    reason: str


class PendingCancel(Event, frozen=True, kw_only=True):
    reason: str = ""


class CancelRejected(Event, frozen=True, kw_only=True):
    reason: str


class Canceled(Event, frozen=True, kw_only=True):
    reason: str = ""
    ts_venue: int = 0


class Expired(Event, frozen=True, kw_only=True):
    reason: str = ""
    ts_venue: int = 0


class Filled(Event, frozen=True, kw_only=True):
    """One execution. ``trade_id`` is unique within venue, account and instrument, and dedups."""

    trade_id: str
    price: int
    quantity: int
    commission: int
    commission_asset: str
    maker: bool
    ts_venue: int = 0


class FillBusted(Event, frozen=True, kw_only=True):
    """The venue has declared an execution void. It never happened, whichever of the two was heard first."""

    trade_id: str
    reason: str = ""
    ts_venue: int = 0


class FillCorrected(Event, frozen=True, kw_only=True):
    """The venue has restated an execution; the values replace those told before (the last restatement holds)."""

    trade_id: str
    price: int
    quantity: int
    commission: int
    commission_asset: str
    reason: str = ""
    ts_venue: int = 0


class OutcomeUnknown(Event, frozen=True, kw_only=True):
    """No proof of what the venue did (time-out, 5xx, disconnect): not a state, a flag with a reason."""

    reason: str


class OutcomeKnown(Event, frozen=True, kw_only=True):
    """A query by client order id has settled an unknown outcome; the events that it proves follow."""


OrderEvent = (
    Initialized
    | Denied
    | Emulated
    | Released
    | Submitted
    | Accepted
    | Rejected
    | Triggered
    | PendingUpdate
    | Updated
    | ModifyRejected
    | PendingCancel
    | CancelRejected
    | Canceled
    | Expired
    | Filled
    | FillBusted
    | FillCorrected
    | OutcomeUnknown
    | OutcomeKnown
)

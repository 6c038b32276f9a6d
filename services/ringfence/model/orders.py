"""The life of an order: states, the transitions that are legal, and the fold of events into an order.

The table is data, so that it can be read, tested and drawn. What a venue does against the table is recorded
as an anomaly and kept; it never raises and nothing is dropped.
"""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.model.money import SCALE


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderState(StrEnum):
    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    EMULATED = "EMULATED"
    RELEASED = "RELEASED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    TRIGGERED = "TRIGGERED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    PENDING_UPDATE = "PENDING_UPDATE"
    PENDING_CANCEL = "PENDING_CANCEL"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


S = OrderState
CLOSED: Final = frozenset({S.DENIED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED})
IN_FLIGHT: Final = frozenset({S.SUBMITTED, S.PENDING_UPDATE, S.PENDING_CANCEL})
OPEN: Final = frozenset({S.ACCEPTED, S.TRIGGERED, S.PARTIALLY_FILLED, S.PENDING_UPDATE, S.PENDING_CANCEL})

_WORKING = frozenset({S.PENDING_UPDATE, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PARTIALLY_FILLED, S.FILLED})
# From each state, the states that one event may lead to. Fills before the acknowledgement are legal (they
# imply acceptance), and so is a fill after a cancel: the venue's matching had already happened.
TRANSITIONS: Final[dict[OrderState, frozenset[OrderState]]] = {
    S.INITIALIZED: frozenset({S.DENIED, S.EMULATED, S.SUBMITTED}),
    S.EMULATED: frozenset({S.RELEASED, S.CANCELED, S.EXPIRED}),
    S.RELEASED: frozenset({S.DENIED, S.SUBMITTED}),
    S.SUBMITTED: _WORKING | {S.ACCEPTED, S.REJECTED, S.TRIGGERED},
    S.ACCEPTED: _WORKING | {S.REJECTED, S.TRIGGERED},
    S.TRIGGERED: _WORKING,
    S.PARTIALLY_FILLED: _WORKING,
    S.PENDING_UPDATE: _WORKING | {S.ACCEPTED, S.TRIGGERED, S.REJECTED},
    S.PENDING_CANCEL: _WORKING | {S.SUBMITTED, S.ACCEPTED, S.TRIGGERED, S.REJECTED},
    S.CANCELED: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
    S.EXPIRED: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
    S.REJECTED: frozenset({S.PARTIALLY_FILLED, S.FILLED}),
    S.FILLED: frozenset(),
    S.DENIED: frozenset(),
}


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
    """Limit price; 0 for a market order."""
    reduce_only: bool = False


class Denied(Event, frozen=True, kw_only=True):
    """Refused by our own gate; every failed check with its values."""

    reasons: tuple[str, ...]


class Submitted(Event, frozen=True, kw_only=True):
    """Handed to the wire: from here on the outcome belongs to the venue."""


class Accepted(Event, frozen=True, kw_only=True):
    venue_order_id: str
    ts_venue: int = 0


class Rejected(Event, frozen=True, kw_only=True):
    """Refused by the venue, proven by its own answer."""

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


class OutcomeUnknown(Event, frozen=True, kw_only=True):
    """No proof of what the venue did (time-out, 5xx, disconnect): not a state, a flag with a reason."""

    reason: str


class OutcomeKnown(Event, frozen=True, kw_only=True):
    """A query by client order id has settled an unknown outcome; the events that it proves follow."""


OrderEvent = (
    Initialized
    | Denied
    | Submitted
    | Accepted
    | Rejected
    | PendingCancel
    | CancelRejected
    | Canceled
    | Expired
    | Filled
    | OutcomeUnknown
    | OutcomeKnown
)


class Order:
    """An order as folded from its events. Quantities and prices are scaled by 1e-8."""

    __slots__ = (
        "anomalies",
        "before_pending",
        "client_order_id",
        "filled",
        "intent_id",
        "price",
        "quantity",
        "reduce_only",
        "side",
        "state",
        "symbol",
        "time_in_force",
        "track",
        "trade_ids",
        "type",
        "unknown",
        "value",
        "venue_order_id",
    )

    def __init__(self, event: Initialized) -> None:
        self.client_order_id = event.client_order_id
        self.intent_id = event.intent_id
        self.track = event.track
        self.symbol = event.symbol
        self.side = event.side
        self.type = event.type
        self.time_in_force = event.time_in_force
        self.quantity = event.quantity
        self.price = event.price
        self.reduce_only = event.reduce_only
        self.state = OrderState.INITIALIZED
        self.before_pending = OrderState.ACCEPTED
        self.venue_order_id = ""
        self.filled = 0
        self.value = 0
        """Sum of price times quantity over the fills, scaled by 1e-8."""
        self.trade_ids: set[str] = set()
        self.unknown = False
        self.anomalies: list[str] = []

    @property
    def leaves(self) -> int:
        """Quantity that may still execute; 0 once closed."""
        return 0 if self.state in CLOSED else max(0, self.quantity - self.filled)

    @property
    def closed(self) -> bool:
        return self.state in CLOSED

    def apply(self, event: OrderEvent) -> str | None:
        """Fold one event. Returns what was irregular about it (also kept in ``anomalies``), or None."""
        anomaly = self._apply(event)
        if anomaly is not None:
            self.anomalies.append(anomaly)
        return anomaly

    def _apply(self, event: OrderEvent) -> str | None:
        match event:
            case Initialized():
                return f"DUPLICATE_INITIALIZED {event.client_order_id}"
            case Denied():
                return self._move(S.DENIED)
            case Submitted():
                return self._move(S.SUBMITTED)
            case Accepted():
                return self._accept(event)
            case Rejected():
                self.unknown = False
                return self._move(S.REJECTED)
            case PendingCancel():
                if self.state is not S.PENDING_CANCEL:
                    self.before_pending = self.state
                return self._move(S.PENDING_CANCEL)
            case CancelRejected():
                return self._move(self.before_pending) if self.state is S.PENDING_CANCEL else None
            case Canceled():
                self.unknown = False
                return self._move(S.CANCELED)
            case Expired():
                self.unknown = False
                return self._move(S.EXPIRED)
            case Filled():
                return self._fill(event)
            case OutcomeUnknown():
                self.unknown = True
                return None
            case OutcomeKnown():
                self.unknown = False
                return None

    def _accept(self, event: Accepted) -> str | None:
        self.unknown = False
        self.venue_order_id = event.venue_order_id
        if self.state is S.PENDING_CANCEL and self.before_pending is S.SUBMITTED:
            self.before_pending = S.ACCEPTED  # where a refused cancel leads back to
        # An acknowledgement that arrives after a fill or a cancel request proves nothing new.
        return None if self.state is not S.SUBMITTED else self._move(S.ACCEPTED)

    def _fill(self, event: Filled) -> str | None:
        if event.trade_id in self.trade_ids:
            return f"DUPLICATE_FILL trade_id={event.trade_id}"
        self.trade_ids.add(event.trade_id)
        self.unknown = False
        self.filled += event.quantity
        self.value += event.price * event.quantity // SCALE
        late = f"LATE_FILL state={self.state} trade_id={event.trade_id}" if self.closed else None
        if self.filled >= self.quantity:
            if self.state is not S.FILLED:
                self._move(S.FILLED)
        elif self.state is S.PENDING_CANCEL:
            self.before_pending = S.PARTIALLY_FILLED
        elif self.state not in CLOSED:
            self._move(S.PARTIALLY_FILLED)
        if self.filled > self.quantity:
            return f"OVERFILL filled={self.filled} quantity={self.quantity} trade_id={event.trade_id}"
        return late

    def _move(self, to: OrderState) -> str | None:
        if to is self.state:
            return None
        if to not in TRANSITIONS[self.state]:
            return f"ILLEGAL_TRANSITION {self.state} -> {to}"
        self.state = to
        return None

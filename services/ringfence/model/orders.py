"""The life of an order: states, the transitions that are legal, and the fold of events into an order.

EMULATED and RELEASED are of orders that a host keeps itself until it sends them: for a venue that lacks a type (a stop,
a trailing one). Every venue that we have takes all our types, so nothing produces these two today; a journal that has
them is understood.

The table is data, so that it can be read, tested and drawn. What a venue does against the table is recorded
as an anomaly and kept; it never raises and nothing is dropped.
"""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.model.money import SCALE
from ringfence.model.order_events import (
    CONDITIONAL,
    UNPRICED,
    Accepted,
    Canceled,
    CancelRejected,
    Denied,
    Emulated,
    Event,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    Initialized,
    ModifyRejected,
    OrderEvent,
    OrderType,
    OutcomeKnown,
    OutcomeUnknown,
    PendingCancel,
    PendingUpdate,
    Rejected,
    Released,
    Side,
    Submitted,
    TimeInForce,
    Triggered,
    Updated,
)

__all__ = [
    "BUSTS",
    "CLOSED",
    "CONDITIONAL",
    "IN_FLIGHT",
    "OPEN",
    "PENDING",
    "TRANSITIONS",
    "UNPRICED",
    "Accepted",
    "CancelRejected",
    "Canceled",
    "Denied",
    "Emulated",
    "Event",
    "Expired",
    "FillBusted",
    "FillCorrected",
    "Filled",
    "Initialized",
    "ModifyRejected",
    "Order",
    "OrderEvent",
    "OrderState",
    "OrderType",
    "OutcomeKnown",
    "OutcomeUnknown",
    "PendingCancel",
    "PendingUpdate",
    "Rejected",
    "Released",
    "Side",
    "Submitted",
    "TimeInForce",
    "Triggered",
    "Updated",
]


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

PENDING: Final = frozenset({S.PENDING_UPDATE, S.PENDING_CANCEL})

_WORKING = frozenset({S.PENDING_UPDATE, S.PENDING_CANCEL, S.CANCELED, S.EXPIRED, S.PARTIALLY_FILLED, S.FILLED})
# From each state, the states that one event may lead to. Fills before the acknowledgement are legal (they
# imply acceptance), and so is a fill after a close: the venue's matching had already happened. A part of an order that
# comes so late is counted and opens nothing again, as the close is no less true; what the venue lists as open all the
# same is found by reconciliation (`Reconciler.open_orders`), and goes.
TRANSITIONS: Final[dict[OrderState, frozenset[OrderState]]] = {
    S.INITIALIZED: frozenset({S.DENIED, S.EMULATED, S.SUBMITTED}),
    S.EMULATED: frozenset({S.RELEASED, S.CANCELED, S.EXPIRED}),
    S.RELEASED: frozenset({S.DENIED, S.SUBMITTED}),
    S.SUBMITTED: _WORKING | {S.ACCEPTED, S.REJECTED, S.TRIGGERED},
    S.ACCEPTED: _WORKING | {S.REJECTED, S.TRIGGERED},
    S.TRIGGERED: _WORKING,
    S.PARTIALLY_FILLED: _WORKING,
    S.PENDING_UPDATE: _WORKING | {S.SUBMITTED, S.ACCEPTED, S.TRIGGERED, S.REJECTED},
    S.PENDING_CANCEL: _WORKING | {S.SUBMITTED, S.ACCEPTED, S.TRIGGERED, S.REJECTED},
    S.CANCELED: frozenset({S.FILLED}),
    S.EXPIRED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.FILLED}),
    S.FILLED: frozenset(),
    S.DENIED: frozenset(),
}
# A bust takes a fill back: the order is as if it had never been filled, but what was full stays off the book.
BUSTS: Final[dict[OrderState, frozenset[OrderState]]] = {
    S.PARTIALLY_FILLED: frozenset({S.ACCEPTED, S.TRIGGERED}),
    S.FILLED: frozenset({S.CANCELED}),
}
_STEPS: Final[dict[type[Event], OrderState]] = {
    Denied: S.DENIED,
    Emulated: S.EMULATED,
    Released: S.RELEASED,
    Submitted: S.SUBMITTED,
    Rejected: S.REJECTED,
    Canceled: S.CANCELED,
    Expired: S.EXPIRED,
}
"""Events that say the state themselves."""


class Order:
    """An order as folded from its events. Quantities and prices are scaled by 1e-8."""

    __slots__ = (
        "before_pending",
        "busted",
        "client_order_id",
        "corrected",
        "display",
        "filled",
        "fills",
        "group",
        "intent_id",
        "prevented",
        "price",
        "quantity",
        "reduce_only",
        "replaces",
        "side",
        "state",
        "stop_price",
        "symbol",
        "time_in_force",
        "track",
        "trailing_bps",
        "type",
        "unknown",
        "update",
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
        self.prevented = 0
        """What self-trade prevention has taken off: ``quantity`` is without it, the venue's own is not."""
        self.price = event.price
        self.stop_price = event.stop_price
        self.trailing_bps = event.trailing_bps
        self.display = event.display
        self.group = event.group
        self.replaces = event.replaces
        self.reduce_only = event.reduce_only
        self.state = OrderState.INITIALIZED
        self.before_pending = OrderState.ACCEPTED
        """Where a refused cancel or modification leads back to."""
        self.update: PendingUpdate | None = None
        """The modification that has not been answered."""
        self.venue_order_id = ""
        self.filled = 0
        self.value = 0
        """Sum of price times quantity over the fills, scaled by 1e-8."""
        self.fills: dict[str, Filled] = {}
        """By trade id, as they stand now: corrected, and without the busted ones."""
        self.busted: frozenset[str] = frozenset()
        self.corrected: dict[str, FillCorrected] = {}
        self.unknown = False

    @property
    def leaves(self) -> int:
        """Quantity that may still execute; 0 once closed."""
        return 0 if self.state in CLOSED else max(0, self.quantity - self.filled)

    @property
    def closed(self) -> bool:
        return self.state in CLOSED

    @property
    def resting(self) -> bool:
        """Whether it is on the book at its price, as far as we know, so that another order of ours may meet it."""
        if self.closed or self.type in UNPRICED:
            return False
        waiting = (self.state, self.before_pending)[self.state in PENDING]
        return self.type not in CONDITIONAL or waiting in {S.TRIGGERED, S.PARTIALLY_FILLED}

    def apply(self, event: OrderEvent) -> str | None:
        """Fold one event. Returns what was irregular about it, or None."""
        match event:
            case Initialized():
                return f"DUPLICATE_INITIALIZED {event.client_order_id}"
            case Denied() | Emulated() | Released() | Submitted():
                return self._move(_STEPS[type(event)])
            case Rejected() | Canceled() | Expired():
                self.unknown = False
                self.update = None
                return self._move(_STEPS[type(event)])
            case Accepted():
                return self._accept(event)
            case Triggered():
                return self._trigger()
            case Filled():
                return self._fill(event)
            case FillBusted():
                return self._bust(event)
            case FillCorrected():
                return self._correct(event)
            case OutcomeUnknown():
                self.unknown = True
                return None
            case OutcomeKnown():
                self.unknown = False
                return None
            case _:
                return self._change(event)

    def _change(self, event: PendingUpdate | Updated | ModifyRejected | PendingCancel | CancelRejected) -> str | None:
        """Modifications and cancels that are asked for and answered. Both may be on their way at once."""
        match event:
            case PendingUpdate():
                if self.closed:
                    return f"ILLEGAL_TRANSITION {self.state} -> {S.PENDING_UPDATE}"
                self.update = event
                return None if self.state is S.PENDING_CANCEL else self._pend(S.PENDING_UPDATE)
            case Updated():
                return self._updated(event)
            case ModifyRejected():
                self.update = None
                return self._move(self.before_pending) if self.state is S.PENDING_UPDATE else None
            case PendingCancel():
                return self._pend(S.PENDING_CANCEL)
            case CancelRejected():
                if self.state is not S.PENDING_CANCEL:
                    return None
                return self._move(S.PENDING_UPDATE if self.update is not None else self.before_pending)

    def _pend(self, state: OrderState) -> str | None:
        if self.state not in PENDING and state in TRANSITIONS[self.state]:
            self.before_pending = self.state
        return self._move(state)

    def _accept(self, event: Accepted) -> str | None:
        self.unknown = False
        self.venue_order_id = event.venue_order_id
        if self.state in PENDING and self.before_pending is S.SUBMITTED:
            self.before_pending = S.ACCEPTED
        # An acknowledgement that arrives after a fill or a cancel request proves nothing new.
        return None if self.state is not S.SUBMITTED else self._move(S.ACCEPTED)

    def _trigger(self) -> str | None:
        if self.state in PENDING:
            if self.before_pending is not S.PARTIALLY_FILLED:
                self.before_pending = S.TRIGGERED
            return None
        return None if self.filled else self._move(S.TRIGGERED)  # a fill has said so already

    def _updated(self, event: Updated) -> str | None:
        """A venue only ever takes away from what may execute, so what is told late raises nothing."""
        if self.closed:
            self.update = None
            return f"LATE_UPDATE state={self.state} quantity={event.quantity}"
        answered = self._answered(event)
        self.prevented = max(self.prevented, event.prevented)
        left = event.quantity + event.prevented - self.prevented
        self.quantity, self.price = min(self.quantity, left), event.price
        if self.filled >= self.quantity:
            self._move(S.FILLED)
        elif answered and self.state is S.PENDING_UPDATE:
            self._move(self.before_pending)
        return self._overfill() or (None if answered else f"UNASKED_UPDATE quantity={event.quantity}")

    def _answered(self, event: Updated) -> bool:
        """Whether it answers the reduction that was asked for. Prevention leaves the venue's own quantity as it was, so
        it answers nothing, and what will be left by the reduction is so much less."""
        asked = self.update
        if asked is None or asked.replaced_by:
            return False
        if event.quantity + event.prevented <= asked.quantity + self.prevented:
            self.update = None
            return True
        more = max(0, event.prevented - self.prevented)
        self.update = msgspec.structs.replace(asked, quantity=asked.quantity - more)
        return False

    # --- executions

    def _fill(self, event: Filled) -> str | None:
        if event.trade_id in self.fills:
            return f"DUPLICATE_FILL trade_id={event.trade_id}"
        if event.trade_id in self.busted:
            return f"BUSTED_FILL trade_id={event.trade_id}"
        corrected = self.corrected.get(event.trade_id)
        self._count(event if corrected is None else _restated(event, corrected))
        self.unknown = False
        late = f"LATE_FILL state={self.state} trade_id={event.trade_id}" if self.closed else None
        self._advance()
        return self._overfill() or late

    def _advance(self) -> None:
        """After more was filled: what is full is filled, whatever had closed it."""
        if self.filled >= self.quantity:
            if self.state is not S.FILLED:
                self._move(S.FILLED)
        elif self.state in PENDING:
            self.before_pending = S.PARTIALLY_FILLED
        elif self.state not in CLOSED:
            self._move(S.PARTIALLY_FILLED)

    def _bust(self, event: FillBusted) -> str | None:
        if event.trade_id in self.busted:
            return None
        self.busted |= {event.trade_id}
        fill = self.fills.pop(event.trade_id, None)
        if fill is None:
            return f"BUST_BEFORE_FILL trade_id={event.trade_id}"
        self._uncount(fill)
        self._retreat()
        return f"FILL_BUSTED trade_id={event.trade_id} quantity={fill.quantity} price={fill.price}"

    def _correct(self, event: FillCorrected) -> str | None:
        known = self.corrected.get(event.trade_id)
        if known is not None and (known == event or event.ts_venue < known.ts_venue):
            return None
        self.corrected[event.trade_id] = event
        fill = self.fills.pop(event.trade_id, None)
        if fill is None:
            return f"CORRECTION_BEFORE_FILL trade_id={event.trade_id}"
        self._uncount(fill)
        self._count(_restated(fill, event))
        if event.quantity < fill.quantity:
            self._retreat()
        else:
            self._advance()
        return self._overfill() or f"FILL_CORRECTED trade_id={event.trade_id}"

    def _retreat(self) -> None:
        """After less is filled than was: nothing comes back to the venue's book by that."""
        unfilled = S.TRIGGERED if self.type in CONDITIONAL else S.ACCEPTED
        if self.state is S.FILLED and self.filled < self.quantity:
            self.state = S.CANCELED
        elif not self.filled and self.state is S.PARTIALLY_FILLED:
            self.state = unfilled
        elif not self.filled and self.state in PENDING and self.before_pending is S.PARTIALLY_FILLED:
            self.before_pending = unfilled

    def _count(self, fill: Filled) -> None:
        self.fills[fill.trade_id] = fill
        self.filled += fill.quantity
        self.value += fill.price * fill.quantity // SCALE

    def _uncount(self, fill: Filled) -> None:
        self.filled -= fill.quantity
        self.value -= fill.price * fill.quantity // SCALE

    def _overfill(self) -> str | None:
        if self.filled <= self.quantity:
            return None
        return f"OVERFILL filled={self.filled} quantity={self.quantity}"

    def _move(self, to: OrderState) -> str | None:
        if to is self.state:
            return None
        if to not in TRANSITIONS[self.state]:
            return f"ILLEGAL_TRANSITION {self.state} -> {to}"
        self.state = to
        return None


def _restated(fill: Filled, event: FillCorrected) -> Filled:
    return msgspec.structs.replace(
        fill,
        price=event.price,
        quantity=event.quantity,
        commission=event.commission,
        commission_asset=event.commission_asset,
    )

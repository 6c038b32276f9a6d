"""What the venue answers: sends, cancels, queries, and its private stream. Pure.

The venue's word is the truth about outcomes. An unknown outcome is settled by asking for the order by its client
id; that the venue does not know it is proof only if it was asked after the request had ceased to be valid.
"""

from typing import Final

from ringfence.execution.accounting import MILLISECOND_NS, QUERY_FIRST_NS, Accounting, Live
from ringfence.execution.gate import Gate
from ringfence.execution.outputs import Cancel, Output, Query, Reconcile
from ringfence.model.orders import (
    CLOSED,
    Accepted,
    Canceled,
    CancelRejected,
    Expired,
    ModifyRejected,
    Order,
    OrderEvent,
    OrderState,
    OutcomeKnown,
    OutcomeUnknown,
    Rejected,
    Updated,
)
from ringfence.venues import api

CLOCK_ERROR_NS: Final = 1_000 * MILLISECOND_NS
"""Added to a request's validity before absence proves anything."""
UNCHANGED: Final = "UNCHANGED the venue has the order as it was"


class Outcomes(Accounting):
    """Folds answers into orders, and asks again until nothing is unknown."""

    def __init__(self, gate: Gate, prefix: str, request_validity_ns: int) -> None:
        super().__init__(gate, prefix)
        self._validity_ns = request_validity_ns + CLOCK_ERROR_NS

    def submitted(self, client_order_id: str, outcome: api.SubmitOutcome, wall: int, mono: int) -> list[Output]:
        """How a send ended. The private stream may have told more already."""
        order = self.orders.get(client_order_id)
        live = self.live.get(client_order_id)
        if live is not None:
            live.sent_mono = min(live.sent_mono, mono)
        # a stop may have asked for its cancel before it was sent: what became of the send is news all the same
        waiting = order is not None and (
            order.state is OrderState.SUBMITTED
            or (order.state is OrderState.PENDING_CANCEL and not order.venue_order_id and not order.filled)
        )
        if order is None or not waiting:
            if order is not None and isinstance(outcome, api.Accepted) and not order.venue_order_id:
                return self._fold(
                    Accepted(client_order_id=order.client_order_id, ts=wall, venue_order_id=outcome.venue_order_id)
                )
            return []
        match outcome:
            case api.Accepted(venue_order_id):
                return self._fold(Accepted(client_order_id=client_order_id, ts=wall, venue_order_id=venue_order_id))
            case api.Refused(code, reason):
                return self._fold(Rejected(client_order_id=client_order_id, ts=wall, reason=f"{code} {reason}"))
            case api.NotSent(reason):
                return self._fold(Canceled(client_order_id=client_order_id, ts=wall, reason=f"NOT_SENT {reason}"))
            case api.Unknown(reason):
                outputs = self._fold(OutcomeUnknown(client_order_id=client_order_id, ts=wall, reason=reason))
                self._ask_soon(client_order_id, mono)
                return outputs

    def canceled(self, client_order_id: str, outcome: api.CancelOutcome, wall: int, mono: int) -> list[Output]:
        """How a cancel request ended; what became of the order comes as its own event."""
        live = self.live.get(client_order_id)
        if live is None:
            return []
        self._ask_soon(client_order_id, mono, at_once=isinstance(outcome, api.Refused))
        if isinstance(outcome, api.Accepted | api.Unknown) or live.order.state is not OrderState.PENDING_CANCEL:
            return []
        reason = (
            f"NOT_SENT {outcome.reason}" if isinstance(outcome, api.NotSent) else f"{outcome.code} {outcome.reason}"
        )
        return self._fold(CancelRejected(client_order_id=client_order_id, ts=wall, reason=reason))

    def event(self, symbol: str, event: OrderEvent) -> list[Output]:
        """One event of the venue's private stream. What is already known makes no entry."""
        order = self.orders.get(event.client_order_id)
        if order is None:
            return [Reconcile(f"an event of an order that is not ours: {symbol} {event.client_order_id[:40]}")]
        if self._is_known(order, event):
            return []
        if isinstance(event, Canceled | Expired) and not order.venue_order_id and not order.closed:
            # its acknowledgement was lost, and with it perhaps fills: closed now, nobody could tell whose they are
            return [Query(symbol, event.client_order_id)]
        return self._fold(event)

    def queried(
        self, client_order_id: str, report: api.OrderReport | None, asked: int, wall: int, mono: int
    ) -> list[Output]:
        """The venue's answer about one order: its report, or None if it does not know it.

        ``asked``: monotonic time before the question left. An answer may be older than it looks.
        """
        live = self.live.get(client_order_id)
        if live is None:
            return []
        order = live.order
        if report is None:
            return self._absent(live, asked, wall, mono)
        outputs: list[Output] = []
        if not order.venue_order_id or order.unknown:
            outputs += self._fold(
                Accepted(client_order_id=client_order_id, ts=wall, venue_order_id=report.venue_order_id)
            )
        live.query_at = 0
        if report.filled > order.filled:
            # its trades come first: a close before its fills would be a close with the wrong quantity
            live.query_at = mono + QUERY_FIRST_NS
            outputs.append(Reconcile(f"fills of {client_order_id} are missing"))
        elif report.state in CLOSED and not order.closed:
            full = report.filled == report.quantity  # what else there was of it may have been prevented at its end
            if report.quantity < order.quantity and (not full or report.state is OrderState.FILLED):
                # it was made smaller before it ended, and nobody told
                outputs += self._fold(_updated(client_order_id, report, wall))
            if not order.closed:
                outputs += self._fold(_terminal(client_order_id, report, wall))
        else:
            outputs += self._settle_update(live, report, asked, wall)
            if order.state is OrderState.PENDING_CANCEL or order.update is not None:
                self._ask_soon(client_order_id, mono)
        return outputs

    def _settle_update(self, live: Live, report: api.OrderReport, asked: int, wall: int) -> list[Output]:
        """What the order's own report says of a modification that was not answered."""
        order = live.order
        update, name = order.update, order.client_order_id
        if update is None:
            if report.quantity >= order.quantity:
                return []  # a larger one was told before the last reduction
            return self._fold(_updated(name, report, wall))
        if update.replaced_by:
            # it is open, so it gave way to nothing: proven once the other can no longer come
            other = self.live.get(update.replaced_by)
            unanswered = other is not None and not other.order.venue_order_id
            return [] if unanswered else self._fold(ModifyRejected(client_order_id=name, ts=wall, reason=UNCHANGED))
        if report.quantity + report.prevented == update.quantity + order.prevented:
            return self._fold(_updated(name, report, wall))
        if asked < live.sent_mono + self._validity_ns:
            return []  # the request may still be on its way
        return self._fold(ModifyRejected(client_order_id=name, ts=wall, reason=UNCHANGED))

    def open_though_closed(self, order: Order, wall: int) -> list[Output]:
        """Twice in a row the venue has listed an order as open that is closed here: whatever we believed, it goes."""
        self._anomaly(f"OPEN_AT_VENUE {order.client_order_id}", wall)
        return [Cancel(order.symbol, order.client_order_id)]

    def query_failed(self, client_order_id: str, mono: int) -> None:
        """Nothing is known: ask again."""
        self._ask_soon(client_order_id, mono)

    def _absent(self, live: Live, asked: int, wall: int, mono: int) -> list[Output]:
        order = live.order
        if asked < live.sent_mono + self._validity_ns:
            self._ask_soon(order.client_order_id, mono)  # the request may still be on its way
            return []
        outputs: list[Output] = []
        reason = "NEVER_ARRIVED the venue does not know it, and its request is no longer valid"
        if order.venue_order_id:
            reason = "FORGOTTEN the venue no longer knows it; its fills are kept"
            self._anomaly(f"ORDER_FORGOTTEN {order.client_order_id}", wall)
        if order.unknown:
            outputs += self._fold(OutcomeKnown(client_order_id=order.client_order_id, ts=wall))
        return outputs + self._fold(Canceled(client_order_id=order.client_order_id, ts=wall, reason=reason))

    def _ask_soon(self, client_order_id: str, mono: int, *, at_once: bool = False) -> None:
        live = self.live.get(client_order_id)
        if live is not None:
            live.query_at = mono + (0 if at_once else live.query_gap)


def _updated(client_order_id: str, report: api.OrderReport, wall: int) -> OrderEvent:
    left = {"quantity": report.quantity, "price": report.price, "prevented": report.prevented}
    return Updated(client_order_id=client_order_id, ts=wall, **left)


def _terminal(client_order_id: str, report: api.OrderReport, wall: int) -> OrderEvent:
    match report.state:
        case OrderState.REJECTED:
            return Rejected(client_order_id=client_order_id, ts=wall, reason="told when asked")
        case OrderState.EXPIRED:
            return Expired(client_order_id=client_order_id, ts=wall, reason="told when asked", ts_venue=report.ts_venue)
        case _:
            return Canceled(
                client_order_id=client_order_id, ts=wall, reason="told when asked", ts_venue=report.ts_venue
            )

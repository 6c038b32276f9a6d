"""The order manager: intents in, orders out, and every answer folded into orders, sub-ledgers and exposure. Pure.

Each method takes what happened and the time, changes the state and returns outputs for the host to carry out in
order: entries to journal and publish, orders to send, cancels, queries. An order's entries come before its send.
Replaying the entries of a journal (``replay``) leads to the same state as having lived it.

The venue's word is the truth about outcomes. An unknown outcome is settled by asking for the order by its client
id; that the venue does not know it is proof only if it was asked after the request had ceased to be valid.
"""

from collections import OrderedDict
from typing import Final

import msgspec

from ringfence.execution import ids, losses
from ringfence.execution.gate import Gate
from ringfence.execution.state import FOREIGN, Slot, Track
from ringfence.model.approved import Approved
from ringfence.model.money import SCALE, notional
from ringfence.model.orders import (
    CLOSED,
    Accepted,
    Canceled,
    CancelRejected,
    Denied,
    Expired,
    Filled,
    Initialized,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    OutcomeKnown,
    OutcomeUnknown,
    PendingCancel,
    Rejected,
    Side,
    Submitted,
)
from ringfence.model.positions import Book
from ringfence.model.records import Entry
from ringfence.venues import api
from ringfence.wire.kill import Severity
from ringfence.wire.messages import CancelIntent, Intent

MILLISECOND_NS: Final = 1_000_000
QUERY_FIRST_NS: Final = 200 * MILLISECOND_NS
QUERY_MAX_NS: Final = 2_000 * MILLISECOND_NS
CANCEL_AGAIN_NS: Final = 500 * MILLISECOND_NS
CLOCK_ERROR_NS: Final = 1_000 * MILLISECOND_NS
"""Added to a request's validity before absence proves anything."""
CLOSED_KEPT: Final = 20_000
"""Closed orders that are remembered, for late fills and for cancels of what is gone."""
TRADES_KEPT: Final = 50_000
DENIALS_PER_S: Final = 50
"""Refusals that are journaled and told; a strategy that storms gets the rest counted only."""
CODES_MAX: Final = 64


class Cancel(msgspec.Struct, frozen=True):
    symbol: str
    client_order_id: str


class Query(msgspec.Struct, frozen=True):
    """Ask the venue for one order."""

    symbol: str
    client_order_id: str


class Reconcile(msgspec.Struct, frozen=True):
    """Something happened that only the venue's own lists explain."""

    reason: str


Output = Entry | Approved | Cancel | Query | Reconcile


class Live:
    """An order that may still execute, and what we are waiting for."""

    __slots__ = ("cancel_again", "cancel_wanted", "counted", "order", "query_at", "query_gap", "sent_mono", "slot")

    def __init__(self, order: Order, slot: Slot) -> None:
        self.order = order
        self.slot = slot
        self.counted = 0
        """Leaves that are in the slot."""
        self.sent_mono = 0
        """Its bytes have left by this monotonic time, or never will. Not wall time: that may be off by any amount."""
        self.query_at = 0
        """Monotonic time of the next query; 0 = none is due."""
        self.query_gap = QUERY_FIRST_NS
        self.cancel_wanted = False
        self.cancel_again = 0


class Manager:
    """One account's orders. ``wall`` is UTC nanoseconds, ``mono`` monotonic nanoseconds."""

    def __init__(self, gate: Gate, prefix: str, currency: str, request_validity_ns: int) -> None:
        self.gate = gate
        self.guard = gate.guard
        self.prefix = prefix
        self.fence = 0
        self.sequence = 0
        """Of the last client order id."""
        self.orders: dict[str, Order] = {}
        self.live: dict[str, Live] = {}
        self.books: dict[str, Book] = {}
        self.ledger = losses.LossLedger(accounts={})
        self.trades: dict[str, OrderedDict[str, None]] = {}
        """Trade ids by symbol, oldest first."""
        self.venue_ids: dict[tuple[str, str], str] = {}
        self.activity = 0
        """Counts fills: two looks at the account compare only if it did not move between them."""
        self.intents = 0
        self.refusals: dict[str, int] = {}
        self.untold = 0
        self.anomalies: dict[str, int] = {}
        self.canceled_by_kill = 0
        self._currency = currency
        self._validity_ns = request_validity_ns + CLOCK_ERROR_NS
        self._intent_ids: dict[tuple[str, str], str] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._denial_mono = 0
        self._denials = DENIALS_PER_S
        gate.tracks.setdefault(FOREIGN, Track(FOREIGN))

    # --- intents

    def intent(self, intent: Intent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """The order path: check, number, journal, send."""
        self.intents += 1
        track = self.gate.tracks.get(intent.track)
        if track is None or not sender_key or track.key != sender_key:
            # not journaled: a stranger must not be able to fill the disk
            self._count(self.refusals, "SENDER_NOT_ALLOWED")
            return []
        refused = self.gate.check(intent, wall, mono)
        if refused:
            return self._deny(intent, track, refused, wall, mono)
        self.sequence += 1
        client_order_id = ids.make(self.prefix, track.mark, self.fence, self.sequence)
        approved = self.gate.approve(client_order_id, intent, mono)
        initialized = _initialized(client_order_id, intent, wall)
        submitted = Submitted(client_order_id=client_order_id, ts=wall)
        order = Order(initialized)
        order.apply(submitted)
        live = self._enter(order, track)
        live.sent_mono = approved.deadline_ns
        self._account(live)
        return [Entry(track.name, initialized), Entry(track.name, submitted), approved]

    def _deny(self, intent: Intent, track: Track, refused: list[str], wall: int, mono: int) -> list[Output]:
        for reason in refused:
            self._count(self.refusals, reason.partition(" ")[0])
        if intent.intent_id in track.seen:
            return []  # the order of this intent has its own events; a second answer would contradict it
        if mono - self._denial_mono > 1000 * MILLISECOND_NS:
            self._denial_mono, self._denials = mono, DENIALS_PER_S
        if self._denials <= 0:
            self.untold += 1
            return []
        self._denials -= 1
        track.remember(intent.intent_id)
        self.sequence += 1
        client_order_id = ids.make(self.prefix, track.mark, self.fence, self.sequence)
        denied = Denied(client_order_id=client_order_id, ts=wall, reasons=tuple(refused))
        return [Entry(track.name, _initialized(client_order_id, intent, wall)), Entry(track.name, denied)]

    def cancel_intent(self, intent: CancelIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Cancels always pass; only a stranger's do not."""
        track = self.gate.tracks.get(intent.track)
        if track is None or not sender_key or track.key != sender_key:
            self._count(self.refusals, "SENDER_NOT_ALLOWED")
            return []
        live = self.live.get(self._intent_ids.get((intent.track, intent.intent_id), ""))
        return [] if live is None else self._want_cancel(live, "asked for by the strategy", wall, mono)

    # --- outcomes

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
            outputs += self._fold(_terminal(client_order_id, report, wall))
        elif order.state is OrderState.PENDING_CANCEL:
            self._ask_soon(client_order_id, mono)
        return outputs

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

    # --- stops and time

    def tick(self, wall: int, mono: int) -> list[Output]:
        """Everything that is due: queries, repeated cancels, and the cancels of a stop."""
        outputs: list[Output] = []
        stopping = self.guard.severity >= Severity.CANCEL
        for live in list(self.live.values()):
            if live.query_at and mono >= live.query_at:
                live.query_at = mono + live.query_gap
                live.query_gap = min(2 * live.query_gap, QUERY_MAX_NS)
                outputs.append(Query(live.order.symbol, live.order.client_order_id))
            if live.order.track != FOREIGN and (
                (stopping and not live.cancel_wanted) or (live.cancel_wanted and mono >= live.cancel_again)
            ):
                outputs += self._want_cancel(live, self.guard.reason if stopping else "asked again", wall, mono)
        return outputs

    def cancel_all(self, wall: int, mono: int) -> list[Output]:
        """Cancel every working order of ours, now; ``tick`` repeats until each is closed."""
        self.canceled_by_kill = 0
        outputs: list[Output] = []
        for live in list(self.live.values()):
            if live.order.track != FOREIGN:
                outputs += self._want_cancel(live, self.guard.reason, wall, mono)
        return outputs

    def cancel_excess(self, wall: int, mono: int) -> list[Output]:
        """After limits became tighter: cancel the working orders above them, newest first; reducing ones stay."""
        outputs: list[Output] = []
        for live in reversed(list(self.live.values())):
            track = self.gate.tracks.get(live.order.track)
            if track is not None and track.name != FOREIGN and not live.cancel_wanted and self._is_excess(live, track):
                outputs += self._want_cancel(live, "above the tightened limits", wall, mono)
        return outputs

    def _is_excess(self, live: Live, track: Track) -> bool:
        order, slot, ask = live.order, live.slot, live.slot.market.ask
        opposite = -slot.position if order.side is Side.BUY else slot.position
        if (slot.buys if order.side is Side.BUY else slot.sells) <= opposite:
            return False
        caps, account = track.caps, self.gate.account.caps
        leaves = order.leaves
        pending = [other for other in self.live.values() if other.cancel_wanted]
        # what is being cancelled already is counted as gone, else one order too many would cancel all
        going = sum(o.counted for o in pending if o.slot is slot and o.order.side is order.side)
        worst = notional(ask, max(0, slot.worst - going))
        total = notional(ask, slot.market.worst - going)
        gone = sum(notional(o.slot.market.ask, o.counted) for o in pending if o.order.track == track.name)
        return (
            leaves > caps.quantity
            or notional(order.price or ask, leaves) > caps.value
            or worst > caps.position
            or total > account.position
            or track.gross() - gone > caps.gross
            or sum(t.gross() for t in self.gate.tracks.values()) - gone > account.gross
        )

    def _want_cancel(self, live: Live, reason: str, wall: int, mono: int) -> list[Output]:
        order = live.order
        live.cancel_wanted = True
        live.cancel_again = mono + CANCEL_AGAIN_NS
        outputs: list[Output] = []
        if order.state is not OrderState.PENDING_CANCEL:
            outputs += self._fold(PendingCancel(client_order_id=order.client_order_id, ts=wall, reason=reason))
        outputs.append(Cancel(order.symbol, order.client_order_id))
        return outputs

    def _ask_soon(self, client_order_id: str, mono: int, *, at_once: bool = False) -> None:
        live = self.live.get(client_order_id)
        if live is not None:
            live.query_at = mono + (0 if at_once else live.query_gap)

    # --- recovery

    def replay(self, entry: Entry) -> None:
        """Fold one entry of the journal, without outputs."""
        event = entry.event
        parts = ids.parse(event.client_order_id)
        if parts is not None and parts.prefix == self.prefix:
            self.sequence = max(self.sequence, parts.sequence)
            self.fence = max(self.fence, parts.fence)
        if isinstance(event, Initialized):
            self.adopt(event)
            return
        if isinstance(event, Denied):
            order = self.orders.get(event.client_order_id)
            if order is not None:
                self._forget(order)
            return
        if event.client_order_id in self.orders:
            self._fold(event)

    def adopt(self, event: Initialized) -> Entry:
        """Take an order in: from the journal, or one that the venue told us of."""
        track = self.gate.tracks.setdefault(event.track, Track(event.track))
        track.remember(event.intent_id)
        self._enter(Order(event), track)
        return Entry(event.track, event)

    def recovered(self, wall: int, mono: int) -> list[Output]:
        """After the replay: what was in flight when the last process died has an unknown outcome."""
        outputs: list[Output] = []
        for live in list(self.live.values()):
            order = live.order
            if order.state is OrderState.INITIALIZED:  # its submission was never journaled, so it was never sent
                submitted = Submitted(client_order_id=order.client_order_id, ts=wall)
                reason = "NOT_SENT the process ended before it was sent"
                outputs += self._fold(submitted)
                outputs += self._fold(Canceled(client_order_id=order.client_order_id, ts=wall, reason=reason))
            elif not order.venue_order_id and not order.unknown:
                reason = "the process ended before the venue answered"
                outputs += self._fold(OutcomeUnknown(client_order_id=order.client_order_id, ts=wall, reason=reason))
            if order.state is OrderState.PENDING_CANCEL:
                live.cancel_wanted = True
            live.query_at = live.sent_mono = mono  # the process that sent it has ended by now
        return outputs

    # --- losses

    def evaluate(self, wall: int) -> None:
        """Today's loss of each track and of the account, at prices that closing now would fetch."""
        account = self.gate.account
        total = 0
        self.gate.loss_unknown = ""
        for name, book in self.books.items():
            worth = losses.value(book.cash, self._prices(book), self._currency, SCALE)
            if isinstance(worth, str):
                self.gate.loss_unknown = f"{worth} has no price in {self._currency}"
                return
            total += worth
            track = self.gate.tracks.get(name)
            if track is not None and name != FOREIGN:
                day = self.ledger.update(name, worth, track.caps.loss, wall)
                track.loss, track.loss_latched = self.ledger.loss(name), day.latched
        day = self.ledger.update("", total, account.caps.loss, wall)
        account.loss, account.loss_latched = self.ledger.loss(""), day.latched

    def _prices(self, book: Book) -> dict[str, int]:
        """By base asset: the bid for what is held, the ask for what is owed."""
        prices = {}
        for market in self.gate.markets.values():
            rules = market.instrument
            if rules is not None and rules.quote == self._currency:
                prices[rules.base] = market.bid if book.cash.get(rules.base, 0) >= 0 else market.ask
        return prices

    # --- folding

    def fold(self, event: OrderEvent) -> list[Output]:
        """An event that reconciliation has derived."""
        order = self.orders[event.client_order_id]
        return [] if self._is_known(order, event) else self._fold(event)

    def _is_known(self, order: Order, event: OrderEvent) -> bool:
        match event:
            case Filled():
                return event.trade_id in order.trade_ids
            case Accepted():
                return order.venue_order_id == event.venue_order_id and not order.unknown
            case Canceled():
                return order.state is OrderState.CANCELED
            case Expired():
                return order.state is OrderState.EXPIRED
            case Rejected():
                return order.state is OrderState.REJECTED
            case _:
                return False

    def _fold(self, event: OrderEvent) -> list[Output]:
        order = self.orders[event.client_order_id]
        anomaly = order.apply(event)
        outputs: list[Output] = [Entry(order.track, event)]
        if anomaly is not None:
            self._anomaly(anomaly, event.ts)
            if anomaly.startswith(("LATE_FILL", "ILLEGAL")):
                outputs.append(Reconcile(anomaly))
        if isinstance(event, Accepted):
            self.venue_ids[order.symbol, event.venue_order_id] = order.client_order_id
        elif isinstance(event, Filled) and (anomaly is None or not anomaly.startswith("DUPLICATE_FILL")):
            self._fill(order, event)
        elif isinstance(event, Canceled) and self.guard.severity >= Severity.CANCEL:
            self.canceled_by_kill += 1
        live = self.live.get(order.client_order_id)
        if live is None and not order.closed:  # a late fill has opened it again
            live = self._enter(order, self.gate.tracks[order.track])
        if live is not None:
            self._account(live)
        return outputs

    def _fill(self, order: Order, event: Filled) -> None:
        track = self.gate.tracks[order.track]
        market = self.gate.market(order.symbol)
        rules = market.instrument
        assert rules is not None  # noqa: S101 - rules are journaled before the first order of an instrument
        book = self.books.get(order.track)
        if book is None:
            book = self.books[order.track] = Book(cash={}, positions={}, fees={})
        position = book.fill(rules, order.side, event.quantity, event.price, event.commission, event.commission_asset)
        slot = track.slot(market)
        slot.position = position.quantity
        slot.settle()
        self.activity += 1
        seen = self.trades.setdefault(order.symbol, OrderedDict())
        seen[event.trade_id] = None
        if len(seen) > TRADES_KEPT:
            seen.popitem(last=False)

    def _enter(self, order: Order, track: Track) -> Live:
        track.remember(order.intent_id)
        self.orders[order.client_order_id] = order
        self._intent_ids[order.track, order.intent_id] = order.client_order_id
        self._closed.pop(order.client_order_id, None)
        live = Live(order, track.slot(self.gate.market(order.symbol)))
        self.live[order.client_order_id] = live
        if order.track != FOREIGN:
            track.working += 1
            self.gate.account.working += 1
        return live

    def _account(self, live: Live) -> None:
        """Bring exposure and counts in line with the order."""
        order, slot = live.order, live.slot
        market, client_order_id = slot.market, order.client_order_id
        leaves = order.leaves
        if leaves != live.counted:
            if order.side is Side.BUY:
                slot.buys += leaves - live.counted
            else:
                slot.sells += leaves - live.counted
            live.counted = leaves
            slot.settle()
        resting = market.resting_buys if order.side is Side.BUY else market.resting_sells
        if order.unknown:
            market.unknown.add(client_order_id)
        elif market.unknown:
            market.unknown.discard(client_order_id)
        if not order.closed:
            if order.price and order.type is not OrderType.MARKET:
                resting[client_order_id] = order.price
            return
        resting.pop(client_order_id, None)
        del self.live[client_order_id]
        if order.track != FOREIGN:
            self.gate.tracks[order.track].working -= 1
            self.gate.account.working -= 1
        self._closed[client_order_id] = None
        if len(self._closed) > CLOSED_KEPT:
            self._drop(self.orders[self._closed.popitem(last=False)[0]])

    def _forget(self, order: Order) -> None:
        """A refused intent: it never became an order."""
        live = self.live.pop(order.client_order_id, None)
        if live is not None and order.track != FOREIGN:
            self.gate.tracks[order.track].working -= 1
            self.gate.account.working -= 1
        self._drop(order)

    def _drop(self, order: Order) -> None:
        self.orders.pop(order.client_order_id, None)
        self.venue_ids.pop((order.symbol, order.venue_order_id), None)
        self._intent_ids.pop((order.track, order.intent_id), None)

    def _anomaly(self, text: str, wall: int) -> None:
        code = text.partition(" ")[0]
        self._count(self.anomalies, code)
        if code == "OVERFILL":
            self.guard.hold("overfill", Severity.REDUCE_ONLY, f"the venue filled more than was ordered: {text}", wall)

    @staticmethod
    def _count(counts: dict[str, int], code: str) -> None:
        if code in counts or len(counts) < CODES_MAX:
            counts[code] = counts.get(code, 0) + 1


def _initialized(client_order_id: str, intent: Intent, wall: int) -> Initialized:
    return Initialized(
        client_order_id=client_order_id,
        ts=wall,
        intent_id=intent.intent_id,
        track=intent.track,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        time_in_force=intent.time_in_force,
        quantity=intent.quantity,
        price=intent.price,
        reduce_only=intent.reduce_only,
    )


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

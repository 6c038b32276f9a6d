"""Orders that change or exclude each other: replacements, reductions, pairs, and the cancel of many. Pure.

A replacement is a new order with an id of its own that takes the place of an old one in one request (STOP_ON_FAILURE:
where the cancel fails, nothing is placed). So what became of it is found like that of any order, by asking for its
id, and the old one's end is an event of the old one. While nothing of the old one has filled the venue is told to
refuse if anything has (so the larger of both counts); afterwards both might execute, and both count.
A reduction changes the order itself, which keeps its place.
"""

from typing import Final

from ringfence.execution.accounting import MILLISECOND_NS, Live
from ringfence.execution.manager import Manager, because
from ringfence.execution.outputs import Amend, Output, Pair, Refuse, Replace
from ringfence.execution.state import FOREIGN, Track
from ringfence.model.orders import (
    ModifyRejected,
    Order,
    OrderState,
    PendingCancel,
    PendingUpdate,
    Updated,
)
from ringfence.venues import api
from ringfence.wire.messages import Intent, MassCancelIntent, PairIntent, ReduceIntent, ReplaceIntent

REDUCE_LASTS_NS: Final = 2_000 * MILLISECOND_NS
"""A reduction that has not left after this time is dropped by the adapter."""


class Changes(Manager):
    """A manager that also changes orders."""

    # --- intents

    def pair_intent(self, pair: PairIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Two legs are one request: both pass the gate, or neither is sent."""
        self.intents += 1
        first, second = pair.first, pair.second
        track = self._sender(first.track, sender_key)
        if track is None or second.track != first.track:
            return []
        wrong = _pair_errors(first, second)
        refused = [wrong + self.gate.check(leg, wall, mono) for leg in (first, second)]
        self._judged(track, first.symbol, any(refused), intents=2)
        if any(refused):
            reasons = [reason or ["PAIR_REFUSED with its other leg"] for reason in refused]
            legs = zip((first, second), reasons, strict=True)
            return [output for leg, why in legs for output in self._deny(leg, track, why, wall, mono)]
        outputs: list[Output] = []
        approved = []
        for leg in (first, second):
            entries, order = self._send(leg, track, wall, mono, group=first.intent_id)
            outputs += entries
            approved.append(order)
        return [*outputs, Pair(*approved)]

    def replace_intent(self, wanted: ReplaceIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Another order in the place of a working one; checked as if the old one were not there."""
        self.intents += 1
        track = self._sender(wanted.track, sender_key)
        if track is None:
            return []
        name = self._intent_ids.get((wanted.track, wanted.replaces), "")
        live = self.live.get(name)
        if live is None:  # a race with its end, of which the gate judges nothing
            return self._replaces_nothing(self.orders.get(name), wanted, track, wall, mono)
        intent = _replacement(live.order, wanted)
        if early := _early(live.order):  # a race with the venue's answer, of which the gate judges nothing
            return self._deny(intent, track, [early], wall, mono)
        paired = _paired(live.order)
        refused = [paired] if paired else self._checked_without(live, intent, wall, mono)
        self._judged(track, intent.symbol, refused)
        if refused:
            return self._deny(intent, track, refused, wall, mono)
        entries, approved = self._send(intent, track, wall, mono, replaces=live.order.client_order_id)
        pending = PendingUpdate(
            client_order_id=live.order.client_order_id,
            ts=wall,
            quantity=wanted.quantity,
            price=wanted.price,
            stop_price=wanted.stop_price,
            replaced_by=approved.client_order_id,
        )
        untouched = not live.order.filled
        return [*self._fold(pending), *entries, Replace(live.order.client_order_id, approved, untouched)]

    def reduce_intent(self, wanted: ReduceIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Like a cancel of a part: it passes whatever stops are engaged."""
        track = self._sender(wanted.track, sender_key)
        live = self.live.get(self._intent_ids.get((wanted.track, wanted.intent_id), ""))
        if track is None or live is None:
            return []
        order = live.order
        name = order.client_order_id
        reason = _early(order) or _paired(order) or self._reduction_error(live, wanted.quantity)
        if reason:
            return self._fold(ModifyRejected(client_order_id=name, ts=wall, reason=reason))
        pending = PendingUpdate(client_order_id=name, ts=wall, quantity=wanted.quantity, price=order.price)
        live.sent_mono = mono + REDUCE_LASTS_NS
        return [*self._fold(pending), Amend(order.symbol, name, wanted.quantity + order.prevented)]

    def mass_cancel(self, wanted: MassCancelIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Every working order of the track, in one instrument or in all; repeated until each is closed."""
        track = self._sender(wanted.track, sender_key)
        if track is None or track.name == FOREIGN:
            return []
        outputs: list[Output] = []
        for live in list(self.live.values()):
            if live.order.track == track.name and wanted.symbol in {"", live.order.symbol}:
                outputs += self._want_cancel(live, "mass cancel by the strategy", wall, mono)
        return outputs

    # --- by hand

    def cancel_one(self, live: Live, reason: str, wall: int, mono: int) -> list[Output]:
        """Cancel one order, and repeat it until it is closed. On record also where its cancel had been asked before."""
        asked: list[Output] = []
        if live.order.state is OrderState.PENDING_CANCEL:
            asked = self._fold(PendingCancel(client_order_id=live.order.client_order_id, ts=wall, reason=reason))
        return [*asked, *self._want_cancel(live, reason, wall, mono)]

    def close_by_hand(self, intent: Intent, reason: str, wall: int, mono: int) -> list[Output]:
        """An intent of a person's: checked, numbered and journaled like those of its track."""
        track = self.gate.tracks[intent.track]
        refused = self.gate.check(intent, wall, mono)
        if refused:
            return because(reason, self._deny(intent, track, refused, wall, mono))
        entries, approved = self._send(intent, track, wall, mono)
        return because(reason, [*entries, approved])

    # --- outcomes

    def replaced(
        self, replaced: str, name: str, outcome: tuple[api.CancelOutcome, api.SubmitOutcome], wall: int, mono: int
    ) -> list[Output]:
        """How a replacement ended; the end of the old order comes as its own event."""
        canceled, placed = outcome
        outputs = self.submitted(name, placed, wall, mono)
        live = self.live.get(replaced)
        if live is None:
            return outputs
        self._ask_soon(replaced, mono, at_once=isinstance(canceled, api.Refused))
        update = live.order.update
        if isinstance(canceled, api.Refused | api.NotSent) and update is not None and update.replaced_by == name:
            outputs += self._fold(ModifyRejected(client_order_id=replaced, ts=wall, reason=_why(canceled)))
        return outputs

    def amended(self, name: str, outcome: api.AmendOutcome, wall: int, mono: int) -> list[Output]:
        """How a reduction ended."""
        live = self.live.get(name)
        if live is None or live.order.update is None or live.order.update.replaced_by:
            return []
        live.sent_mono = min(live.sent_mono, mono)
        order, update = live.order, live.order.update
        match outcome:
            case api.Accepted():
                reduced = {"quantity": update.quantity, "price": order.price, "prevented": order.prevented}
                return self._fold(Updated(client_order_id=name, ts=wall, **reduced))
            case api.Unknown():
                self._ask_soon(name, mono)
                return []
            case _:
                self._ask_soon(name, mono, at_once=True)
                return self._fold(ModifyRejected(client_order_id=name, ts=wall, reason=_why(outcome)))

    # --- inside

    def _sender(self, name: str, key: str) -> Track | None:
        track = self.gate.tracks.get(name)
        if track is None or not key or track.key != key:
            self._count(self.refusals, "SENDER_NOT_ALLOWED")
            return None
        return track

    def _replaces_nothing(
        self, order: Order | None, wanted: ReplaceIntent, track: Track, wall: int, mono: int
    ) -> list[Output]:
        """The order that was to give way works no more, or (None) nothing is known of it: then there is nothing that
        a record of the refusal could be of."""
        reason = f"REPLACE_NOTHING_WORKING replaces={wanted.replaces}"
        if order is not None:
            return self._deny(_replacement(order, wanted), track, [f"{reason} state={order.state}"], wall, mono)
        self._count(self.refusals, "REPLACE_NOTHING_WORKING")
        return [] if wanted.intent_id in track.seen else [Refuse(track.name, wanted.intent_id, (reason,))]

    def _checked_without(self, live: Live, intent: Intent, wall: int, mono: int) -> list[str]:
        """The gate's answer with the old order taken out of the exposure, where only one of the two can execute."""
        if live.order.filled:
            return self.gate.check(intent, wall, mono)
        with live.aside():
            return self.gate.check(intent, wall, mono)

    def _reduction_error(self, live: Live, quantity: int) -> str:
        order, rules = live.order, live.slot.market.instrument
        if not order.filled < quantity < order.quantity:
            return f"REDUCTION_INVALID quantity={quantity} filled={order.filled} ordered={order.quantity}"
        return ("" if rules is None else rules.quantity_error(quantity)) or ""


def _early(order: Order) -> str:
    if order.update is not None or order.unknown or not order.venue_order_id:
        return f"REPLACE_TOO_EARLY state={order.state} client_order_id={order.client_order_id}"
    return ""


def _paired(order: Order) -> str:
    return "REPLACE_OF_A_PAIR cancel it and place another" if order.group else ""


def _replacement(order: Order, wanted: ReplaceIntent) -> Intent:
    return Intent(
        wanted.intent_id,
        order.track,
        order.symbol,
        order.side,
        order.type,
        order.time_in_force,
        wanted.quantity,
        wanted.price,
        order.reduce_only,
        wanted.ts_decided,
        wanted.stop_price,
        order.trailing_bps,
        order.display,
    )


def _pair_errors(first: Intent, second: Intent) -> list[str]:
    alike = all(getattr(first, name) == getattr(second, name) for name in ("symbol", "side", "quantity"))
    if alike and first.reduce_only and second.reduce_only and first.intent_id != second.intent_id:
        return []
    return ["PAIR_INVALID both legs only reduce, on one side of one instrument, with one quantity"]


def _why(outcome: api.Refused | api.NotSent) -> str:
    return f"NOT_SENT {outcome.reason}" if isinstance(outcome, api.NotSent) else f"{outcome.code} {outcome.reason}"

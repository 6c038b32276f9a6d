"""The order manager: intents in, orders out; stops, time and recovery. Pure.

Each method takes what happened and the time, changes the state and returns outputs for the host to carry out in
order: entries to journal and publish, orders to send, cancels, queries. An order's entries come before its send.
Replaying the entries of a journal (``replay``) leads to the same state as having lived it.

Three layers of one state: `accounting` folds events, `outcomes` folds the venue's answers, this decides.
"""

from collections.abc import Container
from typing import Final

import msgspec

from ringfence.execution import ids, losses, stopping, valuation
from ringfence.execution.accounting import MILLISECOND_NS, Live
from ringfence.execution.excess import excess
from ringfence.execution.gate import Gate
from ringfence.execution.handover import unowned
from ringfence.execution.outcomes import Outcomes
from ringfence.execution.outputs import Cancel, Output, Query, Refuse
from ringfence.execution.state import FOREIGN, Track
from ringfence.model.approved import Approved
from ringfence.model.calendar import Calendar
from ringfence.model.orders import (
    Canceled,
    Denied,
    Initialized,
    Order,
    OrderState,
    OutcomeUnknown,
    PendingCancel,
    Submitted,
)
from ringfence.model.records import Entry
from ringfence.wire.intents import initialized
from ringfence.wire.messages import CancelIntent, Intent
from ringfence.wire.stops import Severity

QUERY_MAX_NS: Final = 2_000 * MILLISECOND_NS
CANCEL_AGAIN_NS: Final = 500 * MILLISECOND_NS
DENIALS_PER_S: Final = 50
"""Refusals that are journaled; a strategy that storms is told of the rest, and they are counted."""


class Manager(Outcomes):
    """One account's orders. ``wall`` is UTC nanoseconds, ``mono`` monotonic nanoseconds."""

    def __init__(self, gate: Gate, prefix: str, currency: str, request_validity_ns: int) -> None:
        super().__init__(gate, prefix, request_validity_ns)
        self.ledger = losses.LossLedger(owners={})
        self.calendar = Calendar()
        self.capital = 0
        """Of the system, in its currency: what percentages of losses are of."""
        self.intents = 0
        self.refusals: dict[str, int] = {}
        self.unjournaled = 0
        self._currency = currency
        self._excess_due = False
        """Limits became tighter, and not every order could be held against them."""
        self._denial_mono = 0
        self._denials = DENIALS_PER_S

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
        self._judged(track, intent.symbol, refused)
        if refused:
            return self._deny(intent, track, refused, wall, mono)
        entries, approved = self._send(intent, track, wall, mono)
        return [*entries, approved]

    def _judged(self, track: Track, symbol: str, refused: object, intents: int = 1) -> None:
        """Count what the gate has said of intents. What a stop refuses, of all or of this part, says nothing of the
        strategy."""
        guard = self.guard
        if guard.worst is Severity.NONE or guard.severity_of(track.name, symbol) is Severity.NONE:
            track.checked += intents
            if refused:
                track.failed += intents

    def _send(
        self, intent: Intent, track: Track, wall: int, mono: int, *, mark: str = "", group: str = "", replaces: str = ""
    ) -> tuple[list[Output], Approved]:
        """Number, journal and enter what has just passed the gate."""
        self.sequence += 1
        client_order_id = ids.make(self.prefix, mark or track.mark, self.fence, self.sequence)
        approved = self.gate.approve(client_order_id, intent, mono)
        first = initialized(client_order_id, intent, wall, group, replaces)
        submitted = Submitted(
            client_order_id=client_order_id,
            ts=wall,
            grant=track.grant,
            allocation=track.allocation,
            epoch=approved.epoch,
        )
        order = Order(first)
        order.apply(submitted)
        live = self._enter(order, track)
        live.sent_mono = approved.deadline_ns
        self._account(live)
        self.sent(order)
        return [Entry(track.name, first), Entry(track.name, submitted)], approved

    def _deny(
        self, intent: Intent, track: Track, refused: list[str], wall: int, mono: int, *, mark: str = ""
    ) -> list[Output]:
        for reason in refused:
            self._count(self.refusals, reason.partition(" ")[0])
        if intent.intent_id in track.seen:
            return []  # the order of this intent has its own events; a second answer would contradict it
        if mono - self._denial_mono > 1000 * MILLISECOND_NS:
            self._denial_mono, self._denials = mono, DENIALS_PER_S
        if self._denials <= 0:
            self.unjournaled += 1
            return [Refuse(track.name, intent.intent_id, tuple(refused))]
        self._denials -= 1
        track.remember(intent.intent_id)
        self.sequence += 1
        client_order_id = ids.make(self.prefix, mark or track.mark, self.fence, self.sequence)
        denied = Denied(client_order_id=client_order_id, ts=wall, reasons=tuple(refused))
        return [Entry(track.name, initialized(client_order_id, intent, wall)), Entry(track.name, denied)]

    def cancel_intent(self, intent: CancelIntent, sender_key: str, wall: int, mono: int) -> list[Output]:
        """Cancels always pass; only a stranger's do not."""
        track = self.gate.tracks.get(intent.track)
        if track is None or not sender_key or track.key != sender_key:
            self._count(self.refusals, "SENDER_NOT_ALLOWED")
            return []
        live = self.live.get(self._intent_ids.get((intent.track, intent.intent_id), ""))
        return [] if live is None else self._want_cancel(live, "asked for by the strategy", wall, mono)

    def count_refusal(self, code: str) -> None:
        """One that has no intent that could be told of."""
        self._count(self.refusals, code)

    # --- stops and time

    def tick(self, wall: int, mono: int) -> list[Output]:
        """Everything that is due: queries, repeated cancels, and the cancels of a stop."""
        outputs = self.cancel_excess(wall, mono) if self._excess_due else []
        doomed = self._stopped()
        for live in list(self.live.values()):
            if live.query_at and mono >= live.query_at:
                live.query_at = mono + live.query_gap
                live.query_gap = min(2 * live.query_gap, QUERY_MAX_NS)
                outputs.append(Query(live.order.symbol, live.order.client_order_id))
            stopped = live.order.client_order_id in doomed
            if live.order.track != FOREIGN and (
                (stopped and not live.cancel_wanted) or (live.cancel_wanted and mono >= live.cancel_again)
            ):
                outputs += self._want_cancel(live, self.guard.reason if stopped else "asked again", wall, mono)
        return outputs

    def cancel_stopped(self, wall: int, mono: int) -> list[Output]:
        """Cancel every order of ours that a stop does not let work, now; ``tick`` repeats until each is closed."""
        outputs: list[Output] = []
        for live in self._stopped().values():
            if not live.cancel_wanted:
                outputs += self._want_cancel(live, self.guard.reason, wall, mono)
        return outputs

    def _stopped(self) -> dict[str, Live]:
        if self.guard.worst < Severity.CANCEL:
            return {}
        return {live.order.client_order_id: live for live in stopping.stopped(self.live.values(), self.guard)}

    def close(self, intent: Intent, wall: int, mono: int) -> list[Output]:
        """An intent of the platform's own, to close under Flatten: checked, numbered and journaled like all others."""
        track = self.gate.tracks[intent.track]
        refused = self.gate.judge(intent, wall, mono, closing=True)
        mark = ids.closing_mark(track.mark)
        if refused:
            return because(self.guard.reason, self._deny(intent, track, refused, wall, mono, mark=mark))
        entries, approved = self._send(intent, track, wall, mono, mark=mark)
        return because(self.guard.reason, [*entries, approved])

    def cancel_excess(self, wall: int, mono: int) -> list[Output]:
        """After limits became tighter: cancel the working orders above them, newest first; reducing ones stay. What
        cannot be judged yet is judged again by ``tick``."""
        found, complete = excess(self.gate, self.live)
        self._excess_due = not complete
        outputs: list[Output] = []
        for live in found:
            outputs += self._want_cancel(live, "above the tightened limits", wall, mono)
        return outputs

    def cancel_unowned(self, leaving: Container[str], wall: int, mono: int) -> list[Output]:
        """After an allocation: cancel the working orders whose strategy may no longer look after them."""
        outputs: list[Output] = []
        for live in list(self.live.values()):
            if not live.cancel_wanted and (reason := unowned(live, self.gate.tracks, leaving)):
                outputs += self._want_cancel(live, reason, wall, mono)
        return outputs

    def _want_cancel(self, live: Live, reason: str, wall: int, mono: int) -> list[Output]:
        order = live.order
        live.cancel_again = mono + CANCEL_AGAIN_NS
        outputs: list[Output] = []
        if order.state is not OrderState.PENDING_CANCEL:
            outputs += self._fold(PendingCancel(client_order_id=order.client_order_id, ts=wall, reason=reason))
        outputs.append(Cancel(order.symbol, order.client_order_id))
        return outputs

    # --- recovery

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
            live.query_at = live.sent_mono = mono  # the process that sent it has ended by now
        return outputs

    def evaluate(self, wall: int) -> None:
        """What each track and the account have lost."""
        valuation.evaluate(self.gate, self.books, self.ledger, self.calendar, self._currency, self.capital, wall)


def because(reason: str, outputs: list[Output]) -> list[Output]:
    """Say in an order's first event why it exists."""
    return [
        Entry(output.track, msgspec.structs.replace(output.event, reason=reason))
        if isinstance(output, Entry) and isinstance(output.event, Initialized)
        else output
        for output in outputs
    ]

"""The gate's host: carries out what the engines decide, and feeds them what happens. One event loop, one writer.

The order path is: bus message -> `Manager.intent` -> one write(2) to the journal -> a task that sends. Nothing on
it awaits, logs or allocates more than it must. Everything else (reconciliation, losses, status) runs beside it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from ringfence.execution import ids
from ringfence.execution.aftermath import Aftermath
from ringfence.execution.agenda import ALL, OURS, STANDING, Agenda, Look
from ringfence.execution.changes import Changes
from ringfence.execution.counters import Counters
from ringfence.execution.estimates import Estimates
from ringfence.execution.evidence import Evidence
from ringfence.execution.gate import Gate
from ringfence.execution.handover import Handovers
from ringfence.execution.outputs import Output, Reconcile, Refuse
from ringfence.execution.protection import Protection
from ringfence.execution.reconcile import NOTE_ADJUSTMENT, Reconciler
from ringfence.execution.recording import Recording
from ringfence.execution.requests import Requests
from ringfence.execution.state import STATUS_STALE_NS
from ringfence.execution.status import Proof, StatusWriter
from ringfence.execution.store import NOTE_INSTRUMENT, NOTE_LATCHES, Store
from ringfence.execution.versions import Versions
from ringfence.model.approved import Approved
from ringfence.model.orders import OrderEvent
from ringfence.model.records import Entry
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.build import own
from ringfence.runtime.bus import Publisher
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import Allocation, GateConfig
from ringfence.runtime.guard import RECONCILED, Guard
from ringfence.runtime.killwatch import Fold
from ringfence.runtime.lease import LeaseCore
from ringfence.venues import api
from ringfence.wire.messages import (
    AccountState,
    AnyMessage,
    Balance,
    BookTop,
    CancelIntent,
    Envelope,
    FeedStatus,
    GateState,
    Hello,
    InstrumentRules,
    Intent,
    MassCancelIntent,
    OrderUpdate,
    PairIntent,
    Quote,
    ReduceIntent,
    Refused,
    ReplaceIntent,
    Route,
    Routes,
    Trade,
)
from ringfence.wire.stops import Severity

log = structlog.get_logger()

JOURNAL: Final = "journal"
MARKET: Final = "market data"
STREAM: Final = "venue stream"
TICK_S: Final = 0.02
SLOW_EVERY: Final = 10
"""Ticks between evaluations of losses and of the start-up conditions."""


class Execution:
    """Built by `main`; every attribute that is set later is set there, before anything runs."""

    publisher: Publisher
    status: StatusWriter
    alerts: Alerts
    lease: LeaseCore
    reopen: Callable[[str], None] | None
    """Of paper: give a track fresh balances."""
    on_allocation: Callable[[dict[str, Any] | None], object]

    def __init__(
        self,
        config: GateConfig,
        clock: Clock,
        venue: api.TradingVenue,
        store: Store,
        guard: Guard,
        gate: Gate,
        manager: Changes,
        reconciler: Reconciler,
        handovers: Handovers,
        on_market: Callable[[AnyMessage], None] | None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.venue = venue
        self.store = store
        self.journal = store.journal
        self.guard = guard
        self.gate = gate
        self.manager = manager
        self.reconciler = reconciler
        self.handovers = handovers
        self.counters = Counters()
        self.versions = Versions(own())
        self.recording = Recording(store.journal, clock, self._journal_failed)
        self.note = self.recording.note
        self.protection = Protection(gate, manager, self.note)
        self.requests = Requests(
            venue, clock, manager, self.protection.traffic, self.may_send, self.perform, lambda: self.look(OURS)
        )
        self.evidence = Evidence(gate.markets, self._revision_of)
        self.estimates = Estimates(gate.markets)
        self.proof = Proof()
        self.aftermath = Aftermath(manager, reconciler)
        self.cancel_proof, self.flatten = self.aftermath.proof, self.aftermath.flatten
        self.balances: dict[str, api.VenueBalance] = {}
        self._account_told = True
        """Whether what the venue has told of balances has been published: at the next tick, not with each order."""
        self.heard: dict[str, int] = {}
        """When each track's strategy was last heard, UTC nanoseconds."""
        self.agenda = Agenda()
        self.wake_reconciler = asyncio.Event()
        self.stream_drops = 0
        self.stream_up = False
        self.draining = False
        self._on_market = on_market
        self._latches = dict(guard.latches)
        self._releases = guard.releases
        self._cycle = guard.cycle
        self._changed = guard.changed
        self._worst = guard.worst

    # --- the order path

    def on_intent(self, envelope: Envelope, sender_key: str) -> None:
        body = envelope.body
        if type(body) is Intent:
            if self.draining:
                return
            mono = self.clock.monotonic_ns()
            outputs = self.manager.intent(body, sender_key, self.clock.wall_ns(), mono)
            self.counters.checks.observe(self.clock.monotonic_ns() - mono)
            if outputs:
                self.perform(outputs)
            self._judged(body.track)
            return
        manager, wall, mono = self.manager, self.clock.wall_ns(), self.clock.monotonic_ns()
        match body:
            case CancelIntent():
                self.perform(manager.cancel_intent(body, sender_key, wall, mono))
            case MassCancelIntent():
                self.perform(manager.mass_cancel(body, sender_key, wall, mono))
            case ReduceIntent():
                self.perform(manager.reduce_intent(body, sender_key, wall, mono))
            case ReplaceIntent() if not self.draining:
                self.perform(manager.replace_intent(body, sender_key, wall, mono))
                self._judged(body.track)
            case PairIntent() if not self.draining:
                self.perform(manager.pair_intent(body, sender_key, wall, mono))
                self._judged(body.first.track)
            case Hello():
                self._hello(body, sender_key)
            case _:
                pass

    def _judged(self, track: str) -> None:
        found = self.gate.tracks.get(track)
        if found is not None:
            self.evidence.judged(found)

    def on_other_version(self, version: int, sender_key: str) -> None:
        """A message of another wire version. What it says cannot be known, so nothing of it is done."""
        self.manager.count_refusal("WIRE_VERSION_DIFFERS")
        self.versions.other(version, sender_key, self.gate.tracks.values())

    def _hello(self, hello: Hello, sender_key: str) -> None:
        track = self.gate.tracks.get(hello.track)
        mark = ids.revision_mark(hello.revision)
        if track is not None and sender_key and track.key == sender_key and track.mark == mark:
            self.versions.heard(track.name, hello.build)
            self.heard[track.name] = self.clock.wall_ns()
            self.handovers.adopts[track.name, mark] = hello.adopts

    def perform(self, outputs: list[Output]) -> None:
        """Carry outputs out in order: what an order needs in the journal is there before it is sent."""
        entries: list[Entry] = []
        for output in outputs:
            if isinstance(output, Entry):
                entries.append(output)
                continue
            if entries:
                self.record(entries)
                entries = []
            match output:
                case Refuse(track, intent_id, reasons):
                    self.publisher.send(Refused(self.config.service, self.clock.wall_ns(), track, intent_id, reasons))
                case Reconcile(reason):
                    log.info("reconciling", reason=reason)
                    self.look(OURS)
                case _:
                    self.requests.begin(output)
        if entries:
            self.record(entries)

    def record(self, entries: list[Entry]) -> None:
        """Journal, then publish under the journal's numbers."""
        self.evidence.entries(entries, self.clock.monotonic_ns())
        self.estimates.entries(entries)
        last = self.recording.entries(entries)
        if last:
            self._publish(entries, last)

    def _publish(self, entries: list[Entry], last: int) -> None:
        sequence = last - len(entries)
        for entry in entries:
            sequence += 1
            self.publisher.send(OrderUpdate(self.config.service, sequence, entry.track, entry.event))

    def may_send(self, order: Approved) -> str | None:
        """Asked at the socket, immediately before the bytes leave."""
        if order.epoch != self.guard.epoch:
            return f"the guard became tighter since the check: {self.guard.state}"
        if self.journal.error or self.recording.waiting:
            return f"the journal is not writable: {self.journal.error}"
        if self.clock.monotonic_ns() > order.deadline_ns:
            return "the approval has expired"
        if self.clock.boot_ns() >= self.lease.send_until:
            return "the Lease does not last as long as the request is valid"
        return self.aftermath.forbids(order)

    def look(self, look: Look) -> None:
        """Have the venue asked, now."""
        self.agenda.ask(look)
        self.wake_reconciler.set()

    # --- what the venue tells

    def on_order_event(self, symbol: str, event: OrderEvent) -> None:
        self.perform(self.manager.event(symbol, event))

    def on_balances(self, balances: dict[str, api.VenueBalance]) -> None:
        self.balances |= balances
        self.gate.hold(self.balances)
        self._account_told = False

    def on_stream(self, connected: bool, reason: str) -> None:
        self.stream_up = connected
        if connected or self.protection.stream_up is not None:
            self.protection.stream_up = connected
        if connected:
            self.observe(lambda now: self.guard.met(STREAM, now))
        else:
            self.stream_drops += 1
            self.observe(lambda now: self.guard.missed(STREAM, reason, now))
            # events may have been missed: only a reconciliation that begins from here on proves anything
            self.observe(lambda now: self.guard.missed(RECONCILED, "not since the stream broke", now))
        self.look(ALL)

    def _revision_of(self, track: str) -> str:
        found = self.gate.tracks.get(track)
        return "" if found is None else found.revision

    def publish_account(self) -> None:
        self._account_told = True
        held = tuple(Balance(asset, b.free, b.locked) for asset, b in sorted(self.balances.items()))
        self.publisher.send(AccountState(self.config.service, self.clock.wall_ns(), held))

    # --- the market

    def on_market(self, envelope: Envelope) -> None:
        body, mono = envelope.body, self.clock.monotonic_ns()
        match body:
            case Quote(symbol):
                if symbol in self.gate.markets:
                    self.gate.markets[symbol].quote(body, mono)
            case BookTop(symbol):
                if symbol in self.gate.markets:
                    self.gate.markets[symbol].book(body, mono)
            case Trade(symbol):
                if symbol in self.gate.markets:
                    self.gate.markets[symbol].tape.trade(body.quantity, mono)
            case FeedStatus(symbol):
                if symbol in self.gate.markets:
                    self.gate.markets[symbol].status(body, mono)
            case InstrumentRules(_, instrument):
                market = self.gate.markets.get(instrument.symbol)
                if market is not None and market.instrument != instrument:
                    self.note(NOTE_INSTRUMENT, instrument)  # before any order of it: a replay needs the rules
                    market.instrument = instrument
            case _:
                pass
        if self._on_market is not None:
            self._on_market(body)

    # --- the guard

    def working(self) -> int:
        return self.aftermath.working()

    def observe(self, fold: Fold) -> None:
        """Every change of the guard goes through here: measure it, and act on it before anything else happens."""
        guard = self.guard
        seen, wall, epoch = self.clock.monotonic_ns(), self.clock.wall_ns(), guard.epoch
        fold(wall)
        if guard.epoch != epoch:
            took = self.clock.monotonic_ns() - seen
            self.counters.kills += 1
            self.counters.kill_ns_last = self.proof.latency_ns = took
            self.counters.kill_ns_max = max(self.counters.kill_ns_max, took)
            self.proof.closed_at = wall + took
        if guard.changed != self._changed:
            self._guard_changed()

    def _guard_changed(self) -> None:
        guard, before = self.guard, self._worst
        self._changed, self._worst = guard.changed, guard.worst
        if guard.worst >= Severity.CANCEL:
            if before < Severity.CANCEL:
                self.manager.canceled_by_kill = 0
            self.perform(self.manager.cancel_stopped(self.clock.wall_ns(), self.clock.monotonic_ns()))
            self.look(Look.ORDERS)
        if guard.latches != self._latches:
            self._latches = dict(guard.latches)
            self._keep_latches()
        released = guard.releases != self._releases
        if released:
            self._releases = guard.releases
            self._released()
        self.protection.guard_changed(released=released, wall=self.clock.wall_ns())
        if guard.cycle != self._cycle:
            self._cycle = guard.cycle
            self.look(STANDING)
        self.publish_state()
        self.touch_status()
        log.info("guard", state=guard.state, reason=guard.reason, epoch=guard.epoch)

    def _keep_latches(self) -> None:
        """Twice, in the journal and beside it: a kill must not be forgotten because a disk is full."""
        latches = tuple(self._latches.values())
        beside = self.store.latches.write(latches, self.clock.wall_ns())
        self.note(NOTE_LATCHES, latches)
        self.proof.durable = beside or not self.recording.waiting
        if beside:
            self.requests.run(asyncio.to_thread(self.store.latches.sync))

    def _released(self) -> None:
        """A person released the system's switch: what waited for a person goes on."""
        if self.reconciler.breaks:
            accepted = self.reconciler.accept(self.clock.wall_ns())
            self.note(NOTE_ADJUSTMENT, accepted)
            log.warning("break accepted by release", adjustment=accepted)
        self.observe(lambda now: self.guard.drop("overfill", now))

    def publish_state(self) -> None:
        guard = self.guard
        self.publisher.send(
            GateState(self.config.service, self.clock.wall_ns(), guard.state, guard.reason, guard.epoch)
        )

    def publish_routes(self, allocation: Allocation | None) -> None:
        """Where each strategy belongs: those that run follow it."""
        if allocation is None:
            return
        routes = tuple(
            Route(track.key, track.name, track.revision, not self.gate.tracks[track.name].barred)
            for track in allocation.tracks
        )
        self.publisher.send(Routes(self.config.service, self.clock.wall_ns(), allocation.epoch, routes))

    def touch_status(self) -> None:
        self.status.touch()

    def _follow_stops(self) -> None:
        if self.aftermath.idle:
            return
        before = self.cancel_proof.wanted
        self.perform(self.aftermath.step(self.balances, self.clock.wall_ns(), self.clock.monotonic_ns()))
        if self.cancel_proof.wanted and not before:
            self.look(Look.ORDERS)
        self.touch_status()

    def protect(self) -> None:
        """One round of the breakers."""
        if self.draining:
            return

        def look(now: int) -> None:
            for one in self.protection.round(now, self.clock.monotonic_ns()):
                log.error("breaker tripped", breaker=one.key, severity=one.severity, evidence=one.evidence)

        self.observe(look)

    # --- time

    async def ticks(self, check_lease: Callable[[], None]) -> None:
        turn = 0
        while True:
            turn += 1
            outputs = self.manager.tick(self.clock.wall_ns(), self.clock.monotonic_ns())
            if outputs:
                self.perform(outputs)
            if self.guard.changed != self._changed:  # an engine has tightened it
                self._guard_changed()
            self._follow_stops()
            if not self._account_told:
                self.publish_account()
            if turn % SLOW_EVERY == 0:
                check_lease()
                self.evidence.expect(self.gate.tracks)
                self.evidence.tick(self.clock.monotonic_ns())
                self._conditions()
                if self.gate.account.caps.loss:
                    self.manager.evaluate(self.clock.wall_ns())
                self.protect()
            if turn % (5 * SLOW_EVERY) == 0:
                self.publish_state()
            await asyncio.sleep(TICK_S)

    def _conditions(self) -> None:
        """What start-up waits for, and what makes it wait again."""
        mono = self.clock.monotonic_ns()
        blind = [
            f"{symbol} {'has no rules' if market.instrument is None else market.unusable or 'is silent'}"
            for symbol in self.config.symbols
            if (market := self.gate.markets[symbol]).instrument is None
            or not market.quote_mono
            or mono - market.status_mono > STATUS_STALE_NS
            or (MARKET in self.guard.missing and market.unusable)
        ]
        if blind:
            self.observe(lambda now: self.guard.missed(MARKET, ", ".join(blind), now))
        else:
            self.observe(lambda now: self.guard.met(MARKET, now))
        self._retry_journal()
        self.observe(lambda now: self.versions.judge(self.guard, self.gate.tracks.values(), now))

    def _journal_failed(self, reason: str) -> None:
        self.observe(lambda now: self.guard.hold(JOURNAL, Severity.HALT, reason, now))

    def _retry_journal(self) -> None:
        if not self.recording.catch_up(self._publish):
            return
        self.proof.durable = True
        error = self.journal.error
        if error:
            self._journal_failed(error)
        elif JOURNAL in self.guard.sources:
            self.observe(lambda now: self.guard.drop(JOURNAL, now))
        else:
            self.observe(lambda now: self.guard.met(JOURNAL, now))

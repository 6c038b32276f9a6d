"""The gate's host: carries out what the engines decide, and feeds them what happens. One event loop, one writer.

The order path is: bus message -> `Manager.intent` -> one write(2) to the journal -> a task that sends. Nothing on
it awaits, logs or allocates more than it must. Everything else (reconciliation, losses, status) runs beside it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

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
from ringfence.execution.outputs import Amend, Cancel, Output, Pair, Query, Reconcile, Refuse, Replace
from ringfence.execution.protection import Protection
from ringfence.execution.reconcile import NOTE_ADJUSTMENT, Reconciler
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
from ringfence.runtime.journal import JournalError
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
BACKLOG_MAX: Final = 100_000
TICK_S: Final = 0.02
SLOW_EVERY: Final = 10
"""Ticks between evaluations of losses and of the start-up conditions."""


class Unwritten(NamedTuple):
    """A note that waits for the journal, among the entries that do."""

    kind: str
    ts: int
    body: object


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
        self.protection = Protection(gate, manager, self._note)
        self.evidence = Evidence(gate.markets, self._revision_of)
        self.estimates = Estimates(gate.markets)
        self.proof = Proof()
        self.aftermath = Aftermath(manager, reconciler)
        self.cancel_proof, self.flatten = self.aftermath.proof, self.aftermath.flatten
        self.balances: dict[str, api.VenueBalance] = {}
        self.heard: dict[str, int] = {}
        """When each track's strategy was last heard, UTC nanoseconds."""
        self.agenda = Agenda()
        self.wake_reconciler = asyncio.Event()
        self.stream_drops = 0
        self.stream_up = False
        self.draining = False
        self._on_market = on_market
        self._backlog: list[Entry | Unwritten] = []
        self._latches = dict(guard.latches)
        self._releases = guard.releases
        self._cycle = guard.cycle
        self._changed = guard.changed
        self._worst = guard.worst
        self._tasks: set[asyncio.Task[None]] = set()

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
            if type(output) is Entry:
                entries.append(output)
                continue
            if entries:
                self.record(entries)
                entries = []
            match output:
                case Approved():
                    self.task(self._send(output))
                case Replace():
                    self.task(self._replace(output))
                case Pair():
                    self.task(self._send_pair(output))
                case Amend():
                    self.task(self._amend(output))
                case Cancel(symbol, client_order_id):
                    self.task(self._cancel(symbol, client_order_id))
                case Query(symbol, client_order_id):
                    self.task(self.query(symbol, client_order_id))
                case Refuse(track, intent_id, reasons):
                    self.publisher.send(Refused(self.config.service, self.clock.wall_ns(), track, intent_id, reasons))
                case Reconcile(reason):
                    log.info("reconciling", reason=reason)
                    self.look(OURS)
        if entries:
            self.record(entries)

    def record(self, entries: list[Entry]) -> None:
        """Journal, then publish under the journal's numbers."""
        self.evidence.entries(entries, self.clock.monotonic_ns())
        self.estimates.entries(entries)
        if self._backlog:
            self._keep(entries)
            return
        try:
            last = self.journal.append(entries)
        except JournalError as error:
            self._keep(entries)
            reason = str(error)
            self.observe(lambda now: self.guard.hold(JOURNAL, Severity.HALT, reason, now))
            return
        self._publish(entries, last)

    def _publish(self, entries: list[Entry], last: int) -> None:
        sequence = last - len(entries)
        for entry in entries:
            sequence += 1
            self.publisher.send(OrderUpdate(self.config.service, sequence, entry.track, entry.event))

    def _keep(self, entries: Sequence[Entry | Unwritten]) -> None:
        """What cannot be written waits, in its order: a cursor before its fills, or rules after them, would lose them.

        Nothing is sent meanwhile, and the venue can tell its part again.
        """
        if len(self._backlog) + len(entries) > BACKLOG_MAX:
            self.counters.backlog_dropped += len(entries)
            return
        self._backlog += entries

    @property
    def busy(self) -> int:
        """How many requests to the venue are under way."""
        return len(self._tasks)

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a request failed", exc_info=task.exception())
            self.look(OURS)

    def may_send(self, order: Approved) -> str | None:
        """Asked at the socket, immediately before the bytes leave."""
        if order.epoch != self.guard.epoch:
            return f"the guard became tighter since the check: {self.guard.state}"
        if self.journal.error or self._backlog:
            return f"the journal is not writable: {self.journal.error}"
        if self.clock.monotonic_ns() > order.deadline_ns:
            return "the approval has expired"
        if self.clock.boot_ns() >= self.lease.send_until:
            return "the Lease does not last as long as the request is valid"
        return self.aftermath.forbids(order)

    async def _send(self, order: Approved) -> None:
        refused = self.may_send(order)
        outcome = api.NotSent(refused) if refused else await self.venue.submit(order, self.may_send)
        self.protection.traffic.sent(outcome)
        self.perform(
            self.manager.submitted(order.client_order_id, outcome, self.clock.wall_ns(), self.clock.monotonic_ns())
        )

    async def _send_pair(self, pair: Pair) -> None:
        refused = self.may_send(pair.first) or self.may_send(pair.second)
        outcomes: tuple[api.SubmitOutcome, api.SubmitOutcome] = (api.NotSent(refused or ""),) * 2
        if not refused:
            outcomes = await self.venue.submit_pair(pair.first, pair.second, self.may_send)
        wall, mono = self.clock.wall_ns(), self.clock.monotonic_ns()
        for order, outcome in zip((pair.first, pair.second), outcomes, strict=True):
            self.protection.traffic.sent(outcome)
            self.perform(self.manager.submitted(order.client_order_id, outcome, wall, mono))

    async def _replace(self, wanted: Replace) -> None:
        refused = self.may_send(wanted.order)
        outcome: tuple[api.CancelOutcome, api.SubmitOutcome] = (api.NotSent(refused or ""), api.NotSent(refused or ""))
        if not refused:
            outcome = await self.venue.replace(wanted.replaced, wanted.order, self.may_send, untouched=wanted.untouched)
        canceled, placed = outcome
        self.protection.traffic.changed(canceled)
        self.protection.traffic.sent(placed)
        wall, mono = self.clock.wall_ns(), self.clock.monotonic_ns()
        self.perform(self.manager.replaced(wanted.replaced, wanted.order.client_order_id, outcome, wall, mono))

    async def _amend(self, wanted: Amend) -> None:
        outcome = await self.venue.amend(wanted.symbol, wanted.client_order_id, wanted.quantity)
        self.protection.traffic.changed(outcome)
        wall, mono = self.clock.wall_ns(), self.clock.monotonic_ns()
        self.perform(self.manager.amended(wanted.client_order_id, outcome, wall, mono))

    async def _cancel(self, symbol: str, client_order_id: str) -> None:
        outcome = await self.venue.cancel(symbol, client_order_id)
        self.protection.traffic.changed(outcome)
        wall, mono = self.clock.wall_ns(), self.clock.monotonic_ns()
        self.perform(self.manager.canceled(client_order_id, outcome, wall, mono))

    def look(self, look: Look) -> None:
        """Have the venue asked, now."""
        self.agenda.ask(look)
        self.wake_reconciler.set()

    async def query(self, symbol: str, client_order_id: str) -> None:
        asked = self.clock.monotonic_ns()
        try:
            report = await self.venue.order(symbol, client_order_id)
        except api.VenueError as error:
            self.protection.traffic.request(failed=True)
            log.info("query failed", client_order_id=client_order_id, reason=str(error))
            self.manager.query_failed(client_order_id, self.clock.monotonic_ns())
            return
        self.protection.traffic.request(failed=False)
        wall, mono = self.clock.wall_ns(), self.clock.monotonic_ns()
        self.perform(self.manager.queried(client_order_id, report, asked, wall, mono))

    # --- what the venue tells

    def on_order_event(self, symbol: str, event: OrderEvent) -> None:
        self.perform(self.manager.event(symbol, event))

    def on_balances(self, balances: dict[str, api.VenueBalance]) -> None:
        self.balances |= balances
        self.gate.hold(self.balances)
        self.publish_account()

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
                    self._note(NOTE_INSTRUMENT, instrument)  # before any order of it: a replay needs the rules
                    market.instrument = instrument
            case _:
                pass
        if self._on_market is not None:
            self._on_market(body)

    def _keep_latches(self) -> None:
        """Twice, in the journal and beside it: a kill must not be forgotten because a disk is full."""
        latches = tuple(self._latches.values())
        beside = self.store.latches.write(latches, self.clock.wall_ns())
        self._note(NOTE_LATCHES, latches)
        self.proof.durable = beside or not self._backlog
        if beside:
            self.task(asyncio.to_thread(self.store.latches.sync))

    def _note(self, kind: str, body: object) -> None:
        note = Unwritten(kind, self.clock.wall_ns(), body)
        if self._backlog:
            self._keep([note])
            return
        try:
            self.journal.note(*note)
        except JournalError as error:
            self._keep([note])
            reason = str(error)
            self.observe(lambda now: self.guard.hold(JOURNAL, Severity.HALT, reason, now))

    def note(self, kind: str, body: object) -> None:
        self._note(kind, body)

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

    def _released(self) -> None:
        """A person released the system's switch: what waited for a person goes on."""
        if self.reconciler.breaks:
            accepted = self.reconciler.accept(self.clock.wall_ns())
            self._note(NOTE_ADJUSTMENT, accepted)
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

    def _retry_journal(self) -> None:
        if self._backlog:
            if not self._write_backlog():
                return
            self.journal.recovered()
        elif self.journal.error and not self.journal.sync_failed:
            with contextlib.suppress(JournalError):
                self.journal.note("probe", self.clock.wall_ns(), None)
                self.journal.recovered()
        error = self.journal.error
        if error:
            self.observe(lambda now: self.guard.hold(JOURNAL, Severity.HALT, error, now))
        elif JOURNAL in self.guard.sources:
            self.observe(lambda now: self.guard.drop(JOURNAL, now))
        else:
            self.observe(lambda now: self.guard.met(JOURNAL, now))

    def _write_backlog(self) -> bool:
        """All that waits, in its order; False if the journal still refuses."""
        while self._backlog:
            entries: list[Entry] = []
            for kept in self._backlog:
                if isinstance(kept, Unwritten):
                    break
                entries.append(kept)
            first = self._backlog[0]
            try:
                if isinstance(first, Unwritten):
                    self.journal.note(*first)
                else:
                    last = self.journal.append(entries)
                    self._publish(entries, last)
            except JournalError:
                return False
            del self._backlog[: max(1, len(entries))]
        self.proof.durable = True
        return True

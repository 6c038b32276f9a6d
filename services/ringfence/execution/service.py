"""Wiring: one gate from its configuration, its start in the order that safety asks for, and its orderly end.

Start: lock and replay the journal, restore latches, losses and exposure; only then open sockets. Nothing can be sent
before the guard is Active, which needs everything else. End (SIGTERM): no intents, cancel all working orders, wait
for the answers, make the journal durable, release the Lease.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import structlog

from ringfence.execution import alarms, ids, metrics, standing
from ringfence.execution.allocating import AllocationKeeper
from ringfence.execution.app import JOURNAL, MARKET, STREAM, Execution
from ringfence.execution.byhand import NOTE_HAND, by_hand
from ringfence.execution.checkpointing import Checkpoints
from ringfence.execution.documents import install
from ringfence.execution.ending import drained
from ringfence.execution.engines import engines
from ringfence.execution.gateline import evidence
from ringfence.execution.handover import Handovers
from ringfence.execution.history import History
from ringfence.execution.kill_endpoint import KillEndpoint
from ringfence.execution.leader import REQUIREMENT as LEASE
from ringfence.execution.leader import Leader
from ringfence.execution.ledgerfile import keep_ledger
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Output
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.reconciling import ReconcileLoop
from ringfence.execution.standing import Standing
from ringfence.execution.status import StatusWriter
from ringfence.execution.store import JOURNAL_FILE, NOTE_FENCE, Paths, Store
from ringfence.execution.tracks import families as track_families
from ringfence.execution.tracks import install as install_tracks
from ringfence.execution.tracks import report
from ringfence.execution.twin import Twin
from ringfence.execution.twinning import Twinning
from ringfence.execution.twinning import families as twin_families
from ringfence.kube.client import KubeClient
from ringfence.kube.kubeconfig import KubeconfigError
from ringfence.model.calendar import Calendar
from ringfence.model.positions import Book
from ringfence.runtime import config as configs
from ringfence.runtime import feed
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.clock import Clock
from ringfence.runtime.config import GateConfig
from ringfence.runtime.journal import Journal, JournalError
from ringfence.runtime.killwatch import ALLOCATION, KillWatch
from ringfence.runtime.killwatch import REQUIREMENT as KILL_WATCH
from ringfence.runtime.lease import LeaseCore
from ringfence.runtime.service import FatalError, Host
from ringfence.venues import api
from ringfence.venues.binance.trading import BinanceTrading
from ringfence.venues.paper.accounts import PaperAccounts
from ringfence.venues.paper.engine import PaperEngine
from ringfence.venues.paper.venue import PaperVenue
from ringfence.wire.byhand import HandAnswer, HandRequest
from ringfence.wire.messages import AnyMessage, InstrumentRules

log = structlog.get_logger()

MILLISECOND_NS: Final = 1_000_000


def paths() -> Paths:
    """The mounted places, each of which an environment variable may move."""

    def at(name: str, default: Path) -> Path:
        return Path(os.environ.get(f"RINGFENCE_{name}", default))

    return Paths(
        journal=at("JOURNAL", configs.JOURNAL_DIR),
        kill_switch=at("KILL_SWITCH", configs.KILL_SWITCH_DIR),
        kill_token=at("KILL_TOKEN", configs.KILL_TOKEN_FILE),
        curve=at("CURVE", configs.CURVE_DIR),
        credentials=at("CREDENTIALS", configs.CREDENTIALS_DIR),
    )


def kube_client() -> KubeClient:
    """The pod's service account, or outside of a cluster what KUBECONFIG names."""
    kubeconfig = os.environ.get("KUBECONFIG")
    try:
        return KubeClient.from_kubeconfig(kubeconfig) if kubeconfig else KubeClient.in_cluster()
    except KubeconfigError as error:
        raise FatalError(f"no API server to watch for kill switches: {error}") from error


@contextlib.asynccontextmanager
async def execution(host: Host) -> AsyncIterator[None]:
    """The service's main."""
    config = host.config
    if not isinstance(config, GateConfig):
        raise TypeError(f"a gate needs a GateConfig, not {type(config).__name__}")
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(kube_client())
        gate = await stack.enter_async_context(Gated(host, config, client, paths()).running())
        host.health.not_ready("guard", "the gate has not been Active yet")
        host.spawn(_readiness(host, gate), "readiness")
        yield


def _hand(app: Execution, asked: HandRequest) -> HandAnswer:
    """What a person asks is on record before it is done."""
    app.note(NOTE_HAND, asked)
    answer, outputs = by_hand(app.manager, asked, app.clock.wall_ns(), app.clock.monotonic_ns())
    log.warning("by hand", action=asked.action, by=asked.by, reason=asked.reason, done=answer.done, told=answer.told)
    app.perform(outputs)
    return answer


async def _readiness(host: Host, app: Execution) -> None:
    """Ready = able to take orders and kills: started once. A halted gate stays ready, or nobody could reach it."""
    while app.guard.state in {"Starting"}:
        host.health.not_ready("guard", app.guard.reason)
        await asyncio.sleep(0.1)
    host.health.ready("guard")


def paper_balances(opening: dict[str, int], book: Book | None, base: dict[str, int] | None) -> dict[str, int]:
    """What a track's paper account holds: its fresh balances, and what it has done since it was opened."""
    found = dict(opening)
    for asset, amount in (book.cash if book is not None else {}).items():
        found[asset] = found.get(asset, 0) + amount - (base or {}).get(asset, 0)
    return found


class Gated:
    """All parts of one gate."""

    def __init__(self, host: Host, config: GateConfig, client: KubeClient, places: Paths) -> None:
        self.host = host
        self.config = config
        self.client = client
        self.places = places
        self.clock: Clock = host.clock
        self.session = self.clock.wall_ns()
        self.pod = os.environ.get("POD_NAME") or socket.gethostname()
        self.pod_uid = os.environ.get("POD_UID", "")
        self.standing = Standing()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Execution]:
        config, host = self.config, self.host
        app, replayed = self._recover()
        self.bus = Bus(config.service, self.session, self._keys())
        self._open_sockets(app)
        app.alerts = Alerts(config.alerting, self.clock.wall_ns)
        who = {"pod": self.pod, "podUID": self.pod_uid, "system": config.system, "service": config.service}
        app.status = StatusWriter(
            self.client,
            config.namespace,
            who,
            app.guard,
            app.proof,
            lambda scope: (
                evidence(app.manager, app.cancel_proof, app.flatten, config.hedges, scope)
                | {"exposed": self.standing.lines}
            ),
        )
        self._lease_core(app)
        leader = Leader(
            self.client,
            config.namespace,
            config.lease if not config.paper else "",
            app.lease,
            app,
            self.clock,
            lambda fence: self._acquired(app, fence),
            config.lease_duration_s / 3,
        )
        loop = ReconcileLoop(app)
        endpoint = KillEndpoint(app, self.clock, self.places.kill_token, self.pod, lambda asked: _hand(app, asked))
        install(host, app, loop, self.session)
        install_tracks(host, lambda: report(app, self.keeper, self.pod))
        host.collect(lambda: metrics.families(app, loop, leader, app.status))
        if isinstance(venue := app.venue, BinanceTrading):
            host.collect(lambda: metrics.requests(venue.metrics, venue.used_weight()))
        host.collect(app.alerts.families)
        host.collect(lambda: track_families(app, self.keeper))
        self.checkpoints = Checkpoints(app.store)
        host.collect(lambda: metrics.checkpoints(self.checkpoints, app.store))
        app.perform(replayed)
        async with endpoint.serve(config.kill_port):
            await app.venue.start(app)
            self._spawn(app, leader, loop)
            try:
                yield app
            finally:
                await self._stop(app, leader)

    # --- parts

    def _recover(self) -> tuple[Execution, list[Output]]:
        """Everything that disk remembers, before anything talks to anybody."""
        config, clock = self.config, self.clock
        wall = clock.wall_ns()
        requirements = [MARKET, ALLOCATION, JOURNAL, KILL_WATCH, STREAM] + ([] if config.paper else [LEASE])
        guard, gate, manager, reconciler, handovers = engines(config, requirements, wall)
        manager.calendar = Calendar(config.time_zone)
        try:
            journal = Journal(self.places.journal / JOURNAL_FILE, clock)
            store = Store(journal)
            count = store.replay(manager, reconciler, handovers, guard, wall)
            manager.ledger = store.read_ledger()
        except JournalError as error:
            raise FatalError(str(error)) from error
        manager.ledger.open_journal(journal.created)
        resumed = handovers.resume()
        venue, on_market = self._venue(manager, reconciler, handovers)
        app = Execution(config, clock, venue, store, guard, gate, manager, reconciler, handovers, on_market)
        app.protection.restored(store.breakers, wall)
        app.reopen = self.paper.reopen if config.paper else None
        log.info(
            "recovered",
            records=count,
            checkpoint=store.checkpointed,
            checkpoint_not_used=store.not_used,
            orders=len(manager.live),
            torn_bytes=journal.torn_bytes,
        )
        return app, resumed + manager.recovered(wall, clock.monotonic_ns())

    def _venue(
        self, manager: Manager, reconciler: Reconciler, handovers: Handovers
    ) -> tuple[api.TradingVenue, Callable[[AnyMessage], None] | None]:
        config = self.config
        if not config.paper:
            rng = random.Random(self.session)  # sim-ok: jitter of reconnects only
            credentials = self.places.credentials
            return BinanceTrading(config.venue, self.clock, rng, credentials, config.symbols), None
        rules = {s: m.instrument for s, m in manager.gate.markets.items() if m.instrument is not None}
        self.paper = PaperAccounts(
            rules,
            reconciler.expected(config.paper_balances),
            lambda client_order_id: manager.orders[client_order_id].track,
            lambda track: paper_balances(config.paper_balances, manager.books.get(track), handovers.bases.get(track)),
            lambda balances, name: PaperEngine(
                rules,
                balances,
                config.maker_fee_bps,
                config.taker_fee_bps,
                f"{ids.base36(self.session // MILLISECOND_NS)}.{name}",
            ),
        )
        venue = PaperVenue(self.paper, self.clock, config.latency_ms)

        def on_market(message: AnyMessage) -> None:
            if isinstance(message, InstrumentRules):
                rules[message.instrument.symbol] = message.instrument
            venue.on_market(message)

        return venue, on_market

    def _keys(self) -> KeyPair:
        try:
            return KeyPair.read(self.places.curve)
        except OSError as error:
            raise FatalError(f"CurveZMQ keys in {self.places.curve} cannot be read: {error.strerror}") from error

    def _lease_core(self, app: Execution) -> None:
        config = self.config
        pod = f"{self.pod}/{self.pod_uid}" if self.pod_uid else ""
        identity = f"{self.pod}/{self.pod_uid or '-'}/{ids.base36(self.session)}"
        validity_ns = config.venue.recv_window_ms * MILLISECOND_NS
        try:
            app.lease = LeaseCore(
                identity, pod, config.lease_duration_s, validity_ns, app.manager.fence, fenced=not config.paper
            )
        except ValueError as error:
            raise FatalError(str(error)) from error
        if config.paper:
            self._acquired(app, app.manager.fence + 1)

    def _acquired(self, app: Execution, fence: int) -> None:
        """Every order from here on carries this fence; it is on disk before the first of them."""
        app.manager.fence = fence
        app.note(NOTE_FENCE, fence)

    def _open_sockets(self, app: Execution) -> None:
        config = self.config
        self.keeper = AllocationKeeper(app, self.client)
        app.publisher = self.bus.publisher(config.events_port, self.keeper.subscribers)
        self.bus.puller(config.intents_port, self.keeper.senders, app.on_intent, other_version=app.on_other_version)
        kinds = ("book.", "quote.", "trade.", "status.", "instrument.")
        topics = [kind + symbol for symbol in config.symbols for kind in kinds]
        self.bus.subscriber([config.marketdata], topics, app.on_market)
        app.on_allocation = self.keeper.seen
        self.twinning = self._twin(app)
        if self.twinning is not None:
            twinning = self.twinning
            self.bus.subscriber([config.marketdata], topics, lambda envelope: twinning.on_market(envelope.body))
            self.host.collect(lambda: twin_families(twinning.twin))
            self.host.collect(lambda: feed.families([twinning.feed]))
            self.host.spawn(twinning.feed.run(), "events of execution")
            self.host.spawn(twinning.settle(), "twin")

    def _twin(self, app: Execution) -> Twinning | None:
        """Paper only: copies of what execution sends."""
        config = self.config
        if not config.paper or config.copies is None:
            return None

        def revision_of(track: str) -> str:
            found = app.gate.tracks.get(track)
            return found.revision if found is not None else ""

        latency_ns = config.latency_ms * MILLISECOND_NS
        twin = Twin(revision_of, config.maker_fee_bps, config.taker_fee_bps, latency_ns, self.session)
        return Twinning(self.bus, config.copies, twin, self.clock)

    def _spawn(self, app: Execution, leader: Leader, loop: ReconcileLoop) -> None:
        config, spawn = self.config, self.host.spawn
        watch = KillWatch(
            self.client,
            config.namespace,
            config.kill_switch_configmap,
            config.allocation_configmap,
            app,
            self.places.kill_switch,
        )
        spawn(watch.switches(), "watch killswitches")
        spawn(watch.document(), "watch kill-switch ConfigMap")
        spawn(watch.allocation(), "watch allocation")
        spawn(watch.freshness(), "watch freshness")
        spawn(watch.file(), "kill-switch file")
        spawn(leader.run(), "lease")
        spawn(loop.run(), "reconcile")
        spawn(self.keeper.fetch_grants(), "grants")
        spawn(self.keeper.confirm(), "confirm allocation")
        spawn(self.keeper.watch_over(), "handovers")
        spawn(app.status.run(self.clock.wall_ns), "status lines")
        spawn(app.ticks((lambda: None) if config.paper else leader.check), "ticks")
        spawn(keep_ledger(app), "loss ledger")
        spawn(self.checkpoints.run(), "checkpoints")
        if not config.paper:
            spawn(History(app.venue, app.gate, config.symbols, self.clock).run(), "history")
        spawn(app.alerts.run(), "alerts")
        spawn(alarms.watch(app, self.pod), "alarms")
        spawn(standing.watch(app, self.standing), "what stands open")

    async def _stop(self, app: Execution, leader: Leader) -> None:
        async with contextlib.AsyncExitStack() as stack:  # the last first, and each of them, whatever happens
            stack.callback(self.bus.close)
            stack.callback(app.store.latches.close)
            stack.callback(app.journal.close)
            stack.push_async_callback(app.venue.close)
            stack.push_async_callback(self.host.cancel_tasks)
            clean = await drained(app)
            await self.host.cancel_tasks()
            if clean:
                await leader.release()  # else a successor waits the Lease out, and asks the venue what is open

"""What the gate exports, computed at scrape time from plain integers. Signed amounts are two gauges, never one."""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.execution.app import Execution
from ringfence.execution.breakers import RULES
from ringfence.execution.checkpointing import Checkpoints
from ringfence.execution.evidence import Episodes, Owner
from ringfence.execution.hedging import unhedged
from ringfence.execution.leader import Leader
from ringfence.execution.losses import PERIODS
from ringfence.execution.reconciling import ReconcileLoop
from ringfence.execution.status import StatusWriter
from ringfence.execution.stopping import holdings
from ringfence.execution.store import Store
from ringfence.execution.usage import usages
from ringfence.model.money import SCALE
from ringfence.venues.binance.client import ClientMetrics

STATES: Final = ("Starting", "Active", "ReduceOnly", "Halted", "Cancel", "Flatten")
P: Final = "ringfence_gate_"


def families(app: Execution, loop: ReconcileLoop, leader: Leader, status: StatusWriter) -> Iterable[Metric]:
    yield from _intents(app)
    yield from _guard(app, leader)
    yield from _orders(app)
    yield from _losses(app)
    yield from _breakers(app)
    yield from _evidence(app)
    yield from _durability(app, loop, status)


def checkpoints(made: Checkpoints, store: Store) -> Iterable[Metric]:
    yield _counter("checkpoints", "Checkpoints of the journal made by this process", made.made)
    yield _counter("checkpoint_failures", "Checkpoints that could not be made", made.failures)
    behind = store.journal.sequence - store.checkpointed
    yield _gauge("checkpoint_behind_entries", "Entries that a start would read", behind)


_REQUESTS: Final = (
    ("requests", "Requests to the venue, by either way"),
    ("failures", "Answers of the venue that were not 2xx"),
    ("limited", "Those of them that were about the rate of requests, or the venue's firewall"),
    ("lost", "Requests that left and were not answered"),
    ("not_written", "Requests that never left: no room in the rate limit in time, vetoed at the socket, no connection"),
)


def requests(made: ClientMetrics, used_weight: int) -> Iterable[Metric]:
    for name, text in _REQUESTS:
        yield _counter(f"venue_{name}", text, getattr(made, name))
    yield _gauge("venue_weight_used", "Request weight used in this window of the venue, as far as known", used_weight)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(P + name, text, value=value)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(P + name, text, value=value)


def _intents(app: Execution) -> Iterable[Metric]:
    manager, counters = app.manager, app.counters
    yield _counter("intents", "Intents received", manager.intents)
    refusals = CounterMetricFamily(P + "refusals", "Failed checks of refused intents", labels=["code"])
    for code, count in sorted(manager.refusals.items()):
        refusals.add_metric([code], count)
    yield refusals
    yield _counter("refusals_unjournaled", "Refusals beyond what is journaled per second", manager.unjournaled)
    yield counters.checks.family(P + "check_seconds", "Intent received to order numbered and approved, or refused")


def _guard(app: Execution, leader: Leader) -> Iterable[Metric]:
    guard, counters = app.guard, app.counters
    state = GaugeMetricFamily(P + "state", "1 for the state that the gate is in", labels=["state"])
    for name in STATES:
        state.add_metric([name], float(guard.state == name))
    yield state
    unready = float(bool(guard.missing))
    yield _gauge("unready", "1 while data, Lease or reconciliation is missing, whether or not a stop holds", unready)
    yield _gauge("severity", "0 none, 1 reduce only, 2 halt, 3 cancel, 4 flatten", guard.severity)
    yield _gauge("severity_worst", "As severity, of the part of the gate that is stopped hardest", guard.worst)
    yield _gauge("partial_stops", "Stops of a part of this gate", len(guard.partial))
    proof = app.cancel_proof
    yield _gauge(
        "cancel_unproven",
        "Stops whose orders are not proven to be gone",
        sum(not x.proven_at for x in proof.looks.values()),
    )
    yield _gauge(
        "flatten_legs", "Positions that Flatten has still to close", sum(not x.residue for x in app.flatten.legs)
    )
    yield _counter("flatten_slices", "Orders that Flatten has sent", app.flatten.slices)
    yield _gauge(
        "latch_not_durable", "1 while a latched stop would not outlive this process", float(not app.proof.durable)
    )
    naked = sum(1 for held in holdings(app.gate.tracks.values(), app.manager.live.values()) if held.unprotected)
    yield _gauge("naked_positions", "Positions that protective orders do not cover entirely", naked)
    apart = len(unhedged(app.config.hedges, app.gate))
    yield _gauge("unhedged", "Hedges of a track whose legs do not offset each other", apart)
    yield _gauge("epoch", "Tightenings of the guard since the start", guard.epoch)
    yield _counter("tightenings", "Times that the guard became tighter", counters.kills)
    yield _gauge("kill_latency_seconds_last", "News of a stop to the closed guard, last", counters.kill_ns_last / 1e9)
    yield _gauge("kill_latency_seconds_max", "News of a stop to the closed guard, longest", counters.kill_ns_max / 1e9)
    yield _counter("ignored_old", "Objects and documents from the past that were ignored", guard.ignored_old)
    remaining = leader.core.remaining_ns(app.clock.boot_ns()) / 1e9 if app.config.lease else 0.0
    yield _gauge("lease_remaining_seconds", "How long orders may still be sent without a renewal", remaining)
    yield _counter("lease_failures", "Failed rounds of Lease and switches", leader.failures)
    yield _gauge("fence", "Fence of this process", app.manager.fence)


def _orders(app: Execution) -> Iterable[Metric]:
    manager, gate = app.manager, app.gate
    by_state: dict[str, int] = {}
    for live in manager.live.values():
        by_state[live.order.state] = by_state.get(live.order.state, 0) + 1
    orders = GaugeMetricFamily(P + "orders", "Orders that may still execute", labels=["state"])
    for name, count in sorted(by_state.items()):
        orders.add_metric([name], count)
    yield orders
    yield _gauge("working_orders", "Own orders that may still execute", gate.account.working)
    unknown = sum(len(market.unknown) for market in gate.markets.values())
    yield _gauge("unknown_orders", "Orders whose outcome at the venue is unknown", unknown)
    anomalies = CounterMetricFamily(P + "anomalies", "Events against the order state machine", labels=["code"])
    for code, count in sorted(manager.anomalies.items()):
        anomalies.add_metric([code], count)
    yield anomalies
    labels = ["track", "symbol"]
    long = GaugeMetricFamily(P + "position_long", "Position held, base asset; 0 while short", labels=labels)
    short = GaugeMetricFamily(P + "position_short", "Position owed, base asset; 0 while long", labels=labels)
    worst = GaugeMetricFamily(P + "position_worst", "Largest absolute position that fills can lead to", labels=labels)
    for track in gate.tracks.values():
        for slot in track.slots.values():
            where = [track.name, slot.market.symbol]
            long.add_metric(where, max(0, slot.position) / SCALE)
            short.add_metric(where, max(0, -slot.position) / SCALE)
            worst.add_metric(where, slot.worst / SCALE)
    yield from (long, short, worst)


def _losses(app: Execution) -> Iterable[Metric]:
    loss = GaugeMetricFamily(P + "loss_day", "Lost since midnight, quote currency; 0 while winning", labels=["owner"])
    gain = GaugeMetricFamily(P + "gain_day", "Won since midnight, quote currency; 0 while losing", labels=["owner"])
    limit = GaugeMetricFamily(P + "loss_day_limit", "Loss at which new exposure is refused", labels=["owner"])
    for track in (app.gate.account, *app.gate.tracks.values()):
        loss.add_metric([track.name], max(0, track.loss) / SCALE)
        gain.add_metric([track.name], max(0, -track.loss) / SCALE)
        limit.add_metric([track.name], track.caps.loss / SCALE)
    yield from (loss, gain, limit)
    losses = GaugeMetricFamily(P + "loss", "Lost in a period; 0 while winning", labels=["owner", "period"])
    equity = GaugeMetricFamily(P + "equity", "Allocated and won, quote currency; 0 once all is lost", labels=["owner"])
    drawdown = GaugeMetricFamily(P + "drawdown_ratio", "Equity below its high-water mark", labels=["owner"])
    streak = GaugeMetricFamily(P + "losses_in_a_row", "Losing round trips since the last win", labels=["owner"])
    for name, owner in sorted(app.manager.ledger.owners.items()):
        who = name or "account"
        for period in PERIODS:
            losses.add_metric([who, period], max(0, owner.loss(period)) / SCALE)
        losses.add_metric([who, "rolling24h"], max(0, owner.rolling) / SCALE)
        equity.add_metric([who], max(0, owner.equity) / SCALE)
        drawdown.add_metric([who], owner.drawdown / SCALE)
        streak.add_metric([who], app.manager.trips.streak(name))
    yield from (losses, equity, drawdown, streak)
    used = GaugeMetricFamily(P + "limit_used_ratio", "Share of a limit that is used", labels=["limit", "owner"])
    soft = GaugeMetricFamily(P + "limit_soft", "1 from the soft level of a limit on", labels=["limit", "owner"])
    for usage in usages(app.gate, app.manager.ledger, app.manager.trips.streaks):
        used.add_metric([usage.limit, usage.owner], usage.share)
        soft.add_metric([usage.limit, usage.owner], float(usage.soft))
    yield from (used, soft)


def _breakers(app: Execution) -> Iterable[Metric]:
    breakers = app.protection.breakers
    opened = GaugeMetricFamily(
        P + "breaker_open", "1 while tripped, not acknowledged, and in force", labels=["breaker", "owner"]
    )
    trips = CounterMetricFamily(P + "breaker_trips", "Times that a breaker has tripped", labels=["breaker"])
    for name in RULES:
        trips.add_metric([name], breakers.trips.get(name, 0))
    for name, owner in sorted({(one.name, o) for one in breakers.open.values() for o in app.protection.holding(one)}):
        opened.add_metric([name, owner], 1)
    yield from (opened, trips)


_COUNTS: Final = (
    ("intents", "Intents of this revision's strategy that were checked while no stop held"),
    ("refused", "Those of them that were refused"),
    ("orders", "Orders handed to the wire"),
    ("rejected", "Orders that the venue refused"),
    ("fills", "Executions"),
    ("passive_fills", "Executions of resting orders"),
)
_EPISODES: Final = (
    ("slippage_bps", "Fill price against the middle when the intent arrived, basis points; positive is a cost"),
    ("markout_bps", "Middle 10 s after a passive fill against its price, basis points; negative is a loss"),
)


_SLIPPAGE: Final = (
    ("orders", "Orders that took, and whose slippage was estimated and measured"),
    ("estimated", "Slippage of these orders as estimated by the gate, quote currency"),
    ("actual_cost", "Slippage of these orders as filled, quote currency; where it was a cost"),
    ("actual_gain", "The same where it was a gain, as a positive number"),
    ("above", "By how much these orders cost more than estimated, quote currency"),
    ("below", "By how much these orders cost less than estimated, quote currency"),
)


def moments(name: str, text: str, found: Mapping[Owner, Episodes]) -> Iterable[Metric]:
    """Of episodes: how many, and the sums from which mean and variance follow. All of them only grow."""
    for part, suffix, of in (
        ("count", "", "episodes that are over"),
        ("positive", "_positive", "sum of their means above zero"),
        ("negative", "_negative", "sum of their means below zero, as a positive number"),
        ("squares", "_squares", "sum of the squares of their means"),
    ):
        family = CounterMetricFamily(f"{name}_episodes{suffix}", f"{text}; {of}", labels=["track", "revision"])
        for owner, episodes in found.items():
            family.add_metric(owner, getattr(episodes.moments, part))
        yield family


def _evidence(app: Execution) -> Iterable[Metric]:
    """By track and revision. Of episodes: how many, and the sums from which mean and variance follow."""
    evidence, labels = app.evidence, ["track", "revision"]
    for name, text in _COUNTS:
        counted = CounterMetricFamily(f"{P}track_{name}", text, labels=labels)
        for owner, record in evidence.records.items():
            counted.add_metric(owner, getattr(record, name))
        yield counted
    for name, text in _EPISODES:
        found = {owner: getattr(record, name.removesuffix("_bps")) for owner, record in evidence.records.items()}
        yield from moments(P + name, text, found)
    for name, text in _SLIPPAGE:
        counted = CounterMetricFamily(f"{P}slippage_{name}", text, labels=["track", "symbol"])
        for where, totals in app.estimates.totals.items():
            amount = getattr(totals, name)
            counted.add_metric(where, amount if name == "orders" else amount / SCALE)
        yield counted
    yield _counter("self_matches", "Trades of which both sides were ours", evidence.self_matches)
    yield _counter(
        "overfills", "Times that the venue filled more than was ordered", app.manager.anomalies.get("OVERFILL", 0)
    )
    yield _gauge("breaks", "Assets whose balance no order explains", len(app.reconciler.breaks))
    mono = app.clock.monotonic_ns()
    ages = [mono - live.sent_mono for live in app.manager.live.values() if live.order.unknown]
    yield _gauge("unknown_age_seconds", "Age of the oldest unknown outcome; 0 = none", max([0, *ages]) / 1e9)


def _durability(app: Execution, loop: ReconcileLoop, status: StatusWriter) -> Iterable[Metric]:
    journal, reconciler = app.journal, app.reconciler
    yield _gauge("journal_sequence", "Last entry of the journal", journal.sequence)
    yield _gauge("journal_sync_seconds_last", "Duration of the last fdatasync", journal.sync_ns_last / 1e9)
    yield _gauge("journal_sync_seconds_max", "Duration of the longest fdatasync", journal.sync_ns_max / 1e9)
    yield _counter("journal_syncs", "fdatasync calls", journal.syncs)
    yield _gauge("journal_failed", "1 while the journal cannot be written", float(bool(journal.error)))
    yield _counter("journal_dropped", "Records for which there was no room while it failed", app.recording.dropped)
    yield _gauge("journal_torn_bytes", "Bytes of a torn tail that were cut off at start", journal.torn_bytes)
    yield _counter("reconciliations", "Comparisons of balances with the ledgers", reconciler.runs)
    breaks = GaugeMetricFamily(P + "break", "Balance that no order explains, absolute", labels=["asset"])
    for asset, amount in sorted(reconciler.breaks.items()):
        breaks.add_metric([asset], abs(amount) / SCALE)
    yield breaks
    age = (app.clock.wall_ns() - loop.last_sound) / 1e9 if loop.last_sound else float("inf")
    yield _gauge("reconciled_age_seconds", "Since the venue and our books last agreed; +Inf = never", age)
    yield _gauge("foreign_orders", "Open orders of the account that are not ours", reconciler.foreign_orders)
    yield _counter("stream_drops", "Times that the private stream broke", app.stream_drops)
    yield _counter("status_writes", "Status lines written", status.written)
    yield _counter("status_failures", "Status lines that could not be written", status.failures)

"""What the service exports, computed at scrape time. A value that is not known is absent, never 0."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.model.money import SCALE
from ringfence.portfolio.documents import Accounts
from ringfence.portfolio.ledger import FOREIGN, GateLedger


def families(accounts: Accounts, now_ns: int) -> Iterable[Metric]:
    """Metrics of all gates, tracks and symbols. Money leaves as floats: Prometheus knows nothing else."""
    yield from _positions(accounts)
    yield from _tracks(accounts, now_ns)
    yield from _gates(accounts, now_ns)
    stale = GaugeMetricFamily(
        "ringfence_portfolio_mark_stale",
        "1 while the price that a position is valued at is missing or old, else 0",
        labels=["symbol"],
    )
    for symbol in accounts.ledger.instruments:
        stale.add_metric([symbol], int(accounts.marks.stale(symbol, now_ns)))
    yield stale


def _positions(accounts: Accounts) -> Iterable[Metric]:
    labels = ["gate", "track", "symbol"]
    long = GaugeMetricFamily("ringfence_portfolio_position_long", "Base asset held, 0 if none", labels=labels)
    short = GaugeMetricFamily("ringfence_portfolio_position_short", "Base asset owed, 0 if none", labels=labels)
    gains = CounterMetricFamily(
        "ringfence_portfolio_realised_gains", "Quote currency won by closing, before fees", labels=labels
    )
    losses = CounterMetricFamily(
        "ringfence_portfolio_realised_losses", "Quote currency lost by closing, before fees", labels=labels
    )
    for gate in accounts.ledger.gates.values():
        for name, track in gate.tracks.items():
            for symbol, position in track.book.positions.items():
                where = [gate.name, name, symbol]
                long.add_metric(where, max(0, position.quantity) / SCALE)
                short.add_metric(where, max(0, -position.quantity) / SCALE)
                gains.add_metric(where, track.gains.get(symbol, 0) / SCALE)
                losses.add_metric(where, track.losses.get(symbol, 0) / SCALE)
    yield from (long, short, gains, losses)


def _tracks(accounts: Accounts, now_ns: int) -> Iterable[Metric]:
    labels = ["gate", "track"]
    realised = GaugeMetricFamily(
        "ringfence_portfolio_realised", "Won or lost by closing, before fees, in the system's currency", labels=labels
    )
    unrealised = GaugeMetricFamily(
        "ringfence_portfolio_unrealised", "What closing at the middle price would add to that", labels=labels
    )
    profit = GaugeMetricFamily("ringfence_portfolio_profit", "Won or lost in all, after fees", labels=labels)
    day = GaugeMetricFamily(
        "ringfence_portfolio_profit_day", "The same since midnight in the venue's time zone", labels=labels
    )
    fees = CounterMetricFamily(
        "ringfence_portfolio_fees", "Commissions paid less rebates, in the asset charged", labels=[*labels, "asset"]
    )
    fills = CounterMetricFamily("ringfence_portfolio_fills", "Executions", labels=labels)
    for gate in accounts.ledger.gates.values():
        for name, track in gate.tracks.items():
            where = [gate.name, name]
            realised.add_metric(where, accounts.realised(track) / SCALE)
            for family, amount in (
                (unrealised, accounts.unrealised(track)),
                (profit, accounts.profit(track, now_ns).amount),
                (day, accounts.day(track, now_ns).amount),
            ):
                if amount is not None:
                    family.add_metric(where, amount / SCALE)
            fills.add_metric(where, track.fills)
            for asset, amount in track.book.fees.items():
                fees.add_metric([*where, asset], amount / SCALE)
    yield from (realised, unrealised, profit, day, fees, fills)


def _gates(accounts: Accounts, now_ns: int) -> Iterable[Metric]:
    equity = GaugeMetricFamily(
        "ringfence_portfolio_equity", "Capital and profit, as if the gate alone had the capital", labels=["gate"]
    )
    unknown = CounterMetricFamily(
        "ringfence_portfolio_unknown_fills", "Fills of orders of which nothing is known", labels=["gate"]
    )
    held = GaugeMetricFamily(
        "ringfence_portfolio_held_fills", "Fills that wait for the rules of their instrument", labels=["gate"]
    )
    for gate in accounts.ledger.gates.values():
        amount = _profit(accounts, gate, now_ns)
        if amount is not None:
            equity.add_metric([gate.name], (accounts.capital + amount) / SCALE)
        unknown.add_metric([gate.name], gate.unknown_fills)
        held.add_metric([gate.name], sum(map(len, gate.held.values())))
    yield from (equity, unknown, held)


def _profit(accounts: Accounts, gate: GateLedger, now_ns: int) -> int | None:
    total = 0
    for name, track in gate.tracks.items():
        amount = accounts.profit(track, now_ns).amount
        if name != FOREIGN:
            if amount is None:
                return None
            total += amount
    return total

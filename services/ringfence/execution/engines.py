"""The engines of one gate as its configuration makes them, before anything has happened. Pure."""

from typing import NamedTuple

from ringfence.execution import ids
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.handover import Handovers
from ringfence.execution.reconcile import Reconciler
from ringfence.runtime.config import GateConfig
from ringfence.runtime.guard import Guard
from ringfence.wire.stops import Place

MILLISECOND_NS = 1_000_000


class Engines(NamedTuple):
    """They share one state: ``manager`` has gate and guard, the others have the manager."""

    guard: Guard
    gate: Gate
    manager: Changes
    reconciler: Reconciler
    handovers: Handovers


def engines(config: GateConfig, requirements: list[str], wall: int) -> Engines:
    """``requirements``: what the guard waits for before it is Active; ``wall``: now, UTC nanoseconds."""
    guard = Guard(config.system, config.labels, requirements, wall, place(config))
    gate = Gate(guard, config.symbols)
    for market in gate.markets.values():
        market.isolated = config.paper
    gate.fee_bps = config.taker_fee_bps
    prefix = ids.prefix(config.namespace, config.system)
    validity_ns = 0 if config.paper else config.venue.recv_window_ms * MILLISECOND_NS
    manager = Changes(gate, prefix, config.currency, validity_ns)
    manager.capital = config.capital
    return Engines(guard, gate, manager, Reconciler(manager, guard), Handovers(manager))


def place(config: GateConfig) -> Place:
    """Where this gate is, as far as the scope of a stop can name it."""
    return Place(
        venue=config.venue.name,
        symbols=config.symbols,
        venues=config.system_venues,
        instruments=config.system_instruments,
    )

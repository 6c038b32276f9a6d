"""What a gate can say for one stop: orders, the proof that none works, positions, and how far Flatten is. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from ringfence.execution import stopping
from ringfence.execution.cancelproof import CancelProof
from ringfence.execution.flatten import Flatten
from ringfence.execution.hedging import unhedged
from ringfence.execution.manager import Manager
from ringfence.execution.state import FOREIGN
from ringfence.model.money import text
from ringfence.runtime.config import Hedge
from ringfence.runtime.guard import Guard
from ringfence.runtime.lease import micro_time
from ringfence.wire.stops import Scope, Severity

POSITIONS_MAX: Final = 32
"""Lines are small: past this many, `nakedPositions` still counts them all."""
UNHEDGED_MAX: Final = 16
REASON_MAX: Final = 1_000


def evidence(
    manager: Manager, proof: CancelProof, flatten: Flatten, hedges: Iterable[Hedge], scope: Scope
) -> dict[str, Any]:
    """The part of a status line that depends on the scope; names as in the KillSwitch's status."""
    guard = manager.guard
    lives = list(manager.live.values())
    kept = stopping.protective(lives)
    held = stopping.holdings(manager.gate.tracks.values(), lives, scope)
    found: dict[str, Any] = {
        "workingOrders": _working(manager, guard, scope),
        "protectiveOrders": sum(
            1
            for live in lives
            if live.order.client_order_id in kept and scope.covers(live.order.track, live.order.symbol)
        ),
        "canceledOrders": manager.canceled_by_kill,
        "provenAt": _instant(proof.proven_at(scope)),
        "positions": [
            {
                "track": one.track,
                "symbol": one.symbol,
                "quantity": text(one.quantity),
                "unprotected": text(one.unprotected),
            }
            for one in held[:POSITIONS_MAX]
        ],
        "nakedPositions": sum(1 for one in held if one.unprotected),
        "unhedged": unhedged(hedges, manager.gate, scope)[:UNHEDGED_MAX],
        "flatAt": _instant(flatten.flat_at(scope)),
        "residue": "",
        "flattening": "",
    }
    if flatten.scopes():
        legs = [leg for leg in flatten.legs if scope.covers(leg.track, leg.symbol)]
        residue = ", ".join(f"{text(leg.quantity)} {leg.symbol} of {leg.track}" for leg in legs if leg.residue)
        waiting = "; ".join(f"{leg.symbol} of {leg.track}: {leg.waiting}" for leg in legs if not leg.residue)
        found["residue"] = residue[:REASON_MAX]
        found["flattening"] = (flatten.blocked or waiting)[:REASON_MAX]
    return found


def _working(manager: Manager, guard: Guard, scope: Scope) -> int:
    """Orders that may still execute; under a stop that cancels, those that it does not leave alone."""
    lives = manager.live.values()
    if guard.worst >= Severity.CANCEL:
        return sum(1 for _ in stopping.stopped(lives, guard, scope))
    orders = (live.order for live in lives)
    return sum(1 for order in orders if order.track != FOREIGN and scope.covers(order.track, order.symbol))


def _instant(wall: int) -> str:
    return micro_time(wall) if wall else ""

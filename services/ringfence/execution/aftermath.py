"""What a stop sets in motion: the proof of its cancels, and under Flatten the closing of positions. Pure."""

from collections.abc import Mapping

from ringfence.execution.cancelproof import CancelProof
from ringfence.execution.flatten import Flatten
from ringfence.execution.ids import is_closing
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Output
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.stopping import stopped
from ringfence.model.approved import Approved
from ringfence.model.orders import Denied
from ringfence.model.records import Entry
from ringfence.venues.api import VenueBalance
from ringfence.wire.stops import Severity


class Aftermath:
    """``step`` at every tick; idle while no stop cancels."""

    def __init__(self, manager: Manager, reconciler: Reconciler) -> None:
        self.proof = CancelProof(manager)
        self.flatten = Flatten(manager, reconciler, self.proof)
        self._manager = manager

    @property
    def idle(self) -> bool:
        return self._manager.guard.worst < Severity.CANCEL and not self.proof.looks

    def working(self) -> int:
        """Orders of ours that may still execute and that the stops, where any holds, do not leave alone."""
        if self._manager.guard.worst < Severity.CANCEL:
            return self._manager.gate.account.working
        return sum(1 for _ in stopped(self._manager.live.values(), self._manager.guard))

    def step(self, balances: Mapping[str, VenueBalance], wall: int, mono: int) -> list[Output]:
        """Follow the orders, and let the next slices through the gate."""
        self.proof.tick(mono)
        outputs: list[Output] = []
        for intent in self.flatten.step(balances, wall, mono):
            made = self._manager.close(intent, wall, mono)
            self.flatten.sent(intent, _refusal(made), mono)
            outputs += made
        return outputs

    def forbids(self, order: Approved) -> str | None:
        """Asked at the socket: why a closing order must not leave any more. The stop that it serves may have ended."""
        if not is_closing(order.client_order_id):
            return None
        track = self._manager.orders[order.client_order_id].track
        if self._manager.guard.severity_of(track, order.symbol) is Severity.FLATTEN:
            return None
        return "the Flatten that it closes for was released"


def _refusal(made: list[Output]) -> str:
    """Why the gate let nothing through; empty if it did."""
    if any(isinstance(output, Approved) for output in made):
        return ""
    denied = [o.event.reasons for o in made if isinstance(o, Entry) and isinstance(o.event, Denied)]
    return "; ".join(denied[0]) if denied else "refused by the gate"

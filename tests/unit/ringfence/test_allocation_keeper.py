"""A stale allocation stops the candidate first; stable is left to its own fences."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gatebench import ordinary
from ringfence.execution.allocating import AllocationKeeper
from ringfence.execution.app import Execution
from ringfence.execution.breakers import Open
from ringfence.execution.gate import Gate
from ringfence.execution.handover import Handovers
from ringfence.execution.ids import prefix
from ringfence.execution.losses import LATCH_AFTER
from ringfence.execution.manager import Manager
from ringfence.execution.protection import Protection
from ringfence.kube.client import KubeClient
from ringfence.model.money import parse as money
from ringfence.runtime.config import ALLOCATION_KEY, Allocation, Track
from ringfence.runtime.guard import Guard
from ringfence.wire.stops import Severity

WALL = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
LIMITS = msgspec.structs.replace(
    ordinary.LIMITS,
    order_messages_per_second=10,
    order_working_orders=5,
    position_per_instrument=money("100000"),
    position_gross=money("120000"),
)
TRACKS = (
    Track(name="stable", revision="a", stage="Live", weight=100, grant="g", key="k1"),
    Track(name="candidate", revision="b", stage="Canary", weight=5, grant="g", key="k2"),
)


class Clock:
    now = 0

    def monotonic_ns(self) -> int:
        return self.now

    def wall_ns(self) -> int:
        return WALL + self.now


def keeper(clock: Clock) -> tuple[AllocationKeeper, Gate]:
    """With the engines of a gate, and nothing of its sockets."""
    guard = Guard("s", {}, [], WALL)
    gate = Gate(guard, ("BTCUSDT",))
    manager = Manager(gate, prefix("n", "s"), "USDT", 0)
    app: Any = SimpleNamespace(
        clock=clock,
        config=SimpleNamespace(lease_duration_s=15, paper=False),
        gate=gate,
        guard=guard,
        manager=manager,
        handovers=Handovers(manager),
        protection=Protection(gate, manager, lambda _kind, _body: None),
        perform=lambda _outputs: None,
        observe=lambda fold: fold(clock.wall_ns()),
        publish_routes=lambda _allocation: None,
    )
    found = AllocationKeeper(cast("Execution", app), cast("KubeClient", None))
    found.allocation = Allocation(epoch=1, tracks=TRACKS, limits=LIMITS)
    found.grants = {"g": LIMITS}
    found.confirmed_ns = WALL
    return found, gate


def test_not_confirmed_for_a_lease_duration_the_candidate_takes_no_new_exposure_and_stable_goes_on() -> None:
    clock = Clock()
    found, gate = keeper(clock)
    found.step()
    found._apply()
    assert (gate.tracks["stable"].ungranted, gate.tracks["candidate"].ungranted) == ("", "")
    clock.now = 15 * SECOND
    assert (found.stale, found.step()) == ("", False)
    clock.now = 16 * SECOND
    assert found.stale == "not confirmed for 16 s, at most 15 s"
    assert found.step(), "what holds tracks back has changed"
    found._apply()
    assert gate.tracks["stable"].ungranted == ""
    assert gate.tracks["candidate"].ungranted.startswith("ALLOCATION_STALE reason=not confirmed for 16 s")
    assert gate.tracks["candidate"].barred == "", "what it holds it may still reduce"


def test_before_the_first_confirmation_it_is_stale() -> None:
    found, _ = keeper(Clock())
    found.confirmed_ns = 0
    assert found.stale == "the API server has not confirmed it yet"


def document(epoch: int, hold: str) -> dict[str, Any]:
    body = Allocation(epoch=epoch, tracks=TRACKS, limits=LIMITS, hold=hold)
    return {"metadata": {"uid": "u"}, "data": {ALLOCATION_KEY: msgspec.json.encode(body).decode()}}


def test_the_operators_hold_halts_execution_until_it_is_lifted() -> None:
    found, _ = keeper(Clock())
    guard = found.app.guard
    assert found.seen(document(2, "the platform is upgraded to ringfence:2"))
    assert found.held == "the platform is upgraded to ringfence:2"
    assert (guard.severity, guard.state) == (Severity.HALT, "Halted")
    assert found.seen(document(3, ""))
    assert found.held == ""
    assert guard.state == "Starting", "after it, everything has to be proven again"


def test_an_older_allocation_does_not_lift_the_hold() -> None:
    found, _ = keeper(Clock())
    assert found.seen(document(3, "upgrade"))
    assert not found.seen(document(2, ""))
    assert found.held == "upgrade"


def test_paper_goes_on_while_execution_is_held() -> None:
    found, _ = keeper(Clock())
    found.app.config.paper = True  # type: ignore[misc]
    found._open_accounts = lambda _allocation: None  # type: ignore[method-assign]
    assert found.seen(document(2, "upgrade"))
    assert found.held == ""


@pytest.mark.parametrize("severity", [Severity.CANCEL, Severity.FLATTEN])
def test_a_kill_is_stronger_than_the_hold_and_outlives_it(severity: Severity) -> None:
    found, _ = keeper(Clock())
    guard = found.app.guard
    found.seen(document(2, "upgrade"))
    guard.hold("a kill", severity, "a person", WALL)
    assert guard.severity is severity
    found.seen(document(3, ""))
    assert guard.severity is severity


def test_a_document_without_a_hold_is_read_by_a_gate_that_knows_no_holds() -> None:
    """It is not written where it is empty, so the gate of an earlier platform does not refuse the document."""
    assert "hold" not in document(1, "")["data"][ALLOCATION_KEY]


def test_a_revision_whose_breaker_is_open_is_refused_from_the_moment_of_its_promotion() -> None:
    """Not from the next round of the breakers on: it could open something in between."""
    found, gate = keeper(Clock())
    found._apply()
    opened = Open(name="checks", track="candidate", severity="ReduceOnly", evidence="x=1", at=WALL, revision="b")
    found.app.protection.restored((opened,), WALL)
    assert (len(gate.tracks["candidate"].losses), gate.tracks["stable"].losses) == (1, ())
    promoted = msgspec.structs.replace(TRACKS[0], revision="b", key="k2")
    found.allocation = Allocation(epoch=2, tracks=(promoted,), limits=LIMITS)
    found._apply()
    assert gate.tracks["stable"].losses == ("CHECK_FAILURES track=candidate x=1",)


def test_a_track_is_refused_for_what_its_ledger_says_from_its_first_order_here() -> None:
    """Not from the next valuation on: a gate that has just started would let it open something in between."""
    found, gate = keeper(Clock())
    manager = found.app.manager
    manager.capital = money("10000")
    ledger = manager.ledger
    ledger.update("stable", 0, manager.capital, manager.calendar, WALL)
    for _ in range(LATCH_AFTER):
        ledger.latch("stable", "week", reached=True)
    found._apply()
    told = "LOSS_WEEK_REACHED track=stable latched_until=end_of_week loss=0 percent=0"
    assert gate.tracks["stable"].losses == (told,)
    assert gate.tracks["candidate"].losses == ()

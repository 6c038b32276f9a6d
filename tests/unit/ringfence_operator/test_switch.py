"""What a kill switch's status says: never more than the gates' own lines prove."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ringfence_operator.rollout.switch import Asked, Line, Summary, acknowledged, line, summarize

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CANCEL = Asked(generation=3, severity=3, word="Cancel", engaged=True)


def a_line(
    pod: str, generation: int = 3, state: str = "Cancel", working: int | None = 0, *, proven: bool = True, **more: Any
) -> Line:
    return Line(pod=pod, generation=generation, state=state, working_orders=working, proven=proven, **more)


def told(asked: Asked, gates: set[str], *lines: Line) -> tuple[Summary, dict[str, tuple[str, str]]]:
    found = summarize(asked, frozenset(gates), {one.pod: one for one in lines}, (), NOW)
    return found, {c.type: (c.status, c.reason) for c in found.conditions}


@pytest.mark.parametrize(
    ("severity", "state", "generation", "expected"),
    [
        (3, "Cancel", 3, True),
        (3, "Cancel", 4, True),
        (3, "Cancel", 2, False),
        (3, "Halted", 3, False),
        (4, "Cancel", 3, False),
        (4, "Flatten", 3, True),
        (3, "Flatten", 3, True),
        (2, "Halted", 3, True),
        (2, "Starting", 3, True),
        (2, "Cancel", 3, True),
        (2, "ReduceOnly", 3, False),
        (1, "ReduceOnly", 3, True),
        (1, "Active", 3, False),
        (3, "", 3, False),
        (1, "Unheard", 3, False),
    ],
)
def test_what_counts_as_closed(severity: int, state: str, generation: int, expected: bool) -> None:
    """This generation or a later one, and at least as closed as was asked."""
    asked = Asked(generation=3, severity=severity, word="x", engaged=True)
    assert acknowledged(asked, a_line("a", generation, state)) is expected
    assert acknowledged(asked, None) is False


def test_all_gates_have_to_answer() -> None:
    """One of two is not enough, and a line of a pod that is gone proves nothing for another."""
    found, conditions = told(CANCEL, {"a", "b"}, a_line("a"), a_line("gone"))
    assert conditions["Acknowledged"] == ("False", "Waiting")
    assert conditions["OrdersCanceled"] == ("Unknown", "GatesOpen")
    assert (found.gates_acknowledged, found.working_orders, found.complete) == ("1/2", None, False)

    found, conditions = told(CANCEL, {"a", "b"}, a_line("a"), a_line("b"))
    assert conditions["Acknowledged"] == ("True", "AllGatesClosed")
    assert conditions["OrdersCanceled"] == ("True", "NoneWorking")
    assert (found.gates_acknowledged, found.working_orders, found.complete) == ("2/2", 0, True)


@pytest.mark.parametrize(
    ("working", "expected"),
    [(0, ("True", "NoneWorking")), (2, ("False", "StillWorking")), (None, ("Unknown", "NotProven"))],
)
def test_orders_are_cancelled_only_when_counted(working: int | None, expected: tuple[str, str]) -> None:
    """Not knowing is not zero."""
    found, conditions = told(CANCEL, {"a"}, a_line("a", working=working))
    assert conditions["OrdersCanceled"] == expected
    assert found.complete is (working == 0)


def test_no_gates_prove_nothing() -> None:
    """Nothing can trade, and nothing can say so."""
    found, conditions = told(CANCEL, set(), a_line("gone"))
    assert conditions["Acknowledged"] == ("Unknown", "NoGates")
    assert conditions["OrdersCanceled"] == ("Unknown", "NoGates")
    assert (found.gates_acknowledged, found.working_orders) == ("0/0", None)


def test_released_and_restricted() -> None:
    """Acknowledged is only ever True of something that was asked."""
    released = Asked(generation=4, severity=0, word="None", engaged=False)
    found, conditions = told(released, {"a"}, a_line("a", 4))
    assert conditions == {
        "Engaged": ("False", "Released"),
        "Acknowledged": ("False", "NotEngaged"),
        "OrdersCanceled": ("False", "NotAsked"),
    }
    assert found.complete

    halted = Asked(generation=4, severity=2, word="Halt", engaged=False)
    found, conditions = told(halted, {"a"}, a_line("a", 4, "Halted", 5))
    assert conditions["Engaged"] == ("False", "Restricted")
    assert conditions["Acknowledged"] == ("True", "AllGatesClosed")
    assert conditions["OrdersCanceled"] == ("False", "NotAsked")
    assert found.complete


def test_books_alone_prove_no_cancel() -> None:
    """Zero working orders by the gate's own books is a claim; two looks at the venue are the proof."""
    found, conditions = told(CANCEL, {"a"}, a_line("a", proven=False))
    assert conditions["OrdersCanceled"] == ("Unknown", "NotProven")
    assert not found.complete


FLATTEN = Asked(generation=3, severity=4, word="Flatten", engaged=True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([a_line("a", state="Cancel")], ("Unknown", "GatesOpen")),
        ([a_line("a", state="Flatten")], ("False", "Closing")),
        ([a_line("a", state="Flatten", flattening="no fresh book")], ("False", "Waiting")),
        ([a_line("a", state="Flatten", flat=True, residue="0.000001 BTCUSDT")], ("True", "Flat")),
        ([a_line("a", state="Flatten", flat=True), a_line("b", state="Flatten")], ("False", "Closing")),
    ],
)
def test_flat_is_what_every_gate_has_proven(lines: list[Line], expected: tuple[str, str]) -> None:
    """One gate that still closes, or says what it waits for, is enough for False."""
    found, conditions = told(FLATTEN, {one.pod for one in lines}, *lines)
    assert conditions["Flat"] == expected
    assert found.complete is (expected[0] == "True")
    flat = next(c for c in found.conditions if c.type == "Flat")
    assert all(one.residue in flat.message and one.flattening in flat.message for one in lines)


def test_no_gate_is_never_flat() -> None:
    _, conditions = told(FLATTEN, set())
    assert conditions["Flat"] == ("Unknown", "NoGates")


def test_a_line_that_cannot_be_read_proves_nothing() -> None:
    """Wrong types count as absent."""
    found = line({"pod": "a", "generation": "3", "state": 7, "workingOrders": -1})
    assert (found.generation, found.working_orders) == (-1, None)
    assert not acknowledged(CANCEL, found)


def test_legs_without_their_hedge_are_told_where_all_is_cancelled() -> None:
    """Of all gates; who reads no more than the condition learns that something is left to do."""
    found, _ = told(CANCEL, {"a", "b"}, a_line("a", unhedged=1, naked=2), a_line("b", unhedged=1))
    (canceled,) = (one for one in found.conditions if one.type == "OrdersCanceled")
    assert canceled.message.endswith("positions without a protective order: 2; hedges that miss a leg: 2")
    assert line({"pod": "a", "unhedged": ["pair of stable: ..."]}).unhedged == 1
    assert line({"pod": "a", "unhedged": "many"}).unhedged == 0

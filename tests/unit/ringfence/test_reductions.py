"""Orders that are made smaller in their place: by us, by hand, and by self-trade prevention, at once."""

import msgspec
import pytest
from managerrig import LOT, MONO, PRICE, SECOND, SYMBOL, VALIDITY, WALL, Rig, report

from ringfence.execution.outcomes import CLOCK_ERROR_NS
from ringfence.execution.outputs import Amend
from ringfence.execution.reconcile import entries
from ringfence.model.orders import OrderState, Side, Updated
from ringfence.venues import api
from ringfence.wire.messages import ReduceIntent


@pytest.mark.parametrize(
    ("outcome", "state", "leaves"),
    [
        (api.Accepted(""), "ACCEPTED", LOT // 2),
        (api.Refused(-2038, "no"), "ACCEPTED", LOT),
        (api.NotSent("no room"), "ACCEPTED", LOT),
        (api.Unknown("timeout"), "PENDING_UPDATE", LOT),
    ],
)
def test_a_reduction_counts_once_it_is_proven(outcome: api.AmendOutcome, state: str, leaves: int) -> None:
    """Until then the old quantity may execute."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    outputs = rig.keep(rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "k", WALL, MONO))
    assert outputs[-1] == Amend(SYMBOL, name, LOT // 2)
    assert (rig.state(name), rig.slot()) == ("PENDING_UPDATE", (0, LOT, 0))
    rig.keep(rig.manager.amended(name, outcome, WALL, MONO))
    assert (rig.state(name), rig.slot()) == (state, (0, leaves, 0))
    rig.same_after_replay()


@pytest.mark.parametrize(("quantity", "early", "state"), [
    (LOT // 2, True, "ACCEPTED"), (LOT, True, "PENDING_UPDATE"), (LOT, False, "ACCEPTED"),
])  # fmt: skip
def test_an_unknown_reduction_is_settled_by_the_orders_own_report(quantity: int, early: bool, state: str) -> None:
    """The new quantity proves it at once; the old one only when the request can no longer arrive."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "k", WALL, MONO))
    rig.keep(rig.manager.amended(name, api.Unknown("timeout"), WALL, MONO))
    asked = MONO if early else MONO + VALIDITY + CLOCK_ERROR_NS + SECOND
    rig.keep(rig.manager.queried(name, report(rig, name, OrderState.ACCEPTED, quantity), asked, WALL, asked))
    assert rig.state(name) == state
    assert rig.slot() == (0, quantity, 0)
    rig.same_after_replay()


TAKEN = LOT // 10
"""What self-trade prevention takes off, once."""


def prevented(name: str, times: int, total: int = LOT) -> Updated:
    """The venue's word after so many times."""
    lost = times * TAKEN
    return Updated(client_order_id=name, ts=WALL, quantity=total - lost, price=PRICE, prevented=lost)


def test_a_reduction_asks_for_the_venues_own_total() -> None:
    """Which still has in it what was prevented: else as much again would go."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.event(SYMBOL, prevented(name, 1)))
    outputs = rig.keep(rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "k", WALL, MONO))
    assert outputs[-1] == Amend(SYMBOL, name, LOT // 2 + TAKEN)
    rig.keep(rig.manager.amended(name, api.Accepted(""), WALL, MONO))
    rig.keep(rig.manager.event(SYMBOL, prevented(name, 1, LOT // 2 + TAKEN)))
    assert (rig.state(name), rig.slot()) == ("ACCEPTED", (0, LOT // 2, 0))
    assert rig.manager.anomalies == {"UNASKED_UPDATE": 1}
    rig.same_after_replay()


@pytest.mark.parametrize("told", [("prevented", "reduced"), ("reduced", "prevented")])
@pytest.mark.parametrize("answered_after", [0, 1, 2])
def test_prevention_during_a_reduction_is_not_its_answer(told: tuple[str, ...], answered_after: int) -> None:
    """Whichever the venue does first, and whenever the answer arrives: both have happened, once."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "k", WALL, MONO))
    first = told == ("prevented", "reduced")
    words = {"prevented": prevented(name, 1, LOT if first else LOT // 2), "reduced": prevented(name, first, LOT // 2)}
    for number in range(3):
        if number == answered_after:
            rig.keep(rig.manager.amended(name, api.Accepted(""), WALL, MONO))
        if number < 2:
            rig.keep(rig.manager.event(SYMBOL, words[told[number]]))
        if told[: number + 1] == ("prevented",) and answered_after:
            assert (rig.state(name), rig.slot()) == ("PENDING_UPDATE", (0, LOT - TAKEN, 0))
    assert (rig.state(name), rig.slot()) == ("ACCEPTED", (0, LOT // 2 - TAKEN, 0))
    rig.same_after_replay()


def test_prevention_during_a_replacement_is_not_its_answer() -> None:
    rig = Rig()
    old = rig.place(rig.intent(Side.BUY))
    rig.replace("i1")
    rig.keep(rig.manager.event(SYMBOL, prevented(old, 1)))
    assert rig.state(old) == "PENDING_UPDATE"


@pytest.mark.parametrize(("total", "late", "state"), [
    (LOT // 2, False, "ACCEPTED"), (LOT, False, "PENDING_UPDATE"), (LOT, True, "ACCEPTED"),
])  # fmt: skip
def test_an_unknown_reduction_of_an_order_of_which_a_part_was_prevented_is_settled(
    total: int, late: bool, state: str
) -> None:
    """By the venue's own total, which prevention leaves as it is."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.reduce_intent(ReduceIntent("i1", "stable", LOT // 2, WALL), "k", WALL, MONO))
    rig.keep(rig.manager.amended(name, api.Unknown("timeout"), WALL, MONO))
    asked = MONO + late * (VALIDITY + CLOCK_ERROR_NS + SECOND)
    found = msgspec.structs.replace(report(rig, name, OrderState.ACCEPTED, total - TAKEN), prevented=TAKEN)
    rig.keep(rig.manager.queried(name, found, asked, WALL, asked))
    assert rig.state(name) == state
    if total == LOT // 2:
        assert rig.slot() == (0, LOT // 2 - TAKEN, 0)
    rig.same_after_replay()


def test_a_reduction_that_makes_no_sense_is_refused_with_its_values() -> None:
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    for quantity in (LOT, 2 * LOT, 0):
        outputs = rig.manager.reduce_intent(ReduceIntent("i1", "stable", quantity, WALL), "k", WALL, MONO)
        assert [type(e.event).__name__ for e in entries(outputs)] == ["ModifyRejected"]
        assert len(outputs) == 1
    assert rig.state(name) == "ACCEPTED"


def test_an_order_that_somebody_made_smaller_at_the_venue_is_smaller_here() -> None:
    """By hand, for instance: an anomaly that is seen, and the exposure is the true one."""
    rig = Rig()
    name = rig.place(rig.intent(Side.BUY))
    rig.keep(rig.manager.event(SYMBOL, Updated(client_order_id=name, ts=WALL, quantity=LOT // 2, price=PRICE)))
    assert rig.slot() == (0, LOT // 2, 0)
    assert rig.manager.anomalies == {"UNASKED_UPDATE": 1}

"""Hedges that a stop left without a leg are told, those that hold are not."""

import pytest

from gatebench.stoprig import BTC, ETH, Rig
from ringfence.execution.gateline import evidence
from ringfence.execution.hedging import unhedged
from ringfence.model.money import parse as money
from ringfence.runtime.config import Hedge
from ringfence.wire.stops import EVERYTHING, Scope

PAIR = Hedge(name="pair", leg=BTC, against=ETH, ratio=money("20"), tolerance=money("1"))


def holding(btc: str, eth: str) -> Rig:
    rig = Rig()
    for symbol, quantity in ((BTC, btc), (ETH, eth)):
        slot = rig.gate.tracks["stable"].slot(rig.gate.markets[symbol])
        slot.position = money(quantity)
        slot.settle()
    return rig


@pytest.mark.parametrize(
    ("btc", "eth", "holds"),
    [
        ("1", "-20", True),
        ("-1", "20", True),
        ("0", "0", True),
        ("1", "-19.8", True),
        ("1", "-19.79", False),
        ("1", "-20.2", True),
        ("1", "-20.21", False),
        ("1", "0", False),
        ("0", "-20", False),
        ("1", "20", False),
        ("0", "0.00000001", True),
    ],
)
def test_a_hedge_holds_within_its_tolerance(btc: str, eth: str, holds: bool) -> None:
    """Of the larger of the two; what is too small for any order is nothing that anybody could hedge."""
    assert (unhedged((PAIR,), holding(btc, eth).gate) == []) is holds


def test_what_is_missing_is_told_in_one_sentence() -> None:
    """Also where the other leg was never traded."""
    told = "pair of stable: 1 BTCUSDT stands against 0 ETHUSDT, -20 would hedge it"
    assert unhedged((PAIR,), holding("1", "0").gate) == [told]
    rig = Rig()
    rig.gate.tracks["stable"].slot(rig.gate.markets[BTC]).position = money("1")
    assert unhedged((PAIR,), rig.gate) == [told]


def test_one_tracks_position_is_no_hedge_of_anothers() -> None:
    rig = holding("1", "0")
    rig.gate.tracks["candidate"].slot(rig.gate.markets[ETH]).position = money("-20")
    assert [told.split(":")[0] for told in unhedged((PAIR,), rig.gate)] == ["pair of stable", "pair of candidate"]


def test_a_stop_of_one_leg_tells_of_the_hedge_and_a_stop_of_another_track_does_not() -> None:
    gate = holding("1", "0").gate
    assert unhedged((PAIR,), gate, Scope(instruments=(ETH,)))
    assert unhedged((PAIR,), gate, Scope(tracks=("candidate",))) == []


def test_the_gates_line_lists_them() -> None:
    """As it lists positions without protection."""
    rig = holding("1", "0")
    line = evidence(rig.manager, rig.proof, rig.flatten, (PAIR,), EVERYTHING)
    assert (len(line["unhedged"]), line["nakedPositions"]) == (1, 1)
    assert evidence(rig.manager, rig.proof, rig.flatten, (), EVERYTHING)["unhedged"] == []

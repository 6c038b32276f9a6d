"""Stops at work: what they cancel, what they keep, and how it is proven that nothing works any more."""

from typing import Any

import pytest

from gatebench.stoprig import BTC, ETH, ONE, PRICE, WALL, Rig, report
from ringfence.execution import stopping
from ringfence.model.orders import (
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.wire.messages import Intent
from ringfence.wire.stops import EVERYTHING, Scope

PROTECTIVE: dict[str, Any] = {"reduce_only": True, "away": 101}


def test_cancel_keeps_protective_orders_within_the_position() -> None:
    """Resting and reduce-only, oldest first, up to what is held; all others go."""
    rig = Rig()
    rig.hold(ONE)
    first = rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    second = rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    plain = rig.place(Side.BUY, ONE // 2)
    rig.switch(2, engaged=True)
    assert rig.canceled() == [plain]
    rig.gone()
    assert set(rig.manager.live) == {first, second}
    rig.fill(first, ONE // 4)
    assert rig.canceled() == []
    (held,) = stopping.holdings(rig.gate.tracks.values(), rig.manager.live.values())
    assert (held.track, held.quantity, held.unprotected) == ("stable", ONE * 3 // 4, 0)


def test_protection_that_exceeds_the_position_is_cancelled() -> None:
    """Filled, it would open the other side."""
    rig = Rig()
    rig.hold(ONE)
    rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    rest = rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    rig.slot().position = ONE * 3 // 4  # a fee in the base asset, or a fill elsewhere
    rig.slot().settle()
    rig.switch(2, engaged=True)
    assert rig.canceled() == [rest]


def test_protective_cancel_leaves_nothing_and_says_what_is_naked() -> None:
    rig = Rig()
    rig.hold(ONE // 2)
    kept = rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    rig.switch(2, engaged=True, protective="Cancel")
    assert rig.canceled() == [kept]
    rig.gone()
    (held,) = stopping.holdings(rig.gate.tracks.values(), rig.manager.live.values())
    assert held.unprotected == ONE // 2


def test_what_no_order_could_protect_is_not_naked() -> None:
    """A fee in the base asset leaves a rest below the venue's smallest order: nobody is called for that."""
    rig = Rig()
    rig.hold(ONE // 2)
    rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    rules = rig.slot().market.instrument
    assert rules is not None
    for rest, unprotected in ((rules.lot - 1, 0), (ONE // 4, ONE // 4)):
        rig.slot().position = ONE // 2 + rest
        (held,) = stopping.holdings(rig.gate.tracks.values(), rig.manager.live.values())
        assert held.unprotected == unprotected


def test_halt_leaves_working_orders_and_flatten_none() -> None:
    rig = Rig()
    rig.hold(ONE // 2)
    kept = rig.place(Side.SELL, ONE // 2, **PROTECTIVE)
    rig.switch(2, restrict="Halt")
    assert rig.canceled() == []
    rig.switch(3, engaged=True, action="Flatten")
    assert rig.canceled() == [kept]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"instruments": [BTC]}, {0, 1}),
        ({"tracks": ["candidate"]}, {1, 3}),
        ({"instruments": [ETH], "tracks": ["stable"]}, {2}),
    ],
)
def test_a_stop_of_a_part_cancels_by_id_and_only_there(scope: dict[str, list[str]], expected: set[int]) -> None:
    rig = Rig()
    names = [
        rig.place(Side.BUY, ONE // 2, symbol=symbol, track=track)
        for symbol in (BTC, ETH)
        for track in ("stable", "candidate")
    ]
    rig.part(scope, engaged=True)
    assert set(rig.canceled()) == {names[number] for number in expected}
    approved = (
        rig.place(Side.BUY, ONE // 2, symbol=ETH if BTC in scope.get("instruments", []) else BTC, track="stable")
        if expected != {0, 1, 2, 3}
        else ""
    )
    assert approved


def test_the_gate_refuses_what_a_partial_stop_covers_and_nothing_else() -> None:
    rig = Rig()
    rig.part({"instruments": [BTC]}, engaged=True)
    intent = Intent("a", "stable", BTC, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, ONE // 2, PRICE, False, WALL)
    assert any(reason.startswith("TRADING_HALTED") for reason in rig.gate.check(intent, WALL, rig.mono))
    other = Intent("b", "stable", ETH, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, ONE // 2, PRICE, False, WALL)
    assert rig.gate.check(other, WALL, rig.mono) == []


# --- the proof


def test_orders_are_proven_gone_by_two_empty_looks_after_the_last_is_known_closed() -> None:
    rig = Rig()
    name = rig.place(Side.BUY, ONE // 2)
    rig.switch(2, engaged=True)
    rig.canceled()
    rig.proof.tick(rig.mono)
    rig.proof.looked((), rig.mono + 1, WALL)
    assert not rig.proof.wanted, "our own books still show one"
    rig.gone()
    rig.proof.tick(rig.mono + 10)
    assert rig.proof.wanted
    rig.proof.looked((), rig.mono + 5, WALL)  # asked before
    rig.proof.looked((), rig.mono + 11, WALL)
    assert not rig.proof.proven_at(EVERYTHING)
    rig.proof.looked((report(rig.manager.orders[name]),), rig.mono + 12, WALL)  # the venue still shows it
    rig.proof.looked((), rig.mono + 13, WALL)
    assert not rig.proof.proven_at(EVERYTHING)
    rig.proof.looked((), rig.mono + 14, WALL + 7)
    assert rig.proof.proven_at(EVERYTHING) == WALL + 7


def test_an_order_of_ours_that_nobody_knows_takes_the_proof_away() -> None:
    """Of a power cut's last milliseconds: the venue has it, the journal does not."""
    rig = Rig()
    name = rig.place(Side.BUY, ONE // 2)
    stranger = report(rig.manager.orders[name])
    rig.switch(2, engaged=True)
    rig.canceled()
    rig.gone()
    rig.manager.orders.clear()
    rig.proof.tick(rig.mono)
    for look in range(1, 5):
        rig.proof.looked((stranger,), rig.mono + look, WALL)
    assert not rig.proof.proven_at(EVERYTHING)


def test_the_proof_of_a_part_ignores_the_rest() -> None:
    rig = Rig()
    rig.place(Side.BUY, ONE // 2, symbol=ETH)
    rig.part({"instruments": [BTC]}, engaged=True)
    rig.prove()
    assert rig.proof.proven_at(Scope(instruments=(BTC,)))
    rig.switch(2, engaged=True)
    rig.proof.tick(rig.mono)
    assert not rig.proof.proven_at(EVERYTHING)

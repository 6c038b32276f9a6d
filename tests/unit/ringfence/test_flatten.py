"""Flatten: when it waits, what it sends, and that it ends flat without touching what is not ours."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatebench.stoprig import BTC, ETH, LIMITS, ONE, OWNERS, PRICE, SECOND, WALL, Rig
from ringfence.execution.flatten import SLICE_GAP_NS
from ringfence.execution.ids import is_closing
from ringfence.execution.reconcile import BREAK
from ringfence.model.money import notional
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Accepted,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import FeedStatus, Intent
from ringfence.wire.stops import EVERYTHING, Scope, Severity


def test_flatten_waits_for_the_proof_and_then_closes_in_slices() -> None:
    """Bounded by the order limits; every one reduces, is immediate or cancel, and carries the role in its id."""
    rig = Rig()
    rig.hold(3 * ONE)
    rig.place(Side.BUY, ONE // 2)
    rig.switch(2, engaged=True, action="Flatten")
    rig.canceled()
    assert rig.step() == []
    assert "not proven" in rig.flatten.legs[0].waiting
    rig.gone()
    rig.prove()
    while not rig.flatten.flat_at(EVERYTHING):
        for order in rig.step():
            assert is_closing(order.client_order_id)
            assert (order.side, order.time_in_force) == (Side.SELL, TimeInForce.IOC)
            assert notional(PRICE, order.quantity) <= LIMITS.order_value_max
            assert order.price >= PRICE * 985 // 1000
            rig.ended(order, order.quantity)
        assert len(rig.sent) < 10
    assert len(rig.sent) >= 3
    assert rig.slot().position == 0
    assert rig.balances["BTC"].free == OWNERS
    assert rig.manager.books["stable"].positions[BTC].quantity == 0


def test_flatten_buys_back_what_is_owed() -> None:
    rig = Rig()
    rig.hold(-ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    while not rig.flatten.flat_at(EVERYTHING):
        for order in rig.step():
            assert order.side is Side.BUY
            rig.ended(order, order.quantity)
    assert rig.balances["BTC"].free == OWNERS


def test_flatten_never_sells_the_owners_inventory() -> None:
    """The ledger says more than the venue shows above it: only the smaller goes, and the rest says why."""
    rig = Rig()
    rig.hold(ONE)
    rig.balances["BTC"] = VenueBalance(OWNERS + ONE // 4, 0)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    for _ in range(6):
        for order in rig.step():
            rig.ended(order, order.quantity)
    assert rig.balances["BTC"].free >= OWNERS
    assert rig.slot().position == ONE * 3 // 4
    assert "free" in rig.flatten.legs[0].waiting
    assert not rig.flatten.flat_at(EVERYTHING)


def test_flatten_sells_no_more_than_is_free() -> None:
    """The owner's own order has locked the rest."""
    rig = Rig()
    rig.hold(ONE)
    total = rig.balances["BTC"].free
    rig.balances["BTC"] = VenueBalance(ONE // 8, total - ONE // 8)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    (order,) = rig.step()
    assert order.quantity <= ONE // 8


@pytest.mark.parametrize("trouble", ["quote", "book", "one side", "status", "never"])
def test_no_fresh_two_sided_book_no_order(trouble: str) -> None:
    rig = Rig()
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    market = rig.gate.markets[BTC]
    match trouble:
        case "quote":
            market.quote_mono -= 10 * SECOND
        case "book":
            market.book_mono -= 10 * SECOND
        case "one side":
            market.asks = ()
        case "status":
            market.status(FeedStatus(BTC, WALL, False, "gap: resyncing"), rig.mono)
        case _:
            market.quote_mono = 0
    assert rig.flatten.step(rig.balances, WALL, rig.mono) == []
    assert "fresh two-sided book" in rig.flatten.legs[0].waiting


@pytest.mark.parametrize("name", ["journal", "lease", BREAK, "another writer", "loss ledger"])
def test_a_doubt_about_ledger_venue_or_right_to_send_stops_flatten(name: str) -> None:
    """It waits, says why, and goes on when the doubt is gone; a breaker of ours is no doubt."""
    rig = Rig()
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    rig.guard.hold(name, Severity.HALT, "some trouble", WALL)
    rig.guard.hold("breaker", Severity.HALT, "daily loss", WALL)
    assert rig.step() == []
    assert rig.flatten.blocked == "some trouble"
    rig.guard.drop(name, WALL)
    assert rig.step()


def test_an_unfinished_reconciliation_stops_flatten() -> None:
    rig = Rig()
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    rig.guard.missed("reconciled", "not since the stream broke", WALL)
    assert rig.step() == []
    assert "not since the stream broke" in rig.flatten.blocked


def test_one_order_at_a_time_for_an_instrument() -> None:
    """Both tracks draw on one balance; an unanswered slice is not repeated."""
    rig = Rig()
    rig.hold(ONE)
    rig.hold(ONE, track="candidate")
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    (order,) = rig.step()
    assert [rig.step() for _ in range(5)] == [[]] * 5
    rig.ended(order, 0)
    assert len(rig.step()) == 1


def test_a_restart_in_the_middle_doubles_nothing() -> None:
    """The slice that was in flight is in the journal; until its outcome is known, none follows."""
    rig = Rig()
    journal: list[Entry] = []
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    rig.mono += SLICE_GAP_NS
    rig.market_time()
    (intent,) = rig.flatten.step(rig.balances, WALL, rig.mono)
    journal += [o for o in rig.manager.close(intent, WALL, rig.mono) if isinstance(o, Entry)]
    again = Rig()
    again.hold(ONE)
    again.switch(2, engaged=True, action="Flatten")
    for entry in journal:
        again.manager.replay(entry)
    again.manager.recovered(WALL, again.mono)
    again.prove()
    assert again.step() == []
    (live,) = again.manager.live.values()
    assert live.closing
    assert live.order.unknown
    again.manager.queried(live.order.client_order_id, None, again.mono + 10 * SECOND, WALL, again.mono + 10 * SECOND)
    assert len(again.step()) == 1


def test_a_release_stops_flatten() -> None:
    rig = Rig()
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    (intent,) = rig.flatten.step(rig.balances, WALL, rig.mono)
    rig.switch(3)
    refused = rig.gate.judge(intent, WALL, rig.mono, closing=True)
    assert any(reason.startswith("FLATTEN_NOT_ASKED") for reason in refused)
    assert rig.flatten.step(rig.balances, WALL, rig.mono) == []
    assert (rig.flatten.legs, rig.flatten.flat_at(EVERYTHING)) == ((), 0)


def test_a_strategy_cannot_close_under_flatten_and_the_platform_only_then() -> None:
    rig = Rig()
    rig.hold(ONE)
    sell = Intent("x", "stable", BTC, Side.SELL, OrderType.LIMIT, TimeInForce.IOC, ONE // 2, PRICE, True, WALL)
    for spec in ({}, {"restrict": "ReduceOnly"}, {"restrict": "Halt"}, {"engaged": True}):
        rig.switch(rig.guard.switches["s"].generation + 1, **spec)
        assert any("FLATTEN_NOT_ASKED" in reason for reason in rig.gate.judge(sell, WALL, rig.mono, closing=True))
    rig.switch(rig.guard.switches["s"].generation + 1, engaged=True, action="Flatten")
    assert any("TRADING_HALTED" in reason for reason in rig.gate.check(sell, WALL, rig.mono))
    assert rig.gate.judge(sell, WALL, rig.mono, closing=True) == []
    more = Intent("y", "stable", BTC, Side.SELL, OrderType.LIMIT, TimeInForce.IOC, 2 * ONE, PRICE, True, WALL)
    assert any("FLATTEN_WOULD_OPEN" in reason for reason in rig.gate.judge(more, WALL, rig.mono, closing=True))


def test_a_track_that_may_not_trade_any_more_is_closed_all_the_same() -> None:
    rig = Rig()
    rig.hold(ONE, track="candidate")
    rig.gate.tracks["candidate"].barred = "TRACK_NOT_ALLOWED track=candidate"
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    assert len(rig.step()) == 1


def test_what_is_too_small_for_the_venue_is_a_residue_and_flat() -> None:
    rig = Rig()
    rig.hold(money("0.00015"))
    rig.slot().position = money("0.00005")  # after a fee in the base asset: worth 2.50, below 5
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    rig.step()
    assert rig.flatten.legs[0].residue
    assert rig.flatten.flat_at(EVERYTHING)


def test_flatten_of_a_part_leaves_the_rest() -> None:
    rig = Rig()
    rig.hold(ONE)
    rig.hold(ONE, symbol=ETH)
    rig.part({"instruments": [ETH]}, engaged=True, action="Flatten")
    rig.prove()
    for _ in range(10):
        for order in rig.step():
            assert order.symbol == ETH
            rig.ended(order, order.quantity)
    assert rig.flatten.flat_at(Scope(instruments=(ETH,)))
    assert (rig.slot().position, rig.slot(symbol=ETH).position) == (ONE, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(0, 60),
    st.integers(1, 40),
    st.lists(st.integers(0, 100), min_size=1, max_size=40),
)
def test_flatten_ends_flat_and_never_overshoots(stable: int, candidate: int, depth: int, fills: list[int]) -> None:
    """Whatever the depth and however little of each slice fills, positions only shrink, and the owner keeps his."""
    rig = Rig()
    unit = money("0.01")
    rig.hold(stable * unit)
    if candidate:
        rig.hold(candidate * unit, track="candidate")
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    rig.market(depth * unit)
    held = stable + candidate
    for number in range(400):
        if rig.flatten.flat_at(EVERYTHING):
            break
        percent = fills[number % len(fills)] if number < 60 else 100
        for order in rig.step():
            filled = order.quantity * percent // 100 // money("0.00001") * money("0.00001")
            rig.ended(order, filled)
        now = sum(track.slots[BTC].position for track in rig.gate.tracks.values() if BTC in track.slots)
        assert 0 <= now <= held * unit
        assert rig.balances["BTC"].free >= OWNERS
    assert rig.flatten.flat_at(EVERYTHING)
    assert all(leg.residue for leg in rig.flatten.legs)


def test_an_accepted_event_of_a_closing_order_is_like_any_other() -> None:
    rig = Rig()
    rig.hold(ONE)
    rig.switch(2, engaged=True, action="Flatten")
    rig.prove()
    (order,) = rig.step()
    rig.manager.event(BTC, Accepted(client_order_id=order.client_order_id, ts=WALL, venue_order_id="v"))
    assert rig.manager.orders[order.client_order_id].state is OrderState.ACCEPTED
    assert rig.canceled() == [], "the stop that it serves does not cancel it"

"""Stops at work: what they cancel and keep, how it is proven, and how Flatten closes what is held."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.execution import stopping
from ringfence.execution.cancelproof import CancelProof
from ringfence.execution.flatten import SLICE_GAP_NS, Flatten
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import is_closing, prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Cancel, Output
from ringfence.execution.reconcile import BREAK, Reconciler
from ringfence.execution.state import Slot
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import notional
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    Filled,
    Order,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.venues import api
from ringfence.venues.api import OrderReport, VenueBalance
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote
from ringfence.wire.stops import EVERYTHING, Place, Scope, Severity

WALL = 1_700_000_000_000_000_000
MONO = 5_000_000_000_000
SECOND = 1_000_000_000
BTC, ETH = "BTCUSDT", "ETHUSDT"
ONE = money("1")
PRICE = money("50000")
OWNERS = money("10")
LIMITS = Limits(
    order_value_max=money("50000"),
    collar_bps=money("50"),
    messages_per_second=1000,
    working_orders=50,
    duplicate_window_ms=500,
    approved_lifetime_ms=50,
    position_max=money("1000000"),
    gross_max=money("1000000"),
    loss_day_max=money("1000000"),
    quote_stale_ms=2000,
    book_stale_ms=1000,
)


def rules(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=money("0.01"),
        lot=money("0.00001"),
        quantity_min=money("0.00001"),
        quantity_max=money("1000"),
        notional_min=money("5"),
    )


class Rig:
    """A manager in an active gate with two tracks and a market; the venue is the test."""

    def __init__(self) -> None:
        self.mono = MONO
        self.guard = Guard("s", {}, [], WALL, Place(venue="sim", symbols=(BTC, ETH)))
        self.switch(1)
        self.guard.reconciled(1, WALL)
        self.gate = Gate(self.guard, (BTC, ETH))
        self.manager = Manager(self.gate, prefix("n", "s"), "USDT", SECOND)
        self.manager.fence = 1
        tracks = tuple(
            Track(name=name, revision=f"{name[:1]}bc123de", stage="Live", weight=100, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        allocation = Allocation(epoch=1, tracks=tracks, limits=LIMITS)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": LIMITS}, paper=False)
        self.reconciler = Reconciler(self.manager, self.guard)
        self.balances = {
            "BTC": VenueBalance(OWNERS, 0),
            "ETH": VenueBalance(0, 0),
            "USDT": VenueBalance(money("1000000"), 0),
        }
        self.reconciler.first_look(self.balances, {})
        self.proof = CancelProof(self.manager)
        self.flatten = Flatten(self.manager, self.reconciler, self.proof)
        self.sent: list[Approved] = []
        self.numbers = 0
        self.market()

    def market(self, depth: int = money("100"), bid: int = PRICE) -> None:
        for symbol in (BTC, ETH):
            market, ask = self.gate.markets[symbol], bid + money("0.01")
            market.instrument = rules(symbol)
            market.quote(Quote(symbol, 1, WALL, bid, depth, ask, depth), self.mono)
            market.book(BookTop(symbol, 1, WALL, WALL, ((bid, depth),), ((ask, depth),)), self.mono)
            market.status(FeedStatus(symbol, WALL, True, ""), self.mono)

    def switch(self, generation: int, **spec: Any) -> None:
        meta = {"name": "s", "uid": "u", "generation": generation}
        self.guard.switch_seen({"metadata": meta, "spec": spec}, WALL)

    def part(self, scope: dict[str, list[str]], **spec: Any) -> None:
        meta = {"name": "part", "uid": "p", "generation": 1}
        body = {"systems": ["s"], "scope": scope} | spec
        self.guard.switch_seen({"metadata": meta, "spec": body}, WALL)

    def place(
        self, side: Side, quantity: int, *, symbol: str = BTC, track: str = "stable", away: int = 99, **more: Any
    ) -> str:
        """A working limit order's client id, well away from the market."""
        self.numbers += 1
        price = PRICE * away // 100
        fields = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "reduce_only": False} | more
        intent = Intent(
            f"i{self.numbers}",
            track,
            symbol,
            side,
            fields["type"],
            fields["time_in_force"],
            quantity,
            price,
            fields["reduce_only"],
            WALL,
        )
        outputs = self.manager.intent(intent, track, WALL, self.mono)
        (approved,) = ([o for o in outputs if isinstance(o, Approved)],)
        name = approved[0].client_order_id
        self.manager.submitted(name, api.Accepted(f"v{self.numbers}"), WALL, self.mono)
        return name

    def fill(self, name: str, quantity: int, price: int = PRICE) -> None:
        self.numbers += 1
        order = self.manager.orders[name]
        event = Filled(
            client_order_id=name, ts=WALL, trade_id=f"t{self.numbers}", price=price, quantity=quantity, commission=0,
            commission_asset="USDT", maker=False,
        )  # fmt: skip
        self.manager.event(order.symbol, event)
        signed = order.side.sign
        base, quote = order.symbol.removesuffix("USDT"), notional(price, quantity)
        for asset, change in ((base, signed * quantity), ("USDT", -signed * quote)):
            self.balances[asset] = VenueBalance(self.balances[asset].free + change, self.balances[asset].locked)

    def hold(self, quantity: int, *, symbol: str = BTC, track: str = "stable") -> None:
        """Make a track hold something."""
        side = Side.BUY if quantity > 0 else Side.SELL
        left = abs(quantity)
        while left:
            part = min(left, money("0.9"))
            self.fill(self.place(side, part, symbol=symbol, track=track, away=100), part)
            left -= part

    def slot(self, track: str = "stable", symbol: str = BTC) -> Slot:
        return self.gate.tracks[track].slots[symbol]

    def canceled(self) -> list[str]:
        outputs = self.manager.cancel_stopped(WALL, self.mono)
        return [o.client_order_id for o in outputs if isinstance(o, Cancel)]

    def gone(self) -> None:
        """The venue confirms every cancel."""
        for live in list(self.manager.live.values()):
            if live.cancel_wanted:
                self.manager.event(live.order.symbol, Canceled(client_order_id=live.order.client_order_id, ts=WALL))

    def prove(self) -> None:
        for _ in range(2):
            self.proof.tick(self.mono)
            self.mono += SECOND
            self.proof.looked(self.reports(), self.mono, WALL)
        self.market()

    def reports(self) -> tuple[OrderReport, ...]:
        return tuple(report(live.order) for live in self.manager.live.values())

    def step(self) -> list[Approved]:
        """One tick of Flatten; what it sent."""
        self.mono += SLICE_GAP_NS
        self.market_time()
        self.proof.tick(self.mono)
        sent: list[Approved] = []
        for intent in self.flatten.step(self.balances, WALL + self.mono, self.mono):
            outputs: list[Output] = self.manager.close(intent, WALL + self.mono, self.mono)
            denied = [o.event for o in outputs if isinstance(o, Entry) and isinstance(o.event, Denied)]
            assert not denied, denied
            passed = [o for o in outputs if isinstance(o, Approved)]
            self.flatten.sent(intent, "" if passed else "refused", self.mono)
            sent += passed
        self.sent += sent
        return sent

    def market_time(self) -> None:
        for market in self.gate.markets.values():
            if market.quote_mono:
                market.quote_mono = market.book_mono = market.status_mono = self.mono

    def ended(self, order: Approved, filled: int) -> None:
        """The venue fills a part of an immediate-or-cancel order and expires the rest."""
        name = order.client_order_id
        self.manager.submitted(name, api.Accepted(f"c-{name}"), WALL, self.mono)
        if filled:
            self.fill(name, filled, order.price)
        if filled < order.quantity:
            self.manager.event(order.symbol, Expired(client_order_id=name, ts=WALL))


def report(order: Order) -> OrderReport:
    return OrderReport(
        client_order_id=order.client_order_id, venue_order_id=order.venue_order_id or "v", symbol=order.symbol,
        side=order.side, type=order.type, time_in_force=order.time_in_force, price=order.price,
        quantity=order.quantity, filled=order.filled, state=OrderState.ACCEPTED, ts_venue=WALL,
    )  # fmt: skip


PROTECTIVE: dict[str, Any] = {"reduce_only": True, "away": 101}


# --- what is cancelled


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
    assert rig.proof.tick(rig.mono + 10)
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


# --- flatten


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
            market.unusable = "gap: resyncing"
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
    refused = rig.gate.check(intent, WALL, rig.mono, closing=True)
    assert any(reason.startswith("FLATTEN_NOT_ASKED") for reason in refused)
    assert rig.flatten.step(rig.balances, WALL, rig.mono) == []
    assert (rig.flatten.legs, rig.flatten.flat_at(EVERYTHING)) == ((), 0)


def test_a_strategy_cannot_close_under_flatten_and_the_platform_only_then() -> None:
    rig = Rig()
    rig.hold(ONE)
    sell = Intent("x", "stable", BTC, Side.SELL, OrderType.LIMIT, TimeInForce.IOC, ONE // 2, PRICE, True, WALL)
    for spec in ({}, {"restrict": "ReduceOnly"}, {"restrict": "Halt"}, {"engaged": True}):
        rig.switch(rig.guard.switches["s"].generation + 1, **spec)
        assert any("FLATTEN_NOT_ASKED" in reason for reason in rig.gate.check(sell, WALL, rig.mono, closing=True))
    rig.switch(rig.guard.switches["s"].generation + 1, engaged=True, action="Flatten")
    assert any("TRADING_HALTED" in reason for reason in rig.gate.check(sell, WALL, rig.mono))
    assert rig.gate.check(sell, WALL, rig.mono, closing=True) == []
    more = Intent("y", "stable", BTC, Side.SELL, OrderType.LIMIT, TimeInForce.IOC, 2 * ONE, PRICE, True, WALL)
    assert any("FLATTEN_WOULD_OPEN" in reason for reason in rig.gate.check(more, WALL, rig.mono, closing=True))


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

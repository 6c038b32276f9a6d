"""The twin: the same orders in the same market, simulated; what cannot be compared is left out and counted."""

import pytest

from ringfence.execution.twin import GRACE_NS, Twin
from ringfence.execution.twinning import families
from ringfence.model.money import parse as money
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Filled,
    Initialized,
    OrderEvent,
    OrderType,
    PendingCancel,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.model.transfers import Leg, Transfer, events
from ringfence.sdk.testing import instrument
from ringfence.wire.messages import BookTop, InstrumentRules, OrderUpdate

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
SYMBOL = "BTCUSDT"
ONE = money("1")
BID, ASK = money("100"), money("101")
OWNER = ("candidate", "rev")


class World:
    def __init__(self) -> None:
        self.twin = Twin(lambda _: "rev", 0, 0, 5 * MS, T0)
        self.now = T0
        self.twin.market(InstrumentRules("sim", instrument(SYMBOL, "BTC", "USDT")), T0)
        self.show(BID, ASK)

    def show(self, bid: int, ask: int) -> None:
        book = BookTop(SYMBOL, 1, self.now, self.now, ((bid, 2 * ONE),), ((ask, 2 * ONE),))
        self.twin.market(book, self.now)

    def tell(self, *told: OrderEvent, track: str = "candidate") -> None:
        for event in told:
            self.twin.update(OrderUpdate("sim-execution", 1, track, event), self.now)

    def later(self, ns: int) -> None:
        self.now += ns
        self.twin.settle(self.now)

    def send(self, name: str = "c1", price: int = ASK, side: Side = Side.BUY, track: str = "candidate") -> None:
        self.tell(
            Initialized(
                client_order_id=name, ts=self.now, intent_id=name, track=track, symbol=SYMBOL, side=side,
                type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity=ONE, price=price,
            ),
            Submitted(client_order_id=name, ts=self.now),
            track=track,
        )  # fmt: skip

    def fill(self, name: str = "c1", price: int = ASK, quantity: int = ONE) -> None:
        self.tell(
            Filled(
                client_order_id=name, ts=self.now, trade_id=f"{name}-{price}", price=price, quantity=quantity,
                commission=0, commission_asset="", maker=False, ts_venue=self.now,
            )
        )  # fmt: skip


def test_a_live_order_that_paid_more_than_its_copy_is_a_cost() -> None:
    world = World()
    world.send(price=money("103"))
    world.later(5 * MS)
    world.fill(price=money("102.01"))
    world.later(MS)
    record = world.twin.records[OWNER]
    assert (record.orders, record.live, record.simulated) == (1, money("102.01"), ASK)
    assert record.ordered == money("103")
    world.later(GRACE_NS + 1)
    assert record.slippage.moments.count == record.fill_share.moments.count == 1
    assert record.slippage.moments.positive == pytest.approx(100.0)
    assert record.fill_share.moments.positive == record.fill_share.moments.negative == 0


def test_rules_that_come_after_the_first_order_are_not_too_late_for_the_others() -> None:
    world = World()
    rules = world.twin._instruments.pop(SYMBOL)
    world.send("early")
    world.later(6 * MS)
    assert world.twin.left_out == 1
    world.twin.market(InstrumentRules("sim", rules), world.now)
    world.send("next")
    world.later(6 * MS)
    assert world.twin.copies["next"].filled == ONE


def test_it_reaches_the_simulated_venue_one_way_later() -> None:
    world = World()
    world.send()
    world.later(4 * MS)
    assert world.twin._engines == {}
    world.show(BID, money("105"))
    world.later(MS)
    assert SYMBOL in {resting.order.symbol for resting in world.twin._engines["candidate"].open.values()}


def test_a_cancel_ends_both_and_nothing_filled_is_no_difference() -> None:
    world = World()
    world.send(price=money("99"))
    world.later(6 * MS)
    world.tell(Accepted(client_order_id="c1", ts=world.now, venue_order_id="v"))
    world.tell(PendingCancel(client_order_id="c1", ts=world.now, reason=""))
    world.later(6 * MS)
    assert world.twin._engines["candidate"].open == {}
    assert world.twin.records == {}, "the live order has not ended yet"
    world.tell(Canceled(client_order_id="c1", ts=world.now))
    world.later(MS)
    record = world.twin.records[OWNER]
    assert (record.orders, record.live, record.simulated) == (1, 0, 0)
    assert world.twin.copies == {}


def test_a_live_fill_that_the_simulation_does_not_get_counts_as_a_difference_after_a_minute() -> None:
    world = World()
    world.send(price=money("99"))
    world.later(6 * MS)
    world.fill(price=money("99"))
    world.later(GRACE_NS - 1)
    assert world.twin.records == {}
    world.later(1)
    world.later(GRACE_NS + 1)
    assert world.twin.records[OWNER].fill_share.moments.positive == pytest.approx(1.0)


def test_tracks_never_take_from_each_other() -> None:
    world = World()
    for name, track in (("c1", "candidate"), ("c2", "stable"), ("c3", "candidate")):
        world.send(name, track=track)
    world.later(6 * MS)
    assert [copy.filled for copy in world.twin.copies.values()] == [ONE, ONE, ONE]
    world.send("c4")
    world.later(6 * MS)
    assert world.twin.copies["c4"].filled == 0, "its own track has taken the two that were shown"


@pytest.mark.parametrize("reason", ["NOT_SENT the guard became tighter", "NEVER_ARRIVED the venue does not know it"])
def test_an_order_that_the_venue_never_had_is_left_out(reason: str) -> None:
    world = World()
    world.send()
    world.later(6 * MS)
    world.tell(Canceled(client_order_id="c1", ts=world.now, reason=reason))
    world.later(MS)
    assert (world.twin.records, world.twin.copies, world.twin.left_out) == ({}, {}, 1)


def test_what_is_heard_too_late_or_is_no_live_order_is_not_simulated() -> None:
    world = World()
    transfer = Transfer(id="p", source="candidate", target="stable", ts=T0, legs=(Leg(SYMBOL, ONE, BID),))
    world.tell(*events(transfer, transfer.leg_ids()[0]))
    world.send("ext-1", track="foreign")
    assert world.twin.copies == {}
    world.now = T0 - 1
    world.send("old")
    assert world.twin.copies == {}
    world.now = T0
    world.send("refused")
    world.tell(Denied(client_order_id="refused", ts=T0, reasons=("X",)))
    assert world.twin.copies == {}
    world.send("late")
    world.twin.copies.clear()
    initialized = Initialized(
        client_order_id="late", ts=T0, intent_id="i", track="candidate", symbol=SYMBOL, side=Side.BUY,
        type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity=ONE, price=ASK,
    )  # fmt: skip
    world.now = T0 + 2_000 * MS
    world.tell(initialized, Submitted(client_order_id="late", ts=T0))
    assert (world.twin.copies, world.twin.left_out) == ({}, 1)


def test_the_exported_sums_are_counters_of_both_signs() -> None:
    world = World()
    world.send(price=money("103"))
    world.later(5 * MS)
    world.fill(price=money("100.5"))
    world.later(MS)
    world.later(GRACE_NS + 1)
    found = {s.name: s for family in families(world.twin) for s in family.samples}
    negative = found["ringfence_twin_slippage_bps_episodes_negative_total"]
    assert negative.labels == {"track": "candidate", "revision": "rev"}
    assert negative.value == pytest.approx(49.5, abs=0.1)
    assert found["ringfence_twin_fill_share_episodes_total"].value == 1
    assert found["ringfence_twin_orders_total"].value == 1

"""The paper engine's orders that wait, hide or exclude each other. Prices are whole numbers, scaled."""

import pytest

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE
from ringfence.model.orders import Expired, Filled, OrderEvent, OrderState, OrderType, Side, TimeInForce, Triggered
from ringfence.venues import api
from ringfence.venues.paper.engine import PaperEngine
from ringfence.wire.messages import BookTop, Quote, Trade

SYMBOL = "AUSD"
BUY, SELL = Side.BUY, Side.SELL
RULES = Instrument(
    symbol=SYMBOL,
    base="A",
    quote="USD",
    tick=SCALE,
    lot=SCALE,
    quantity_min=SCALE,
    quantity_max=1_000 * SCALE,
    notional_min=0,
)


class Paper:
    """A market from 100 to 101 that shows five at each price, and an account that holds ten."""

    def __init__(self) -> None:
        self.engine = PaperEngine({SYMBOL: RULES}, {"A": 10 * SCALE, "USD": 10_000 * SCALE}, 0, 0, "1")
        self.number = 0
        self.market(100)

    def market(self, bid: int) -> list[OrderEvent]:
        bids = tuple(((bid - level) * SCALE, 5 * SCALE) for level in range(5))
        asks = tuple(((bid + 1 + level) * SCALE, 5 * SCALE) for level in range(5))
        return self.events(self.engine.book(BookTop(SYMBOL, 1, 1, 1, bids, asks), 1))

    def quote(self, bid: int) -> list[OrderEvent]:
        return self.events(self.engine.quote(Quote(SYMBOL, 1, 1, bid * SCALE, SCALE, (bid + 1) * SCALE, SCALE), 1))

    def trade(self, price: int, quantity: int, aggressor: Side) -> list[OrderEvent]:
        return self.events(self.engine.trade(Trade(SYMBOL, "t", 1, 1, price * SCALE, quantity * SCALE, aggressor), 1))

    @staticmethod
    def events(found: list[tuple[str, OrderEvent]]) -> list[OrderEvent]:
        assert {symbol for symbol, _ in found} <= {SYMBOL}
        return [event for _, event in found]

    def order(self, side: Side, kind: OrderType, quantity: int, price: int = 0, **more: int) -> Approved:
        self.number += 1
        return Approved(
            client_order_id=f"o{self.number}",
            symbol=SYMBOL,
            side=side,
            type=kind,
            time_in_force=TimeInForce.GTC,
            quantity=quantity * SCALE,
            price=price * SCALE,
            epoch=1,
            deadline_ns=1,
            **more,
        )

    def place(self, side: Side, kind: OrderType, quantity: int, price: int = 0, **more: int) -> str:
        order = self.order(side, kind, quantity, price, **more)
        outcome, _ = self.engine.submit(order, 1)
        assert isinstance(outcome, api.Accepted), outcome
        return order.client_order_id

    def pair(self, target: int, stop: int, **more: int) -> tuple[str, str]:
        first = self.order(SELL, OrderType.LIMIT_MAKER, 4, target)
        second = self.order(SELL, OrderType.STOP_LOSS, 4, stop_price=stop * SCALE, **more)
        one, two, _ = self.engine.submit_pair(first, second, 1)
        assert (type(one), type(two)) == (api.Accepted, api.Accepted)
        return first.client_order_id, second.client_order_id

    def locked(self) -> tuple[int, int]:
        balances = self.engine.balances()
        return tuple(balances[asset].locked // SCALE for asset in ("A", "USD"))  # type: ignore[return-value]


def kinds(events: list[OrderEvent]) -> list[type]:
    return [type(event) for event in events]


def fills(events: list[OrderEvent]) -> list[tuple[int, int]]:
    return [(e.price // SCALE, e.quantity // SCALE) for e in events if isinstance(e, Filled)]


# --- trailing


def test_a_trailing_stop_follows_a_rise_and_is_set_off_by_the_fall() -> None:
    """Ten percent below the highest bid that was seen: 120 sets it to 108."""
    paper = Paper()
    name = paper.place(SELL, OrderType.STOP_LOSS, 4, trailing_bps=1_000)
    assert [event for bid in (105, 120, 115, 109) for event in paper.market(bid)] == []
    assert paper.engine.report(paper.engine.open[name]).state is OrderState.ACCEPTED
    events = paper.market(108)
    assert kinds(events) == [Triggered, Filled]
    assert fills(events) == [(108, 4)]


def test_a_trailing_buy_follows_a_fall() -> None:
    """Ten percent above the lowest ask: 81 sets it to 89.1."""
    paper = Paper()
    paper.place(BUY, OrderType.STOP_LOSS, 4, trailing_bps=1_000)
    assert [event for bid in (90, 80, 85, 88) for event in paper.market(bid)] == []
    assert fills(paper.market(89)) == [(90, 4)]


def test_a_trailing_stop_with_a_start_does_not_trail_before_it() -> None:
    """A take-profit that trails from 110 on: a fall before is none of its business."""
    paper = Paper()
    paper.place(SELL, OrderType.TAKE_PROFIT, 4, stop_price=110 * SCALE, trailing_bps=0)
    assert [event for bid in (105, 80, 109) for event in paper.market(bid)] == []
    assert kinds(paper.market(110)) == [Triggered, Filled]
    paper = Paper()
    paper.place(SELL, OrderType.STOP_LOSS, 4, stop_price=95 * SCALE, trailing_bps=1_000)
    assert [event for bid in (120, 100, 96) for event in paper.market(bid)] == [], "it has not begun"
    assert paper.market(95) == [], "it begins here"
    assert kinds(paper.market(85)) == [Triggered, Filled]


def test_a_public_trade_sets_off_a_stop_as_a_quote_does() -> None:
    for happens in (lambda p: p.trade(95, 1, SELL), lambda p: p.quote(95)):
        paper = Paper()
        paper.place(SELL, OrderType.STOP_LOSS, 4, stop_price=95 * SCALE)
        assert kinds(happens(paper)) == [Triggered, Filled]


# --- icebergs


def test_each_part_of_an_iceberg_waits_behind_all_that_is_displayed() -> None:
    """Six, shown two at a time, behind five: each part queues anew, and what is hidden does not trade."""
    paper = Paper()
    paper.place(BUY, OrderType.LIMIT, 6, 100, display=2 * SCALE)
    assert fills(paper.trade(100, 5, SELL)) == [], "all of it was before us"
    assert fills(paper.trade(100, 9, SELL)) == [(100, 2)], "the part that is shown, and no more"
    assert fills(paper.trade(100, 5, SELL)) == []
    assert fills(paper.trade(100, 1, SELL)) == [(100, 1)]
    assert fills(paper.trade(100, 1, SELL)) == [(100, 1)]
    assert fills(paper.trade(100, 5, SELL)) == [], "the last part went behind what is displayed too"
    events = paper.trade(100, 2, SELL)
    assert fills(events) == [(100, 2)]
    assert not paper.engine.open
    assert paper.locked() == (0, 0)


def test_a_trade_beyond_its_price_fills_an_iceberg_whole() -> None:
    paper = Paper()
    paper.place(BUY, OrderType.LIMIT, 6, 100, display=2 * SCALE)
    assert fills(paper.trade(99, 1, SELL)) == [(100, 6)]


def test_an_iceberg_that_takes_shows_parts_only_of_what_is_left() -> None:
    """Five are taken at once; of the remaining five, two are shown."""
    paper = Paper()
    name = paper.place(BUY, OrderType.LIMIT, 10, 101, display=2 * SCALE)
    resting = paper.engine.open[name]
    assert (resting.filled // SCALE, resting.shown // SCALE) == (5, 2)


# --- pairs


def test_the_stop_of_a_pair_ends_the_target() -> None:
    """It is told before the stop executes, and what was locked is locked once."""
    paper = Paper()
    target, stop = paper.pair(110, 95)
    assert paper.locked() == (4, 0)
    events = paper.market(95)
    assert kinds(events) == [Triggered, Expired, Filled]
    assert [event.client_order_id for event in events] == [stop, target, stop]
    assert paper.locked() == (0, 0)
    assert not paper.engine.open


def test_the_target_of_a_pair_ends_the_stop_with_its_first_fill() -> None:
    """In part already: the rest of the target works on, alone."""
    paper = Paper()
    target, stop = paper.pair(102, 95)
    assert fills(paper.trade(102, 5, BUY)) == [], "the five that were displayed there"
    events = paper.trade(102, 1, BUY)
    assert kinds(events) == [Filled, Expired]
    assert events[1].client_order_id == stop
    assert paper.market(90) == [], "the stop is gone"
    assert paper.locked() == (3, 0)
    assert list(paper.engine.open) == [target]


def test_a_trailing_stop_in_a_pair_ends_the_target() -> None:
    paper = Paper()
    target, stop = paper.pair(130, 0, trailing_bps=1_000)
    assert paper.market(120) == []
    assert [event.client_order_id for event in paper.market(108)] == [stop, target, stop]


@pytest.mark.parametrize("leg", [0, 1])
def test_a_cancel_of_either_leg_takes_both(leg: int) -> None:
    paper = Paper()
    names = paper.pair(110, 95)
    outcome, events = paper.engine.cancel(names[leg], 1)
    assert isinstance(outcome, api.Accepted)
    assert {event.client_order_id for _, event in events} == set(names)
    assert paper.locked() == (0, 0)
    assert not paper.engine.open


def test_a_pair_whose_stop_is_reached_already_is_refused_whole() -> None:
    paper = Paper()
    first = paper.order(SELL, OrderType.LIMIT_MAKER, 4, 110)
    second = paper.order(SELL, OrderType.STOP_LOSS, 4, stop_price=105 * SCALE)
    one, two, events = paper.engine.submit_pair(first, second, 1)
    assert (type(one), type(two), events) == (api.Refused, api.Refused, [])
    assert not paper.engine.open
    assert paper.locked() == (0, 0)

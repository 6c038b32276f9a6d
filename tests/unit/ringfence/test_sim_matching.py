"""The matching engine, rule by rule. Prices and quantities are small whole numbers, scaled."""

from ringfence.model.money import SCALE
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.market import BookChange, Print
from ringfence.simulator.matching import (
    Cancel,
    Canceled,
    Event,
    Expired,
    Matched,
    MatchingEngine,
    Place,
    Prevented,
    Rested,
    WouldTake,
)

BUY, SELL = Side.BUY, Side.SELL


def levels(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((price * SCALE, quantity * SCALE) for price, quantity in pairs)


def market(engine: MatchingEngine, bids: object = (), asks: object = (), *, reset: bool = False) -> list[Event]:
    """The market's own change of some levels."""
    assert isinstance(bids, tuple)
    assert isinstance(asks, tuple)
    return engine.handle(BookChange(0, levels(*bids), levels(*asks), reset), 0)


def order(
    engine: MatchingEngine,
    order_id: int,
    side: Side,
    price: int,
    quantity: int,
    *,
    kind: OrderType = OrderType.LIMIT,
    time_in_force: TimeInForce = TimeInForce.GTC,
    account: str = "a",
) -> list[Event]:
    return engine.handle(
        Place(
            order_id=order_id,
            account=account,
            side=side,
            type=kind,
            time_in_force=time_in_force,
            price=price * SCALE,
            quantity=quantity * SCALE,
        ),
        0,
    )


def traded(engine: MatchingEngine, price: int, quantity: int, aggressor: Side) -> list[Event]:
    return engine.handle(Print(0, price * SCALE, quantity * SCALE, aggressor), 0)


def fills(events: list[Event]) -> list[tuple[int, int, int, int]]:
    """Price, quantity, maker and taker of each match."""
    return [(e.price // SCALE, e.quantity // SCALE, e.maker_id, e.taker_id) for e in events if isinstance(e, Matched)]


def fresh() -> MatchingEngine:
    engine = MatchingEngine()
    market(engine, ((99, 5), (98, 10)), ((101, 5), (102, 10)))
    return engine


def test_taking_walks_the_book_best_price_first_and_rests_the_remainder() -> None:
    """A limit order trades at the makers' prices up to its limit, and what is left joins the other side."""
    engine = fresh()
    events = order(engine, 1, BUY, 101, 8)
    assert fills(events) == [(101, 5, 0, 1)]
    assert events[-1] == Rested(1, 0)
    assert engine.bids.best() == 101 * SCALE
    assert engine.asks.best() == 102 * SCALE


def test_what_was_taken_stays_taken_until_the_market_changes_that_level() -> None:
    """The recording does not know of us: its unchanged level is not served twice, its changed one is new."""
    engine = fresh()
    order(engine, 1, BUY, 101, 5, time_in_force=TimeInForce.IOC)
    market(engine, asks=((101, 5),))  # told again, unchanged
    assert engine.asks.best() == 102 * SCALE
    market(engine, asks=((101, 6),))
    assert engine.asks.displayed(101 * SCALE) == 6 * SCALE


def test_a_market_order_that_outruns_the_book_expires() -> None:
    """The unfilled rest of a market order never rests."""
    events = order(fresh(), 1, SELL, 0, 20, kind=OrderType.MARKET)
    assert fills(events) == [(99, 5, 0, 1), (98, 10, 0, 1)]
    assert events[-1] == Expired(1)


def test_fill_or_kill_is_all_or_nothing() -> None:
    """It counts first, and trades nothing when it is short by anything."""
    engine = fresh()
    assert order(engine, 1, BUY, 101, 6, time_in_force=TimeInForce.FOK) == [Expired(1)]
    assert fills(order(engine, 2, BUY, 102, 15, time_in_force=TimeInForce.FOK)) == [(101, 5, 0, 2), (102, 10, 0, 2)]


def test_a_maker_only_order_never_takes() -> None:
    """It is refused at the best opposite price and rests one below."""
    engine = fresh()
    assert order(engine, 1, BUY, 101, 1, kind=OrderType.LIMIT_MAKER) == [WouldTake(1)]
    assert order(engine, 2, BUY, 100, 1, kind=OrderType.LIMIT_MAKER) == [Rested(2, 0)]


def test_the_queue_ahead_falls_by_trades_and_only_then_are_we_filled() -> None:
    """Joining 5 means that 5 must trade first; the sixth is ours."""
    engine = fresh()
    assert order(engine, 1, BUY, 99, 2) == [Rested(1, 5 * SCALE)]
    assert fills(traded(engine, 99, 4, SELL)) == [(99, 4, 0, 0)]
    assert fills(traded(engine, 99, 2, SELL)) == [(99, 1, 0, 0), (99, 1, 1, 0)]
    assert fills(traded(engine, 99, 9, SELL)) == [(99, 1, 1, 0), (99, 8, 0, 0)]
    assert not engine.resting


def test_the_queue_is_never_longer_than_what_is_displayed() -> None:
    """Cancels count as behind us until the level is smaller than our queue; joiners never come before us."""
    engine = fresh()
    order(engine, 1, BUY, 99, 1)
    market(engine, ((99, 3),))
    assert engine.resting[1].ahead == 3 * SCALE
    market(engine, ((99, 50),))
    assert engine.resting[1].ahead == 3 * SCALE


def test_a_trade_through_our_price_fills_us_without_a_queue() -> None:
    """An aggressor that went past our price met us on its way, and for no more than its quantity."""
    engine = fresh()
    order(engine, 1, BUY, 99, 4)
    assert fills(traded(engine, 98, 3, SELL)) == [(99, 3, 1, 0)]
    assert fills(traded(engine, 98, 3, SELL)) == [(99, 1, 1, 0), (98, 2, 0, 0)]


def test_a_market_that_comes_to_our_price_trades_with_us() -> None:
    """The book is never shown crossed: an ask at our bid is our fill, at our price."""
    engine = fresh()
    order(engine, 1, BUY, 100, 4)
    assert fills(market(engine, asks=((100, 1), (99, 1)), bids=((99, 0),))) == [(100, 1, 1, 0), (100, 1, 1, 0)]
    assert engine.resting[1].leaves == 2 * SCALE
    assert engine.asks.best() == 101 * SCALE


def test_clients_queue_among_themselves_by_time() -> None:
    """At one price: the market's part that was there, the first of us, what joined between, the second of us."""
    engine = fresh()
    order(engine, 1, SELL, 101, 2, account="a")
    market(engine, asks=((101, 8),))
    order(engine, 2, SELL, 101, 2, account="b")
    events = order(engine, 3, BUY, 101, 12, account="c")
    assert fills(events) == [(101, 5, 0, 3), (101, 2, 1, 3), (101, 3, 0, 3), (101, 2, 2, 3)]


def test_nobody_trades_with_himself() -> None:
    """One's own resting order expires, and the new one goes on behind it."""
    engine = fresh()
    order(engine, 1, SELL, 100, 1)
    events = order(engine, 2, BUY, 101, 2)
    lost = {"maker_loses": 1 * SCALE, "taker_loses": 0}
    assert events[0] == Prevented(price=100 * SCALE, quantity=1 * SCALE, maker_id=1, taker_id=2, **lost)
    assert fills(events) == [(101, 2, 0, 2)]


def test_a_cancel_removes_exactly_that_order() -> None:
    """And a second cancel finds nothing."""
    engine = fresh()
    order(engine, 1, BUY, 100, 1)
    assert engine.handle(Cancel(1), 0) == [Canceled(1)]
    assert engine.handle(Cancel(1), 0) == []
    assert engine.bids.best() == 99 * SCALE


def test_a_recording_that_starts_anew_forgets_the_old_book_but_not_our_orders() -> None:
    """Levels that are gone are gone; our orders stay and meet the new book."""
    engine = fresh()
    order(engine, 1, BUY, 98, 1)
    events = market(engine, ((90, 1),), ((95, 1),), reset=True)
    assert fills(events) == [(98, 1, 1, 0)]
    assert (engine.bids.best(), engine.asks.best()) == (90 * SCALE, 0)


def test_the_cost_of_a_walk_is_what_it_then_costs() -> None:
    """The dry run and the walk agree, also in whole lots for an amount of money."""
    engine = fresh()
    quantity, amount = engine.cost(BUY, 7 * SCALE, 0, "a")
    assert (quantity, amount) == (7 * SCALE, (5 * 101 + 2 * 102) * SCALE)
    assert engine.quantity_for(BUY, (5 * 101 + 103) * SCALE, SCALE, "a") == 6 * SCALE

"""Two bounds of a queue position: by hand, always in order, and on the recording as others have measured them."""

import gzip
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.market import BookChange, Print
from ringfence.simulator.matching import Cancel, MatchingEngine, Place
from ringfence.simulator.recorded import clock_offset_ns, replay

BID, ASK = 100, 101


def order(number: int, quantity: int = 5, price: int = BID) -> Place:
    return Place(
        order_id=number,
        account=f"a{number}",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price=price,
        quantity=quantity,
    )


def bids(quantity: int) -> BookChange:
    return BookChange(ts=0, bids=((BID, quantity),), asks=())


def sold(quantity: int, price: int = BID) -> Print:
    return Print(ts=0, price=price, quantity=quantity, aggressor=Side.SELL)


@pytest.fixture
def engine() -> MatchingEngine:
    found = MatchingEngine()
    found.handle(BookChange(ts=0, bids=((BID, 10), (BID - 1, 10)), asks=((ASK, 10),), reset=True), 0)
    return found


def test_cancels_of_others_help_only_the_optimistic_bound(engine: MatchingEngine) -> None:
    """Ten ahead, ten come behind, ten of the twenty go: ahead are ten at worst, five if they go evenly."""
    engine.handle(order(1), 0)
    engine.handle(bids(20), 0)
    engine.handle(bids(10), 0)
    engine.handle(sold(7), 0)
    assert (engine.bounds.filled, engine.bounds.filled_optimistic) == (0, 2)
    engine.handle(bids(3), 0)  # what the trade took, and no cancel
    engine.handle(sold(5), 0)
    assert (engine.bounds.filled, engine.bounds.filled_optimistic) == (2, 5)


def test_a_price_that_others_traded_through_fills_both(engine: MatchingEngine) -> None:
    engine.handle(order(1), 0)
    engine.handle(sold(30, BID - 1), 0)
    assert (engine.bounds.filled, engine.bounds.filled_optimistic) == (5, 5)


def test_what_is_canceled_counts_as_offered_and_not_as_filled(engine: MatchingEngine) -> None:
    engine.handle(order(1), 0)
    engine.handle(Cancel(1), 0)
    engine.handle(sold(30), 0)
    assert (engine.bounds.orders, engine.bounds.quantity, engine.bounds.filled_optimistic) == (1, 5, 0)


@given(st.integers(0, 100_000))
def test_the_optimistic_bound_is_never_behind_the_other(seed: int) -> None:
    rng = Random(seed)
    found = MatchingEngine()
    found.handle(BookChange(ts=0, bids=((BID, 10), (BID - 1, 10)), asks=((ASK, 10),), reset=True), 0)
    number = 0
    for _ in range(60):
        match rng.randrange(4):
            case 0:
                number += 1
                found.handle(order(number, rng.randint(1, 9), rng.choice([BID, BID - 1])), 0)
            case 1 if number:
                found.handle(Cancel(rng.randint(1, number)), 0)
            case 2:
                found.handle(bids(rng.randint(1, 30)), 0)
            case _:
                found.handle(sold(rng.randint(1, 20), rng.choice([BID, BID - 1])), 0)
        bounds = found.bounds
        assert 0 <= bounds.filled <= bounds.filled_optimistic <= bounds.quantity


@pytest.mark.parametrize(("symbol", "averse", "optimistic"), [("BTCUSDT", 0.64, 0.71), ("ETHUSDT", 0.74, 0.76)])
def test_joining_the_recorded_touch_fills_as_others_have_measured(
    symbol: str, averse: float, optimistic: float
) -> None:
    """Tiny orders at the best price, cancelled after ten seconds: the share of them that was filled."""
    root = Path(os.environ.get("RINGFENCE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    found = sorted(root.glob(f"**/{symbol.lower()}-*.gz"))
    if not found:
        pytest.skip("no recording here: set RINGFENCE_DATA to the directory that holds binance-spot/")
    with gzip.open(found[0]) as file:
        lines = file.read().splitlines()
    engine, lot, rng = MatchingEngine(), LISTED[symbol].instrument.lot, Random(1)
    number, next_ns, waiting = 0, 1_000_000_000, list[tuple[int, int]]()
    for event in replay(lines, clock_offset_ns(lines), 0):
        while event.ts > next_ns and event.ts < 330_000_000_000:
            number += 1
            side = rng.choice([Side.BUY, Side.SELL])
            book = engine.bids if side is Side.BUY else engine.asks
            place = Place(
                order_id=number,
                account=f"{number}",
                side=side,
                type=OrderType.LIMIT_MAKER,
                time_in_force=TimeInForce.GTC,
                price=book.best_market(),
                quantity=lot,
            )
            engine.handle(place, next_ns)
            waiting.append((next_ns + 10_000_000_000, number))
            next_ns += 80_000_000
        while waiting and waiting[0][0] <= event.ts:
            engine.handle(Cancel(waiting.pop(0)[1]), event.ts)
        engine.handle(event, event.ts)
    bounds = engine.bounds
    assert number > 4_000
    assert bounds.filled / bounds.quantity == pytest.approx(averse, abs=0.05)
    assert bounds.filled_optimistic / bounds.quantity == pytest.approx(optimistic, abs=0.05)

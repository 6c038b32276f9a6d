"""The quoter: its pace, its distance, what it takes back, and when it stops adding to a position."""

import pytest

from ringfence.model.orders import OrderType, Side
from ringfence.sdk import units
from ringfence.sdk.strategies.quoter import AT_ONCE, Quoter
from ringfence.sdk.testing import Driver, instrument
from ringfence.wire.messages import Intent

BTC = instrument("BTCUSDT", "BTC", "USDT")
SYMBOL = "BTCUSDT"


def quoting(**parameters: str) -> Driver:
    driver = Driver(Quoter, parameters, [BTC])
    driver.quote(SYMBOL, bid="60000", ask="60000.01")
    return driver


def after(driver: Driver, seconds: float) -> list[Intent]:
    driver.advance(seconds)
    return driver.quote(SYMBOL, bid="60000", ask="60000.01")


def test_quotes_are_paced_by_the_time_of_the_events() -> None:
    driver = quoting(rate="10", working="200")
    assert len(after(driver, 0.05)) == 0
    assert len(after(driver, 0.05)) == 1
    assert len(after(driver, 1.0)) == 10


def test_a_pause_is_not_caught_up_with() -> None:
    driver = quoting(rate="1000", working="200")
    assert len(after(driver, 3.0)) == AT_ONCE


def test_bids_and_asks_lie_at_the_distance_and_never_take() -> None:
    bid, ask = sorted((after(quoting(rate="2", distance="10"), 1.0)), key=lambda one: one.side is Side.SELL)
    assert (bid.side, bid.price) == (Side.BUY, units("59940"))
    assert (ask.side, ask.price) == (Side.SELL, units("60060.02"))
    assert {bid.type, ask.type} == {OrderType.LIMIT_MAKER}


def test_the_oldest_are_cancelled_above_what_may_work() -> None:
    driver = quoting(rate="10", working="2")
    first = after(driver, 0.2)
    for one in first:
        driver.accept(one)
    after(driver, 0.2)
    assert [one.intent_id for one in driver.cancels] == [one.intent_id for one in first]


@pytest.mark.parametrize(("held", "side"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
def test_beyond_its_inventory_only_the_closing_side_is_quoted(held: Side, side: Side) -> None:
    driver = quoting(rate="4", size="0.01", inventory="0.01")
    for one in after(driver, 0.5):
        driver.accept(one)
        if one.side is held:
            driver.fill(one)
    assert {one.side for one in after(driver, 1.0)} == {side}


def test_it_ends_by_itself_where_a_total_is_given() -> None:
    driver = quoting(rate="10", total="3")
    assert len(after(driver, 1.0)) == 3
    assert after(driver, 1.0) == []

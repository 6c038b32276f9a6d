"""The sample strategy: in above, out below, and nothing that needs a special case."""

from pathlib import Path

import pytest
import yaml

from momentum.strategy import MovingAverageCross
from ringfence.model.orders import Side, TimeInForce
from ringfence.sdk import ParameterError, text
from ringfence.sdk.parameters import read_all
from ringfence.sdk.testing import Driver, instrument
from ringfence.wire.messages import Intent

BTC = instrument("BTCUSDT", "BTC", "USDT")
SAMPLE = Path(__file__).parents[3] / "manifests" / "samples" / "momentum.yaml"


def driver(fast: str = "2", slow: str = "4") -> Driver:
    return Driver(MovingAverageCross, {"fast": fast, "slow": slow}, [BTC])


def prices(one: Driver, *middles: int) -> list[Intent]:
    """One quote each half second around each price; what the strategy asked for."""
    found: list[Intent] = []
    for middle in middles:
        one.advance(0.5)
        found += one.quote("BTCUSDT", bid=f"{middle}.00", ask=f"{middle}.01")
    return found


def test_buys_above_and_sells_below() -> None:
    """A rise is bought a little through the ask, a fall sold a little through the bid; both at once or not at all."""
    one = driver()
    [buy] = prices(one, 1000, 1000, 1000, 1010)
    assert (buy.side, text(buy.quantity), text(buy.price)) == (Side.BUY, "0.01", "1010.22")
    assert buy.time_in_force is TimeInForce.IOC
    one.fill(buy, price="1010.01", commission="0.00001", commission_asset="BTC")
    [sell] = prices(one, 990)
    assert (sell.side, text(sell.quantity), text(sell.price)) == (Side.SELL, "0.00999", "989.8")
    assert sell.reduce_only


def test_waits_for_the_slow_average() -> None:
    """Averages of a few samples are noise."""
    assert prices(driver(), 1000, 1010, 1020) == []


def test_only_the_first_quote_of_a_sample_counts() -> None:
    """More quotes do not make time pass faster."""
    one = driver()
    for _ in range(100):
        assert one.quote("BTCUSDT", bid="1000.00", ask="1000.01") == []


def test_an_order_on_its_way_is_waited_for_and_an_unfilled_one_repeated() -> None:
    """One order at a time; what expired unfilled is asked for again at the next sample."""
    one = driver()
    [buy] = prices(one, 1000, 1000, 1000, 1010)
    assert prices(one, 1020) == []
    one.expire(buy)
    [again] = prices(one, 1030)
    assert again.intent_id != buy.intent_id


def test_dust_is_not_a_position() -> None:
    """What fees leave behind is below the venue's minimum: it is neither sold nor in the way of the next buy."""
    one = driver()
    [buy] = prices(one, 1000, 1000, 1000, 1010)
    one.fill(buy)
    [sell] = prices(one, 990)
    one.fill(sell, quantity="0.00996")
    one.expire(sell)
    assert text(one.context.position("BTCUSDT")) == "0.00004"
    assert prices(one, 980, 970) == []
    assert [intent.side for intent in prices(one, 1100)] == [Side.BUY]


def test_fast_must_be_below_slow() -> None:
    """A rule over two parameters is checked before the start, too."""
    with pytest.raises(ParameterError, match="parameter 'fast' is 5: must be below 'slow', which is 5"):
        driver("5", "5")


def test_sample_manifest_fits_the_strategy() -> None:
    """The manifest that the README applies names this class, with the defaults written out."""
    strategy = yaml.safe_load(SAMPLE.read_text())["spec"]["strategy"]
    assert strategy["class"] == f"{MovingAverageCross.__module__}:{MovingAverageCross.__qualname__}"
    assert read_all(MovingAverageCross, strategy["parameters"]) == read_all(MovingAverageCross, {})

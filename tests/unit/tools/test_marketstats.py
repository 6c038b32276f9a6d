"""The statistics themselves: known answers on markets written by hand, and on the recording where it is at hand."""

import math

import pytest

from marketstats.__main__ import data, of_file, of_seed
from marketstats.statistics import measure
from marketstats.table import ROWS, Check, Of, near, plus
from marketstats.tape import Quote, Tape, Trade, of_market
from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.simulator.market import BookChange, MarketEvent, Print

SECOND = 1_000_000_000
TICK = SCALE // 100


def book(at_ns: int, bid: float, ask: float, *, reset: bool = False, size: float = 1.0) -> BookChange:
    return BookChange(
        ts=at_ns,
        bids=((round(bid * SCALE), round(size * SCALE)),),
        asks=((round(ask * SCALE), round(size * SCALE)),),
        reset=reset,
    )


def hand_made() -> list[MarketEvent]:
    """A book of many levels for 4 s; at 1 s a buyer sweeps two prices and the offers move by two ticks."""
    levels = tuple(((10_000 - n) * TICK, SCALE * (n + 1)) for n in range(12))
    offers = tuple(((10_001 + n) * TICK, SCALE * (n + 1)) for n in range(12))
    gone = BookChange(ts=SECOND, bids=(), asks=((10_001 * TICK, 0), (10_002 * TICK, SCALE)))
    up = BookChange(ts=2 * SECOND, bids=((10_001 * TICK, SCALE),), asks=())
    return [
        BookChange(ts=0, bids=levels, asks=offers, reset=True),
        Print(ts=SECOND, price=10_001 * TICK, quantity=SCALE, aggressor=Side.BUY),
        Print(ts=SECOND, price=10_002 * TICK, quantity=SCALE, aggressor=Side.BUY),
        gone,
        up,
        Print(ts=3 * SECOND, price=10_001 * TICK, quantity=SCALE, aggressor=Side.SELL),
        Print(ts=3 * SECOND + 1_000_000, price=10_001 * TICK, quantity=SCALE, aggressor=Side.SELL),
        BookChange(ts=3 * SECOND + SECOND // 2, bids=((9_990 * TICK, 5 * SCALE),), asks=()),
        BookChange(ts=5 * SECOND, bids=(), asks=()),
    ]


def test_a_market_made_by_hand_has_the_statistics_that_one_can_count() -> None:
    tape = of_market(hand_made(), TICK, 4.0)
    found = measure(tape)
    # quotes: one tick for 1 s, two for 1 s, one for 2 s
    assert found["1"] == pytest.approx(3 / 4)
    assert found["14 trades"] == pytest.approx(4 / 4)
    assert found["14 aggressors"] == pytest.approx(3 / 4)
    assert found["14 fills"] == pytest.approx(4 / 3)
    assert found["21"] == pytest.approx(1 / 3)
    assert found["13 rate"] == pytest.approx(2 / 4)
    assert found["15 p50"] == pytest.approx(100.01)
    assert found["4 crossed"] == 0
    assert found["29 bids"] == pytest.approx((100.005 - 99.89) / 100.005 * 1e4)
    # the buyer paid half a tick and one and a half over the middle, each seller half a tick under it
    assert found["22 mean"] == pytest.approx((1.0 + 0.5 + 0.5) / 3 * 0.01 / 100.005 * 1e4, rel=1e-3)
    assert [batch.deleted for batch in tape.batches] == [1, 0, 0]


def test_fills_of_one_order_are_counted_as_one_order() -> None:
    """Same venue time, same side; another side at the same time is another order."""
    quotes = [Quote(at, 99.0 + at, 1.0, 101.0 + at, 1.0) for at in (0.0, 0.5, 1.5)]
    tape = of_market(hand_made(), TICK, 4.0)
    tape = Tape(tick=1.0, seconds=2.0, quotes=quotes, batches=tape.batches, samples=tape.samples)
    tape.trades = [
        Trade(1.0, 1000, 100.0, 1.0, True),
        Trade(1.0, 1000, 100.0, 1.0, False),
        Trade(1.0, 1001, 100.0, 1.0, False),
        Trade(1.1, 1001, 100.0, 3.0, False),
    ]
    assert measure(tape)["14 aggressors"] == pytest.approx(3 / 2)


def test_what_cannot_be_measured_is_accepted_by_no_check() -> None:
    assert not near("x", 0.5).holds(math.nan, {"x": 1.0})
    assert not Check("x", -math.inf, math.inf).holds(math.nan, {})


@pytest.mark.parametrize(
    ("check", "inside", "outside"),
    [
        (near("x", 0.3), 13.0, 13.1),
        (plus("x", 0.15), 10.15, 9.8),
        (Check("x", 1, 2), 2.0, 2.1),
        (Check("x", 0.5, 2, Of.FACTOR), 5.0, 4.9),
    ],
)
def test_bounds_count_from_what_they_say(check: Check, inside: float, outside: float) -> None:
    assert check.holds(inside, {"x": 10.0})
    assert not check.holds(outside, {"x": 10.0})


def test_the_table_names_every_row_and_judges_all_but_the_two_that_are_only_reported() -> None:
    assert [row.number for row in ROWS] == list(range(1, 30))
    assert [row.number for row in ROWS if not row.checks] == [28, 29]
    measured = of_seed("BTCUSDT", 1, 20.0)
    assert {key for row in ROWS for key in (*(c.key for c in row.checks), *row.shown)} <= measured.keys()


RECORDED = {
    # found by others in the same files
    "BTCUSDT": {"1": 0.993, "5 p50": 2.04, "8": 37, "11 mean": 36, "14 aggressors": 9.4, "17": 2270, "23 1 s": 1.3},
    "ETHUSDT": {"1": 0.995, "5 p50": 10.1, "8": 2.9, "11 mean": 31, "14 aggressors": 5.6, "17": 1050, "23 1 s": 1.09},
}


@pytest.mark.parametrize("symbol", RECORDED)
def test_the_recording_is_measured_as_others_have_measured_it(symbol: str) -> None:
    found = data()
    if found is None:
        pytest.skip("no recording here: set RINGFENCE_DATA to the directory that holds binance-spot/")
    (path,) = found.glob(f"{symbol.lower()}-*.gz")
    measured = of_file(symbol, path)
    for key, expected in RECORDED[symbol].items():
        assert measured[key] == pytest.approx(expected, rel=0.08), key

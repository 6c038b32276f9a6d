"""What clears an order, term by term: a gate that has just cleared a plain order, then one thing that refuses it.

A term that were missing, or bounds that outlived what they were computed from, would let the order pass. Amounts and
prices are in test_gate_bounds.py.
"""

from collections.abc import Callable
from typing import Any

import pytest

from gatebench.stoprig import BTC, ETH, LIMITS, ONE, SECOND, WALL
from gatebench.warmrig import ASK, BID, HIT, MARKET, SELL, TAKE, TICK, Warm
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.wire.kill import Severity
from ringfence.wire.messages import FeedStatus


@pytest.fixture
def warm() -> Warm:
    return Warm()


@pytest.mark.parametrize(
    "order",
    [
        {},
        SELL,
        TAKE,
        HIT,
        MARKET,
        MARKET | {"side": Side.SELL},
        TAKE | {"time_in_force": TimeInForce.FOK},
        {"type": OrderType.LIMIT_MAKER},
        SELL | {"type": OrderType.LIMIT_MAKER},
    ],
)
def test_plain_orders_are_cleared_under_any_limit_that_is_far_away(order: dict[str, Any], warm: Warm) -> None:
    warm.limit(
        order_quantity_max=ONE,
        order_static_collar_bps=money("100"),
        order_far_collar_bps=money("500"),
        order_slippage_bps=money("5"),
        order_participation_percent=money("10"),
        position_net=money("500000"),
        position_open_positions=2,
        position_leverage=ONE,
        position_concentration_percent=money("50"),
        position_sector_percent=money("50"),
        market_volatility_halt_bps=money("100"),
        market_crossed_settle_ms=500,
        account_balance_floor=money("1000"),
    )
    warm.trade(ONE)
    assert warm.cleared(**order)


# --- the order itself


@pytest.mark.parametrize("name", ["quantity", "price", "ts_decided"])
def test_a_number_of_another_kind_is_not_cleared(name: str, warm: Warm) -> None:
    class Near(int):
        """Equal to a number, and none."""

    good = {"quantity": money("0.02"), "price": BID, "ts_decided": WALL}[name]
    for value in (float(good), Near(good), True, str(good), float("nan"), None):
        assert warm.ask(**{name: value}) != [], value


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"type": OrderType.STOP_LOSS_LIMIT}, "TRIGGER_MISSING"),
        ({"type": "LIMIT"}, "ORDER_TYPE_UNKNOWN"),
        ({"type": OrderType.MARKET}, "PRICE_ON_MARKET_ORDER"),
        ({"type": OrderType.LIMIT_MAKER, "time_in_force": TimeInForce.IOC}, "TIME_IN_FORCE_INVALID"),
        ({"time_in_force": "GTC"}, "TIME_IN_FORCE_UNKNOWN"),
        ({"side": "BUY"}, "SIDE_UNKNOWN"),
        ({"side": "SELL", "price": ASK}, "SIDE_UNKNOWN"),
        ({"stop_price": BID}, "TRIGGER_NOT_ALLOWED"),
        ({"trailing_bps": 10}, "TRIGGER_NOT_ALLOWED"),
        ({"display": money("0.00001")}, "ICEBERG_PARTS_EXCEEDED"),
        ({"stop_price": 0.0}, "TRIGGER_INVALID"),
        ({"trailing_bps": False}, "TRAILING_INVALID"),
        ({"display": 0.0}, "ICEBERG_INVALID"),
        ({"reduce_only": True}, "REDUCE_ONLY_WOULD_OPEN"),
        ({"price": 0}, "PRICE_NOT_POSITIVE"),
        ({"price": TICK}, "VALUE_BELOW_VENUE_MINIMUM"),
        ({"price": BID + 1}, "PRICE_PRECISION"),
        ({"quantity": 0}, "QUANTITY_NOT_POSITIVE"),
        ({"quantity": money("0.020001")}, "QUANTITY_PRECISION"),
        ({"quantity": money("0.00001")}, "VALUE_BELOW_VENUE_MINIMUM"),
        ({"track": "nobody"}, "TRACK_UNKNOWN"),
        ({"symbol": "DOGEUSDT"}, "INSTRUMENT_UNKNOWN"),
    ],
)
def test_a_field_that_no_plain_order_has_is_not_cleared(order: dict[str, Any], code: str, warm: Warm) -> None:
    assert code in warm.ask(**order)


@pytest.mark.parametrize(
    ("changes", "order", "code"),
    [
        ({"tick": money("0.02")}, {"price": BID - TICK}, "PRICE_PRECISION"),
        ({"lot": money("0.001")}, {"quantity": money("0.0205")}, "QUANTITY_PRECISION"),
        ({"quantity_min": money("0.03")}, {}, "QUANTITY_BELOW_VENUE_MINIMUM"),
        ({"quantity_max": money("0.01")}, {}, "QUANTITY_ABOVE_VENUE_MAXIMUM"),
        ({"market_quantity_max": money("0.01")}, MARKET, "MARKET_QUANTITY_ABOVE_VENUE_MAXIMUM"),
        ({"notional_min": money("1001")}, {}, "VALUE_BELOW_VENUE_MINIMUM"),
        ({"notional_max": money("999")}, {}, "VALUE_ABOVE_VENUE_MAXIMUM"),
        ({"price_min": ASK}, {}, "PRICE_OUTSIDE_VENUE_RANGE"),
        ({"price_min": ASK + TICK}, SELL, "PRICE_OUTSIDE_VENUE_RANGE"),
        ({"price_max": BID}, SELL, "PRICE_OUTSIDE_VENUE_RANGE"),
        ({"price_min": 0, "notional_min": 0, "quantity_min": 0}, {"quantity": 0}, "QUANTITY_NOT_POSITIVE"),
    ],
)
def test_new_rules_of_the_venue_hold_at_once(
    changes: dict[str, Any], order: dict[str, Any], code: str, warm: Warm
) -> None:
    warm.obey(**changes)
    assert warm.ask(**order) == [code]


def test_an_instrument_whose_rules_are_gone_is_not_cleared(warm: Warm) -> None:
    warm.gate.markets[BTC].instrument = None
    assert warm.ask() == ["INSTRUMENT_NO_RULES"]


# --- stops, counts and what is not known


def halted(warm: Warm) -> None:
    warm.guard.hold("x", Severity.HALT, "drill", WALL)


def unknown(warm: Warm) -> None:
    warm.gate.markets[BTC].unknown.add("c1")


def loss_unknown(warm: Warm) -> None:
    warm.gate.loss_unknown = "BNB has no price in USDT"


def seen(warm: Warm) -> None:
    warm.gate.tracks["stable"].remember("i1")


def working(warm: Warm) -> None:
    warm.gate.tracks["stable"].working = 40


def working_together(warm: Warm) -> None:
    warm.gate.account.working = 50


def sent(warm: Warm) -> None:
    for _ in range(600):
        warm.gate.tracks["stable"].take_message(warm.mono)


def sent_together(warm: Warm) -> None:
    for _ in range(1000):
        warm.gate.account.take_message(warm.mono)


def unusable(warm: Warm) -> None:
    warm.gate.markets[BTC].status(FeedStatus(BTC, WALL, False, "gap"), warm.mono)


def status_old(warm: Warm) -> None:
    warm.later(3 * SECOND + 1)


def crossed(warm: Warm) -> None:
    warm.quote(ASK, ASK)


def barred(warm: Warm) -> None:
    warm.gate.tracks["stable"].permit("TRACK_NOT_ALLOWED x", "")


def ungranted(warm: Warm) -> None:
    warm.gate.tracks["stable"].permit("", "GRANT_MISSING x")


def lost(warm: Warm) -> None:
    warm.gate.tracks["stable"].lost(money("1000000"), LIMITS.loss_day, ())


def lost_together(warm: Warm) -> None:
    warm.gate.account.lost(money("1000000"), LIMITS.loss_day, ())


def drawn_down(warm: Warm) -> None:
    warm.gate.tracks["stable"].lost(money("1000000"), 0, ("DRAWDOWN_REDUCE x",))


def drawn_down_together(warm: Warm) -> None:
    warm.gate.account.lost(money("1000000"), 0, ("DRAWDOWN_REDUCE x",))


def tripped(warm: Warm) -> None:
    warm.gate.tracks["stable"].refuse(["BREAKER_OPEN x"])


def tripped_together(warm: Warm) -> None:
    warm.gate.account.refuse(["BREAKER_OPEN x"])


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (halted, "TRADING_HALTED"),
        (unknown, "OUTCOME_UNKNOWN"),
        (loss_unknown, "LOSS_UNKNOWN"),
        (seen, "INTENT_DUPLICATE"),
        (working, "WORKING_ORDERS_EXCEEDED"),
        (working_together, "WORKING_ORDERS_EXCEEDED"),
        (sent, "RATE_TRACK_EXCEEDED"),
        (sent_together, "RATE_ACCOUNT_EXCEEDED"),
        (unusable, "MARKET_UNUSABLE"),
        (status_old, "MARKET_UNUSABLE"),
        (crossed, "QUOTE_CROSSED"),
        (barred, "TRACK_NOT_ALLOWED"),
        (ungranted, "GRANT_MISSING"),
        (drawn_down_together, "DRAWDOWN_REDUCE"),
        (lost, "LOSS_DAY_REACHED"),
        (lost_together, "LOSS_DAY_REACHED"),
        (drawn_down, "DRAWDOWN_REDUCE"),
        (tripped, "BREAKER_OPEN"),
        (tripped_together, "BREAKER_OPEN"),
    ],
)
def test_what_happens_to_a_warm_gate_holds_for_the_next_order(
    happens: Callable[[Warm], None], code: str, warm: Warm
) -> None:
    happens(warm)
    assert warm.ask() == [code]


def test_data_and_decisions_that_are_old_clear_nothing(warm: Warm) -> None:
    """To the nanosecond; and none from the future, beyond a second."""
    warm.mono += 2 * SECOND
    assert warm.cleared()
    warm.mono += 1
    assert warm.ask() == ["QUOTE_STALE"]
    warm.mono -= 1
    assert warm.cleared(ts_decided=WALL - 2 * SECOND)
    assert warm.ask(ts_decided=WALL - 2 * SECOND - 1) == ["INTENT_STALE"]
    assert warm.cleared(ts_decided=WALL + SECOND)
    assert warm.ask(ts_decided=WALL + SECOND + 1) == ["INTENT_FROM_THE_FUTURE"]


def test_new_terms_leave_what_was_sent_as_it_was(warm: Warm) -> None:
    """A bucket with one message left has one left, and an empty one none."""
    track = warm.gate.tracks["stable"]
    for left in (True, False):
        for _ in range(track.caps.rate - 1 if left else 1):
            track.take_message(warm.mono)
        track.lost(track.equity, track.loss, track.losses)
        assert warm.ask() == ([] if left else ["RATE_TRACK_EXCEEDED"])


def test_a_rate_of_nothing_clears_nothing(warm: Warm) -> None:
    warm.limit(order_messages_per_second=0)
    assert warm.ask() == ["RATE_TRACK_EXCEEDED", "RATE_ACCOUNT_EXCEEDED"]


def test_an_instrument_that_becomes_known_may_be_one_position_too_many(warm: Warm) -> None:
    """The account counts instruments, a track those that it has touched; what is already open is no further one."""
    warm.limit(position_open_positions=2)
    assert warm.cleared()
    warm.holding(0, buys=money("0.01"), symbol=ETH, track="candidate")
    assert warm.cleared()
    warm.gate.market("XRPUSDT")
    warm.holding(0, buys=money("0.01"), symbol="XRPUSDT", track="candidate")
    assert warm.ask() == ["OPEN_POSITIONS_EXCEEDED"]
    warm.holding(0, buys=0, symbol="XRPUSDT", track="candidate")
    assert warm.ask() == []
    paper = Warm()
    paper.limit(position_open_positions=1)
    paper.gate.account.limit(warm.gate.account.caps)  # the account's is wider: the track's own count decides
    assert paper.cleared()
    paper.holding(0, buys=money("0.01"), symbol=ETH)
    assert paper.ask() == ["OPEN_POSITIONS_EXCEEDED"]

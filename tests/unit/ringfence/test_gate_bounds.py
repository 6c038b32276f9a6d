"""The bounds that clear an order, limit by limit: never wider than their limit, nor too narrow to be of use.

Every order is judged as well, and must be answered alike.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gatebench.ordinary import rules
from gatebench.stoprig import BTC, ETH, ONE, PRICE, SECOND, WALL
from gatebench.warmrig import ASK, BID, HIT, MARKET, SELL, TAKE, TICK, Warm
from ringfence.execution.state import CEILING_SHIFT
from ringfence.model.money import BPS, SCALE
from ringfence.model.money import parse as money
from ringfence.model.orders import Side
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import BookTop, FeedStatus


@pytest.fixture
def warm() -> Warm:
    return Warm()


@pytest.mark.parametrize(
    ("limits", "order", "codes"),
    [
        ({"order_value_max": money("999")}, {}, ["ORDER_VALUE_EXCEEDED"]),
        ({"order_quantity_max": money("0.01")}, {}, ["ORDER_QUANTITY_EXCEEDED"]),
        ({"rules_restricted": (BTC,)}, {}, ["INSTRUMENT_RESTRICTED"]),
        ({"rules_types": ("MARKET",)}, {}, ["ORDER_TYPE_NOT_ALLOWED"]),
        ({"position_per_instrument": money("999")}, {}, ["POSITION_EXCEEDED"] * 2),
        ({"position_gross": money("999")}, {}, ["GROSS_EXCEEDED"] * 2),
        ({"position_net": money("999")}, {}, ["NET_EXCEEDED"] * 2),
        ({"position_leverage": money("0.0009")}, {}, ["LEVERAGE_EXCEEDED"] * 2),
        ({"position_concentration_percent": money("0.09")}, {}, ["CONCENTRATION_EXCEEDED"] * 2),
        ({"position_sector_percent": money("0.09")}, {}, ["SECTOR_EXCEEDED"] * 2),
        ({"account_balance_floor": money("999001")}, {}, ["BALANCE_BELOW_FLOOR"]),
        ({"loss_day": 0}, {}, ["LOSS_DAY_REACHED"] * 2),
    ],
)
def test_a_tighter_limit_holds_at_once(
    limits: dict[str, Any], order: dict[str, Any], codes: list[str], warm: Warm
) -> None:
    warm.limit(**limits)
    assert warm.ask(**order) == codes


WIDE = (
    {},
    {"account_balance_floor": 1},
    {"position_leverage": money("10")},
    {"position_concentration_percent": money("100")},
)
"""Limits that hold as well, and are far away."""


@pytest.mark.parametrize("others", WIDE)
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("limit", ["position_per_instrument", "position_gross", "position_net"])
@pytest.mark.parametrize(
    ("holder", "whole", "refusals"), [("stable", True, 2), ("stable", False, 1), ("candidate", True, 1)]
)
def test_orders_pass_up_to_the_limit_and_none_past_it(
    limit: str, holder: str, whole: bool, refusals: int, side: Side, others: dict[str, Any], warm: Warm
) -> None:
    """What the track holds, and in the account what another one does, is not there for the next order."""
    order = (SELL if side is Side.SELL else {}) | {"quantity": money("0.04")}
    warm.limit(whole=whole, **{limit: money("20001")}, **others)
    for held in range(0, 50, 3):
        warm.holding(side.sign * money("0.01") * held, track=holder)
        assert len(warm.ask(**order)) == (0 if held + 4 <= 40 else refusals), held
    warm.holding(side.sign * money("0.35"), track=holder)
    assert warm.cleared(**order), "a fortieth of the limit is still free then"
    warm.holding(0, track=holder)
    assert warm.cleared(**order | {"quantity": money("0.38")}), "nor must an order be small"


@pytest.mark.parametrize(
    "limits",
    [
        {"order_far_collar_bps": money("200")},
        {"order_static_collar_bps": money("200")},
        {"order_collar_bps": money("100")},
    ],
)
def test_collars_hold_wherever_the_quote_moves_under_its_ceiling(limits: dict[str, Any], warm: Warm) -> None:
    """Each price is judged too: the far side of the quote that is now, the static collar from one of minutes ago."""
    warm.limit(**limits)
    refused = cleared = 0
    for moved in (*range(-160, 161, 20), *range(-400, 401, 100)):
        bid = (PRICE + moved * PRICE // BPS) // TICK * TICK
        warm.quote(bid, bid + TICK)
        warm.book(bid, bid + TICK)
        for away in range(-200, 401, 50):
            distance = away * bid // BPS // TICK * TICK
            for order in ({"price": bid - distance}, {"side": Side.SELL, "price": bid + TICK + distance}):
                before = warm.judged
                refused += warm.ask(**order) != []
                cleared += warm.judged == before
    assert refused > 50
    assert cleared > 50


def test_a_price_above_the_ceiling_is_not_cleared(warm: Warm) -> None:
    """Its value is more than the bound on the quantity was computed by, whether it rests or takes."""
    assert warm.ask(**SELL | {"quantity": money("0.9"), "price": money("60000")}) == ["ORDER_VALUE_EXCEEDED"]
    ask = warm.gate.markets[BTC].ceiling // TICK * TICK
    warm.quote(ask - TICK, ask)
    warm.book(ask - TICK, ask)
    take = TAKE | {"quantity": money("0.984"), "price": ask * 1004 // 1000 // TICK * TICK}
    assert warm.ask(**take) == ["ORDER_VALUE_EXCEEDED"]
    assert warm.ask(**take | {"price": ask}) == []


def test_a_buy_far_below_the_market_is_cleared_while_nothing_limits_it(warm: Warm) -> None:
    assert warm.cleared(price=PRICE * 6 // 10)


def test_limits_that_are_tight_together_still_clear_small_orders(warm: Warm) -> None:
    """An order's bound follows from the room that there is, not from the value that one order may have."""
    warm.limit(position_gross=money("20001"))
    assert warm.cleared()
    warm.limit(account_balance_floor=money("920000"))
    assert warm.cleared()


def test_an_instrument_without_quote_clears_nothing(warm: Warm) -> None:
    warm.gate.market("XRPUSDT").instrument = msgspec.structs.replace(rules("XRPUSDT"), price_min=0)
    warm.gate.tracks["stable"].slot(warm.gate.markets["XRPUSDT"])
    assert "QUOTE_STALE" in warm.ask(symbol="XRPUSDT")


def test_a_new_reference_price_moves_the_static_collar(warm: Warm) -> None:
    """Up a percent when the old reference has lasted five minutes, and back: more than 1 % from the new one."""
    warm.limit(order_static_collar_bps=money("100"))
    assert warm.cleared(**SELL)
    warm.mono += 301 * SECOND
    for bid in (PRICE + 500 * SCALE, PRICE - 10 * SCALE):
        warm.quote(bid, bid + TICK)
    warm.gate.markets[BTC].status(FeedStatus(BTC, WALL, True, ""), warm.mono)
    warm.book()
    assert warm.ask(**SELL | {"price": PRICE - 9 * SCALE}) == ["PRICE_BEYOND_STATIC_COLLAR"]


def test_a_market_that_was_crossed_settles_first(warm: Warm) -> None:
    warm.limit(market_crossed_settle_ms=500)
    assert warm.cleared()
    warm.quote(ASK, ASK)
    for _ in range(2):
        warm.mono += 1
        warm.quote(BID, ASK)
        assert warm.ask() == ["QUOTE_CROSSED_RECENTLY"]
    warm.later(SECOND // 2)
    assert warm.cleared()


def test_a_quote_without_two_sides_clears_nothing(warm: Warm) -> None:
    warm.quote(0, ASK)
    assert warm.ask(**SELL) == ["QUOTE_CROSSED"]
    warm.quote(BID, 0)
    assert "QUOTE_CROSSED" in warm.ask()


def test_a_price_that_jumps_clears_nothing(warm: Warm) -> None:
    warm.limit(market_volatility_halt_bps=money("100"))
    warm.quote(PRICE * 102 // 100, PRICE * 102 // 100 + TICK)
    assert warm.ask() == ["VOLATILITY_HALT"]


def test_own_orders_that_rest_are_not_met(warm: Warm) -> None:
    market = warm.gate.markets[BTC]
    market.resting_sells["a"] = ASK
    assert warm.ask(**TAKE) == ["SELF_MATCH"]
    assert warm.ask(**MARKET) == ["SELF_MATCH"]
    assert warm.cleared()
    market.resting_buys["b"] = BID
    assert warm.ask(**HIT) == ["SELF_MATCH"]
    assert warm.cleared(**SELL)


# --- taking


def book_old(warm: Warm) -> None:
    warm.mono += SECOND + 1


def book_empty(warm: Warm) -> None:
    warm.gate.markets[BTC].book(BookTop(BTC, 1, WALL, WALL, (), ()), warm.mono)


def book_thin(warm: Warm) -> None:
    warm.book(visible=money("0.01"))


def book_dear(warm: Warm) -> None:
    """The best levels are not where the quote is: 60 basis points away, past the collar and the slippage."""
    warm.book(level_bid=PRICE * 994 // 1000, level_ask=PRICE * 1006 // 1000)


@pytest.mark.parametrize(
    ("happens", "limits", "code"),
    [
        (book_old, {}, "BOOK_STALE"),
        (book_empty, {}, "BOOK_DEPTH_INSUFFICIENT"),
        (book_thin, {}, "BOOK_DEPTH_INSUFFICIENT"),
        (book_dear, {"order_collar_bps": money("40")}, "PRICE_BEYOND_COLLAR"),
        (book_dear, {"order_collar_bps": money("90"), "order_slippage_bps": money("50")}, "SLIPPAGE_EXCEEDED"),
        (lambda warm: None, {"order_participation_percent": money("10")}, "VOLUME_UNKNOWN"),
        (lambda warm: warm.trade(money("0.01")), {"order_participation_percent": ONE}, "PARTICIPATION_EXCEEDED"),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_what_a_market_order_would_meet_is_judged(
    side: Side, happens: Callable[[Warm], None], limits: dict[str, Any], code: str, warm: Warm
) -> None:
    warm.limit(**limits)
    happens(warm)
    assert code in warm.ask(**MARKET | {"side": side})


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (TAKE | {"price": PRICE * 1006 // 1000}, "PRICE_BEYOND_COLLAR"),
        (HIT | {"price": PRICE * 994 // 1000}, "PRICE_BEYOND_COLLAR"),
    ],
)
def test_a_price_past_the_collar_is_not_cleared(order: dict[str, Any], code: str, warm: Warm) -> None:
    assert warm.ask(**order) == [code]


@pytest.mark.parametrize("order", [TAKE, HIT, MARKET, MARKET | {"side": Side.SELL}])
def test_a_book_behind_the_quote_clears_nothing(order: dict[str, Any], warm: Warm) -> None:
    """A level inside the spread, or on its other side, is not what an order will meet: it is walked and judged."""
    warm.book(level_bid=BID + money("500"), level_ask=ASK - money("500"))
    assert not warm.cleared(**order)
    warm.book(level_bid=BID - TICK, level_ask=ASK + TICK)
    assert not warm.cleared(**TAKE)
    assert warm.cleared(**MARKET)


# --- positions at worst case, and cash


@pytest.mark.parametrize(("holder", "whole"), [("stable", True), ("stable", False), ("candidate", True)])
def test_a_price_that_rises_takes_up_room(holder: str, whole: bool, warm: Warm) -> None:
    """Of the track and of the account, between two orders of ours."""
    warm.limit(whole=whole, position_per_instrument=money("40000"))
    warm.holding(money("0.6"), track=holder)
    assert warm.cleared()
    for step in range(1, 40):
        price = PRICE * (100 + step) // 100
        warm.quote(price, price + TICK)
        warm.ask(price=PRICE)
    assert "POSITION_EXCEEDED" in warm.ask(price=PRICE)


def test_a_position_that_nobody_offers_any_more_still_counts(warm: Warm) -> None:
    """At the last ask: it is not worth nothing, in no bound and in no check."""
    warm.limit(position_gross=money("20001"))
    warm.holding(money("0.4"), symbol=ETH)
    warm.quote(PRICE, 0, ETH)
    assert warm.ask() == ["GROSS_EXCEEDED"] * 2
    warm.limit(position_gross=money("30000"))
    assert warm.ask() == []


def test_room_is_never_less_than_what_the_ceiling_hides(warm: Warm) -> None:
    """Positions are valued at the ceiling, which lies up to a sixteenth above the ask: too early, never late."""
    market, track = warm.gate.markets[BTC], warm.gate.tracks["stable"]
    warm.holding(ONE, buys=ONE)
    for step in (0, 1, 2, 3, -3, -30, 50, -1):
        price = PRICE * (100 + step) // 100
        warm.quote(price, price + TICK)
        assert market.ask <= market.ceiling <= market.ask + (market.ask >> CEILING_SHIFT - 1)
        assert track.valued == 2 * ONE * market.ceiling == warm.gate.account.valued
        assert warm.gate.account.buying == ONE * market.ceiling


def test_buys_behind_a_short_position_need_cash_for_themselves(warm: Warm) -> None:
    """They are twice its worst case, and fees may come on top: four times the gross is what bounds ask for."""
    warm.gate.fee_bps = 9_900 * SCALE
    warm.limit(account_balance_floor=money("100"))
    warm.gate.hold({"USDT": VenueBalance(money("125000"), money("125000"))})
    warm.holding(-ONE, buys=2 * ONE)
    assert warm.cleared()
    warm.gate.hold({"USDT": VenueBalance(money("199000"), 0)})
    assert warm.ask() == ["BALANCE_BELOW_FLOOR"]
    warm.gate.hold({})
    assert warm.ask() == ["BALANCE_UNKNOWN"]


def test_what_is_held_needs_no_cash_and_what_is_being_bought_does(warm: Warm) -> None:
    """Of all tracks and instruments, at what they cost now."""
    warm.limit(account_balance_floor=money("100"))
    warm.gate.hold({"USDT": VenueBalance(money("100100"), 0)})
    warm.holding(10 * ONE)
    assert warm.cleared(quantity=money("0.9"))
    for bought in range(0, 100, 5):
        warm.holding(10 * ONE, buys=money("0.01") * bought)
        warm.holding(0, buys=money("0.01") * bought, symbol=ETH, track="candidate")
        assert (warm.ask() == []) == (2 * bought + 2 < 200), bought
    warm.holding(10 * ONE, buys=money("0.4"))
    warm.holding(0, buys=money("0.45"), symbol=ETH, track="candidate")
    assert warm.cleared()
    warm.quote(PRICE * 4, PRICE * 4 + TICK, ETH)
    assert warm.ask() == ["BALANCE_BELOW_FLOOR"]

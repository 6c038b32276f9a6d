"""Each term of what clears an order, forced by itself: bounds that clear a plain order, then one thing that refuses it.

The gate is warm each time (it has just cleared a plain order without judging it), so that a bound that were too wide,
a term that were missing, or bounds that outlived their terms would let the order pass.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gatebench.ordinary import rules
from gatebench.stoprig import BTC, ETH, LIMITS, ONE, PRICE, SECOND, WALL, Rig
from ringfence.execution.grants import allocate
from ringfence.execution.state import CEILING_SHIFT
from ringfence.model.money import BPS, SCALE
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Track
from ringfence.venues.api import VenueBalance
from ringfence.wire.kill import Severity
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

TICK = money("0.01")
BID, ASK = PRICE, PRICE + TICK
SELL: dict[str, Any] = {"side": Side.SELL, "price": ASK}
TAKE: dict[str, Any] = {"price": ASK, "time_in_force": TimeInForce.IOC}
HIT: dict[str, Any] = {"side": Side.SELL, "price": BID, "time_in_force": TimeInForce.IOC}
MARKET: dict[str, Any] = {"type": OrderType.MARKET, "price": 0}


class Warm(Rig):
    """Two tracks and two instruments, far from every limit; it counts what is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = WALL
        self.manager.capital = money("1000000")
        self.gate.hold(self.balances)
        self.manager.evaluate(WALL)
        for track in ("stable", "candidate"):
            self.gate.tracks[track].slot(self.gate.markets[BTC])
        self.judge = self.gate.judge
        self.gate.judge = self._judge  # type: ignore[method-assign]
        self.judged = 0

    def _judge(self, intent: Intent, wall: int, mono: int, *, closing: bool = False) -> list[str]:
        self.judged += 1
        return self.judge(intent, wall, mono, closing=closing)

    def ask(self, **changes: Any) -> list[str]:
        """The codes of a small order's refusals. What is cleared must pass each check."""
        fields: dict[str, Any] = {
            "intent_id": "i1",
            "track": "stable",
            "symbol": BTC,
            "side": Side.BUY,
            "type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "quantity": money("0.02"),
            "price": BID,
            "reduce_only": False,
            "ts_decided": self.wall,
        }
        intent = Intent(**(fields | changes))
        found = self.gate.check(intent, self.wall, self.mono)
        assert found == self.judge(intent, self.wall, self.mono)
        return [reason.partition(" ")[0] for reason in found]

    def cleared(self, **changes: Any) -> bool:
        """Does it pass, and without a closer look?"""
        before = self.judged
        return self.ask(**changes) == [] and self.judged == before

    def limit(self, *, whole: bool = True, **limits: Any) -> None:
        """A new allocation and grants; where not ``whole``, the grants are the tighter ones and the account is wide."""
        found = msgspec.structs.replace(LIMITS, **limits)
        current = found if whole else LIMITS
        tracks = tuple(
            Track(name=name, revision=f"{name[:1]}bc123de", stage="Live", weight=100, grant="g", key=name)
            for name in ("stable", "candidate")
        )
        document = Allocation(epoch=2, tracks=tracks, limits=current)
        allocate(self.gate.tracks, self.gate.account, document, {"g": found}, paper=False)

    def obey(self, **changes: Any) -> None:
        """New rules of the venue."""
        self.gate.markets[BTC].instrument = msgspec.structs.replace(rules(BTC), **changes)

    def quote(self, bid: int, ask: int, symbol: str = BTC) -> None:
        self.gate.markets[symbol].quote(Quote(symbol, 1, WALL, bid, ONE, ask, ONE), self.mono)

    def book(self, level_bid: int = BID, level_ask: int = ASK, visible: int = ONE) -> None:
        book = BookTop(BTC, 1, WALL, WALL, ((level_bid, visible),), ((level_ask, visible),))
        self.gate.markets[BTC].book(book, self.mono)

    def later(self, nanoseconds: int) -> None:
        """Time goes by, and quotes and books go on."""
        self.mono += nanoseconds
        self.wall += nanoseconds
        for market in self.gate.markets.values():
            self.quote(market.bid, market.ask, market.symbol)
            market.book_mono = self.mono

    def holding(self, position: int, *, buys: int = 0, symbol: str = BTC, track: str = "stable") -> None:
        slot = self.gate.tracks[track].slot(self.gate.markets[symbol])
        slot.position, slot.buys = position, buys
        slot.settle()


@pytest.fixture
def warm() -> Warm:
    made = Warm()
    for order in ({}, SELL, TAKE, HIT, MARKET, {"track": "candidate"}):
        made.ask(**order)
        assert made.cleared(**order), order
    return made


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
    traded(warm, ONE)
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


def latched(warm: Warm) -> None:
    warm.gate.tracks["stable"].lost(money("1000000"), 0, True, ())


def latched_together(warm: Warm) -> None:
    warm.gate.account.lost(money("1000000"), 0, True, ())


def lost(warm: Warm) -> None:
    warm.gate.tracks["stable"].lost(money("1000000"), LIMITS.loss_day, False, ())


def lost_together(warm: Warm) -> None:
    warm.gate.account.lost(money("1000000"), LIMITS.loss_day, False, ())


def drawn_down(warm: Warm) -> None:
    warm.gate.tracks["stable"].lost(money("1000000"), 0, False, ("DRAWDOWN_REDUCE x",))


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
        (latched, "LOSS_DAY_REACHED"),
        (latched_together, "LOSS_DAY_REACHED"),
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


# --- limits


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


@pytest.mark.parametrize("floor", [None, 1])
@pytest.mark.parametrize("limit", ["position_per_instrument", "position_gross", "position_net"])
@pytest.mark.parametrize(
    ("holder", "whole", "refusals"), [("stable", True, 2), ("stable", False, 1), ("candidate", True, 1)]
)
def test_orders_pass_up_to_the_limit_and_none_past_it(
    limit: str, holder: str, whole: bool, refusals: int, floor: int | None, warm: Warm
) -> None:
    """What the track holds, and in the account what another one does, is not there for the next order."""
    warm.limit(whole=whole, **{limit: money("20001")}, account_balance_floor=floor)
    for held in range(50):
        warm.holding(money("0.01") * held, track=holder)
        assert len(warm.ask(quantity=money("0.04"))) == (0 if held + 4 <= 40 else refusals), held
    warm.holding(money("0.2"), track=holder)
    assert warm.cleared(quantity=money("0.04")), "half of the limit is free"


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


def traded(warm: Warm, quantity: int) -> None:
    """In each of the last seconds."""
    tape = warm.gate.markets[BTC].tape
    for second in range(11):
        tape.trade(quantity, warm.mono - (10 - second) * SECOND)


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
        (lambda warm: traded(warm, money("0.01")), {"order_participation_percent": ONE}, "PARTICIPATION_EXCEEDED"),
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


def test_a_price_that_rises_takes_up_room(warm: Warm) -> None:
    """Of the track and of the account, between two orders of ours."""
    for holder in ("stable", "candidate"):
        gate = Warm()
        gate.limit(position_per_instrument=money("40000"))
        gate.holding(money("0.6"), track=holder)
        assert gate.cleared()
        for step in range(1, 40):
            gate.quote(PRICE * (100 + step) // 100, PRICE * (100 + step) // 100 + TICK)
            gate.ask(price=PRICE)
        assert "POSITION_EXCEEDED" in gate.ask(price=PRICE)


def test_room_is_never_less_than_what_the_ceiling_hides(warm: Warm) -> None:
    """Positions are valued at the ceiling, which lies up to a sixteenth above the ask: too early, never late."""
    market, track = warm.gate.markets[BTC], warm.gate.tracks["stable"]
    warm.holding(ONE, buys=ONE)
    for step in (0, 1, 2, 3, -3, -30, 50, -1):
        price = PRICE * (100 + step) // 100
        warm.quote(price, price + TICK)
        assert market.ask <= market.ceiling <= market.ask + (market.ask >> CEILING_SHIFT - 1)
        assert track.valued == 2 * ONE * market.ceiling == warm.gate.account.valued


def test_buys_behind_a_short_position_need_cash_for_themselves(warm: Warm) -> None:
    """They are twice its worst case, and fees may come on top: four times the gross is what bounds ask for."""
    warm.gate.fee_bps = 9_900 * SCALE
    warm.limit(account_balance_floor=money("100"))
    warm.gate.hold({"USDT": VenueBalance(money("150000"), money("150000"))})
    warm.holding(-ONE, buys=2 * ONE)
    assert warm.cleared()
    warm.gate.hold({"USDT": VenueBalance(money("199000"), 0)})
    assert warm.ask() == ["BALANCE_BELOW_FLOOR"]
    warm.gate.hold({})
    assert warm.ask() == ["BALANCE_UNKNOWN"]

"""Each further limit of the gate forced by itself, and what reducing orders are spared of it."""

from typing import Any

import msgspec
import pytest

from gatebench import ordinary
from ringfence.execution.caps import UNLIMITED, stricter, weighted
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.losses import LossLedger
from ringfence.execution.state import Track as Owner
from ringfence.execution.usage import usages
from ringfence.model.money import SCALE
from ringfence.model.money import parse as money
from ringfence.model.orders import OrderType, Side
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.wire.codec import WireError, decode, encode
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

WALL = 1_700_000_000_000_000_000
"""Tuesday 2023-11-14 22:13:20 UTC."""
MONO = 5_000_000_000_000
SECOND = 1_000_000_000
SYMBOL, OTHER = "BTCUSDT", "ETHUSDT"
BID, ASK = money("50000"), money("50000.01")
BASE = Limits(
    order_value_max=money("1000000"),
    order_collar_bps=money("5000"),
    order_messages_per_second=1000,
    order_working_orders=100,
    order_approved_lifetime_ms=50,
    position_per_instrument=money("1000000"),
    position_gross=money("1000000"),
    loss_day=money("1000000"),
    market_quote_stale_ms=60_000,
    market_book_stale_ms=1_000,
)


def gate(*, weight: int = 100, **limits: Any) -> Gate:
    """A gate with one track, nothing limited but what is said."""
    made = Gate(ordinary.active_guard(WALL), (SYMBOL, OTHER))
    for symbol in (SYMBOL, OTHER):
        market = made.markets[symbol]
        market.instrument = ordinary.rules(symbol)
        market.quote(Quote(symbol, 1, WALL, BID, SCALE, ASK, SCALE), MONO)
        bids = ((BID, 2 * SCALE), (money("49900"), 8 * SCALE))
        asks = ((ASK, 2 * SCALE), (money("50100"), 8 * SCALE))
        market.book(BookTop(symbol, 1, WALL, WALL, bids, asks), MONO)
        market.status(FeedStatus(symbol, WALL, True, ""), MONO)
    found = msgspec.structs.replace(BASE, **limits)
    track = Track(name="stable", revision="r", stage="Live", weight=weight, grant="g", key="k")
    allocate(made.tracks, made.account, Allocation(epoch=1, tracks=(track,), limits=found), {"g": found}, paper=False)
    made.account.equity = money("100000")
    made.tracks["stable"].equity = money("100000") * weight // 100
    made.tracks["stable"].slot(made.markets[SYMBOL])  # as after its first order: bounds may clear what is asked
    return made


def intent(**changes: Any) -> Intent:
    return ordinary.intent(WALL, **changes)


def codes(found: Gate, wall: int = WALL, mono: int = MONO, **changes: Any) -> list[str]:
    return [reason.partition(" ")[0] for reason in found.check(intent(**changes), wall, mono)]


def holding(found: Gate, position: int, *, symbol: str = SYMBOL, buys: int = 0, sells: int = 0) -> None:
    slot = found.tracks["stable"].slot(found.markets[symbol])
    slot.position, slot.buys, slot.sells = position, buys, sells
    slot.settle()


def quoted(found: Gate, bid: str, ask: str, mono: int) -> None:
    found.markets[SYMBOL].quote(Quote(SYMBOL, 2, WALL, money(bid), SCALE, money(ask), SCALE), mono)


MARKET = {"type": OrderType.MARKET, "price": 0}
SELL = {"side": Side.SELL, "price": ASK}


class TestPrices:
    """Collars and slippage: reducing orders get three times as much."""

    def test_static_collar(self) -> None:
        """Against the mid of the beginning of the five minutes, whatever the best price has become."""
        made = gate(order_static_collar_bps=money("300"))
        quoted(made, "51500", "51500.01", MONO + SECOND)
        assert codes(made, price=money("51490")) == []
        assert codes(made, price=money("51500.01")) == ["PRICE_BEYOND_STATIC_COLLAR"]
        holding(made, money("-1"))
        assert codes(made, price=money("51500.01")) == []
        quoted(made, "51500", "51500.01", MONO + 301 * SECOND)
        assert made.markets[SYMBOL].tape.reference == money("51500.005")

    def test_far_side(self) -> None:
        """Ten percent behind the own side's best price, to the last tick."""
        made = gate(order_far_collar_bps=money("1000"))
        assert codes(made, price=money("45000")) == []
        assert codes(made, price=money("44999.99")) == ["PRICE_TOO_FAR"]
        assert codes(made, side=Side.SELL, price=money("55000.02")) == ["PRICE_TOO_FAR"]
        holding(made, money("1"))
        assert codes(made, side=Side.SELL, price=money("64999"), quantity=money("0.1")) == []

    def test_slippage_of_market_and_crossing_orders(self) -> None:
        """By the gate's own book: 2 at the touch, 2 twenty bps away: ten on average."""
        made = gate(order_slippage_bps=money("10"))
        assert codes(made, **MARKET, quantity=money("2")) == []
        assert codes(made, **MARKET, quantity=money("4.1")) == ["SLIPPAGE_EXCEEDED"]
        assert codes(made, price=money("50100"), quantity=money("4.1")) == ["SLIPPAGE_EXCEEDED"]
        assert codes(made, price=ASK, quantity=money("5")) == [], "it takes two and rests with three"
        assert codes(made, type=OrderType.LIMIT_MAKER, price=money("50100"), quantity=money("5")) == []
        holding(made, money("-9"))
        assert codes(made, **MARKET, quantity=money("8")) == []

    def test_a_book_that_does_not_reach(self) -> None:
        """What lies beyond it is unknown, also for a limit order whose price allows it."""
        made = gate(order_slippage_bps=money("9999"))
        assert codes(made, **MARKET, quantity=money("10.1")) == ["BOOK_DEPTH_INSUFFICIENT"]
        assert codes(made, price=money("50200"), quantity=money("10.1")) == ["BOOK_DEPTH_INSUFFICIENT"]
        assert codes(made, price=money("50100"), quantity=money("10.1")) == []

    def test_a_book_that_is_old(self) -> None:
        """Its own limit, not the quote's; resting orders do not need it."""
        made = gate(order_slippage_bps=money("100"))
        assert codes(made, mono=MONO + SECOND, **MARKET) == []
        assert codes(made, mono=MONO + SECOND + 1, **MARKET) == ["BOOK_STALE"]
        assert codes(made, mono=MONO + SECOND + 1, price=ASK) == ["BOOK_STALE"]
        assert codes(made, mono=MONO + SECOND + 1) == []


class TestStops:
    """They wait for their trigger, so their price is measured from it."""

    def test_a_trigger_that_is_far_away(self) -> None:
        """From the best price now; a reducing one may lie three times as far."""
        made = gate(order_stop_distance_bps=money("2000"))
        far = {"type": OrderType.STOP_LOSS, "price": 0, "stop_price": money("60001")}
        assert codes(made, **far | {"stop_price": money("60000")}) == []
        assert codes(made, **far) == ["STOP_TOO_FAR"]
        holding(made, money("-1"))
        assert codes(made, **far) == []

    def test_a_price_far_past_its_trigger(self) -> None:
        """In place of the collar, which would be around a price that is not there yet."""
        made = gate(order_stop_limit_offset_bps=money("100"), order_collar_bps=money("50"))
        stop = {"type": OrderType.STOP_LOSS_LIMIT, "stop_price": money("52000")}
        assert codes(made, **stop, price=money("52520")) == []
        assert codes(made, **stop, price=money("52520.01")) == ["STOP_OFFSET_EXCEEDED"]
        made = gate(order_collar_bps=money("50"))
        assert codes(made, **stop, price=money("52520")) == ["PRICE_BEYOND_COLLAR"]


class TestExposure:
    """Each for the track and for the account; the worst case of everything that may still execute."""

    def test_net(self) -> None:
        """Long and short of different instruments offset each other, but not before they execute."""
        made = gate(position_net=money("60000"))
        holding(made, money("1"), symbol=OTHER)
        assert codes(made, quantity=money("0.3")) == ["NET_EXCEEDED", "NET_EXCEEDED"]
        assert codes(made, **SELL, quantity=money("2")) == []
        holding(made, 0, symbol=OTHER, sells=money("1"))
        assert codes(made, quantity=money("1.19")) == []
        holding(made, money("-1"), symbol=OTHER)
        assert codes(made, **SELL, quantity=money("0.3")) == ["NET_EXCEEDED", "NET_EXCEEDED"]
        holding(made, money("-0.9"), symbol=OTHER)
        assert codes(made, **SELL, quantity=money("0.29")) == []

    def test_net_of_the_side_whose_worst_case_is_the_smaller(self) -> None:
        """What sells may come to hides nothing of what buys may: a turn from short to long, a quoter's other side."""
        made = gate(position_net=money("60000"))
        holding(made, money("1"), symbol=OTHER)
        holding(made, money("-0.3"))
        assert codes(made, quantity=money("0.3")) == [], "closes"
        assert codes(made, quantity=money("0.6")) == ["NET_EXCEEDED", "NET_EXCEEDED"]
        holding(made, 0, sells=money("0.3"))
        assert codes(made, quantity=money("0.3")) == ["NET_EXCEEDED", "NET_EXCEEDED"]
        assert codes(made, quantity=money("0.1")) == []

    def test_open_positions(self) -> None:
        """One that is working counts as one that is open; an order in an open instrument opens none."""
        made = gate(position_open_positions=1)
        assert codes(made) == []
        holding(made, 0, symbol=OTHER, buys=money("0.1"))
        assert codes(made) == ["OPEN_POSITIONS_EXCEEDED", "OPEN_POSITIONS_EXCEEDED"]
        assert codes(made, symbol=OTHER) == []

    def test_leverage(self) -> None:
        """Gross over equity; unknown equity has room for nothing."""
        made = gate(position_leverage=SCALE)
        assert codes(made, quantity=money("1.9999")) == []
        assert codes(made, quantity=money("2.0001")) == ["LEVERAGE_EXCEEDED", "LEVERAGE_EXCEEDED"]
        made.tracks["stable"].lost(equity=0, loss=0, losses=())
        assert codes(made) == ["LEVERAGE_EXCEEDED"]
        holding(made, money("1"))
        assert codes(made, **SELL, quantity=money("1")) == []

    def test_concentration(self) -> None:
        """One instrument's share of the equity."""
        made = gate(position_concentration_percent=money("25"))
        assert codes(made, quantity=money("0.4999")) == []
        assert codes(made, quantity=money("0.5001")) == ["CONCENTRATION_EXCEEDED", "CONCENTRATION_EXCEEDED"]

    def test_sector(self) -> None:
        """Long and short added, at worst case; what nobody has put into a sector is one sector, and limited too."""
        limits: dict[str, Any] = {"position_sector_percent": money("40")}
        made = gate(**limits)
        holding(made, money("-0.3"), symbol=OTHER)
        assert codes(made, quantity=money("0.4999")) == []
        assert codes(made, quantity=money("0.5001")) == ["SECTOR_EXCEEDED", "SECTOR_EXCEEDED"]
        refused = made.check(intent(quantity=money("0.6")), WALL, MONO)[1]
        assert refused.startswith("SECTOR_EXCEEDED sector=unknown worst=45000.009 limit=40000 equity=100000")
        apart = gate(**limits, position_sectors={SYMBOL: "payments"})
        holding(apart, money("-0.3"), symbol=OTHER)
        assert codes(apart, quantity=money("0.79")) == []
        assert codes(apart, quantity=money("0.81")) == ["SECTOR_EXCEEDED", "SECTOR_EXCEEDED"]
        together = gate(**limits, position_sectors={SYMBOL: "layer-one", OTHER: "layer-one"})
        holding(together, 0, symbol=OTHER, buys=money("0.3"))
        assert codes(together, quantity=money("0.51")) == ["SECTOR_EXCEEDED", "SECTOR_EXCEEDED"]
        holding(together, money("0.9"))
        assert codes(together, **SELL, quantity=money("0.9")) == [], "reducing"

    @pytest.mark.parametrize(
        ("granted", "wanted", "held_to"),
        [
            ({"A": "one", "B": "one"}, {"A": "one", "B": "two"}, {"A": "one", "B": "one"}),
            ({"A": "one", "B": "two"}, {"A": "one", "B": "one"}, {"A": "one", "B": "one"}),
            ({"A": "one", "B": "two"}, {"A": "two", "B": "one"}, {"A": "one", "B": "one"}),
            ({"A": "one", "B": "two"}, {"A": "one"}, {"A": "one"}),
            ({}, {"A": "one"}, {}),
            ({"A": "one", "B": "one"}, {"A": "one"}, {}),
        ],
    )
    def test_what_grant_or_spec_puts_together_is_one_sector(
        self, granted: dict[str, str], wanted: dict[str, str], held_to: dict[str, str]
    ) -> None:
        """To divide them otherwise needs a new grant; to put more together acts at once."""
        old, new = (msgspec.structs.replace(BASE, position_sectors=found) for found in (granted, wanted))
        assert stricter(new, old).position_sectors == held_to

    @pytest.mark.parametrize(
        ("rho", "held", "buying", "refused"),
        [
            ("0.71", "1", True, True),
            ("0.7", "1", True, False),
            ("0.71", "-1", True, False),
            ("0.71", "-1", False, True),
            ("-0.71", "1", True, False),
            ("-0.71", "-1", True, True),
            ("-0.71", "1", False, True),
            ("0.71", "0.000001", True, False),
        ],
    )
    def test_correlation(self, rho: str, held: str, buying: bool, refused: bool) -> None:
        """Sides and sign together say whether it is the same risk; a hedge passes, and so does dust (F17)."""
        made = gate(position_correlation=money("0.7"))
        made.markets[SYMBOL].correlations = {OTHER: money(rho)}
        holding(made, money(held), symbol=OTHER)
        side: dict[str, Any] = {} if buying else SELL
        assert codes(made, **side) == (["CORRELATION_EXCEEDED"] * 2 if refused else [])

    def test_correlation_counts_orders_and_what_is_not_known(self) -> None:
        """Alone an instrument is like no other; a position may always be closed."""
        made = gate(position_correlation=money("0.7"))
        assert codes(made) == [], "nothing else is held"
        holding(made, 0, symbol=OTHER, sells=money("1"))
        assert codes(made) == ["CORRELATION_UNKNOWN", "CORRELATION_UNKNOWN"]
        made.markets[SYMBOL].correlations = {OTHER: money("0.9")}
        assert codes(made) == [], "what works would be sold"
        holding(made, 0, symbol=OTHER, buys=money("1"), sells=money("1"))
        assert codes(made) == ["CORRELATION_EXCEEDED", "CORRELATION_EXCEEDED"], "it may end on either side"
        told = made.check(intent(), WALL, MONO)[0]
        assert told == "CORRELATION_EXCEEDED track=stable symbol=BTCUSDT with=ETHUSDT correlation=0.9 limit=0.7"
        holding(made, money("-1"))
        assert codes(made) == [], "reducing"

    @pytest.mark.parametrize(
        ("limit", "code"),
        [
            ({"position_value_at_risk": money("2326.4")}, "VALUE_AT_RISK_EXCEEDED"),
            ({"position_value_at_risk_percent": money("2.3264")}, "VALUE_AT_RISK_EXCEEDED"),
            ({"position_expected_shortfall": money("2665.3")}, "EXPECTED_SHORTFALL_EXCEEDED"),
            ({"position_expected_shortfall_percent": money("2.6653")}, "EXPECTED_SHORTFALL_EXCEEDED"),
        ],
    )
    def test_value_at_risk_and_expected_shortfall(self, limit: dict[str, int], code: str) -> None:
        """One of 50,000 that moves by two percent a day; what is held of the same risk adds up, a hedge does not."""
        made = gate(**limit)
        for symbol, other in ((SYMBOL, OTHER), (OTHER, SYMBOL)):
            made.markets[symbol].volatility = money("0.02")
            made.markets[symbol].correlations = {other: money("0.9")}
        one, two = {"quantity": SCALE}, {"quantity": 2 * SCALE}
        assert codes(made, **one) == codes(made, **SELL, **one) == []
        assert codes(made, **two) == codes(made, **SELL, **two) == [code] * 2
        holding(made, money("1"), symbol=OTHER)
        assert codes(made, **one) == [code] * 2
        assert codes(made, **SELL, **one) == [], "a hedge"
        holding(made, money("-1"))
        assert codes(made, **two) == [code] * 2, "the other side is another risk, though no worst case is larger"
        assert codes(made, **one) == [], "reducing, though it was the hedge"
        made.markets[SYMBOL].volatility = money("0.5")
        assert codes(made, **one) == [], "reducing, however much is at risk"

    def test_value_at_risk_that_is_not_known(self) -> None:
        """The instrument is named, and a position may always be closed."""
        made = gate(position_value_at_risk_percent=money("50"))
        told = made.check(intent(), WALL, MONO)
        assert told == ["VALUE_AT_RISK_UNKNOWN track=stable symbol=BTCUSDT", "VALUE_AT_RISK_UNKNOWN symbol=BTCUSDT"]
        for market in made.markets.values():
            market.volatility = money("0.02")
        assert codes(made) == []
        holding(made, money("0.000001"), symbol=OTHER)
        assert codes(made) == [], "dust"
        holding(made, money("1"), symbol=OTHER)
        assert made.check(intent(), WALL, MONO)[1] == "VALUE_AT_RISK_UNKNOWN symbol=BTCUSDT with=ETHUSDT"
        holding(made, money("-1"))
        assert codes(made) == [], "reducing"

    def test_what_others_offset_is_at_risk_for_each_and_not_for_the_account(self) -> None:
        made = gate(position_value_at_risk=money("3000"))
        made.markets[SYMBOL].volatility = money("0.02")
        foreign = Owner("foreign").slot(made.markets[SYMBOL])
        foreign.position = money("-1.2")
        foreign.settle()
        assert codes(made, quantity=SCALE) == []
        told = made.check(intent(quantity=money("1.5")), WALL, MONO)
        assert told == ["VALUE_AT_RISK_EXCEEDED track=stable worst=3489.52251791 limit=3000"]

    @pytest.mark.parametrize(
        "limit",
        [{"position_correlation": money("0.7")}, {"position_value_at_risk": 1}, {"position_expected_shortfall": 1}],
    )
    def test_paper_does_not_judge_what_it_cannot_know(self, limit: dict[str, int]) -> None:
        """It has no account by which to ask for the past; the other limits hold there as well."""
        found = msgspec.structs.replace(BASE, **limit)
        track = Track(name="stable", revision="r", stage="Paper", weight=0, grant="g", key="k")
        made = gate()
        allocation = Allocation(epoch=2, tracks=(track,), limits=found)
        allocate(made.tracks, made.account, allocation, {"g": found}, paper=True)
        holding(made, money("1"), symbol=OTHER)
        assert codes(made) == []

    def test_what_must_be_left_of_the_currency(self) -> None:
        """All buys at the ask, and fees; a balance that nobody has told is none."""
        made = gate(account_balance_floor=money("100"))
        made.fee_bps = money("10")
        assert codes(made) == ["BALANCE_UNKNOWN"]
        made.balances["USDT"] = money("5105.00")
        assert codes(made, quantity=money("0.1")) == ["BALANCE_BELOW_FLOOR"], "fees of 5 are not left"
        made.balances["USDT"] = money("5105.01")
        assert codes(made, quantity=money("0.1")) == []
        made.balances["USDT"] = money("10110.00")
        holding(made, 0, symbol=OTHER, buys=money("0.1"))
        assert codes(made, quantity=money("0.1")) == ["BALANCE_BELOW_FLOOR"]
        assert codes(made, quantity=money("0.09")) == []
        assert codes(made, **SELL, quantity=money("0.5")) == []


class TestConditions:
    """What must hold for a position to be opened. None of it holds a reducing order back."""

    @pytest.mark.parametrize(
        ("limits", "changes", "code"),
        [
            ({"rules_types": ("LIMIT",)}, MARKET, "ORDER_TYPE_NOT_ALLOWED"),
            ({"rules_types": ()}, {}, "ORDER_TYPE_NOT_ALLOWED"),
            ({"rules_times_in_force": ("IOC",)}, {}, "TIME_IN_FORCE_NOT_ALLOWED"),
            ({"rules_restricted": (SYMBOL,)}, {}, "INSTRUMENT_RESTRICTED"),
            ({"rules_sessions": ((0, 600),)}, {}, "SESSION_CLOSED"),
            ({"rules_sessions": ()}, {}, "SESSION_CLOSED"),
            ({"rules_blackouts": ((1_700_000_000, 1_700_000_001),)}, {}, "BLACKOUT"),
            ({"order_participation_percent": 10 * SCALE}, MARKET, "VOLUME_UNKNOWN"),
            ({"order_daily_volume_percent": SCALE}, {}, "VOLUME_UNKNOWN"),
            ({"account_fee_token": "BNB", "account_fee_token_floor": SCALE}, {}, "BALANCE_UNKNOWN"),
        ],
    )
    def test_each(self, limits: dict[str, Any], changes: dict[str, Any], code: str) -> None:
        """Alone, by its code; a position may be closed all the same."""
        made = gate(**limits)
        assert codes(made, **changes) == [code]
        holding(made, money("-1"))
        assert codes(made, **changes) == []

    def test_sessions_are_minutes_of_a_week_that_begins_on_monday(self) -> None:
        """It is Tuesday 22:13:20 UTC."""
        now = 24 * 60 + 22 * 60 + 13
        assert codes(gate(rules_sessions=((now, now + 1),))) == []
        assert codes(gate(rules_sessions=((now - 9, now),))) == ["SESSION_CLOSED"]
        assert codes(gate(rules_sessions=((now + 1, now + 9),))) == ["SESSION_CLOSED"]

    def test_participation(self) -> None:
        """Taking orders of ten seconds together, beside what the market traded in them."""
        made = gate(order_participation_percent=10 * SCALE)
        tape = made.markets[SYMBOL].tape
        for second in range(11):
            tape.trade(SCALE, MONO + second * SECOND)
        mono = MONO + 10 * SECOND
        quoted(made, "50000", "50000.01", mono)
        made.markets[SYMBOL].status(FeedStatus(SYMBOL, WALL, True, ""), mono)
        made.markets[SYMBOL].book_mono = mono
        assert codes(made, mono=mono, price=ASK, quantity=SCALE) == []
        assert codes(made, mono=mono, price=ASK, quantity=SCALE + money("0.00001")) == ["PARTICIPATION_EXCEEDED"]
        assert codes(made, mono=mono, quantity=2 * SCALE) == [], "what rests takes no volume"
        made.approve("c", intent(price=ASK, quantity=SCALE), mono)
        assert codes(made, mono=mono, price=ASK) == ["PARTICIPATION_EXCEEDED"]

    def test_daily_volume(self) -> None:
        """Of the whole day, and only once it has been watched."""
        made = gate(order_daily_volume_percent=SCALE)
        market = made.markets[SYMBOL]
        mono = MONO + 24 * 3600 * SECOND
        quoted(made, "50000", "50000.01", mono)
        market.status(FeedStatus(SYMBOL, WALL, True, ""), mono)
        market.tape.trade(1, MONO + SECOND)
        market.tape.trade(10 * SCALE, mono)
        assert codes(made, mono=mono) == ["VOLUME_UNKNOWN"]
        mono += SECOND
        assert codes(made, mono=mono) == []
        assert codes(made, mono=mono, quantity=money("0.10001")) == ["VOLUME_DAY_EXCEEDED"]

    def test_after_a_crossed_quote_the_market_settles(self) -> None:
        """Nothing while it is crossed, no new exposure for half a second after it."""
        made = gate(market_crossed_settle_ms=500)
        quoted(made, "50000.01", "50000.01", MONO)
        assert codes(made) == ["QUOTE_CROSSED", "QUOTE_CROSSED_RECENTLY"]
        quoted(made, "50000", "50000.01", MONO + 1)
        assert codes(made, mono=MONO + SECOND // 2 - 1) == ["QUOTE_CROSSED_RECENTLY"]
        assert codes(made, mono=MONO + SECOND // 2) == []
        holding(made, money("-1"))
        assert codes(made, mono=MONO + 1) == []

    def test_a_price_that_jumps_halts_new_exposure(self) -> None:
        """Of ten seconds, and no longer."""
        made = gate(market_volatility_halt_bps=money("100"))
        quoted(made, "50499", "50499.01", MONO + SECOND)
        assert codes(made) == []
        quoted(made, "50501", "50501.01", MONO + SECOND)
        assert codes(made) == ["VOLATILITY_HALT"]
        quoted(made, "50501", "50501.01", MONO + 9 * SECOND)
        assert codes(made) == ["VOLATILITY_HALT"]
        quoted(made, "50501", "50501.01", MONO + 10 * SECOND)
        assert codes(made) == []

    def test_fees_must_be_payable(self) -> None:
        """One day of them, in what they are paid in."""
        made = gate(account_fee_token="BNB", account_fee_token_floor=SCALE)
        made.balances["BNB"] = SCALE - 1
        assert codes(made) == ["FEE_TOKEN_BELOW_FLOOR"]
        made.balances["BNB"] = SCALE
        assert codes(made) == []


class TestUnreadable:
    """Values that are no numbers and words that nobody knows, by whatever way they come."""

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"quantity": float("nan")}, "QUANTITY_INVALID quantity=nan"),
            ({"quantity": float("inf")}, "QUANTITY_INVALID quantity=inf"),
            ({"quantity": True}, "QUANTITY_INVALID quantity=True"),
            ({"price": 0.1}, "PRICE_INVALID price=0.1"),
            ({"price": None}, "PRICE_INVALID price=None"),
            ({"side": "HOLD"}, "SIDE_UNKNOWN side=HOLD"),
            ({"type": "PEG"}, "ORDER_TYPE_UNKNOWN type=PEG"),
            ({"time_in_force": "DAY"}, "TIME_IN_FORCE_UNKNOWN time_in_force=DAY"),
            ({"ts_decided": float("nan")}, "TIME_INVALID ts_decided=nan"),
        ],
    )
    def test_in_the_same_process(self, changes: dict[str, Any], said: str) -> None:
        """Refused with the value named."""
        assert gate().check(intent(**changes), WALL, MONO) == [said]

    @pytest.mark.parametrize(
        "changes",
        [
            {"quantity": float("nan")},
            {"quantity": 0.1},
            {"quantity": "1"},
            {"price": float("inf")},
            {"side": "HOLD"},
            {"type": "PEG"},
            {"time_in_force": "DAY"},
        ],
    )
    def test_on_the_wire(self, changes: dict[str, Any]) -> None:
        """They are no message, so no gate has to judge them."""
        with pytest.raises(WireError, match="not a message of ours"):
            decode(encode("s", 1, 1, intent(**changes)))


class TestTwoRevisions:
    """The stricter of grant and current limits, for each sort of limit."""

    def test_numbers_floors_and_lists(self) -> None:
        """Smaller, greater, what both permit, what either forbids."""
        one = msgspec.structs.replace(
            BASE,
            account_balance_floor=5,
            order_slippage_bps=None,
            rules_types=("LIMIT", "MARKET"),
            rules_restricted=("A",),
            rules_sessions=((0, 100), (200, 300)),
            rules_blackouts=((1, 2),),
        )
        other = msgspec.structs.replace(
            BASE,
            account_balance_floor=7,
            order_slippage_bps=3,
            rules_types=("MARKET",),
            rules_restricted=("B",),
            rules_sessions=((50, 250),),
            rules_blackouts=((3, 4),),
        )
        for found in (stricter(one, other), stricter(other, one)):
            assert (found.account_balance_floor, found.order_slippage_bps) == (7, 3)
            assert (found.rules_types, found.rules_restricted) == (("MARKET",), ("A", "B"))
            assert found.rules_sessions == ((50, 100), (200, 250))
            assert found.rules_blackouts == ((1, 2), (3, 4))

    @pytest.mark.parametrize(
        ("floors", "code"),
        [
            ({"account_balance_floor": money("100")}, "BALANCE_UNKNOWN"),
            ({"account_fee_token": "BNB", "account_fee_token_floor": SCALE}, "BALANCE_UNKNOWN"),
        ],
    )
    def test_a_floor_that_was_granted_holds_where_the_spec_has_it_no_more(
        self, floors: dict[str, Any], code: str
    ) -> None:
        """Taking it away is loosening. Paper has no balances, and no floors."""
        made = gate()
        granted = msgspec.structs.replace(BASE, **floors)
        for stage, expected in (("Live", [code]), ("Paper", [])):
            track = Track(name="stable", revision="r", stage=stage, weight=100, grant="g", key="k")
            allocation = Allocation(epoch=2, tracks=(track,), limits=BASE)
            allocate(made.tracks, made.account, allocation, {"g": granted}, paper=stage == "Paper")
            assert codes(made) == expected

    def test_what_one_does_not_limit_the_other_does(self) -> None:
        """Left out is not zero."""
        limited = msgspec.structs.replace(BASE, rules_types=("LIMIT",), position_net=5, account_fee_token="BNB")
        for found in (stricter(BASE, limited), stricter(limited, BASE)):
            assert (found.rules_types, found.position_net, found.account_fee_token) == (("LIMIT",), 5, "BNB")

    def test_a_count_is_at_least_one(self) -> None:
        """Five percent of five positions is one."""
        limits = msgspec.structs.replace(BASE, position_open_positions=5, position_leverage=SCALE)
        assert [weighted(limits, weight).position_open_positions for weight in (5, 39, 40, 100)] == [1, 1, 2, 5]
        assert weighted(limits, 5).position_leverage == SCALE, "a ratio of allocated equity is not scaled again"


def test_soft_levels_tell_and_refuse_nothing() -> None:
    """From 80 percent of what is used, by owner; a limit of nothing is used up by anything."""
    made = gate(soft_percent=80, position_net=money("50000"), position_leverage=SCALE)
    holding(made, money("0.8"))
    made.tracks["stable"].working = 79
    found = {(one.limit, one.owner): one for one in usages(made, LossLedger(owners={}), {"stable": 3})}
    assert found["position_net", "stable"].share == pytest.approx(0.8, abs=1e-6)
    assert [found["position_net", owner].soft for owner in ("stable", "account")] == [True, True]
    assert found["position_leverage", "stable"].share == pytest.approx(0.4, abs=1e-6)
    assert not found["order_working_orders", "stable"].soft
    assert codes(made, quantity=money("0.1")) == []
    assert ("loss_week", "stable") not in found, "not limited"


def test_soft_levels_of_what_a_day_may_cost() -> None:
    """What is not known is above every level."""
    made = gate(soft_percent=80, position_value_at_risk=money("1000"), position_expected_shortfall_percent=money("2"))
    holding(made, money("0.4"))

    def found() -> dict[str, tuple[float, bool]]:
        told = usages(made, LossLedger(owners={}), {})
        return {one.limit: (round(one.share, 3), one.soft) for one in told if one.owner == "stable"}

    assert [found()[f"position_{name}"][1] for name in ("value_at_risk", "expected_shortfall_percent")] == [True, True]
    made.markets[SYMBOL].volatility = money("0.02")
    assert found()["position_value_at_risk"] == (0.931, True)
    assert found()["position_expected_shortfall_percent"] == (0.533, False)
    assert "position_expected_shortfall" not in found(), "not limited"
    holding(made, 0)
    made.markets[SYMBOL].volatility = 0
    assert found()["position_value_at_risk"] == (0, False), "nothing is at risk"


def test_a_collar_of_nothing_is_no_collar() -> None:
    """What is not limited costs nothing and refuses nothing."""
    made = gate()
    assert made.tracks["stable"].caps.static_bps == UNLIMITED
    assert codes(made, price=money("51")) == []

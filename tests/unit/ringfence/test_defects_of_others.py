"""Defects that were found in other trading systems, each with the test that ours passes.

The comments on limits, profit and breakers come from reading what they do, not what they say.
"""

from typing import Any

import msgspec
import pytest

from ringfence.execution.breakers import Breakers, Open, Reading
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.reconcile import Reconciler
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE, MoneyError
from ringfence.model.money import parse as money
from ringfence.model.orders import Accepted, Denied, Filled, OrderType, Side, TimeInForce
from ringfence.model.positions import Position
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.venues.api import VenueBalance
from ringfence.wire.kill import Severity
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
SYMBOL = "BTCUSDT"
BID, ASK = money("100"), money("101")
LIMITS = Limits(
    order_value_max=money("600"),
    order_collar_bps=money("500"),
    order_messages_per_second=10**6,
    order_working_orders=50,
    order_approved_lifetime_ms=50,
    position_per_instrument=money("1010"),
    position_gross=money("2000"),
    position_open_positions=1,
    loss_day=money("500"),
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
)


class Desk:
    """One track in an active gate, in two instruments at 100 to 101."""

    def __init__(self, **changed: Any) -> None:
        self.guard = Guard("s", {}, [], WALL)
        self.guard.switches_listed([{"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}], WALL)
        self.guard.reconciled(1, WALL)
        self.gate = Gate(self.guard, (SYMBOL, "ETHUSDT"))
        self.manager = Changes(self.gate, prefix("n", "s"), "USDT", 0)
        self.manager.fence, self.manager.capital = 1, money("10000")
        self.numbers = 0
        for symbol in self.gate.markets:
            self.gate.markets[symbol].instrument = Instrument(
                symbol=symbol,
                base=symbol[:3],
                quote="USDT",
                tick=money("0.01"),
                lot=money("0.001"),
                quantity_min=money("0.001"),
                quantity_max=money("1000"),
                notional_min=money("5"),
            )
            self.price(symbol, BID, ASK)
        self.limit(**changed)

    def limit(self, **changed: Any) -> None:
        limits = msgspec.structs.replace(LIMITS, **changed)
        track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
        allocation = Allocation(epoch=1, tracks=(track,), limits=limits)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": limits}, paper=False)

    def price(self, symbol: str, bid: int, ask: int) -> None:
        market = self.gate.markets[symbol]
        market.quote(Quote(symbol, 1, WALL, bid, money("50"), ask, money("50")), MONO)
        market.book(BookTop(symbol, 1, WALL, WALL, ((bid, money("50")),), ((ask, money("50")),)), MONO)
        market.status(FeedStatus(symbol, WALL, True, ""), MONO)

    def ask(self, side: Side, quantity: str, price: int = 0, symbol: str = SYMBOL) -> tuple[str, list[str]]:
        """The client id of an order that was approved, or the codes of what refused it. Price 0: a market order."""
        self.numbers += 1
        kind, time = (OrderType.LIMIT, TimeInForce.GTC) if price else (OrderType.MARKET, TimeInForce.IOC)
        name = f"i{self.numbers}"
        wanted = Intent(name, "stable", symbol, side, kind, time, money(quantity), price, False, WALL)
        outputs = self.manager.intent(wanted, "k", WALL, MONO)
        approved = [out.client_order_id for out in outputs if isinstance(out, Approved)]
        events = [out.event for out in outputs if isinstance(out, Entry)]
        reasons = [reason for event in events if isinstance(event, Denied) for reason in event.reasons]
        return (approved[0] if approved else ""), [reason.partition(" ")[0] for reason in reasons]

    def trade(self, side: Side, quantity: str, price: int, fee: str = "0", symbol: str = SYMBOL) -> None:
        """An order that is approved and filled at once."""
        name, refused = self.ask(side, quantity, price, symbol)
        assert not refused
        base: dict[str, Any] = {"client_order_id": name, "ts": WALL}
        self.manager.event(symbol, Accepted(**base, venue_order_id=name))
        self.manager.event(
            symbol,
            Filled(
                **base,
                trade_id=name,
                price=price,
                quantity=money(quantity),
                commission=money(fee),
                commission_asset="USDT",
                maker=True,
            ),
        )

    def loss(self) -> int:
        self.manager.evaluate(WALL)
        return self.gate.account.loss


# --- limits that could be walked around


def test_a_market_order_is_not_worth_zero() -> None:
    """Others multiply the quantity by a price that a market order does not have."""
    assert "ORDER_VALUE_EXCEEDED" in Desk().ask(Side.BUY, "6")[1]
    assert Desk().ask(Side.BUY, "5")[0]


def test_the_first_order_of_an_instrument_is_held_to_the_position_limit() -> None:
    """Others look the position up, find none, and skip the check."""
    desk = Desk(order_value_max=money("100000"))
    assert "POSITION_EXCEEDED" in desk.ask(Side.BUY, "10.001", ASK)[1]
    assert "POSITION_EXCEEDED" in desk.ask(Side.SELL, "10.001", BID)[1], "a short is a position"


def test_a_sell_that_reduces_adds_nothing_to_exposure_and_passes_at_every_limit() -> None:
    """Others add the value of every order, or refuse any order once the most positions are open."""
    desk = Desk()
    for _ in range(2):
        desk.trade(Side.BUY, "5", ASK)
    assert "POSITION_EXCEEDED" in desk.ask(Side.BUY, "0.1", ASK)[1]
    assert desk.ask(Side.SELL, "5", BID)[0]


def test_orders_that_are_working_or_in_flight_count() -> None:
    """Others count what is filled, so that a burst passes whole."""
    desk = Desk()
    assert [bool(desk.ask(Side.BUY, "5", BID)[0]) for _ in range(3)] == [True, True, False]


def test_the_same_profit_is_not_counted_again_with_each_look() -> None:
    """Others add a cumulative number to a daily one at every update."""
    desk = Desk()
    desk.trade(Side.BUY, "5", ASK)
    desk.trade(Side.SELL, "5", BID)
    assert [desk.loss() for _ in range(3)] == [money("5")] * 3


def test_an_open_loss_counts_before_it_is_realised() -> None:
    """Others wait until the position is closed."""
    desk = Desk()
    desk.trade(Side.BUY, "5", ASK)
    desk.price(SYMBOL, money("1"), money("1.01"))
    assert desk.loss() == money("500")
    assert "LOSS_DAY_REACHED" in desk.ask(Side.BUY, "5", money("1.01"))[1]


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_a_quantity_that_is_none_is_refused(quantity: str) -> None:
    assert any(code.startswith("QUANTITY") for code in Desk().ask(Side.BUY, quantity, ASK)[1])


def test_a_price_that_is_none_is_refused() -> None:
    """A comparison with NaN is false, so others let it through. Here it cannot even be written down."""
    assert any(code.startswith("PRICE") for code in Desk().ask(Side.BUY, "1", -ASK)[1])
    for word in ("NaN", "inf", "-inf", "1e400", ""):
        with pytest.raises(MoneyError):
            money(word)


# --- profit of shorts


def test_selling_more_of_a_short_opens_and_buying_closes() -> None:
    """Others keep the size without its sign, and book it the other way round."""
    position = Position()
    position.trade(Side.SELL, money("1"), money("100"))
    position.trade(Side.SELL, money("1"), money("90"))
    assert (position.quantity, position.realised, position.average) == (money("-2"), 0, money("95"))
    position.trade(Side.BUY, money("1"), money("80"))
    assert (position.quantity, position.realised) == (money("-1"), money("15"))


def test_a_short_that_rises_is_a_loss_and_fees_are_in_it() -> None:
    desk = Desk()
    desk.trade(Side.SELL, "5", BID, fee="2")
    desk.price(SYMBOL, money("119"), money("120"))
    assert desk.loss() == money("102")


# --- breakers


def test_a_breaker_is_more_than_a_bool() -> None:
    """Others forget it with the process, do not know why it opened, and close it after a while."""
    breakers = Breakers()
    (opened,) = breakers.read([Reading("position", True, "symbol=BTCUSDT value=1200 limit=1100")], WALL)
    kept = msgspec.json.decode(msgspec.json.encode((opened,)), type=tuple[Open, ...])
    again = Breakers()
    again.restore(kept)
    assert again.read([Reading("position", False)], WALL + 10**18) == []
    assert again.open["position"].reason == "breaker position tripped: symbol=BTCUSDT value=1200 limit=1100"
    assert again.open["position"].at == WALL


def test_an_open_breaker_does_not_stop_reconciliation() -> None:
    """Others stop looking at the account while it trades least as expected."""
    desk = Desk()
    reconciler = Reconciler(desk.manager, desk.guard)
    reconciler.first_look({"USDT": VenueBalance(money("1000"), 0)}, {})
    desk.guard.latch("breaker/position", Severity.CANCEL, "x", WALL)
    assert reconciler.balances({"USDT": VenueBalance(money("1000"), 0)}, 0, 1, WALL).sound
    for _ in range(2):
        verdict = reconciler.balances({"USDT": VenueBalance(money("900"), 0)}, 0, 1, WALL)
    assert not verdict.sound
    assert "-100 USDT" in desk.guard.reason


def test_wins_and_losses_make_one_sum_and_drawdown_has_a_limit_of_its_own() -> None:
    """Others add up losing trades alone, or have no drawdown limit where real orders are sent."""
    desk = Desk(loss_drawdown_reduce_percent=money("1"))
    desk.trade(Side.BUY, "5", ASK)
    desk.price(SYMBOL, money("141"), money("142"))
    assert desk.loss() == -money("200")
    desk.price(SYMBOL, money("116"), money("117"))
    assert desk.loss() == -money("75"), "it has won today"
    assert "DRAWDOWN_REDUCE" in desk.ask(Side.BUY, "1", money("117"))[1], "and lost more than 1 % from its height"


# --- limits that others have, and some that only their settings have


PERCENT = 3 * SCALE
CONFIGURED: list[tuple[str, Any, str]] = [
    ("order_quantity_max", money("1"), "ORDER_QUANTITY_EXCEEDED"),
    ("order_value_max", money("100"), "ORDER_VALUE_EXCEEDED"),
    ("order_slippage_bps", money("40"), "SLIPPAGE_EXCEEDED"),
    ("order_messages_per_second", 0, "RATE_TRACK_EXCEEDED"),
    ("order_working_orders", 0, "WORKING_ORDERS_EXCEEDED"),
    ("position_per_instrument", money("200"), "POSITION_EXCEEDED"),
    ("position_gross", money("200"), "GROSS_EXCEEDED"),
    ("position_net", money("200"), "NET_EXCEEDED"),
    ("position_open_positions", 1, "OPEN_POSITIONS_EXCEEDED"),
    ("position_leverage", SCALE // 50, "LEVERAGE_EXCEEDED"),
    ("position_concentration_percent", PERCENT, "CONCENTRATION_EXCEEDED"),
    ("position_sector_percent", PERCENT, "SECTOR_EXCEEDED"),
    ("position_correlation", money("0.7"), "CORRELATION_EXCEEDED"),
    ("position_value_at_risk_percent", SCALE // 1000, "VALUE_AT_RISK_EXCEEDED"),
    ("loss_day", money("1"), "LOSS_DAY_REACHED"),
    ("loss_week", money("1"), "LOSS_WEEK_REACHED"),
    ("loss_month", money("1"), "LOSS_MONTH_REACHED"),
    ("loss_drawdown_reduce_percent", SCALE // 1000, "DRAWDOWN_REDUCE"),
    ("market_volatility_halt_bps", money("1"), "VOLATILITY_HALT"),
    ("account_balance_floor", money("9900"), "BALANCE_BELOW_FLOOR"),
    ("rules_types", ("LIMIT",), "ORDER_TYPE_NOT_ALLOWED"),
    ("rules_restricted", ("ETHUSDT",), "INSTRUMENT_RESTRICTED"),
    ("rules_sessions", (), "SESSION_CLOSED"),
    ("rules_blackouts", ((0, 4_000_000_000),), "BLACKOUT"),
]
"""Field, value, and what refuses a market order for three of another instrument while one is held, at a loss."""


@pytest.mark.parametrize(("field", "value", "code"), CONFIGURED)
def test_each_limit_that_others_keep_in_a_file_refuses_here(field: str, value: Any, code: str) -> None:
    """Others read them at the start, validate them, and ask none of them of an order. Without the limit it passes."""
    for changed in ({}, {field: value}):
        desk = Desk(position_open_positions=5)
        desk.trade(Side.BUY, "1", ASK)
        desk.gate.hold({"USDT": VenueBalance(money("10000"), 0)})
        for symbol, other in ((SYMBOL, "ETHUSDT"), ("ETHUSDT", SYMBOL)):
            desk.gate.markets[symbol].correlations = {other: money("0.9")}
            desk.gate.markets[symbol].volatility = money("0.02")
        desk.price(SYMBOL, money("98"), money("99"))
        desk.price("ETHUSDT", BID - money("1"), ASK)
        desk.price("ETHUSDT", BID, ASK)
        desk.limit(**{"position_open_positions": 5} | changed)
        desk.manager.evaluate(WALL)
        codes = desk.ask(Side.BUY, "3", symbol="ETHUSDT")[1]
        assert codes == [] if not changed else code in codes


def test_a_discrepancy_halts_and_is_never_only_logged() -> None:
    """Others write a line and trade on as if they were flat."""
    desk = Desk()
    reconciler = Reconciler(desk.manager, desk.guard)
    reconciler.first_look({"USDT": VenueBalance(money("1000"), 0)}, {})
    for _ in range(2):
        reconciler.balances({"USDT": VenueBalance(money("999.99999999"), 0)}, 0, 1, WALL)
    assert desk.guard.severity is Severity.HALT
    assert "TRADING_HALTED" in desk.ask(Side.BUY, "1", ASK)[1]


def test_consecutive_losses_are_counted_by_round_trip_and_survive_midnight() -> None:
    """Others count fills, or begin anew each day."""
    desk = Desk()
    for count in range(1, 4):
        desk.trade(Side.BUY, "2", ASK)
        desk.trade(Side.SELL, "1", BID)
        desk.trade(Side.SELL, "1", BID)
        assert desk.manager.trips.streak("stable") == count
    desk.manager.evaluate(WALL + 86_400 * 10**9)
    assert desk.manager.trips.streak("stable") == 3

"""What a strategy author can do beyond buy, sell and cancel, and the worked example that does it."""

from typing import Any

import pytest

from ringfence.model.orders import ModifyRejected, OrderState, OrderType, PendingUpdate, Side
from ringfence.sdk import OrderChange, Strategy, units
from ringfence.sdk.strategies.guarded import GuardedPullback
from ringfence.sdk.testing import Driver, instrument
from ringfence.wire.messages import (
    Intent,
    MassCancelIntent,
    PairIntent,
    ReduceIntent,
    ReplaceIntent,
    Request,
)

BTC = instrument("BTCUSDT", "BTC", "USDT")
SYMBOL = "BTCUSDT"
LOW, HIGH = units("59000"), units("61000")


class Silent(Strategy):
    """Does nothing by itself; the test asks through its context."""

    def on_start(self) -> None:
        self.changes: list[OrderChange] = []

    def on_order(self, change: OrderChange) -> None:
        self.changes.append(change)


@pytest.fixture
def driver() -> Driver:
    driver = Driver(Silent, {}, [BTC])
    driver.quote(SYMBOL, bid="60000", ask="60000.01")
    return driver


def asked(driver: Driver) -> list[Request]:
    """What would leave for the gate now."""
    outbox, driver.engine.desk.outbox = driver.engine.desk.outbox, []
    return outbox


def hold(driver: Driver, side: Side = Side.BUY, quantity: str = "0.1") -> Intent:
    context = driver.context
    place = context.buy if side is Side.BUY else context.sell
    place(SYMBOL, units(quantity), units("60000"))
    (intent,) = asked(driver)
    assert isinstance(intent, Intent)
    driver.fill(intent)
    return intent


@pytest.mark.parametrize(("side", "exit_side"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
def test_exits_close_what_is_held_on_the_right_side(driver: Driver, side: Side, exit_side: Side) -> None:
    """All of the position unless told otherwise, and only reducing."""
    hold(driver, side)
    context = driver.context
    context.stop_loss(SYMBOL, LOW)
    context.stop_loss(SYMBOL, trailing_bps=100, quantity=units("0.05"))
    context.stop_loss(SYMBOL, LOW, limit=LOW)
    context.take_profit(SYMBOL, HIGH)
    found = asked(driver)
    assert all(isinstance(one, Intent) and one.side is exit_side and one.reduce_only for one in found)
    told = [(one.type, one.quantity, one.price, one.stop_price, one.trailing_bps) for one in found]  # type: ignore[union-attr]
    whole = units("0.1")
    assert told == [
        (OrderType.STOP_LOSS, whole, 0, LOW, 0),
        (OrderType.STOP_LOSS, units("0.05"), 0, 0, 100),
        (OrderType.STOP_LOSS_LIMIT, whole, LOW, LOW, 0),
        (OrderType.TAKE_PROFIT, whole, 0, HIGH, 0),
    ]


def test_a_pair_is_one_request_with_two_intents(driver: Driver) -> None:
    hold(driver)
    ids = driver.context.protect(SYMBOL, target=HIGH, stop=LOW)
    (pair,) = asked(driver)
    assert isinstance(pair, PairIntent)
    assert (pair.first.intent_id, pair.second.intent_id) == ids
    assert (pair.first.type, pair.second.type) == (OrderType.LIMIT_MAKER, OrderType.STOP_LOSS)
    assert len(driver.context.working(SYMBOL)) == 2, "both are waited for"


def test_a_position_off_the_lot_is_closed_in_whole_lots(driver: Driver) -> None:
    """A fee in the base asset leaves less than was bought."""
    driver.context.buy(SYMBOL, units("0.1"), units("60000"))
    (intent,) = asked(driver)
    assert isinstance(intent, Intent)
    driver.fill(intent, commission="0.000075", commission_asset="BTC")
    driver.context.stop_loss(SYMBOL, LOW)
    (stop,) = asked(driver)
    assert isinstance(stop, Intent)
    assert stop.quantity == units("0.09992")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda context: context.stop_loss(SYMBOL, LOW), "no position"),
        (lambda context: context.stop_loss(SYMBOL), "trigger"),
        (lambda context: context.protect(SYMBOL, target=HIGH, stop=0), "position|positive"),
        (lambda context: context.cancel_all("DOGEUSDT"), "not an instrument"),
    ],
)
def test_mistakes_of_the_author_are_errors(driver: Driver, call: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        call(driver.context)


def test_changes_of_a_working_order(driver: Driver) -> None:
    """Replaced, reduced, all cancelled; what is not working any more cannot be changed."""
    context = driver.context
    name = context.buy(SYMBOL, units("0.1"), units("59000"))
    (intent,) = asked(driver)
    assert isinstance(intent, Intent)
    assert context.replace(name, quantity=units("0.2"), price=units("59001")) == "", "the gate has not answered yet"
    driver.accept(intent)
    new = context.replace(name, quantity=units("0.2"), price=units("59001"))
    assert context.reduce(name, units("0.05"))
    context.cancel_all(SYMBOL)
    replace, reduce, mass = asked(driver)
    assert isinstance(replace, ReplaceIntent)
    assert (replace.intent_id, replace.replaces, replace.quantity) == (new, name, units("0.2"))
    assert isinstance(reduce, ReduceIntent)
    assert (reduce.intent_id, reduce.quantity) == (name, units("0.05"))
    assert isinstance(mass, MassCancelIntent)
    assert mass.symbol == SYMBOL
    driver.canceled(intent)
    assert not context.reduce(name, units("0.05"))


def test_a_refused_change_is_told_with_its_reason(driver: Driver) -> None:
    driver.context.buy(SYMBOL, units("0.1"), units("59000"))
    (intent,) = asked(driver)
    assert isinstance(intent, Intent)
    driver.accept(intent)
    name = driver._orders[intent.intent_id]
    base: dict[str, Any] = {"client_order_id": name, "ts": driver.now_ns}
    driver._update(PendingUpdate(**base, quantity=units("0.05"), price=units("59000")))
    driver._update(ModifyRejected(**base, reason="-2038 no"))
    strategy = driver.engine._strategy
    assert isinstance(strategy, Silent)
    assert [(c.state, c.reason) for c in strategy.changes[-2:]] == [
        (OrderState.PENDING_UPDATE, ""),
        (OrderState.ACCEPTED, "-2038 no"),
    ]


@pytest.mark.parametrize("rest", ["0.00000999", "0.00008"], ids=["below a lot", "worth less than the venue takes"])
def test_the_example_trades_again_when_a_rest_is_left_that_the_venue_does_not_take(rest: str) -> None:
    """It asks for no exits of the rest, again and again; those of the next entry cover it."""
    driver = Driver(GuardedPullback, {}, [BTC])
    driver.quote(SYMBOL, bid="60000", ask="60000.01")
    (entry,) = driver.quote(SYMBOL, bid="59600", ask="59600.01")
    exits = driver.fill(entry)
    for one in exits:
        driver.accept(one)
    driver.fill(exits[0], quantity=exits[0].quantity - units(rest))
    assert driver.canceled(exits[0]) == []
    assert driver.expire(exits[1]) == []
    assert driver.context.position(SYMBOL) == units(rest)
    driver.quote(SYMBOL, bid="60300", ask="60300.01")
    (again,) = driver.quote(SYMBOL, bid="59900", ask="59900.01")
    assert again.side is Side.BUY
    exits = driver.fill(again)
    held = again.quantity + units(rest)
    assert [one.quantity for one in exits] == [held - held % BTC.lot] * 2


def test_the_example_is_never_without_its_exits() -> None:
    """It buys a pullback, protects the fill, and protects again should the exits be refused."""
    driver = Driver(GuardedPullback, {}, [BTC])
    driver.quote(SYMBOL, bid="60000", ask="60000.01")
    (entry,) = driver.quote(SYMBOL, bid="59600", ask="59600.01")
    exits = driver.fill(entry)
    assert [(e.type, e.side) for e in exits] == [(OrderType.LIMIT_MAKER, Side.SELL), (OrderType.STOP_LOSS, Side.SELL)]
    assert exits[1].stop_price < units("59600.01") < exits[0].price
    driver.reject(exits[0], "no")
    again = driver.reject(exits[1], "no")
    assert len(again) == 2
    for one in again:
        driver.accept(one)
    driver.fill(again[0])
    assert driver.expire(again[1]) == []
    assert driver.context.position(SYMBOL) == 0

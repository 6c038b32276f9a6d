"""What a strategy author relies on: parameters that explain themselves, exact numbers, a driver for tests."""

from decimal import Decimal

import pytest

from ringfence.model.orders import OrderState, Side, TimeInForce
from ringfence.sdk import (
    Fill,
    OrderChange,
    ParameterError,
    Quote,
    Strategy,
    amount,
    ceil_to,
    choice,
    decimal,
    flag,
    floor_to,
    integer,
    mid,
    number,
    text,
    units,
)
from ringfence.sdk.parameters import declared, read_all
from ringfence.sdk.testing import Driver, instrument

BTC = instrument("BTCUSDT", "BTC", "USDT")


class Full(Strategy):
    """One parameter of each kind."""

    length = integer(default=5, minimum=1, maximum=10, doc="How many.")
    size = amount(default="0.01", minimum="0.001")
    threshold = number(default=0.5, minimum=0)
    shy = flag(default=False)
    side = choice("long", "both", default="long")
    must = integer()


def test_parameters_are_typed() -> None:
    """Texts of the manifest become what the class says that they are."""
    driver = Driver(Full, {"must": "3", "size": "0.25", "shy": "true"}, [BTC])
    strategy = driver.engine._strategy
    assert isinstance(strategy, Full)
    assert (strategy.length, strategy.size, strategy.threshold, strategy.shy, strategy.side, strategy.must) == (
        5,
        25_000_000,
        0.5,
        True,
        "long",
        3,
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter 'must' is missing: it has no default"),
        ({"must": "x"}, "parameter 'must' is 'x': must be a whole number"),
        ({"must": "1", "length": "0"}, "parameter 'length' is '0': must be at least 1"),
        ({"must": "1", "length": "11"}, "parameter 'length' is '11': must be at most 10"),
        ({"must": "1", "size": "0.0001"}, "parameter 'size' is '0.0001': must be at least 0.001"),
        ({"must": "1", "size": "1e-2"}, "parameter 'size' is '1e-2': must be a plain decimal number"),
        ({"must": "1", "threshold": "nan"}, "parameter 'threshold' is 'nan': must be finite"),
        ({"must": "1", "threshold": "abc"}, "parameter 'threshold' is 'abc': must be a number"),
        ({"must": "1", "shy": "yes"}, "parameter 'shy' is 'yes': must be true or false"),
        ({"must": "1", "side": "short"}, "parameter 'side' is 'short': must be one of long, both"),
        ({"must": "1", "lenght": "2"}, "parameter 'lenght' is not known to this strategy: did you mean 'length'?"),
        ({"must": "1", "zzz": "2"}, "known are length, size, threshold, shy, side, must"),
    ],
)
def test_parameter_errors_name_parameter_value_and_rule(given: dict[str, str], message: str) -> None:
    """An error says which parameter, what it was given and what it must be."""
    with pytest.raises(ParameterError) as error:
        read_all(Full, given)
    assert message in str(error.value)


def test_all_parameter_errors_come_at_once() -> None:
    """Nobody has to restart a system once for each mistake."""
    with pytest.raises(ParameterError) as error:
        read_all(Full, {"length": "x", "shy": "1"})
    assert str(error.value).count("parameter") == 3


def test_parameters_cannot_change_and_are_listed() -> None:
    """A revision is a hash of its parameters, so they stay; tools can list them with their docs."""
    strategy = Driver(Full, {"must": "1"}, [BTC]).engine._strategy
    with pytest.raises(AttributeError, match="cannot change"):
        strategy.length = 7  # type: ignore[attr-defined]
    assert declared(Full)["length"].doc == "How many."
    assert declared(Full)["length"].default == "5"


def test_units_are_exact_and_floats_are_refused() -> None:
    """What cannot be represented exactly is refused with the way to write it."""
    assert units("0.01") == units(Decimal("0.01")) == 1_000_000
    assert units(2) == 200_000_000
    assert decimal(units("61842.35")) == Decimal("61842.35")
    assert text(units("0.1") + units("0.2")) == "0.3"
    with pytest.raises(TypeError, match=r"write it as a text, such as units\('0.1'\)"):
        units(0.1)  # type: ignore[arg-type]
    assert (floor_to(17, 5), ceil_to(17, 5), floor_to(15, 5), ceil_to(15, 5)) == (15, 20, 15, 15)
    assert mid(Quote("X", 1, 1, 10, 1, 13, 1)) == 11


class Echo(Strategy):
    """Buys once, and remembers everything that it is told."""

    def on_start(self) -> None:
        self.fills: list[Fill] = []
        self.changes: list[OrderChange] = []
        self.intent = ""

    def on_quote(self, quote: Quote) -> None:
        if not self.intent:
            self.intent = self.context.buy(quote.symbol, units("0.02"), quote.ask, time_in_force=TimeInForce.IOC)

    def on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)

    def on_order(self, change: OrderChange) -> None:
        self.changes.append(change)


def echo() -> tuple[Driver, Echo]:
    driver = Driver(Echo, {}, [BTC])
    strategy = driver.engine._strategy
    assert isinstance(strategy, Echo)
    return driver, strategy


def test_driver_returns_what_the_strategy_wants() -> None:
    """An author reads intents, answers as gate and venue, and sees the context change."""
    driver, strategy = echo()
    [intent] = driver.quote("BTCUSDT", bid="100.00", ask="100.01")
    assert (intent.side, text(intent.quantity), text(intent.price)) == (Side.BUY, "0.02", "100.01")
    assert [w.leaves for w in driver.context.working()] == [units("0.02")]
    driver.fill(intent, quantity="0.005", commission="0.000005", commission_asset="BTC")
    assert text(driver.context.position("BTCUSDT")) == "0.004995"
    assert text(driver.context.average("BTCUSDT")) == "100.11011011"
    assert [text(w.leaves) for w in driver.context.working("BTCUSDT")] == ["0.015"]
    driver.expire(intent)
    assert driver.context.working() == ()
    assert [change.state for change in strategy.changes] == [
        OrderState.INITIALIZED,
        OrderState.SUBMITTED,
        OrderState.PARTIALLY_FILLED,
        OrderState.EXPIRED,
    ]
    assert strategy.changes[-1].closed
    assert [fill.intent_id for fill in strategy.fills] == [strategy.intent]


def test_lost_data_may_not_be_traded_on_until_it_is_back() -> None:
    """A strategy is told of the gap and of its end, and sees what it may not trust."""
    driver, strategy = echo()
    driver.data_lost("BTCUSDT")
    assert driver.quote("BTCUSDT", bid="100.00", ask="100.01") == []
    driver.data_back("BTCUSDT")
    [intent] = driver.quote("BTCUSDT", bid="100.00", ask="100.02")
    assert text(intent.price) == "100.02"
    assert strategy.intent == intent.intent_id


def test_denials_carry_their_reasons() -> None:
    """The author sees every check that failed."""
    driver, strategy = echo()
    [intent] = driver.quote("BTCUSDT", bid="100.00", ask="100.01")
    driver.deny(intent, "PRICE_COLLAR x=1", "LOSS_DAY y=2")
    assert strategy.changes[-1].state is OrderState.DENIED
    assert strategy.changes[-1].reason == "PRICE_COLLAR x=1; LOSS_DAY y=2"


class Wrong(Strategy):
    """Asks for what can only be a mistake."""

    mistake = choice("symbol", "float", "zero", "post", default="symbol")

    def on_quote(self, quote: Quote) -> None:
        if self.mistake == "symbol":
            self.context.buy("ETHUSDT", 1, 1)
        elif self.mistake == "float":
            self.context.buy(quote.symbol, 0.01, quote.ask)  # type: ignore[arg-type]
        elif self.mistake == "zero":
            self.context.sell(quote.symbol, 0, quote.bid)
        else:
            self.context.buy(quote.symbol, 1, post_only=True)


@pytest.mark.parametrize(
    ("mistake", "kind", "message"),
    [
        ("symbol", ValueError, "'ETHUSDT' is not an instrument of this system: it has BTCUSDT"),
        ("float", TypeError, "quantity 0.01 is not a scaled integer"),
        ("zero", ValueError, "quantity must be positive"),
        ("post", ValueError, "a post-only order needs a limit price"),
    ],
)
def test_mistakes_are_errors_at_once(mistake: str, kind: type[Exception], message: str) -> None:
    """A test of a strategy fails where the mistake is, with the exception as it was."""
    with pytest.raises(kind, match=message):
        Driver(Wrong, {"mistake": mistake}, [BTC]).quote("BTCUSDT", bid="1", ask="2")

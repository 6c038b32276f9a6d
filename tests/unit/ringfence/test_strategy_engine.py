"""When a strategy may decide, what it is told, and what happens when its code fails."""

import pytest

from ringfence.model.orders import (
    Accepted,
    Filled,
    Initialized,
    OrderEvent,
    OrderState,
    OrderType,
    Side,
    Submitted,
    TimeInForce,
)
from ringfence.runtime.service import FatalError
from ringfence.sdk import OrderChange, Quote, Strategy, units
from ringfence.sdk.testing import instrument
from ringfence.strategy.desk import base36
from ringfence.strategy.engine import StrategyEngine
from ringfence.strategy.loading import load_class
from ringfence.wire.messages import CancelIntent, FeedStatus, InstrumentRules, Intent, OrderUpdate, Refused
from ringfence.wire.messages import Quote as QuoteMessage

BTC = instrument("BTCUSDT", "BTC", "USDT")
T0 = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


class Eager(Strategy):
    """Buys on every quote."""

    def on_start(self) -> None:
        self.started_with = self.context.position("BTCUSDT")
        self.changes: list[OrderChange] = []

    def on_quote(self, quote: Quote) -> None:
        self.context.buy(quote.symbol, units("0.01"), quote.ask)

    def on_order(self, change: OrderChange) -> None:
        self.changes.append(change)


def engine(strategy: type[Strategy] = Eager, session: int = T0) -> StrategyEngine:
    return StrategyEngine(strategy, {}, track="stable", revision="abc123", session=session, symbols=("BTCUSDT",))


def status(usable: bool = True, ts: int = T0) -> FeedStatus:
    return FeedStatus("BTCUSDT", ts, usable, "" if usable else "gap: resyncing")


def quote(ts: int = T0) -> QuoteMessage:
    return QuoteMessage("BTCUSDT", 1, ts, units("100"), 1, units("100.01"), 1)


def ready(strategy: type[Strategy] = Eager) -> StrategyEngine:
    one = engine(strategy)
    one.handle(InstrumentRules("sim", BTC), T0)
    one.handle(status(), T0)
    one.orders_current(T0)
    return one


def initialized(client_id: str, intent_id: str = "old-1", side: Side = Side.BUY, symbol: str = "BTCUSDT") -> OrderEvent:
    return Initialized(
        client_order_id=client_id,
        ts=T0,
        intent_id=intent_id,
        track="stable",
        symbol=symbol,
        side=side,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=units("0.01"),
        price=units("100"),
    )


def filled(client_id: str, trade_id: str = "1", quantity: str = "0.01", fee: str = "0") -> OrderEvent:
    return Filled(
        client_order_id=client_id,
        ts=T0,
        trade_id=trade_id,
        price=units("100"),
        quantity=units(quantity),
        commission=units(fee),
        commission_asset="BTC",
        maker=False,
    )


def tell(one: StrategyEngine, *events: OrderEvent, track: str = "stable") -> list[Intent | CancelIntent]:
    found: list[Intent | CancelIntent] = []
    for event in events:
        found += one.handle(OrderUpdate("sim-execution", 1, track, event), T0)
    return found


def test_decides_only_when_everything_is_known() -> None:
    """Rules, position and usable data: while one is missing, the author's code is not asked."""
    one = engine()
    assert one.handle(quote(), T0) == []
    one.handle(status(), T0)
    assert "read yet" in one.waiting_for
    one.orders_current(T0)
    assert one.waiting_for == "BTCUSDT: the venue's rules for it are not known yet"
    assert one.handle(quote(), T0) == []
    one.handle(InstrumentRules("sim", BTC), T0)
    assert one.waiting_for == ""
    [intent] = one.handle(quote(), T0 + 5)
    assert isinstance(intent, Intent)
    assert intent.ts_decided == T0 + 5
    assert (one.decisions, one.withheld) == (1, 2)


def test_unusable_data_is_not_decided_on() -> None:
    """A gap in the market's data silences the strategy until marketdata says that it is whole again."""
    one = ready()
    one.handle(status(usable=False), T0)
    assert one.handle(quote(), T0) == []
    assert one.waiting_for == "BTCUSDT: gap: resyncing"
    one.handle(status(), T0)
    assert len(one.handle(quote(), T0)) == 1


def test_status_that_is_not_repeated_is_not_believed() -> None:
    """Usable six seconds ago is not usable: absence of a status is not a good status."""
    one = ready()
    assert one.handle(quote(T0 + 6 * SECOND), T0) == []
    assert "stopped saying" in one.waiting_for


def test_position_is_known_from_the_gates_record_at_start() -> None:
    """Fills of earlier lives are folded silently, also before the rules that say which asset the fee was in."""
    one = engine()
    tell(one, initialized("c1"), filled("c1", fee="0.00001"))
    one.handle(InstrumentRules("sim", BTC), T0)
    one.orders_current(T0)
    strategy = one._strategy
    assert isinstance(strategy, Eager)
    assert strategy.started_with == units("0.00999")
    assert strategy.changes == []


def test_orders_of_earlier_lives_are_working() -> None:
    """A restarted strategy sees what it left at the venue, and can cancel it."""
    one = engine()
    one.handle(InstrumentRules("sim", BTC), T0)
    tell(one, initialized("c1", "old-1"), Submitted(client_order_id="c1", ts=T0))
    tell(one, Accepted(client_order_id="c1", ts=T0, venue_order_id="7"))
    one.orders_current(T0)
    [working] = one.desk.working()
    assert (working.intent_id, working.state) == ("old-1", OrderState.ACCEPTED)
    assert one.desk.cancel("old-1")
    assert one.handle(status(), T0) == [CancelIntent("old-1", "stable", T0)]
    assert not one.desk.cancel("never")


def test_other_tracks_are_not_ours() -> None:
    """Two tracks share a gate; each folds only its own."""
    one = ready()
    tell(one, initialized("c1"), filled("c1"), track="candidate")
    assert one.desk.position("BTCUSDT") == 0


def test_a_hole_in_the_gates_events_stops_decisions_until_it_is_filled() -> None:
    """A fill that we may have missed makes the position unknown."""
    one = ready()
    one.orders_behind("a hole")
    assert one.handle(quote(), T0) == []
    one.orders_current(T0)
    assert len(one.handle(quote(), T0)) == 1


def test_a_fill_of_an_unknown_order_makes_the_position_unknown() -> None:
    """We do not guess what it was; nothing is decided until the record has been read anew."""
    one = ready()
    tell(one, filled("nobody"))
    assert one.handle(quote(), T0) == []
    assert "of which nothing is known" in one.waiting_for


def test_a_new_journal_is_a_new_life() -> None:
    """Positions and orders start from nothing, the strategy from on_start; ids go on, so none is used twice."""
    one = ready()
    [before] = one.handle(quote(), T0)
    tell(one, initialized("c1"), filled("c1"))
    first = one._strategy
    one.orders_restart()
    assert one.handle(quote(), T0) == []
    assert one.desk.position("BTCUSDT") == 0
    one.orders_current(T0)
    assert one._strategy is not first
    [after] = one.handle(quote(), T0)
    assert after.intent_id != before.intent_id


def test_intent_ids_are_unique_over_lives() -> None:
    """Track, revision, start of the process, number."""
    [intent] = ready().handle(quote(), T0)
    assert intent.intent_id == f"stable-abc123-{base36(T0)}-1"
    other = engine(session=T0 + 1)
    other.handle(InstrumentRules("sim", BTC), T0)
    other.handle(status(), T0)
    other.orders_current(T0)
    [later] = other.handle(quote(), T0)
    assert later.intent_id != intent.intent_id
    assert [base36(n) for n in (0, 35, 36)] == ["0", "z", "10"]
    assert int(base36(T0), 36) == T0


def test_the_same_messages_give_the_same_intents() -> None:
    """Replay is equality."""

    def run() -> list[Intent | CancelIntent]:
        one = ready()
        found = []
        for number in range(20):
            found += one.handle(quote(T0 + number), T0 + number)
        return found

    assert run() == run()
    assert len(run()) == 20


def test_a_refusal_that_the_gate_has_not_journaled_is_told_all_the_same() -> None:
    one = ready()
    strategy = one._strategy
    assert isinstance(strategy, Eager)
    [first] = one.handle(quote(), T0)
    reasons = ("RATE_TRACK_EXCEEDED limit_per_s=1",)
    assert one.handle(Refused("g", T0, "another", first.intent_id, reasons), T0) == []
    assert len(one.desk.working()) == 1, "that of another track is none of ours"
    one.handle(Refused("g", T0, one.desk.track, first.intent_id, reasons), T0)
    assert one.desk.working() == ()
    one.handle(quote(T0 + 1), T0)
    assert [(c.intent_id, c.state, c.reason) for c in strategy.changes] == [
        (first.intent_id, OrderState.DENIED, reasons[0])
    ]


def test_intents_that_never_left_are_told_at_the_next_event() -> None:
    """The gate away, or an answer that never came: the author hears of it as of any other refusal."""
    one = ready()
    strategy = one._strategy
    assert isinstance(strategy, Eager)
    [first] = one.handle(quote(), T0)
    one.not_sent(first.intent_id)
    [second] = one.handle(quote(T0 + 1), T0)
    assert [(c.intent_id, c.state, c.reason.split()[0]) for c in strategy.changes] == [
        (first.intent_id, OrderState.DENIED, "GATE_AWAY")
    ]
    one.handle(status(ts=T0 + 10 * SECOND), T0)
    one.handle(quote(T0 + 11 * SECOND), T0)
    assert [(c.intent_id, c.state, c.reason.split()[0]) for c in strategy.changes[1:]] == [
        (second.intent_id, OrderState.EXPIRED, "UNANSWERED")
    ]
    assert one.desk.unanswered == 1


class Blind(Strategy):
    """Asks whenever something of its orders changes, ready or not."""

    def on_order(self, change: OrderChange) -> None:
        if change.state is OrderState.FILLED:
            self.context.buy(change.symbol, units("0.01"), units("100"))


def test_an_intent_on_unusable_data_never_leaves() -> None:
    """A hook that is always called may still not trade blindly."""
    one = ready(Blind)
    one.handle(status(usable=False), T0)
    assert tell(one, initialized("c1"), Submitted(client_order_id="c1", ts=T0), filled("c1")) == []
    assert one.desk.refused == 1
    assert "gap: resyncing" in one.desk.notices[0].reason


class Fails(Strategy):
    """Asks for an order and then fails."""

    def on_quote(self, quote: Quote) -> None:
        if self.context.working():
            self.context.buy(quote.symbol, units("0.01"), quote.ask)
            raise KeyError("spread")
        self.context.buy(quote.symbol, units("0.01"), quote.bid)


def test_an_exception_stops_the_strategy_and_cancels_its_orders() -> None:
    """Half a decision is dropped, what works is cancelled, and the reason names class, hook, error and line."""
    one = ready(Fails)
    [first] = one.handle(quote(), T0)
    assert one.handle(quote(T0 + 1), T0) == [CancelIntent(first.intent_id, "stable", T0)]
    assert one.failure.startswith("strategy class ")
    assert "Fails failed in on_quote: KeyError: 'spread' (ringfence/test_strategy_engine.py line " in one.failure
    assert isinstance(one.error, KeyError)
    assert one.handle(quote(T0 + 2), T0) == []
    assert one.orders_current(T0) == []
    assert one.waiting_for == one.failure


class Runaway(Strategy):
    """A loop that does not end by itself."""

    def on_quote(self, quote: Quote) -> None:
        while True:
            self.context.buy(quote.symbol, units("0.01"), quote.bid)


def test_a_loop_of_intents_ends() -> None:
    """A hook that asks without end is stopped, and nothing of it leaves."""
    one = ready(Runaway)
    assert one.handle(quote(), T0) == []
    assert "more than 100 intents in one event" in one.failure


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "nowhere.strategy:Cross",
            "cannot be imported in this image: ModuleNotFoundError: No module named 'nowhere'; is the package",
        ),
        ("nowhere", "strategy class nowhere must be written module:Class"),
        ("ringfence.sdk.units:Cross", "ringfence.sdk.units has no strategy class"),
        ("momentum.strategy:Crosss", "momentum.strategy has MovingAverageCross"),
        ("ringfence.sdk.units:mid", "must derive from ringfence.sdk.Strategy"),
    ],
)
def test_a_class_that_cannot_be_loaded_says_why(path: str, message: str) -> None:
    """The sentence ends in the pod's termination message, so it says what to do."""
    with pytest.raises(FatalError) as error:
        load_class(path)
    assert message in str(error.value)

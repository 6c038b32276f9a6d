"""A strategy follows its key to gate and track, and is told of positions that were handed to it: once, and all."""

from collections.abc import Mapping

from ringfence.model.orders import Filled, Initialized, OrderEvent, OrderType, Side, Submitted, TimeInForce
from ringfence.model.transfers import Leg, Transfer, events
from ringfence.sdk import OrderChange, Quote, Strategy, units
from ringfence.sdk.context import Fill
from ringfence.sdk.testing import instrument
from ringfence.strategy.engine import StrategyEngine
from ringfence.strategy.routing import Place, place
from ringfence.wire.messages import FeedStatus, InstrumentRules, OrderUpdate, Route, Routes

T0 = 1_700_000_000_000_000_000
BTC = instrument("BTCUSDT", "BTC", "USDT")
ETH = instrument("ETHUSDT", "ETH", "USDT")
TRANSFER = Transfer(
    id="p-1",
    source="candidate",
    target="stable",
    ts=T0,
    legs=(Leg("BTCUSDT", units("0.5"), units("100")), Leg("ETHUSDT", -units("2"), units("10"))),
)


class Heir(Strategy):
    """Writes down what it is told."""

    def on_start(self) -> None:
        self.told: list[object] = ["start"]

    def on_adopt(self, positions: Mapping[str, int]) -> None:
        self.told.append(dict(positions))

    def on_fill(self, fill: Fill) -> None:
        self.told.append(fill)

    def on_order(self, change: OrderChange) -> None:
        self.told.append(change.state)

    def on_quote(self, quote: Quote) -> None:
        self.context.buy(quote.symbol, units("1"))


class Stranger(Strategy):
    pass


def engine(author: type[Strategy] = Heir, track: str = "stable") -> StrategyEngine:
    one = StrategyEngine(author, {}, track=track, revision="new", session=1, symbols=("BTCUSDT", "ETHUSDT"))
    for rules in (BTC, ETH):
        one.handle(InstrumentRules("sim", rules), T0)
        one.handle(FeedStatus(rules.symbol, T0, True, ""), T0)
    return one


def booked(one: StrategyEngine) -> None:
    for leg in TRANSFER.leg_ids():
        for event in events(TRANSFER, leg):
            one.handle(OrderUpdate("g", 1, TRANSFER.target if leg.endswith("in") else TRANSFER.source, event), T0)


def bought(intent_id: str, client_id: str = "c1") -> tuple[OrderEvent, ...]:
    quantity = units("0.1")
    return (
        Initialized(
            client_order_id=client_id, ts=T0, intent_id=intent_id, track="stable", symbol="BTCUSDT", side=Side.BUY,
            type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity=quantity, price=units("100"),
        ),
        Submitted(client_order_id=client_id, ts=T0),
        Filled(client_order_id=client_id, ts=T0, trade_id=client_id, price=units("100"), quantity=quantity,
               commission=0, commission_asset="USDT", maker=True, ts_venue=T0),
    )  # fmt: skip


def told(one: StrategyEngine) -> list[object]:
    strategy = one._strategy
    assert isinstance(strategy, Heir)
    return strategy.told


def test_an_adoption_is_told_once_with_all_positions_and_is_neither_fill_nor_order() -> None:
    one = engine()
    one.orders_current(T0)
    booked(one)
    assert told(one) == ["start", {"BTCUSDT": units("0.5"), "ETHUSDT": -units("2")}]
    assert one.desk.position("BTCUSDT") == units("0.5")
    assert one.desk.working() == ()


def test_the_source_is_told_nothing_and_is_flat() -> None:
    one = engine(track="candidate")
    one.orders_current(T0)
    booked(one)
    assert told(one) == ["start"]
    assert one.desk.position("BTCUSDT") == -units("0.5"), "of a source that held it, this is flat"


def test_what_another_revision_left_is_adopted_at_the_start() -> None:
    one = engine()
    for event in bought("stable-old-1-1"):
        one.handle(OrderUpdate("g", 1, "stable", event), T0)
    one.orders_current(T0)
    assert told(one) == ["start", {"BTCUSDT": units("0.1")}]


def test_its_own_position_is_not_adopted_after_a_restart() -> None:
    one = engine()
    booked(one)
    for event in bought("stable-new-1-1"):
        one.handle(OrderUpdate("g", 1, "stable", event), T0)
    one.orders_current(T0)
    assert told(one) == ["start"]


def test_whether_a_class_adopts_is_its_declaration() -> None:
    assert engine().adopts
    assert not engine(Stranger).adopts


def test_a_move_is_a_new_life_on_another_track() -> None:
    one = engine(track="candidate")
    one.orders_current(T0)
    first = one._strategy
    one.move("stable")
    assert one.waiting_for.startswith("it was moved")
    for event in bought("stable-old-1-1"):
        one.handle(OrderUpdate("g", 1, "stable", event), T0)
    one.orders_current(T0)
    assert one._strategy is not first
    assert told(one) == ["start", {"BTCUSDT": units("0.1")}]


# --- routing

NOW = Place("paper", "candidate")


def routes(gate: str, epoch: int, *found: Route) -> Routes:
    return Routes(gate, T0, epoch, found)


def test_it_goes_where_the_newest_allocation_opens_a_gate_to_its_key() -> None:
    paper = routes("paper", 4, Route("k", "candidate", "r", True))
    live = routes("live", 5, Route("k", "candidate", "r", True), Route("o", "stable", "q", True))
    assert place({"paper": paper}, "k", "r", NOW) == NOW
    assert place({"paper": paper, "live": live}, "k", "r", NOW) == Place("live", "candidate")
    promoted = routes("live", 6, Route("k", "stable", "r", True))
    assert place({"paper": paper, "live": promoted}, "k", "r", NOW) == Place("live", "stable")


def test_without_an_open_gate_it_stays() -> None:
    """Nobody has spoken, all are closed, or the key is another revision's."""
    assert place({}, "k", "r", NOW) == NOW
    assert place({"live": routes("live", 9, Route("k", "candidate", "r", False))}, "k", "r", NOW) == NOW
    assert place({"live": routes("live", 9, Route("k", "stable", "other", True))}, "k", "r", NOW) == NOW
    assert place({"live": routes("live", 9, Route("x", "stable", "r", True))}, "k", "r", NOW) == NOW


def test_it_does_not_swing_between_gates_of_one_epoch() -> None:
    both = {name: routes(name, 3, Route("k", "candidate", "r", True)) for name in ("a", "paper")}
    assert place(both, "k", "r", NOW) == NOW

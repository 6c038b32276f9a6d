"""What the gate clears without a closer look passes each check for itself, in any history.

`Gate.check` answers most orders by comparing them with bounds that were computed before; `Gate.judge` looks at each
check. Whatever has happened (fills, busts, limits, weights, prices, stops of parts, losses, balances, silence), the
two must say the same, reasons and values included.
"""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gatebench.ordinary import rules
from gatebench.stoprig import BTC, ETH, LIMITS, ONE, PRICE, SECOND, WALL, Rig
from ringfence.execution.grants import allocate
from ringfence.model.money import SCALE
from ringfence.model.money import parse as money
from ringfence.model.orders import FillBusted, OrderType, OutcomeUnknown, Side, TimeInForce
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

TICK = money("0.01")
TRACKS = ("stable", "candidate")
tracks = st.sampled_from(TRACKS)
symbols = st.sampled_from((BTC, ETH))
sides = st.sampled_from(Side)
distances = st.one_of(st.integers(-3, 3), st.integers(-200_000, 600_000))
"""From the touch, in ticks; positive = passive."""
sizes = st.one_of(st.integers(1, 100_000), st.sampled_from([0, -1, 10, 10_000, 500_000, 10**9]))
"""In lots of 0.00001."""


def maybe(low: int, high: int) -> Any:
    return st.one_of(st.none(), st.integers(low, high).map(lambda n: n * SCALE))


limits = st.fixed_dictionaries(
    {
        "order_value_max": st.sampled_from(["10", "50000", "50000"]).map(money),
        "order_quantity_max": maybe(0, 2),
        "order_static_collar_bps": maybe(0, 500),
        "order_far_collar_bps": maybe(0, 2000),
        "order_slippage_bps": maybe(0, 50),
        "order_messages_per_second": st.sampled_from([0, 1, 1000]),
        "order_working_orders": st.sampled_from([1, 3, 50]),
        "position_per_instrument": st.sampled_from(["0", "20000", "200000"]).map(money),
        "position_gross": st.sampled_from(["0", "60000", "900000"]).map(money),
        "position_net": maybe(0, 200_000),
        "position_open_positions": st.one_of(st.none(), st.integers(0, 3)),
        "position_leverage": maybe(0, 3),
        "position_concentration_percent": maybe(1, 100),
        "position_sector_percent": maybe(1, 100),
        "position_correlation": maybe(0, 1),
        "position_value_at_risk": maybe(1, 1000),
        "position_expected_shortfall_percent": maybe(1, 10),
        "loss_day": st.sampled_from(["0", "100", "1000000"]).map(money),
        "loss_week": maybe(1, 1000),
        "market_volatility_halt_bps": maybe(0, 200),
        "market_crossed_settle_ms": st.sampled_from([None, 500]),
        "account_balance_floor": maybe(1, 1_000_000),
        "order_participation_percent": maybe(1, 20),
        "rules_restricted": st.sampled_from([(), (ETH,)]),
    }
).map(lambda found: msgspec.structs.replace(LIMITS, **found))
wide = st.just(LIMITS)
narrow = st.sampled_from(
    [
        *(
            {name: money(value)}
            for value in ("8000", "40000", "90000")
            for name in ("position_per_instrument", "position_gross", "position_net", "order_value_max")
        ),
        *({name: money("0.1")} for name in ("order_quantity_max", "position_leverage")),
        *(
            {name: money(value)}
            for value in ("10", "100")
            for name in ("order_static_collar_bps", "order_far_collar_bps", "loss_day")
        ),
        {"order_messages_per_second": 0},
        {"order_messages_per_second": 1},
        {"order_slippage_bps": money("1")},
        {"order_collar_bps": money("1")},
        {"order_participation_percent": money("10")},
        {"order_working_orders": 2},
        {"position_open_positions": 0},
        {"position_open_positions": 1},
        {"rules_restricted": (BTC,)},
        {"rules_types": ("MARKET",)},
    ]
).map(lambda found: msgspec.structs.replace(LIMITS, **found))
"""One limit that orders reach."""
venue_rules = st.sampled_from(
    [
        {},
        {"price_min": money("49900")},
        {"price_max": money("50100")},
        {"notional_max": money("9000")},
        {"notional_min": money("20000")},
        {"quantity_min": money("0.3")},
        {"quantity_max": money("0.1")},
        {"lot": money("0.001")},
        {"tick": money("0.1")},
    ]
)
"""One rule of the venue that orders reach."""
steps = st.one_of(
    st.tuples(st.just("place"), tracks, symbols, sides, st.integers(1, 40_000), st.integers(1, 5000)),
    st.tuples(st.just("up"), tracks, symbols, sides, st.sampled_from([4, 7, 8, 8])),
    st.tuples(st.just("fill"), st.integers(0, 50), st.integers(-3000, 3000)),
    st.tuples(st.just("bust"), st.integers(0, 50)),
    st.tuples(st.just("unknown"), st.integers(0, 50)),
    st.tuples(st.just("limits"), st.one_of(wide, narrow, limits), st.one_of(wide, narrow, limits)),
    st.tuples(st.just("weights"), st.sampled_from([0, 50, 100]), st.sampled_from([0, 5, 100])),
    st.tuples(st.just("quote"), symbols, st.integers(-4000, 4000), st.sampled_from([-1, 0, 1, 1, 1, 50])),
    st.tuples(st.just("feed"), symbols, st.booleans()),
    st.tuples(st.just("time"), st.sampled_from([1, 400, 1900, 2100, 3100])),
    st.tuples(st.just("look"), st.sampled_from([0, 1, 25])),
    st.tuples(st.just("stop"), st.sampled_from(["None", "ReduceOnly", "Halt"]), st.sampled_from(["track", "symbol"])),
    st.tuples(st.just("hold"), st.sampled_from(["0", "30000", "1000000"])),
    st.tuples(st.just("slots"), tracks, symbols),
    st.tuples(st.just("rules"), symbols, venue_rules),
    st.tuples(st.just("book"), symbols, st.sampled_from([-1, 0, 0, 0, 1, 3000]), st.sampled_from([1, 300, 10**7])),
    st.tuples(st.just("trades"), symbols, st.sampled_from([0, 2, 10_000])),
    st.tuples(st.just("refuse"), tracks, st.sampled_from(["barred", "ungranted", "losses", ""])),
)
wanted = st.tuples(tracks, symbols, sides, distances, sizes, st.integers(0, 40))


class World(Rig):
    """A rig that lives through steps, and whose gate is asked twice."""

    def __init__(self) -> None:
        super().__init__()
        self.current = self.granted = LIMITS
        self.weights = {"stable": 100, "candidate": 100}
        self.manager.capital = money("1000000")
        self.generation = 1
        self.wall = WALL
        self.asked = self.judged = 0
        self.judge = self.gate.judge
        self.gate.judge = self.counted  # type: ignore[method-assign]
        self.gate.hold(self.balances)
        self.manager.evaluate(self.wall)

    def counted(self, intent: Intent, wall: int, mono: int, *, closing: bool = False) -> list[str]:
        self.judged += 1
        return self.judge(intent, wall, mono, closing=closing)

    def ask(self, intent: Intent) -> list[str]:
        self.asked += 1
        found = self.gate.check(intent, self.wall, self.mono)
        assert found == self.judge(intent, self.wall, self.mono), intent
        return found

    def order(self, track: str, symbol: str, side: Side, away: int, lots: int, **more: Any) -> Intent:
        self.numbers += 1
        market = self.gate.markets[symbol]
        touch = market.bid - away * TICK if side is Side.BUY else market.ask + away * TICK
        plain = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "reduce_only": False} | more
        return Intent(
            intent_id=f"i{self.numbers}", track=track, symbol=symbol, side=side, quantity=lots * 1000, price=touch,
            ts_decided=self.wall, **plain,
        )  # fmt: skip

    def taking(self, track: str, symbol: str, side: Side, lots: int, kind: OrderType = OrderType.LIMIT) -> Intent:
        """At the other side's best price, or at any."""
        market = self.gate.markets[symbol]
        price = 0 if kind is OrderType.MARKET else market.ask if side is Side.BUY else market.bid
        plain = self.order(track, symbol, side, 1, lots, type=kind, time_in_force=TimeInForce.IOC)
        return msgspec.structs.replace(plain, price=price)

    def ask_at_the_bounds(self, track: str, symbol: str) -> None:
        """The largest and the smallest order at each end of the prices that are cleared, beside the touch and at it."""
        slot = self.gate.tracks[track].slots.get(symbol)
        bounds = slot.clearance if slot is not None else None
        market = self.gate.markets[symbol]
        if bounds is None or bounds.most <= 0:
            return
        for side, least, most, *touch in (
            (Side.BUY, bounds.buy_least, bounds.buy_most, market.ask - TICK, market.ask),
            (Side.SELL, bounds.sell_least, bounds.sell_most, market.bid + TICK, market.bid),
        ):
            for price in (-(-least // TICK) * TICK, most // TICK * TICK, *touch):
                for quantity in (-(-bounds.least // 1000) * 1000, bounds.most // 1000 * 1000):
                    plain = self.order(track, symbol, side, 1, 1)
                    self.ask(msgspec.structs.replace(plain, price=price, quantity=quantity))

    def book(self, symbol: str, off: int, lots: int) -> None:
        """One level on each side, ``off`` ticks outside the quote."""
        market = self.gate.markets[symbol]
        bids, asks = ((market.bid - off * TICK, lots * 1000),), ((market.ask + off * TICK, lots * 1000),)
        market.book(BookTop(symbol, 1, WALL, WALL, bids, asks), self.mono)

    def live(self, pick: int) -> str:
        names = list(self.manager.live)
        return names[pick % len(names)] if names else ""

    def do(self, step: tuple[Any, ...]) -> None:
        self.of_orders(step)
        self.of_the_world(step)

    def of_orders(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("place", track, symbol, side, lots, away):
                intent = self.order(track, symbol, side, away, lots)
                self.ask(intent)
                self.manager.intent(intent, track, self.wall, self.mono)
            case ("up", track, symbol, side, eighths):
                mine, market = self.gate.tracks[track], self.gate.markets[symbol]
                room = mine.tightest() * eighths // 8 * SCALE // max(1, market.ask) - mine.slot(market).worst
                for _ in range(4):
                    intent = self.order(track, symbol, side, 1, max(1, room // 4000))
                    self.manager.intent(intent, track, self.wall, self.mono)
            case ("fill", pick, off):
                name = self.live(pick)
                if name:
                    order = self.manager.orders[name]
                    self.fill(name, order.leaves, max(TICK, order.price + off * SCALE))
            case ("bust", pick):
                filled = [order for order in self.manager.orders.values() if order.fills]
                if filled:
                    order = filled[pick % len(filled)]
                    event = FillBusted(client_order_id=order.client_order_id, ts=WALL, trade_id=next(iter(order.fills)))
                    self.manager.event(order.symbol, event)
            case ("unknown", pick):
                name = self.live(pick)
                if name:
                    event = OutcomeUnknown(client_order_id=name, ts=WALL, reason="lost")
                    self.manager.event(self.manager.orders[name].symbol, event)

    def of_the_world(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("limits", current, granted):
                self.current, self.granted = current, granted
                self.granted_again()
            case ("weights", stable, candidate):
                self.weights = {"stable": stable, "candidate": candidate}
                self.granted_again()
            case ("quote", symbol, off, spread):
                bid = PRICE + off * SCALE
                self.gate.markets[symbol].quote(Quote(symbol, 1, WALL, bid, ONE, bid + spread * TICK, ONE), self.mono)
            case ("feed", symbol, usable):
                self.gate.markets[symbol].status(FeedStatus(symbol, WALL, usable, "" if usable else "gap"), self.mono)
            case ("time", milliseconds):
                self.mono += milliseconds * SECOND // 1000
                self.wall += milliseconds * SECOND // 1000
            case ("look", hours):
                self.wall += hours * 3600 * SECOND
                self.manager.evaluate(self.wall)
            case ("stop", restrict, where):
                self.stop(restrict, where)
            case ("hold", free):
                self.gate.hold({"USDT": VenueBalance(money(free), 0)} if free != "0" else {})
            case ("refuse", name, why):
                one = self.gate.tracks[name]
                one.permit("TRACK_NOT_ALLOWED x" * (why == "barred"), "GRANT_MISSING x" * (why == "ungranted"))
                one.lost(one.equity, one.loss, ("DRAWDOWN_REDUCE x",) * (why == "losses"))
            case ("rules", symbol, changes):
                self.gate.markets[symbol].instrument = msgspec.structs.replace(rules(symbol), **changes)
            case ("book", symbol, off, lots):
                self.book(symbol, off, lots)
            case ("trades", symbol, amount):
                tape = self.gate.markets[symbol].tape
                tape.trade(amount * SCALE, self.mono - 11 * SECOND)
                tape.trade(amount * SCALE, self.mono)
            case ("slots", track, symbol):
                self.gate.tracks[track].slot(self.gate.markets[symbol])

    def granted_again(self) -> None:
        named = tuple(
            Track(name=name, revision=f"{name[:1]}bc123de", stage="Live", weight=weight, grant="g", key=name)
            for name, weight in self.weights.items()
        )
        document = Allocation(epoch=2, tracks=named, limits=self.current)
        grants: dict[str, Limits | str] = {"g": self.granted}
        allocate(self.gate.tracks, self.gate.account, document, grants, paper=False)

    def stop(self, restrict: str, where: str) -> None:
        self.generation += 1
        scope = {"tracks": ["candidate"]} if where == "track" else {"instruments": [ETH]}
        meta = {"name": "part", "uid": "p", "generation": self.generation}
        body = {"systems": ["s"], "scope": scope, "restrict": restrict}
        self.guard.switch_seen({"metadata": meta, "spec": body}, WALL)
        self.guard.reconciled(self.guard.cycle, WALL)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(steps, wanted), min_size=5, max_size=30))
def test_what_is_cleared_passes_every_check(history: list[tuple[Any, Any]]) -> None:
    """Each moment of a history is asked about an order of any kind, and about a plain one close to the touch."""
    world = World()
    for step, (track, symbol, side, away, lots, kind) in history:
        world.do(step)
        world.ask(world.order(track, symbol, side, away, lots, **KINDS.get(kind, {})))
        world.ask(world.order(track, symbol, side, 5, 200))
        world.ask(world.taking(track, symbol, side, 200))
        world.ask(world.taking(track, symbol, side, 200, OrderType.MARKET))
        for one in TRACKS:
            world.ask_at_the_bounds(one, symbol)


KINDS: dict[int, dict[str, Any]] = {
    1: {"time_in_force": TimeInForce.IOC},
    2: {"reduce_only": True},
    3: {"type": OrderType.LIMIT_MAKER},
    4: {"stop_price": PRICE},
    5: {"trailing_bps": 10},
    6: {"display": 1000},
    7: {"time_in_force": "GTC"},
    8: {"type": "LIMIT"},
    9: {"display": False},
    10: {"stop_price": 0.0},
    11: {"time_in_force": TimeInForce.FOK},
    12: {"type": OrderType.MARKET},
    13: {"type": OrderType.LIMIT_MAKER, "time_in_force": TimeInForce.IOC},
}


def test_a_quiet_gate_clears_plain_orders() -> None:
    """Else the comparison above would compare the long way with itself."""
    world = World()
    world.granted = msgspec.structs.replace(
        LIMITS, order_participation_percent=money("10"), order_slippage_bps=money("5")
    )
    world.granted_again()
    world.do(("trades", BTC, 10_000))
    for track in TRACKS:
        world.gate.tracks[track].slot(world.gate.markets[BTC])
    for away in range(1, 200):
        for track in TRACKS:
            for side in Side:
                assert world.ask(world.order(track, BTC, side, away, 100 + away)) == []
                assert world.ask(world.order(track, BTC, side, away, 100, type=OrderType.LIMIT_MAKER)) == []
                assert world.ask(world.taking(track, BTC, side, 100 + away)) == []
                assert world.ask(world.taking(track, BTC, side, 100 + away, OrderType.MARKET)) == []
    assert world.asked == 4 * 4 * 199
    assert world.judged == 0

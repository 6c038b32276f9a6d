"""The gate and the manager under any market, limits and history: no approval leads beyond a limit at worst case."""

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gatebench import ordinary
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.manager import Manager
from ringfence.execution.outputs import Cancel
from ringfence.model.approved import Approved
from ringfence.model.money import SCALE, notional
from ringfence.model.orders import Accepted, Canceled, Filled, OrderType, Side, TimeInForce
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.wire.kill import Severity
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Quote

WALL, MONO = 1_700_000_000_000_000_000, 5_000_000_000_000
TICK, LOT = SCALE, SCALE // 10
SYMBOLS = ("AUSD", "BUSD")
EXPOSURE = ("POSITION_", "GROSS_", "LOSS_", "OUTCOME_UNKNOWN", "GRANT_", "TRADING_REDUCE_ONLY")

limits = st.builds(
    Limits,
    order_quantity_max=st.one_of(st.none(), st.integers(1, 50).map(lambda n: n * LOT)),
    order_value_max=st.integers(1, 500).map(lambda n: n * SCALE),
    order_collar_bps=st.integers(0, 1000).map(lambda n: n * SCALE),
    order_messages_per_second=st.just(10**6),
    order_working_orders=st.integers(1, 20),
    order_approved_lifetime_ms=st.just(50),
    position_per_instrument=st.integers(0, 2000).map(lambda n: n * SCALE),
    position_gross=st.integers(0, 3000).map(lambda n: n * SCALE),
    loss_day=st.integers(1, 1000).map(lambda n: n * SCALE),
    market_quote_stale_ms=st.just(2000),
    market_book_stale_ms=st.just(1000),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "order", "order", "fill", "cancel", "quote"]),
        st.sampled_from(["stable", "candidate"]),
        st.sampled_from(SYMBOLS),
        st.sampled_from(Side),
        st.integers(1, 30),
        st.integers(90, 110),
    ),
    max_size=40,
)
Step = tuple[str, str, str, Side, int, int]


class World:
    """A gate with two tracks in two instruments, driven step by step."""

    def __init__(self, current: Limits, granted: Limits, weights: tuple[int, int]) -> None:
        self.guard = ordinary.active_guard(WALL)
        self.gate = Gate(self.guard, SYMBOLS)
        self.manager = Manager(self.gate, prefix("n", "s"), "USD", 0)
        self.manager.fence = 1
        self.granted = granted
        self.weights = weights
        self.numbers = 0
        for symbol in SYMBOLS:
            self.gate.markets[symbol].instrument = ordinary.coarse_rules(symbol)
            self.market(symbol, 100)
        self.allocate(current)

    def allocate(self, current: Limits) -> None:
        tracks = tuple(
            Track(name=name, revision=name, stage="Live", weight=weight, grant="g", key=name)
            for name, weight in zip(("stable", "candidate"), self.weights, strict=True)
        )
        allocation = Allocation(epoch=1, tracks=tracks, limits=current)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": self.granted}, paper=False)

    def market(self, symbol: str, price: int) -> None:
        market = self.gate.markets[symbol]
        bid, ask = price * SCALE, (price + 1) * SCALE
        market.quote(Quote(symbol, 1, WALL, bid, SCALE, ask, SCALE), MONO)
        market.book(BookTop(symbol, 1, WALL, WALL, ((bid, 1000 * SCALE),), ((ask, 1000 * SCALE),)), MONO)
        market.status(FeedStatus(symbol, WALL, True, ""), MONO)

    def intent(self, track: str, symbol: str, side: Side, lots: int, price: int) -> Intent:
        self.numbers += 1
        return Intent(
            f"i{self.numbers}",
            track,
            symbol,
            side,
            OrderType.LIMIT,
            TimeInForce.GTC,
            lots * LOT,
            price * SCALE,
            False,
            WALL,
        )

    def run(self, history: list[Step], after_approval: Callable[[Approved, str], None] | None = None) -> None:
        for kind, track, symbol, side, lots, price in history:
            if kind == "quote":
                self.market(symbol, price)
            elif kind == "order":
                intent = self.intent(track, symbol, side, lots, price)
                outputs = self.manager.intent(intent, track, WALL, MONO)
                approved = [o for o in outputs if isinstance(o, Approved)]
                if approved and after_approval:
                    after_approval(approved[0], track)
            else:
                self.answer(kind, symbol, lots)

    def answer(self, kind: str, symbol: str, lots: int) -> None:
        """The venue fills or cancels the oldest order of the instrument."""
        live = next((v for v in self.manager.live.values() if v.order.symbol == symbol), None)
        if live is None:
            return
        base: dict[str, Any] = {"client_order_id": live.order.client_order_id, "ts": WALL}
        self.numbers += 1
        self.manager.event(symbol, Accepted(**base, venue_order_id=str(self.numbers)))
        if kind == "cancel":
            self.manager.event(symbol, Canceled(**base))
            return
        filled = Filled(
            **base,
            trade_id=str(self.numbers),
            price=live.order.price,
            quantity=min(lots * LOT, live.order.leaves),
            commission=0,
            commission_asset="USD",
            maker=True,
        )
        self.manager.event(symbol, filled)

    # --- an independent account of the worst case, from orders and books alone

    def worst(self, track: str, symbol: str) -> int:
        book = self.manager.books.get(track)
        position = book.positions[symbol].quantity if book and symbol in book.positions else 0
        mine = [o for o in self.manager.orders.values() if (o.track, o.symbol) == (track, symbol)]
        buys = sum(o.leaves for o in mine if o.side is Side.BUY)
        sells = sum(o.leaves for o in mine if o.side is Side.SELL)
        return max(abs(position + buys), abs(position - sells))

    def values(self, tracks: tuple[str, ...]) -> dict[str, int]:
        return {s: notional(self.gate.markets[s].ask, sum(self.worst(t, s) for t in tracks)) for s in SYMBOLS}


weights = st.tuples(st.sampled_from([0, 5, 50, 100]), st.sampled_from([0, 5, 50, 100]))
DUST = 2 * len(SYMBOLS)
"""Each valued amount is rounded down once: sums of them may differ by a few 1e-8."""


@settings(max_examples=150, deadline=None)
@given(limits, limits, weights, steps)
def test_no_approval_breaches_a_limit_at_worst_case(
    current: Limits, granted: Limits, shares: tuple[int, int], history: list[Step]
) -> None:
    """At the moment of the approval, with everything that may still execute, for the track and for the account."""
    world = World(current, granted, shares)
    before: dict[str, Any] = {}

    def remember() -> None:
        for name in ("stable", "candidate"):
            before[name] = {symbol: world.worst(name, symbol) for symbol in SYMBOLS}

    def judge(approved: Approved, track: str) -> None:
        weight = shares[0] if track == "stable" else shares[1]
        symbol = approved.symbol
        if world.worst(track, symbol) > before[track][symbol]:
            position = min(current.position_per_instrument, granted.position_per_instrument) * weight // 100
            assert world.values((track,))[symbol] <= position + DUST
            assert world.values(("stable", "candidate"))[symbol] <= current.position_per_instrument + DUST
            gross = min(current.position_gross, granted.position_gross) * weight // 100
            assert sum(world.values((track,)).values()) <= gross + DUST
            assert sum(world.values(("stable", "candidate")).values()) <= current.position_gross + DUST
            most = [one.order_quantity_max for one in (current, granted) if one.order_quantity_max is not None]
            assert not most or approved.quantity <= min(most) * weight // 100 or _reducing(world, track, approved)

    for step in history:
        remember()
        world.run([step], judge)
    for track in world.gate.tracks.values():
        for slot in track.slots.values():
            if track.name in ("stable", "candidate"):
                assert slot.worst == world.worst(track.name, slot.market.symbol), "the incremental book is the book"
    assert world.gate.account.working == len(world.manager.live)


def _reducing(world: World, track: str, approved: Approved) -> bool:
    slot = world.gate.tracks[track].slots[approved.symbol]
    return (slot.buys <= -slot.position) if approved.side is Side.BUY else (slot.sells <= slot.position)


@settings(max_examples=150, deadline=None)
@given(limits, limits, weights, steps, st.sampled_from(SYMBOLS), st.integers(1, 30))
def test_reducing_is_never_refused_by_exposure(
    current: Limits, granted: Limits, shares: tuple[int, int], history: list[Step], symbol: str, lots: int
) -> None:
    """Whatever the limits have become, with losses reached, unknown outcomes, no grant, and in ReduceOnly."""
    world = World(current, granted, shares)
    world.run(history)
    track = world.gate.tracks["stable"]
    slot = track.slot(world.gate.markets[symbol])
    world.allocate(msgspec.structs.replace(current, position_per_instrument=0, position_gross=0, loss_day=0))
    track.ungranted = "GRANT_MISSING x"
    track.refuse(["LOSS_DAY_REACHED x"])
    world.gate.markets[symbol].unknown.add("x")
    world.guard.hold("x", Severity.REDUCE_ONLY, "x", WALL)
    side = Side.SELL if slot.position > 0 else Side.BUY
    room = slot.position - slot.sells if side is Side.SELL else -slot.position - slot.buys
    quantity = min(room, lots * LOT)
    if quantity <= 0:
        return
    market = world.gate.markets[symbol]
    price = (market.bid if side is Side.SELL else market.ask) // SCALE
    intent = world.intent("stable", symbol, side, quantity // LOT, price)
    found = world.gate.check(intent, WALL, MONO)
    assert not [reason for reason in found if reason.startswith(EXPOSURE)]


@settings(max_examples=100, deadline=None)
@given(limits, limits, weights, steps)
def test_tightening_leaves_nothing_working_above_the_limit(
    current: Limits, tighter: Limits, shares: tuple[int, int], history: list[Step]
) -> None:
    """After the cancels have been answered, only reducing orders remain above it; and a tighter limit approves less."""
    world = World(current, current, shares)
    world.run(history)
    world.granted = tighter
    world.allocate(tighter)
    for output in world.manager.cancel_excess(WALL, MONO):
        if isinstance(output, Cancel):
            # acknowledged first: the close of an order that was never acknowledged is asked for, not believed
            base = {"client_order_id": output.client_order_id, "ts": WALL}
            world.manager.event(output.symbol, Accepted(**base, venue_order_id=f"v{output.client_order_id}"))
            world.manager.event(output.symbol, Canceled(**base))
    for name, weight in zip(("stable", "candidate"), shares, strict=True):
        for symbol in SYMBOLS:
            slot = world.gate.tracks[name].slot(world.gate.markets[symbol])
            if notional(slot.market.ask, slot.worst) > tighter.position_per_instrument * weight // 100 + DUST:
                # what remains is the position itself, and orders that can only shrink it
                assert slot.worst <= abs(slot.position) or (slot.buys <= -slot.position or slot.sells <= slot.position)
                assert slot.buys == 0 or slot.sells == 0 or slot.position != 0
    assert world.manager.cancel_excess(WALL, MONO) == []

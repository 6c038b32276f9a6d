"""The estimate of what taking costs is what the simulator's matching engine takes, for any book that nobody touches."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.execution.estimates import Estimates
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.slippage import slippage, walk
from ringfence.model.instrument import Instrument
from ringfence.model.money import BPS, SCALE
from ringfence.model.orders import Expired, Filled, Initialized, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.simulator.market import BookChange
from ringfence.simulator.matching import Matched, MatchingEngine, Place
from ringfence.wire.messages import BookTop, FeedStatus, Intent, Level, Quote

SYMBOL, WALL, MONO = "AUSD", 1_700_000_000_000_000_000, 5_000_000_000_000
TICK, LOT = SCALE // 100, SCALE // 1_000
MIDDLE = 50 * SCALE
UNLIMITED = Limits(
    order_quantity_max=10**9 * SCALE,
    order_value_max=10**9 * SCALE,
    order_collar_bps=9_999 * SCALE,
    order_messages_per_second=1_000,
    order_working_orders=10,
    order_approved_lifetime_ms=1_000,
    position_per_instrument=10**9 * SCALE,
    position_gross=10**9 * SCALE,
    loss_day=10**9 * SCALE,
    market_quote_stale_ms=1_000,
    market_book_stale_ms=1_000,
)
Book = tuple[tuple[Level, ...], tuple[Level, ...]]


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Bids and asks, best first, with holes between the levels."""

    def side(sign: int) -> tuple[Level, ...]:
        steps = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12))
        price, levels = MIDDLE, []
        for step in steps:
            price += sign * step * TICK
            levels.append((price, draw(st.integers(1, 5_000)) * LOT))
        return tuple(levels)

    return side(-1), side(1)


sides = st.sampled_from(Side)
quantities = st.integers(1, 30_000).map(lambda lots: lots * LOT)


def taken(book: Book, side: Side, quantity: int, price: int = 0) -> list[Matched]:
    """What the venue's engine does with it."""
    engine = MatchingEngine()
    engine.handle(BookChange(WALL, book[0], book[1], reset=True), WALL)
    order = Place(
        order_id=1,
        account="a",
        side=side,
        type=OrderType.LIMIT if price else OrderType.MARKET,
        time_in_force=TimeInForce.IOC if price else TimeInForce.GTC,
        price=price,
        quantity=quantity,
    )
    return [event for event in engine.handle(order, WALL) if isinstance(event, Matched)]


def gate(book: Book) -> Gate:
    guard = Guard("s", {}, [], WALL)
    guard.switches_listed([{"metadata": {"name": "s", "uid": "u", "generation": 1}, "spec": {}}], WALL)
    guard.reconciled(1, WALL)
    made = Gate(guard, (SYMBOL,))
    track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
    allocation = Allocation(epoch=1, tracks=(track,), limits=UNLIMITED)
    allocate(made.tracks, made.account, allocation, {"g": UNLIMITED}, paper=False)
    market = made.markets[SYMBOL]
    market.instrument = Instrument(
        symbol=SYMBOL,
        base="A",
        quote="USD",
        tick=TICK,
        lot=LOT,
        quantity_min=LOT,
        quantity_max=10**9 * SCALE,
        notional_min=0,
    )
    (bid, bids), (ask, asks) = book[0][0], book[1][0]
    market.quote(Quote(SYMBOL, 1, WALL, bid, bids, ask, asks), MONO)
    market.book(BookTop(SYMBOL, 1, WALL, WALL, book[0], book[1]), MONO)
    market.status(FeedStatus(SYMBOL, WALL, True, ""), MONO)
    return made


@given(books(), sides, quantities)
def test_the_estimated_average_is_the_actual_one(book: Book, side: Side, quantity: int) -> None:
    """To the last digit, in value; in basis points rounded up, so that the estimate is never too low."""
    buying = side is Side.BUY
    found = walk(book[1] if buying else book[0], quantity, buying=buying)
    actual = taken(book, side, quantity)
    assert found.filled == sum(match.quantity for match in actual)
    assert found.cost == sum(match.quantity * match.price for match in actual)
    bid, ask = book[0][0][0], book[1][0][0]
    middle = Fraction(bid + ask, 2)
    average = Fraction(sum(m.quantity * m.price for m in actual), found.filled)
    exact = side.sign * (average - middle) / middle * BPS * SCALE
    assert 0 <= slippage(found, bid, ask, buying=buying) - exact < 1
    assert exact > 0, "taking is never free"


@given(books(), sides, quantities, st.integers(-300, 300))
def test_within_a_limit_price_as_well(book: Book, side: Side, quantity: int, steps: int) -> None:
    price = MIDDLE + steps * TICK
    buying = side is Side.BUY
    found = walk(book[1] if buying else book[0], quantity, buying=buying, limit=price)
    actual = taken(book, side, quantity, price)
    assert (found.filled, found.cost) == (sum(m.quantity for m in actual), sum(m.quantity * m.price for m in actual))


@settings(deadline=None)
@given(books(), sides, quantities)
def test_the_gate_says_insufficient_exactly_where_the_book_is(book: Book, side: Side, quantity: int) -> None:
    """Beyond what is displayed there is no estimate, and no order."""
    wanted = Intent("i", "stable", SYMBOL, side, OrderType.MARKET, TimeInForce.GTC, quantity, 0, False, WALL)
    codes = {reason.partition(" ")[0] for reason in gate(book).check(wanted, WALL, MONO)}
    whole = sum(match.quantity for match in taken(book, side, quantity)) == quantity
    assert ("BOOK_DEPTH_INSUFFICIENT" in codes) is not whole
    assert codes <= {"BOOK_DEPTH_INSUFFICIENT"}


@settings(deadline=None)
@given(books(), sides, quantities, st.integers(-3, 3))
def test_what_was_estimated_is_measured_against_the_fills(book: Book, side: Side, quantity: int, worse: int) -> None:
    """On an untouched book nothing is above or below; fills that are worse or better by a tick count on their side."""
    estimates = Estimates(gate(book).markets)
    named = {"client_order_id": "c", "ts": WALL}
    first = Initialized(
        **named,
        intent_id="i",
        track="stable",
        symbol=SYMBOL,
        side=side,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        quantity=quantity,
        price=0,
        reduce_only=False,
    )
    estimates.entries([Entry("stable", first)])
    total = 0
    for number, match in enumerate(taken(book, side, quantity)):
        total += match.quantity
        fill = Filled(
            **named,
            trade_id=str(number),
            price=match.price + side.sign * worse * TICK,
            quantity=match.quantity,
            commission=0,
            commission_asset="USD",
            maker=False,
        )
        estimates.entries([Entry("stable", fill)])
    if total < quantity:
        estimates.entries([Entry("stable", Expired(**named))])
    found = estimates.totals["stable", SYMBOL]
    assert found.orders == 1
    more = abs(worse) * TICK * total // SCALE
    assert abs(found.above - (more if worse > 0 else 0)) <= 1
    assert abs(found.below - (more if worse < 0 else 0)) <= 1
    assert abs(found.actual_cost - found.actual_gain - found.estimated - found.above + found.below) <= 1
    assert found.estimated > 0 or total * TICK < SCALE

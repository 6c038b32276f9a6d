"""The estimate of what taking costs is what the simulator's matching engine takes, for any book that nobody touches."""

from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from gatebench import ordinary
from ringfence.execution.estimates import Estimates
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.slippage import slippage, walk
from ringfence.model.instrument import Instrument
from ringfence.model.money import BPS, SCALE, bps_of
from ringfence.model.orders import Expired, Filled, Initialized, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.market import BookChange
from ringfence.simulator.matching import Matched, MatchingEngine, Place
from ringfence.simulator.orders import Prevention, Reason, Refusal, Request, Status, VenueOrder
from ringfence.simulator.venue import Fees, Venue
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
RULES = Instrument(
    symbol=SYMBOL,
    base="A",
    quote="USD",
    tick=TICK,
    lot=LOT,
    quantity_min=LOT,
    quantity_max=10**9 * SCALE,
    notional_min=0,
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


def venue(book: Book) -> Venue:
    """All of the venue around that book, with an account that can afford anything."""
    rules = msgspec.structs.replace(
        LISTED["BTCUSDT"],
        instrument=RULES,
        multipliers=dict.fromkeys(Side, (100 * SCALE, 0)),
        notional_max=10**12 * SCALE,
        market_quantity_max=RULES.quantity_max,
    )
    market = iter([BookChange(WALL, book[0], book[1], reset=True)])
    made = Venue({SYMBOL: rules}, {SYMBOL: market}, Fees(75 * SCALE // 10, 10 * SCALE), WALL)
    made.open_account("a", {"A": 10**6 * SCALE, "USD": 10**9 * SCALE})
    made.advance(WALL)
    return made


def order(number: int, side: Side, kind: OrderType, **more: Any) -> Request:
    return Request(
        symbol=SYMBOL, client_order_id=f"c{number}", side=side, type=kind, time_in_force=TimeInForce.GTC, **more
    )


def gate(book: Book) -> Gate:
    made = Gate(ordinary.active_guard(WALL), (SYMBOL,))
    track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
    allocation = Allocation(epoch=1, tracks=(track,), limits=UNLIMITED)
    allocate(made.tracks, made.account, allocation, {"g": UNLIMITED}, paper=False)
    market = made.markets[SYMBOL]
    market.instrument = RULES
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


own_orders = st.lists(st.tuples(sides, st.integers(1, 300), quantities), max_size=6)


@settings(deadline=None)
@given(books(), own_orders, sides, quantities, st.integers(0, 300), st.booleans())
def test_what_passes_the_gate_costs_at_the_venue_what_was_estimated_and_ends_none_of_our_own(
    book: Book, own: list[tuple[Side, int, int]], side: Side, quantity: int, steps: int, reducing: bool
) -> None:
    """Market orders and limits that take, among our own resting orders, which the public book shows like any other's.

    An estimate that counted them could not be kept: the venue does not let our orders meet. Fees are charged beside it.
    """
    at = venue(book)
    resting = [
        at.place(
            "a", order(number, way, OrderType.LIMIT_MAKER, price=MIDDLE - way.sign * away * TICK, quantity=size), WALL
        )
        for number, (way, away, size) in enumerate(own)
    ]
    _, bids, asks = at.instruments[SYMBOL].publisher.snapshot(100)
    made = gate((tuple(bids), tuple(asks)))
    for mine in resting:
        if isinstance(mine, VenueOrder):
            slot = made.tracks["stable"].slot(made.markets[SYMBOL])
            (slot.resting_buys if mine.side is Side.BUY else slot.resting_sells)[mine.client_order_id] = mine.price
    buying = side is Side.BUY
    price = MIDDLE + side.sign * steps * TICK if steps else 0
    kind = OrderType.LIMIT if price else OrderType.MARKET
    wanted = Intent("i", "stable", SYMBOL, side, kind, TimeInForce.GTC, quantity, price, False, WALL)
    found = walk(tuple(asks if buying else bids), quantity, buying=buying, limit=price)
    refused = made.check(wanted, WALL, MONO)
    prevention = Prevention.EXPIRE_MAKER if reducing else Prevention.EXPIRE_TAKER
    asked = order(100, side, kind, price=price, quantity=quantity, prevention=prevention)
    taken = at.place("a", asked, WALL)
    assert isinstance(taken, VenueOrder)
    ended = [mine for mine in resting if isinstance(mine, VenueOrder) and not mine.open]
    meets = bool(ended) or taken.status is Status.EXPIRED_IN_MATCH
    if refused:
        codes = {reason.partition(" ")[0] for reason in refused}
        assert codes <= {"BOOK_DEPTH_INSUFFICIENT", "SELF_MATCH"}
        event("refused")
        return
    event("passed, takes" if found.filled else "passed, rests")
    assert not meets
    executions = at.executions_of(taken)
    assert taken.filled == found.filled
    assert sum(e.quantity * e.price for e in executions) == found.cost
    assert all(e.commission == bps_of(e.quantity if buying else e.amount, 10 * SCALE) for e in executions)


@settings(deadline=None)
@given(books(), st.integers(1, 2_000_000))
def test_an_order_by_quote_amount_takes_the_lots_whose_walk_it_pays(book: Book, cents: int) -> None:
    """All that the amount pays and not a lot more."""
    amount, asks = cents * SCALE // 100, book[1]
    taken = venue(book).place("a", order(1, Side.BUY, OrderType.MARKET, quote_quantity=amount), WALL)
    if isinstance(taken, Refusal):
        assert amount * SCALE < asks[0][0] * LOT or taken.reason is Reason.FILTER
        return
    assert taken.amount <= amount
    more = walk(asks, taken.filled + LOT, buying=True)
    assert more.unfilled or more.cost > amount * SCALE


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

"""What must hold for any sequence of orders and any market."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.model.money import parse
from ringfence.model.orders import CONDITIONAL, UNPRICED, OrderType, Side, TimeInForce
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.market import BookChange, MarketEvent, Print
from ringfence.simulator.matching import Cancel, Matched, MatchingEngine, Place
from ringfence.simulator.orders import Prevention, Request, Status, VenueOrder
from ringfence.simulator.venue import Fees, Venue

START = 1_700_000_000_000_000_000
BTC = "BTCUSDT"
TICK, LOT = LISTED[BTC].instrument.tick, LISTED[BTC].instrument.lot
MIDDLE = parse("60000")
ACCOUNTS = ("a", "b")

offsets = st.integers(1, 3)
quantities = st.integers(1, 400_000).map(lambda lots: lots * LOT)
sides = st.sampled_from(Side)
level_sizes = st.integers(0, 300_000).map(lambda lots: lots * LOT)


@st.composite
def market_events(draw: st.DrawFn) -> MarketEvent:
    """A change on both sides of a middle that moves, or a trade near it."""
    middle = MIDDLE + draw(st.integers(-1, 1)) * TICK
    if draw(st.booleans()):
        return Print(START, middle + draw(st.integers(-3, 3)) * TICK, draw(quantities), draw(sides))
    bids = {middle - draw(offsets) * TICK: draw(level_sizes) for _ in range(draw(st.integers(0, 3)))}
    asks = {middle + draw(offsets) * TICK: draw(level_sizes) for _ in range(draw(st.integers(0, 3)))}
    # what the market leaves on the wrong side of its own middle goes with the change
    cleared = {middle + step * TICK: 0 for step in range(6)}, {middle - step * TICK: 0 for step in range(6)}
    return BookChange(START, tuple((cleared[0] | bids).items()), tuple((cleared[1] | asks).items()))


@st.composite
def places(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(OrderType))
    return {
        "account": draw(st.sampled_from(ACCOUNTS)),
        "side": draw(sides),
        "type": kind,
        "time_in_force": draw(st.sampled_from(TimeInForce)) if kind is OrderType.LIMIT else TimeInForce.GTC,
        "price": 0 if kind in UNPRICED else MIDDLE + draw(st.integers(-4, 4)) * TICK,
        "quantity": draw(quantities),
        "stop_price": MIDDLE + draw(st.integers(-4, 4)) * TICK if kind in CONDITIONAL else 0,
        "display": LOT if kind is OrderType.LIMIT_MAKER and draw(st.booleans()) else 0,
        "prevention": draw(st.sampled_from(Prevention)),
    }


restatements = st.tuples(st.integers(0, 30), st.integers(-4, 4), st.sampled_from((0, 1, 2)))
"""Which trade, its new price in ticks from the old one, and how many halves of its quantity stay."""
commands = st.lists(st.one_of(market_events(), places(), st.integers(0, 30)), min_size=5, max_size=60)
restating = st.lists(st.one_of(market_events(), places(), st.integers(0, 30), restatements), min_size=5, max_size=60)
relaxed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(restating)
def test_nothing_is_made_or_lost_and_nothing_is_locked_twice(sequence: list[Any]) -> None:
    """Totals by asset are constant, balances never negative, and what is locked is what open orders need; also where
    trades are busted and corrected."""
    market = iter([BookChange(START, ((MIDDLE - TICK, 10 * LOT),), ((MIDDLE + TICK, 10 * LOT),), reset=True)])
    venue = Venue({BTC: LISTED[BTC]}, {BTC: market}, Fees(parse("7.5"), parse("10")), START)
    for account in ACCOUNTS:
        venue.open_account(account, {"BTC": parse("3"), "USDT": parse("150000")})
    venue.advance(START)
    instrument = venue.instruments[BTC]
    for number, step in enumerate(sequence):
        if isinstance(step, int):
            orders = [order for account in ACCOUNTS for order in venue.open_orders(account)]
            if orders:
                venue.cancel(orders[step % len(orders)], START, "c")
        elif isinstance(step, tuple):
            restate(venue, *step)
        elif isinstance(step, dict):
            fields = {key: value for key, value in step.items() if key != "account"}
            asked = Request(symbol=BTC, client_order_id=str(number), **fields)
            order = venue.place(step["account"], asked, START)
            if isinstance(order, VenueOrder):
                if number % 2:
                    venue.amend(order, order.quantity // 2 // LOT * LOT, START)
                assert order.open == (order.left > 0 and order.status in {Status.NEW, Status.PARTIALLY_FILLED})
                assert sum(e.quantity for e in venue.executions_of(order)) == order.filled
        else:
            venue._run(instrument, instrument.engine.handle(step, START), START)
        check_books(venue)


def restate(venue: Venue, pick: int, away: int, halves: int) -> None:
    """One of the trades of these accounts; each order's executions still add up to it."""
    made = [e for account in ACCOUNTS for e in venue.executions(account)]
    if made:
        one = made[pick % len(made)]
        venue.restate(BTC, one.trade_id, one.price + away * TICK, one.quantity * halves // 2)
    for order in {e.order_id: venue.find(e.account, BTC, e.order_id, None) for e in made}.values():
        assert order is not None
        executions = venue.executions_of(order)
        assert sum(e.quantity for e in executions) == order.filled
        assert sum(e.amount for e in executions) == order.amount


def check_books(venue: Venue) -> None:
    for asset, opening in (("BTC", parse("6")), ("USDT", parse("300000"))):
        assert venue.ledger.total(asset) == opening
    for account in ACCOUNTS:
        needs = {"BTC": 0, "USDT": 0}
        for order in venue.open_orders(account):
            left = order.left
            assert left > 0
            needs["BTC" if order.side is Side.SELL else "USDT"] += (
                left if order.side is Side.SELL else (order.price or order.stop_price) * left // parse("1")
            )
        for asset, needed in needs.items():
            balance = venue.ledger.balance(account, asset)
            assert balance.free >= 0
            assert balance.locked == needed
    bid, ask = (side.best() for side in (venue.instruments[BTC].engine.bids, venue.instruments[BTC].engine.asks))
    assert not bid or not ask or bid < ask, "the book is never shown crossed"


@relaxed
@given(commands)
def test_price_then_time_and_queues_that_only_shrink(sequence: list[Any]) -> None:
    """No order trades past a better one or an older one of its price, and nobody's queue grows."""
    engine = MatchingEngine()
    ahead: dict[int, int] = {}
    for number, step in enumerate(sequence, start=1):
        before = {order_id: (r.side, r.price, r.ahead) for order_id, r in engine.resting.items()}
        if isinstance(step, int):
            command: Any = Cancel(step)
        elif isinstance(step, dict):
            kind = step["type"]  # a conditional order comes to the engine as what it then is
            if kind in CONDITIONAL:
                kind = OrderType.MARKET if kind in UNPRICED else OrderType.LIMIT
            fields = {key: value for key, value in step.items() if key not in {"stop_price", "display"}}
            command = Place(order_id=number, **(fields | {"type": kind}))
        else:
            command = step
        events = engine.handle(command, START)
        matches = [e for e in events if isinstance(e, Matched)]
        check_priority(engine, before, command, matches)
        if isinstance(command, Print):
            check_print(engine, before, command, matches)
        for order_id, resting in engine.resting.items():
            assert resting.leaves > 0
            assert 0 <= resting.ahead <= ahead.get(order_id, resting.ahead)
            assert resting.ahead <= engine.side(resting.side).market.get(resting.price)
            ahead[order_id] = resting.ahead
        for book in (engine.bids, engine.asks):
            for price, queue in book.queues.items():
                assert [r.order_id for r in queue] == sorted(r.order_id for r in queue)
                assert [r.ahead for r in queue] == sorted(r.ahead for r in queue)
                assert book.own.get(price) == sum(r.leaves for r in queue)
            for price, taken in book.taken.items():
                assert 0 < taken <= book.market.get(price), "no more can be taken than there is"


def check_priority(
    engine: MatchingEngine, before: dict[int, tuple[Side, int, int]], command: Any, matches: list[Matched]
) -> None:
    """Each maker that traded leaves nobody behind who was entitled first."""
    for match in matches:
        if match.maker_id not in before:
            continue
        side, price, _ = before[match.maker_id]
        assert match.price == price, "a maker trades at its own price"
        for other_id, resting in engine.resting.items():
            if other_id == match.maker_id or resting.side is not side or other_id not in before:
                continue
            better = (resting.price - price) * side.sign > 0
            older = resting.price == price and other_id < match.maker_id
            assert not better, "a better price was passed over"
            assert not older, "an older order was passed over"
    if isinstance(command, Place) and command.price:
        for match in matches:
            assert (command.price - match.price) * command.side.sign >= 0, "a limit is a limit"


def check_print(
    engine: MatchingEngine, before: dict[int, tuple[Side, int, int]], trade: Print, matches: list[Matched]
) -> None:
    """All of its quantity is told; queues at its price fall by the market's part; nobody better is left."""
    assert sum(match.quantity for match in matches) == trade.quantity
    markets_part = sum(match.quantity for match in matches if not match.maker_id)
    for order_id, (side, price, ahead) in before.items():
        resting = engine.resting.get(order_id)
        if resting is None or side is trade.aggressor:
            continue
        if price == trade.price:
            assert resting.ahead == max(0, ahead - markets_part)
        elif (price - trade.price) * side.sign > 0:
            assert not markets_part, "the market traded past an order of ours that was better"

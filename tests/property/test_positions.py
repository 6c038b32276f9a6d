"""Conservation in the ledgers: against an independent fold, to the last 1e-8, for any sequence of fills."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.model.positions import Book, Position

TICK, LOT = SCALE // 100, SCALE // 10**5
RULES = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick=TICK,
    lot=LOT,
    quantity_min=LOT,
    quantity_max=10**6 * SCALE,
    notional_min=0,
)
prices = st.integers(1, 10**7).map(lambda n: n * TICK)
quantities = st.integers(1, 10**7).map(lambda n: n * LOT)
sides = st.sampled_from(Side)
assets = st.sampled_from(["USDT", "BTC", "BNB"])
fills = st.tuples(sides, quantities, prices, st.integers(0, 10**6), assets)
sequences = st.lists(fills, max_size=40)
Fill = tuple[Side, int, int, int, str]


def folded(sequence: list[Fill]) -> Book:
    book = Book(cash={}, positions={}, fees={})
    for side, quantity, price, commission, asset in sequence:
        book.fill(RULES, side, quantity, price, commission, asset)
    return book


@given(sequences)
def test_cash_is_what_was_given_and_got(sequence: list[Fill]) -> None:
    """By asset, from first principles and in fractions."""
    cash = {"BTC": Fraction(0), "USDT": Fraction(0), "BNB": Fraction(0)}
    fees = dict.fromkeys(cash, 0)
    for side, quantity, price, commission, asset in sequence:
        sign = 1 if side is Side.BUY else -1
        cash["BTC"] += sign * quantity
        cash["USDT"] -= sign * Fraction(price * quantity, SCALE)
        cash[asset] -= commission
        fees[asset] += commission
    book = folded(sequence)
    assert {a: book.cash.get(a, 0) for a in cash} == cash
    assert {a: book.fees.get(a, 0) for a in fees} == fees


@given(sequences)
def test_the_position_is_the_base_cash(sequence: list[Fill]) -> None:
    """A fee taken in the base asset leaves the position too."""
    book = folded(sequence)
    position = book.positions.get("BTCUSDT", Position())
    assert position.quantity == book.cash.get("BTC", 0)


@given(sequences)
def test_nothing_is_lost_between_cash_cost_and_realised(sequence: list[Fill]) -> None:
    """Quote cash = realised - cost - fees in quote, exactly, whatever was rounded where."""
    book = folded(sequence)
    position = book.positions.get("BTCUSDT", Position())
    assert book.cash.get("USDT", 0) == position.realised - position.cost - book.fees.get("USDT", 0)


@given(sequences, prices)
def test_profit_does_not_depend_on_how_it_is_split(sequence: list[Fill], mark: int) -> None:
    """Change of cash plus market value = realised + unrealised - fees (base fees are in the position)."""
    book = folded(sequence)
    position = book.positions.get("BTCUSDT", Position())
    value = Fraction(position.quantity * mark, SCALE)
    profit = book.cash.get("USDT", 0) + value
    told = position.realised + position.unrealised(mark) - book.fees.get("USDT", 0)
    assert abs(profit - told) < 1, "less than one unit of 1e-8: the rounding of the market value itself"


@given(st.lists(st.tuples(quantities, prices), min_size=1, max_size=20))
def test_buying_averages_and_selling_all_realises_the_difference(buys: list[tuple[int, int]]) -> None:
    """Average cost method (F24), exact in fractions."""
    position = Position()
    for quantity, price in buys:
        position.trade(Side.BUY, quantity, price)
    held = sum(q for q, _ in buys)
    cost = sum(Fraction(q * p, SCALE) for q, p in buys)
    assert (position.quantity, position.cost) == (held, cost)
    assert position.average == int(cost * SCALE / held)
    position.trade(Side.SELL, held, TICK)
    assert (position.quantity, position.cost, position.average) == (0, 0, 0)
    assert position.realised == Fraction(held * TICK, SCALE) - cost


@given(quantities, prices, quantities, prices, sides)
def test_a_flip_opens_the_rest_at_the_price(first: int, entry: int, second: int, exit_: int, side: Side) -> None:
    """Closing what was, and nothing of the old cost in the new position."""
    position = Position()
    position.trade(side, first, entry)
    back = Side.SELL if side is Side.BUY else Side.BUY
    position.trade(back, first + second, exit_)
    assert position.quantity == back.sign * second
    assert position.cost == back.sign * Fraction(exit_ * second, SCALE)
    assert position.realised == side.sign * (Fraction(exit_ * first, SCALE) - Fraction(entry * first, SCALE))


@given(sequences)
def test_totals_do_not_depend_on_the_order_of_fills(sequence: list[Fill]) -> None:
    """Cash, fees and quantity; only what is realised depends on the path."""
    first, second = folded(sequence), folded(list(reversed(sequence)))
    assert first.cash == second.cash
    assert first.fees == second.fees
    assert {s: p.quantity for s, p in first.positions.items()} == {s: p.quantity for s, p in second.positions.items()}


def test_a_fee_that_takes_the_last_of_a_position_takes_its_cost() -> None:
    """A flat position has no cost, so the next one starts clean."""
    position = Position()
    position.trade(Side.BUY, LOT, SCALE)
    cost = position.cost
    position.take_fee(LOT)
    assert (position.quantity, position.cost, position.realised) == (0, 0, -cost)


@given(sequences, st.data())
def test_a_bust_leaves_assets_fees_and_quantity_as_if_the_trade_had_never_been(
    sequence: list[Fill], data: st.DataObject
) -> None:
    """In whatever order busts and later trades come; profit at any mark is exact, only its split may differ."""
    voided = data.draw(st.sets(st.integers(0, max(0, len(sequence) - 1)))) if sequence else set()
    book, without = folded(sequence), folded([f for n, f in enumerate(sequence) if n not in voided])
    for number in sorted(voided, reverse=data.draw(st.booleans())):
        side, quantity, price, commission, asset = sequence[number]
        book.undo(RULES, side, quantity, price, commission, asset)
    for one in (book, without):
        position = one.positions.get("BTCUSDT", Position())
        assert one.cash.get("USDT", 0) == position.realised - position.cost - one.fees.get("USDT", 0)
        assert position.quantity == one.cash.get("BTC", 0)
    assert _nonzero(book.cash) == _nonzero(without.cash)
    assert _nonzero(book.fees) == _nonzero(without.fees)


def _nonzero(amounts: dict[str, int]) -> dict[str, int]:
    return {asset: amount for asset, amount in amounts.items() if amount}

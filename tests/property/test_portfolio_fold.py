"""The books against an independent fold: cash, stock and fees added up with fractions, straight from the fills."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.model.calendar import Calendar
from ringfence.model.money import SCALE
from ringfence.model.orders import Filled, Initialized, OrderType, Side, Submitted, TimeInForce
from ringfence.portfolio.documents import Accounts
from ringfence.portfolio.ledger import Ledger
from ringfence.portfolio.marks import Marks
from ringfence.sdk.testing import instrument
from ringfence.wire.messages import OrderUpdate, Quote

GATE = "sim-execution"
T0 = 1_700_000_000_000_000_000
INSTRUMENTS = (
    instrument("BTCUSDT", "BTC", "USDT"),
    instrument("ETHUSDT", "ETH", "USDT", tick="0.01", lot="0.0001"),
)

trades = st.lists(
    st.tuples(
        st.sampled_from(("stable", "candidate")),
        st.sampled_from(INSTRUMENTS),
        st.sampled_from((Side.BUY, Side.SELL)),
        st.integers(1, 500_000),
        st.integers(1, 1_000_000),
        st.integers(-1_000, 1_000_000),
        st.sampled_from(("USDT", "BTC", "ETH")),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(trades, st.permutations(INSTRUMENTS), st.integers(0, 30))
def test_profit_is_what_the_account_has_more(
    made: list[tuple[str, object, Side, int, int, int, str]], order: list[object], known_after: int
) -> None:
    """Profit = cash + stock at the mark, whatever was traded, in whatever asset fees were, whenever rules came.

    And the parts agree with the whole: profit = realised + unrealised - fees in the quote asset, to the last 1e-8,
    as long as fees in a base asset were charged on that asset's own trades.
    """
    accounts = Accounts(Ledger({GATE: Calendar()}), Marks([Calendar()]), "USDT", 0)
    assets: dict[tuple[str, str], Fraction] = {}
    quote_fees: dict[str, int] = {}
    own_fees = True
    for number, (track, traded, side, lots, ticks, fee, asset) in enumerate(made):
        assert isinstance(traded, type(INSTRUMENTS[0]))
        if number == known_after:
            _tell_rules(accounts, order)
        quantity, price = lots * traded.lot, ticks * traded.tick
        _trade(accounts, number, track, traded.symbol, side, quantity, price, fee, asset)
        for name, change in (
            (traded.base, Fraction(side.sign * quantity)),
            ("USDT", -side.sign * Fraction(quantity) * price / SCALE),
            (asset, Fraction(-fee)),
        ):
            assets[track, name] = assets.get((track, name), Fraction(0)) + change
        quote_fees[track] = quote_fees.get(track, 0) + (fee if asset == "USDT" else 0)
        own_fees = own_fees and asset in ("USDT", traded.base)
    _tell_rules(accounts, order)
    marks = {"BTC": 61_842_350_000_000 // 10, "ETH": 268_012_000_000, "USDT": SCALE}
    for one in INSTRUMENTS:
        accounts.marks.quote(Quote(one.symbol, 1, T0, marks[one.base], 1, marks[one.base], 1))
    for name, ledger in accounts.ledger.gates[GATE].tracks.items():
        # independent: exact fractions, rounded once per asset as the venue's grid allows
        expected = sum(int(amount * marks[asset] // SCALE) for (t, asset), amount in assets.items() if t == name)
        profit = accounts.profit(ledger, T0).amount
        assert profit == expected
        unrealised = accounts.unrealised(ledger)
        assert unrealised is not None
        if own_fees:
            assert profit == accounts.realised(ledger) + unrealised - quote_fees[name]


def _tell_rules(accounts: Accounts, order: list[object]) -> None:
    for one in order:
        assert isinstance(one, type(INSTRUMENTS[0]))
        accounts.ledger.rules(one)


def _trade(
    accounts: Accounts,
    number: int,
    track: str,
    symbol: str,
    side: Side,
    quantity: int,
    price: int,
    fee: int,
    asset: str,
) -> None:
    client_id = f"c{number}"
    events = (
        Initialized(
            client_order_id=client_id,
            ts=T0,
            intent_id=client_id,
            track=track,
            symbol=symbol,
            side=side,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            quantity=quantity,
            price=0,
        ),
        Submitted(client_order_id=client_id, ts=T0),
        Filled(
            client_order_id=client_id,
            ts=T0,
            trade_id=client_id,
            price=price,
            quantity=quantity,
            commission=fee,
            commission_asset=asset,
            maker=False,
        ),
    )
    for place, event in enumerate(events):
        accounts.ledger.update(OrderUpdate(GATE, number * 3 + place + 1, track, event))

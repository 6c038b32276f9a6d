"""The venue as a whole, without sockets: what it locks, charges, refuses and forgets."""

from collections.abc import Iterator

import pytest

from ringfence.model.money import SCALE, bps_of, notional, parse
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.config import ConfigError, GeneratedMarket, RecordedMarket, SimulatorConfig
from ringfence.simulator.accounts import Ledger, LedgerError
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.market import BookChange, MarketEvent, Print
from ringfence.simulator.orders import AccountChange, Prevention, Reason, Refusal, Report, Request, Status, VenueOrder
from ringfence.simulator.server import build_venue, read_credentials
from ringfence.simulator.venue import Fees, Venue

START = 1_700_000_000_000_000_000
BTC = "BTCUSDT"


def book(*events: MarketEvent) -> Iterator[MarketEvent]:
    """A thin market around 60,000, then what the test adds."""
    levels = [(parse(p), parse(q)) for p, q in (("60000", "1"), ("59999", "2"), ("60001", "1"), ("60002", "2"))]
    yield BookChange(START, tuple(levels[:2]), tuple(levels[2:]), reset=True)
    yield from events


def venue(*events: MarketEvent, maker: str = "0", taker: str = "10") -> Venue:
    made = Venue({BTC: LISTED[BTC]}, {BTC: book(*events)}, Fees(parse(maker), parse(taker)), START)
    made.open_account("a", {"BTC": parse("2"), "USDT": parse("200000")})
    made.advance(START)
    return made


def request(side: Side, quantity: str, price: str = "", **more: object) -> Request:
    fields: dict[str, object] = {
        "symbol": BTC,
        "client_order_id": "id",
        "side": side,
        "type": OrderType.LIMIT if price else OrderType.MARKET,
        "time_in_force": TimeInForce.GTC,
        "price": parse(price) if price else 0,
        "quantity": parse(quantity),
    }
    return Request(**(fields | more))  # type: ignore[arg-type]


def place(at: Venue, asked: Request) -> VenueOrder:
    order = at.place("a", asked, at.now_ns)
    assert isinstance(order, VenueOrder), order
    return order


def held(at: Venue, asset: str) -> tuple[int, int]:
    balance = at.ledger.balance("a", asset)
    return balance.free, balance.locked


def test_a_better_price_is_given_back_at_once() -> None:
    """A bid above the market locks its limit, pays the market's price, and keeps only what still may be needed."""
    at = venue()
    order = place(at, request(Side.BUY, "2", "60001.50"))
    assert (order.status, order.filled) == (Status.PARTIALLY_FILLED, parse("1"))
    assert held(at, "USDT") == (parse("200000") - parse("60001") - parse("60001.5"), parse("60001.5"))
    assert held(at, "BTC") == (parse("2") + parse("0.999"), 0)


def test_a_market_buy_pays_for_its_walk_and_leaves_nothing_locked() -> None:
    """Two levels and a fee in the asset that was received; what the book could not give expires."""
    at = venue()
    order = place(at, request(Side.BUY, "3.00001"))
    assert (order.status, order.filled) == (Status.EXPIRED, parse("3"))
    assert held(at, "USDT") == (parse("200000") - parse("180005"), 0)
    assert held(at, "BTC") == (parse("2") + parse("2.997"), 0)


def test_a_market_order_by_amount_buys_whole_lots() -> None:
    """quoteOrderQty: as much as the amount pays, rounded down to the lot."""
    at = venue()
    order = place(at, request(Side.BUY, "0", quote_quantity=parse("1000")))
    assert order.filled == parse("0.01666")
    assert order.status is Status.FILLED


def test_a_maker_pays_the_makers_fee_when_the_market_comes() -> None:
    """Filled by a print after its queue, with the fee in the quote asset for a sale."""
    at = venue(Print(START + 5, parse("60001"), parse("1.5"), Side.BUY), maker="5")
    place(at, request(Side.SELL, "1", "60001"))
    at.advance(START + 10)
    assert held(at, "BTC") == (parse("1"), parse("0.5"))
    assert held(at, "USDT") == (parse("200000") + parse("30000.5") * 9_995 // 10_000, 0)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(Side.BUY, "4", "60000"), Reason.INSUFFICIENT_BALANCE),
        (request(Side.SELL, "2.00001"), Reason.INSUFFICIENT_BALANCE),
        (request(Side.SELL, "0.00001"), Reason.FILTER),
        (request(Side.BUY, "1", "60001", type=OrderType.LIMIT_MAKER), Reason.WOULD_TAKE),
        (request(Side.BUY, "1", "60000", symbol="DOGEUSDT"), Reason.UNKNOWN_SYMBOL),
    ],
)
def test_a_refusal_leaves_no_trace_in_the_books(asked: Request, reason: Reason) -> None:
    """Refused with its reason, nothing locked, nothing open."""
    at = venue()
    refusal = at.place("a", asked, at.now_ns)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert (held(at, "USDT"), held(at, "BTC")) == ((parse("200000"), 0), (parse("2"), 0))
    assert not at.open_orders("a")


def test_a_client_id_is_free_again_once_its_order_is_closed() -> None:
    """Unique among open orders only, as at the real venue."""
    at = venue()
    first = place(at, request(Side.BUY, "0.1", "59000"))
    assert at.place("a", request(Side.BUY, "0.1", "59000"), at.now_ns) == Refusal(Reason.DUPLICATE_ID)
    at.cancel(first, at.now_ns, "c")
    second = place(at, request(Side.BUY, "0.1", "59000"))
    assert at.find("a", BTC, None, "id") is second
    assert at.find("a", BTC, first.order_id, None) is first
    assert at.cancel(first, at.now_ns, "c") == Refusal(Reason.UNKNOWN_ORDER)


def test_open_orders_are_limited() -> None:
    """The 201st is refused by the name of the rule."""
    at = venue()
    for number in range(200):
        place(at, request(Side.BUY, "0.001", "59000", client_order_id=str(number)))
    assert at.place("a", request(Side.BUY, "0.001", "59000"), at.now_ns) == Refusal(Reason.FILTER, "MAX_NUM_ORDERS")


def test_ids_of_a_later_start_are_greater() -> None:
    """A restarted venue repeats no order, trade or update id: clients that dedup by them miss nothing."""
    early = venue()
    place(early, request(Side.BUY, "1"))
    later = Venue({BTC: LISTED[BTC]}, {BTC: book()}, Fees(0, 0), START + SCALE * 10)
    assert later.instruments[BTC].trade_id > early.instruments[BTC].trade_id
    assert later.instruments[BTC].publisher.update_id > early.instruments[BTC].publisher.update_id


def test_the_ledger_refuses_to_break() -> None:
    """Movements that a right venue never asks for are errors, not silent corrections."""
    ledger = Ledger()
    ledger.open("a", {"X": 5})
    assert not ledger.reserve("a", "X", 6)
    with pytest.raises(LedgerError):
        ledger.release("a", "X", 1)
    with pytest.raises(ValueError, match="exists"):
        ledger.open("a", {})
    with pytest.raises(ValueError, match="negative"):
        ledger.open("b", {"X": -1})


def test_a_configuration_that_cannot_be_served_is_refused_with_the_reason(tmp_path: object) -> None:
    """Unknown instruments, absent recordings and absent keys stop the start, in one sentence."""
    from pathlib import Path

    empty = Path(str(tmp_path))
    fields: dict[str, object] = {
        "system": "s",
        "namespace": "n",
        "service": "x",
        "market": GeneratedMarket(seed=1),
        "maker_fee_bps": 0,
        "taker_fee_bps": 0,
        "latency_ms": 0,
        "balances": {},
    }
    with pytest.raises(ConfigError, match="DOGEUSDT"):
        build_venue(SimulatorConfig(symbols=("DOGEUSDT",), **fields), START)  # type: ignore[arg-type]
    recorded = fields | {"market": RecordedMarket(directory=str(empty))}
    with pytest.raises(ConfigError, match=r"no recording btcusdt\*\.gz"):
        build_venue(SimulatorConfig(symbols=(BTC,), **recorded), START)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be read"):
        read_credentials(empty)
    (empty / "api-key").write_text("")
    (empty / "api-secret").write_text("")
    with pytest.raises(ConfigError, match="empty"):
        read_credentials(empty)


# --- trades taken back and restated


def test_a_busted_trade_leaves_the_account_as_if_it_had_never_been() -> None:
    """Balances and history; its order was full, and is canceled with so much less executed."""
    at = venue(maker="7.5")
    before = held(at, "BTC"), held(at, "USDT")
    order = place(at, request(Side.BUY, "1.5"))
    first, second = at.executions("a")
    at.take_events()
    assert at.restate(BTC, first.trade_id, None, 0) is None
    assert list(at.executions("a")) == [second] == at.executions_of(order)
    assert (order.status, order.filled, order.amount) == (Status.CANCELED, second.quantity, second.amount)
    events = at.take_events()
    assert [type(event) for event in events] == [AccountChange], "the stream tells balances, and nothing of the trade"
    assert at.restate(BTC, 0, None, 0) is None, "the latest"
    assert (held(at, "BTC"), held(at, "USDT")) == before
    assert at.ledger.total("BTC") == parse("2")
    assert order.filled == order.amount == 0
    assert at.restate(BTC, first.trade_id, None, 0) == f"no account has a trade {first.trade_id} of {BTC}"


def test_a_corrected_trade_keeps_its_id_and_time_and_has_new_figures() -> None:
    """A higher price is paid for what was bought, and the fee of a sale follows it."""
    at = venue()
    bought, sold = place(at, request(Side.BUY, "1")), place(at, request(Side.SELL, "1"))
    was = at.executions_of(sold)[0]
    assert at.restate(BTC, at.executions_of(bought)[0].trade_id, parse("60010"), None) is None
    assert at.restate(BTC, was.trade_id, parse("59990"), parse("0.5")) is None
    now = at.executions_of(sold)[0]
    assert (now.trade_id, now.ts, now.price, now.quantity) == (was.trade_id, was.ts, parse("59990"), parse("0.5"))
    amount = notional(now.price, now.quantity)
    assert (now.amount, now.commission) == (amount, bps_of(amount, parse("10")))
    assert (bought.status, sold.status) == (Status.FILLED, Status.CANCELED)
    assert at.ledger.delta("a") == {
        "BTC": parse("1") - parse("0.001") - parse("0.5"),
        "USDT": parse("-60010") + now.amount - now.commission,
    }
    assert at.ledger.total("USDT") == parse("200000")


def test_an_open_order_whose_trade_is_busted_is_canceled() -> None:
    """What the execution took off the book does not come back to it."""
    at = venue()
    order = place(at, request(Side.BUY, "1.5", "60001"))
    assert (order.status, order.filled) == (Status.PARTIALLY_FILLED, parse("1"))
    at.take_events()
    assert at.restate(BTC, 0, None, 0) is None
    assert (order.status, order.filled) == (Status.CANCELED, 0)
    assert [event.kind for event in at.take_events() if isinstance(event, Report)] == ["CANCELED"]
    assert held(at, "USDT") == (parse("200000"), 0)


def test_both_ends_of_a_busted_self_trade_are_taken_back() -> None:
    at = venue()
    resting = place(at, request(Side.SELL, "1", "60000.5", client_order_id="maker"))
    place(at, request(Side.BUY, "1", "60000.5", prevention=Prevention.NONE))
    assert resting.filled == parse("1")
    assert at.restate(BTC, 0, None, 0) is None
    assert list(at.executions("a")) == []
    assert (held(at, "BTC"), held(at, "USDT")) == ((parse("2"), 0), (parse("200000"), 0))


def test_what_is_spent_cannot_be_taken_back_and_no_more_is_made_of_a_trade_than_it_was() -> None:
    at = venue()
    trade = at.executions_of(place(at, request(Side.BUY, "1")))[0]
    place(at, request(Side.SELL, "2.5", "61000", client_order_id="locks it"))
    books = held(at, "BTC"), held(at, "USDT")
    assert at.restate(BTC, trade.trade_id, None, 0) == f"what trade {trade.trade_id} has brought is spent or locked"
    assert at.restate(BTC, trade.trade_id, None, parse("1.1")) is not None
    assert at.restate(BTC, trade.trade_id, 0, None) is not None
    assert (held(at, "BTC"), held(at, "USDT")) == books
    assert list(at.executions("a")) == [trade]

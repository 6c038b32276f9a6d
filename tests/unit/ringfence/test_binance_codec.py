"""The Binance codec against literal messages of the venue's documentation."""

import msgspec
import pytest

from ringfence.model import orders
from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import parse
from ringfence.model.orders import OrderState, OrderType, Side, TimeInForce
from ringfence.venues.api import BookDiff, BookSnapshot, Refused, Unknown, VenueBalance
from ringfence.venues.binance import calls, candles, codec, stream
from ringfence.venues.binance.limits import NO_COUNTS, Counts, Kind, Limit
from ringfence.venues.binance.request import Request, signed_message, signed_query
from ringfence.venues.binance.signing import signer
from ringfence.wire.messages import Quote, Trade

sign = signer("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")
NOW = 1_700_000_000_000_000_000


def approved(
    kind: OrderType = OrderType.LIMIT, price: str = "0.1", in_force: TimeInForce = TimeInForce.GTC
) -> Approved:
    return Approved(
        client_order_id="rf-1-a",
        symbol="LTCBTC",
        side=Side.BUY,
        type=kind,
        time_in_force=in_force,
        quantity=parse("1"),
        price=parse(price),
        epoch=1,
        deadline_ns=0,
    )


# --- requests


def test_signature_is_that_of_the_documentation() -> None:
    """The venue's own example gives the venue's own signature."""
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    )
    assert sign(payload) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


def test_parameters_are_encoded_before_they_are_signed() -> None:
    """What is signed is what is sent: percent-encoded, non-ASCII too."""
    request = Request("GET", "/x", [("symbol", "这是测试币456"), ("symbols", '["A","B"]')], Kind.QUERY, 1)
    query = signed_query(request, sign, 1_499_827_319_559, 5000)
    payload, signature = query.split("&signature=")
    assert payload == (
        "symbol=%E8%BF%99%E6%98%AF%E6%B5%8B%E8%AF%95%E5%B8%81456&symbols=%5B%22A%22%2C%22B%22%5D"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    assert signature == sign(payload)


def test_request_without_parameters_is_signed_over_time_and_validity() -> None:
    """An empty query leaves no stray ampersand in what is signed."""
    assert signed_query(calls.query_account(), sign, 7, 5000).startswith("recvWindow=5000&timestamp=7&signature=")


@pytest.mark.parametrize(
    ("order", "query"),
    [
        (
            approved(in_force=TimeInForce.IOC),
            (
                "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=IOC&quantity=1&price=0.1"
                "&selfTradePreventionMode=EXPIRE_TAKER&newClientOrderId=rf-1-a&newOrderRespType=ACK"
            ),
        ),
        (
            approved(OrderType.MARKET, "0"),
            (
                "symbol=LTCBTC&side=BUY&type=MARKET&quantity=1"
                "&selfTradePreventionMode=EXPIRE_TAKER&newClientOrderId=rf-1-a&newOrderRespType=ACK"
            ),
        ),
        (
            approved(OrderType.LIMIT_MAKER, "0.00000123"),
            (
                "symbol=LTCBTC&side=BUY&type=LIMIT_MAKER&quantity=1&price=0.00000123"
                "&selfTradePreventionMode=EXPIRE_TAKER&newClientOrderId=rf-1-a&newOrderRespType=ACK"
            ),
        ),
    ],
)
def test_order_becomes_the_parameters_of_its_type(order: Approved, query: str) -> None:
    """A market order has no price, a maker order no time in force, and no number an exponent."""
    request = calls.new_order(order)
    assert (request.method, request.path, request.query) == ("POST", "/api/v3/order", query)


# --- failures


def refused(status: int, body: bytes, retry_after_s: int | None = None) -> Refused | Unknown:
    return codec.outcome(codec.failure(status, body), retry_after_s)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, -1013, "Filter failure: LOT_SIZE"),
        (400, -1021, "Timestamp for this request is outside of the recvWindow."),
        (400, -1022, "Signature for this request is not valid."),
        (400, -1100, "Illegal characters found in parameter 'price'."),
        (400, -1111, "Precision is over the maximum defined for this asset."),
        (400, -1121, "Invalid symbol."),
        (400, -2010, "Account has insufficient balance for requested action."),
        (400, -2010, "Order would immediately match and take."),
        (400, -2011, "Unknown order sent."),
        (401, -2015, "Invalid API-key, IP, or permissions for action."),
    ],
)
def test_the_venues_own_refusals_are_proven(status: int, code: int, message: str) -> None:
    """A 4xx with a code that the venue gives before or in matching says that nothing was done."""
    body = f'{{"code":{code},"msg":"{message}"}}'.encode()
    assert refused(status, body) == Refused(code, message)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"code":-1006,"msg":"An unexpected response was received from the message bus."}'),
        (400, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}'),
        (400, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}'),
        (400, b'{"code":-1008,"msg":"Server is currently overloaded with other requests."}'),
        (500, b'{"code":-1013,"msg":"Filter failure: LOT_SIZE"}'),
        (502, b"<html>bad gateway</html>"),
        (503, b""),
        (504, b'{"code":-2010,"msg":"Account has insufficient balance for requested action."}'),
        (400, b"not json"),
        (400, b'{"code":-9999,"msg":"a code that did not exist when this was written"}'),
        (403, b"<html>firewall</html>"),
        (302, b""),
        (400, b'{"code":-2010,"msg":"Duplicate order sent."}'),
    ],
)
def test_everything_else_is_unknown(status: int, body: bytes) -> None:
    """5xx, trouble inside the venue, unknown codes, unreadable bodies and duplicates prove nothing."""
    assert isinstance(refused(status, body), Unknown)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, b'{"code":-1003,"msg":"Too many requests"}', -1003),
        (429, b'{"code":-1015,"msg":"Too many new orders"}', -1015),
        (418, b'{"code":-1003,"msg":"IP banned until 1659146400000."}', -1003),
        (429, b"<html>too many</html>", -1003),
    ],
)
def test_rate_limits_are_refusals_with_a_time(status: int, body: bytes, code: int) -> None:
    """The limiter stands before the matching: nothing was done, and the reason says when to come back."""
    found = refused(status, body, 7)
    assert isinstance(found, Refused)
    assert found.code == code
    assert found.reason.endswith("retry after 7 s")


def test_end_of_a_ban_is_read_from_the_sentence() -> None:
    """The venue names the end of a ban only in words."""
    failed = codec.failure(
        418, b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1659146400000."}'
    )
    assert codec.banned_until_ms(failed) == 1_659_146_400_000


# --- answers


def test_acknowledgement_gives_the_venues_id() -> None:
    """An ACK answer is enough."""
    body = b'{"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"6gCr","transactTime":1507725176595}'
    assert codec.acknowledged(body) == "28"


def test_order_report_has_every_field() -> None:
    """An order as the venue describes it when asked."""
    body = (
        b'{"symbol":"LTCBTC","orderId":1,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.10000000","origQty":"1.00000000",'
        b'"executedQty":"0.40000000","cummulativeQuoteQty":"0.04","status":"PARTIALLY_FILLED","timeInForce":"GTC","type":"LIMIT",'
        b'"side":"BUY","stopPrice":"0.0","icebergQty":"0.0","time":1499827319559,"updateTime":1499827319560,"isWorking":true}'
    )
    report = codec.order_report(body)
    assert (report.client_order_id, report.venue_order_id, report.symbol) == ("myOrder1", "1", "LTCBTC")
    assert (report.price, report.quantity, report.filled) == (parse("0.1"), parse("1"), parse("0.4"))
    assert (report.side, report.type, report.time_in_force) == (Side.BUY, OrderType.LIMIT, TimeInForce.GTC)
    assert (report.state, report.ts_venue) == (OrderState.PARTIALLY_FILLED, 1_499_827_319_560_000_000)
    prevented = codec.order_report(body.replace(b'"status"', b'"preventedQuantity":"0.25000000","status"'))
    assert prevented.quantity == parse("0.75"), "what self-trade prevention took off executes no more"


def test_a_conditional_order_is_reported_with_its_trigger() -> None:
    """Ours or somebody's; an unknown status makes the list unreadable."""
    body = (
        b'[{"symbol":"LTCBTC","orderId":1,"clientOrderId":"web_1","price":"0.1","origQty":"1.0","executedQty":"0.0",'
        b'"status":"NEW","timeInForce":"GTC","type":"STOP_LOSS_LIMIT","side":"SELL","time":1,"updateTime":1,'
        b'"stopPrice":"0.2","icebergQty":"0.5","orderListId":7}]'
    )
    report = codec.order_reports(body)[0]
    assert (report.type, report.stop_price, report.display) == (
        OrderType.STOP_LOSS_LIMIT,
        parse("0.2"),
        parse("0.5"),
    )
    assert report.group == "7"
    with pytest.raises(codec.ProtocolError, match="PAUSED"):
        codec.order_reports(body.replace(b'"NEW"', b'"PAUSED"'))


@pytest.mark.parametrize("close", ['"rubbish"', '"1e5"', "[]", '""'])
def test_a_candle_whose_price_cannot_be_read_makes_the_answer_unreadable(close: str) -> None:
    good = '[0,"1","2","0.5","1.5","9"]'
    assert candles.closes(f"[{good}]".encode()) == {0: parse("1.5")}
    with pytest.raises(codec.ProtocolError):
        candles.closes(f'[{good},[60000,"1","2","0.5",{close},"9"]]'.encode())


def test_trades_come_oldest_first() -> None:
    """A page of the history, by trade id."""
    one = (
        '{"symbol":"BNBBTC","id":%d,"orderId":100234,"orderListId":-1,"price":"4.00000100","qty":"12.00000000",'
        '"quoteQty":"48.000012","commission":"10.10000000","commissionAsset":"BNB","time":1499865549590,'
        '"isBuyer":false,"isMaker":true,"isBestMatch":true}'
    )
    reports = codec.trade_reports(f"[{one % 29},{one % 28}]".encode())
    assert [report.trade_id for report in reports] == ["28", "29"]
    first = reports[0]
    assert (first.price, first.quantity, first.commission) == (parse("4.000001"), parse("12"), parse("10.1"))
    assert (first.side, first.maker, first.commission_asset, first.venue_order_id) == (Side.SELL, True, "BNB", "100234")


def test_balances_leave_out_what_is_zero() -> None:
    """The venue lists every asset that it knows."""
    body = (
        b'{"balances":[{"asset":"BTC","free":"4723846.89208129","locked":"0.00000000"},'
        b'{"asset":"X","free":"0.0","locked":"0"}]}'
    )
    assert codec.balances(body) == {"BTC": VenueBalance(parse("4723846.89208129"), 0)}


INFO = (
    b'{"timezone":"UTC","serverTime":1,"rateLimits":['
    b'{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},'
    b'{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},'
    b'{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":200000},'
    b'{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}],'
    b'"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":['
    b'{"filterType":"PRICE_FILTER","minPrice":"0.01","maxPrice":"1000000.0","tickSize":"0.01000000"},'
    b'{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000","stepSize":"0.00001000"},'
    b'{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.0"}]}]}'
)


def test_exchange_info_becomes_rules_and_limits() -> None:
    """Tick, lot and minimums, and the budget that the venue publishes."""
    assert codec.instruments(INFO, ("BTCUSDT",)) == (
        Instrument(
            symbol="BTCUSDT",
            base="BTC",
            quote="USDT",
            tick=parse("0.01"),
            lot=parse("0.00001"),
            quantity_min=parse("0.00001"),
            quantity_max=parse("9000"),
            notional_min=parse("5"),
            notional_max=parse("9000000"),
            price_min=parse("0.01"),
            price_max=parse("1000000"),
            iceberg_parts=1,
        ),
    )
    assert codec.rate_limits(INFO) == (Limit("1M", 6000), (Limit("10S", 100), Limit("1D", 200_000)))


def test_order_limits_of_the_account_are_read() -> None:
    """The account's own limits, as the venue tells them beside its counts."""
    body = b'[{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":1}]'
    assert codec.order_limits(body) == (Limit("10S", 50),)


def test_symbol_that_is_not_listed_is_an_error() -> None:
    """Absence is not success."""
    with pytest.raises(codec.ProtocolError, match="not listed: DOGEUSDT"):
        codec.instruments(INFO, ("BTCUSDT", "DOGEUSDT"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff\xfe", b'{"orderId":"x"}'])
def test_unreadable_answer_says_so(body: bytes) -> None:
    """An answer of another shape is no answer."""
    with pytest.raises(codec.ProtocolError):
        codec.acknowledged(body)


@pytest.mark.parametrize("value", ["61837.63000000", "0.00000001", "-1.5", "12", "1.000000000", "46116860414.00000000"])
def test_fast_numbers_are_exact(value: str) -> None:
    """The fast path gives what the exact parser gives."""
    assert codec.scaled(value) == parse(value)


@pytest.mark.parametrize("value", ["", "1e5", "NaN", ".12345678", "1_0.00000000", "١.00000000", "1.000000001"])
def test_numbers_that_are_not_plain_decimals_are_refused(value: str) -> None:
    """No exponent, no underscore, no digits of other scripts, no ninth decimal."""
    with pytest.raises(ValueError, match="decimal"):
        codec.scaled(value)


# --- market streams

DIFF = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":157,"u":160,'
    b'"b":[["61837.63000000","3.78826000"]],"a":[["61837.64000000","0.00000000"]]}}'
)
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
TICKER = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":160,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.65000000","A":"1.54698000"}}'
)
EVENTS = [
    (
        DIFF,
        BookDiff(
            "BTCUSDT",
            157,
            160,
            1_723_161_255_308_000_000,
            NOW,
            ((parse("61837.63"), parse("3.78826")),),
            ((parse("61837.64"), 0),),
        ),
    ),
    (
        TRADE,
        Trade("BTCUSDT", 3_735_683_259, 1_723_161_255_342_000_000, NOW, parse("61837.63"), parse("0.02"), Side.SELL),
    ),
    (
        TICKER,
        Quote("BTCUSDT", 160, NOW, parse("61837.63"), parse("3.78826"), parse("61837.65"), parse("1.54698")),
    ),
]


@pytest.mark.parametrize(("body", "event"), EVENTS)
def test_market_messages_become_events(body: bytes, event: object) -> None:
    """Depth, trades and best quotes, also with the spaces that another JSON writer leaves."""
    decoder = stream.MarketDecoder(("BTCUSDT",))
    assert decoder.decode(body, NOW) == event
    assert decoder.decode(body.replace(b'":', b'": '), NOW) == event


def test_aggressor_is_the_side_that_did_not_rest() -> None:
    """When the buyer is not the maker, the buyer came to trade."""
    found = stream.MarketDecoder(("BTCUSDT",)).decode(TRADE.replace(b'"m":true', b'"m":false'), NOW)
    assert isinstance(found, Trade)
    assert found.aggressor is Side.BUY


def test_other_messages_are_told_apart() -> None:
    """Foreign streams and answers are nothing, a shutdown is told, rubbish is an error."""
    decoder = stream.MarketDecoder(("BTCUSDT",))
    assert decoder.decode(DIFF.replace(b"btcusdt@", b"ethusdt@"), NOW) is None
    assert decoder.decode(b'{"result":null,"id":1}', NOW) is None
    assert decoder.decode(b'{"e":"serverShutdown","E":1770123456789}', NOW) == stream.Shutdown()
    for body in (
        b"",
        b"[]",
        DIFF[:-1],
        DIFF.replace(b"61837.63000000", b"6.1e4"),
        TICKER.replace(b'"61837.65000000"', b"1"),
    ):
        with pytest.raises(codec.ProtocolError):
            decoder.decode(body, NOW)


def test_snapshot_is_read() -> None:
    """A REST depth answer."""
    body = b'{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}'
    assert codec.book_snapshot(body) == BookSnapshot(
        160, ((parse("0.0024"), parse("10")),), ((parse("0.0026"), parse("100")),)
    )


# --- private stream

REPORT = (
    '{"subscriptionId":0,"event":{"e":"executionReport","E":1499405658658,"s":"ETHBTC","c":"%s","S":"BUY","o":"LIMIT",'
    '"f":"GTC","q":"1.00000000","p":"0.10264410","P":"0.00000000","F":"0.00000000","g":-1,"C":"%s","x":"%s","X":"%s",'
    '"r":"%s","i":4293153,"l":"%s","z":"0.0","L":"%s","n":"%s","N":%s,"T":1499405658657,"t":%d,"I":8641984,"w":true,'
    '"m":%s,"M":false,"O":1499405658657,"Z":"0.0","Y":"0.0","Q":"0.0","W":1499405658657,"V":"NONE"}}'
)
VENUE_NS = 1_499_405_658_657_000_000


def report(execution: str, status: str, own: str = "ours", original: str = "", reason: str = "NONE") -> bytes:
    fields = (own, original, execution, status, reason, "0.0", "0.0", "0", "null", -1, "false")
    return (REPORT % fields).encode()


def told(body: bytes) -> orders.OrderEvent:
    message = stream.private_message(body, NOW)
    assert isinstance(message, stream.OrderMessage)
    assert message.symbol == "ETHBTC"
    return message.event


def test_order_events_follow_execution_types() -> None:
    """New, expired, rejected and prevented orders, each with the venue's time and reason."""
    assert told(report("NEW", "NEW")) == orders.Accepted(
        client_order_id="ours", ts=NOW, venue_order_id="4293153", ts_venue=VENUE_NS
    )
    assert told(report("EXPIRED", "EXPIRED")) == orders.Expired(
        client_order_id="ours", ts=NOW, reason="EXPIRED", ts_venue=VENUE_NS
    )
    assert told(report("REJECTED", "REJECTED", reason="INSUFFICIENT_BALANCES")) == orders.Rejected(
        client_order_id="ours", ts=NOW, reason="INSUFFICIENT_BALANCES"
    )
    assert told(report("TRADE_PREVENTION", "EXPIRED_IN_MATCH")) == orders.Expired(
        client_order_id="ours", ts=NOW, reason="self-trade prevention", ts_venue=VENUE_NS
    )


def test_cancel_speaks_of_the_order_by_its_original_id() -> None:
    """On a cancel "c" names the cancel request, and "C" the order."""
    assert told(report("CANCELED", "CANCELED", own="cancel-1", original="ours")) == orders.Canceled(
        client_order_id="ours", ts=NOW, ts_venue=VENUE_NS
    )


def test_fill_carries_commission_and_trade_id() -> None:
    """One execution, exactly; a commission of none has no asset."""
    body = (
        REPORT % ("ours", "", "TRADE", "FILLED", "NONE", "0.50000000", "0.10264400", "0.00050000", '"BNB"', 77, "true")
    ).encode()
    assert told(body) == orders.Filled(
        client_order_id="ours",
        ts=NOW,
        trade_id="77",
        price=parse("0.102644"),
        quantity=parse("0.5"),
        commission=parse("0.0005"),
        commission_asset="BNB",
        maker=True,
        ts_venue=VENUE_NS,
    )
    free = told(body.replace(b'"BNB"', b"null"))
    assert isinstance(free, orders.Filled)
    assert free.commission_asset == ""


def test_execution_without_a_trade_id_is_unreadable() -> None:
    """Without its id a fill could be counted twice: better to reconcile."""
    with pytest.raises(codec.ProtocolError, match="trade id"):
        stream.private_message(report("TRADE", "FILLED"), NOW)


def test_balances_answers_and_endings_are_told_apart() -> None:
    """Everything else that a private stream says."""
    position = (
        b'{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":1,'
        b'"B":[{"a":"ETH","f":"10000.000000","l":"0.000000"}]}}'
    )
    assert stream.private_message(position, NOW) == stream.BalancesMessage({"ETH": VenueBalance(parse("10000"), 0)})
    granted = stream.Reply("1", 200, b'{"subscriptionId":0}', NO_COUNTS)
    assert stream.private_message(b'{"id":"1","status":200,"result":{"subscriptionId":0}}', NOW) == granted
    assert stream.private_message(
        b'{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}', NOW
    ) == stream.Ended("eventStreamTerminated")
    assert stream.private_message(b'{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1}}', NOW) == stream.Other(
        "balanceUpdate"
    )
    assert stream.private_message(b'{"event":{"e":"serverShutdown","E":1}}', NOW) == stream.Ended("serverShutdown")
    for body in (b"", b"{}", b'{"event":{}}', b'{"subscriptionId":0,"event":{"e":"executionReport"}}'):
        with pytest.raises(codec.ProtocolError):
            stream.private_message(body, NOW)


def test_an_answer_brings_its_body_and_the_counts_of_the_venue() -> None:
    """As REST's body and headers do; when to come back is told as a moment, and kept as a duration, rounded up."""
    error = b'{"code":-1003,"msg":"Too much","data":{"serverTime":1000,"retryAfter":3001}}'
    limits = (
        b'[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000,"count":70},'
        b'{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":50,"count":12},'
        b'{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":160000,"count":4043},'
        b'{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":300000,"count":9}]'
    )
    body = b'{"id":"7","status":429,"error":' + error + b',"rateLimits":' + limits + b"}"
    counts = Counts({"1M": 70}, {"10S": 12, "1D": 4043})
    assert stream.private_message(body, NOW) == stream.Reply("7", 429, error, counts, 3)
    assert codec.failure(429, error) == codec.Failure(429, -1003, "Too much")


def test_an_order_of_the_websocket_api_is_signed_in_alphabetical_order_and_as_it_is() -> None:
    """Integers are integers, decimal numbers are text, and nothing is percent-encoded, non-ASCII neither."""
    order = msgspec.structs.replace(approved(OrderType.STOP_LOSS, "0"), symbol="测试币USDT", trailing_bps=100)
    request = calls.new_order(order)
    assert request.ws_method == "order.place"
    told = msgspec.json.decode(signed_message("7", request.ws_method, request.parameters, "KEY", sign, 9, 5000))
    signed = (
        "apiKey=KEY&newClientOrderId=rf-1-a&newOrderRespType=ACK&quantity=1&recvWindow=5000"
        "&selfTradePreventionMode=EXPIRE_TAKER&side=BUY&symbol=测试币USDT&timestamp=9&trailingDelta=100&type=STOP_LOSS"
    )
    assert (told["id"], told["method"], told["params"]["signature"]) == ("7", "order.place", sign(signed))
    assert (told["params"]["trailingDelta"], told["params"]["quantity"]) == (100, "1")


def test_subscription_is_signed_over_sorted_parameters() -> None:
    """The WebSocket API signs its parameters in alphabetical order."""
    text = signed_message("7", "userDataStream.subscribe.signature", [], "KEY", sign, 1_499_827_319_559, 5000)
    expected = sign("apiKey=KEY&recvWindow=5000&timestamp=1499827319559")
    assert '"method":"userDataStream.subscribe.signature"' in text
    assert f'"signature":"{expected}"' in text

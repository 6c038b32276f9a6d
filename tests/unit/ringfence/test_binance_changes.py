"""Conditional orders, pairs, replacements and reductions in the words of the venue's documentation."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from ringfence.model.approved import Approved
from ringfence.model.money import parse
from ringfence.model.orders import OrderType, Side, TimeInForce, Triggered, Updated
from ringfence.venues.api import Accepted, NotSent, Refused, Unknown
from ringfence.venues.binance import calls, codec, stream
from ringfence.venues.binance.request import Request

NOW = 1_700_000_000_000_000_000


def approved(name: str, kind: OrderType, side: Side = Side.SELL, **more: Any) -> Approved:
    fields: dict[str, Any] = {
        "symbol": "LTCBTC",
        "time_in_force": TimeInForce.GTC,
        "quantity": parse("1"),
        "price": 0,
        "epoch": 1,
        "deadline_ns": 0,
    } | more
    return Approved(client_order_id=name, side=side, type=kind, **fields)


def parameters(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.query))


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        (OrderType.STOP_LOSS, {"stop_price": parse("0.1")}, {"stopPrice": "0.1"}),
        (OrderType.STOP_LOSS, {"trailing_bps": 150}, {"trailingDelta": "150"}),
        (
            OrderType.STOP_LOSS_LIMIT,
            {"stop_price": parse("0.1"), "price": parse("0.09")},
            {"stopPrice": "0.1", "price": "0.09", "timeInForce": "GTC"},
        ),
        (OrderType.TAKE_PROFIT, {"stop_price": parse("0.2")}, {"stopPrice": "0.2"}),
        (
            OrderType.TAKE_PROFIT_LIMIT,
            {"stop_price": parse("0.2"), "price": parse("0.2")},
            {"stopPrice": "0.2", "price": "0.2", "timeInForce": "GTC"},
        ),
        (
            OrderType.LIMIT,
            {"price": parse("0.2"), "display": parse("0.25")},
            {"price": "0.2", "icebergQty": "0.25", "timeInForce": "GTC"},
        ),
    ],
)
def test_every_type_is_sent_with_its_own_parameters_and_no_others(
    kind: OrderType, more: dict[str, Any], told: dict[str, str]
) -> None:
    found = parameters(calls.new_order(approved("a", kind, **more)))
    constant = {"symbol", "side", "type", "quantity", "newClientOrderId", "newOrderRespType", "selfTradePreventionMode"}
    assert {name: value for name, value in found.items() if name not in constant} == told
    assert found["type"] == kind.value


def test_an_order_that_protects_does_not_give_way_to_our_own() -> None:
    """The taker's mode decides. Elsewhere the newcomer expires; a stop must not, because of an order that rests."""
    found = [parameters(calls.new_order(approved("a", OrderType.MARKET, reduce_only=r))) for r in (False, True)]
    assert [one["selfTradePreventionMode"] for one in found] == ["EXPIRE_TAKER", "EXPIRE_MAKER"]


@pytest.mark.parametrize(("side", "stop_place"), [(Side.SELL, "below"), (Side.BUY, "above")])
def test_a_pair_has_its_stop_on_the_losing_side(side: Side, stop_place: str) -> None:
    """Below the market for who sells what they hold, above it for who buys back."""
    first = approved("a", OrderType.LIMIT_MAKER, side, price=parse("0.2"))
    second = approved("b", OrderType.STOP_LOSS, side, stop_price=parse("0.1"))
    request = calls.new_pair(first, second)
    found = parameters(request)
    other = {"below": "above", "above": "below"}[stop_place]
    assert (request.method, request.path) == ("POST", "/api/v3/orderList/oco")
    assert (found[f"{stop_place}Type"], found[f"{stop_place}StopPrice"]) == ("STOP_LOSS", "0.1")
    assert (found[f"{other}Type"], found[f"{other}Price"]) == ("LIMIT_MAKER", "0.2")
    assert (found[f"{stop_place}ClientOrderId"], found[f"{other}ClientOrderId"]) == ("b", "a")


def test_a_replacement_stops_where_its_cancel_fails() -> None:
    """And, asked for so, also where anything of the old one has filled."""
    order = approved("new", OrderType.LIMIT, price=parse("0.2"))
    request = calls.replace_order("old", order, untouched=True)
    found = parameters(request)
    assert (request.method, request.path) == ("POST", "/api/v3/order/cancelReplace")
    assert found["cancelReplaceMode"] == "STOP_ON_FAILURE"
    assert found["cancelRestrictions"] == "ONLY_NEW"
    assert (found["cancelOrigClientOrderId"], found["newClientOrderId"]) == ("old", "new")
    assert "cancelRestrictions" not in parameters(calls.replace_order("old", order, untouched=False))


def test_a_reduction_keeps_the_orders_own_name() -> None:
    request = calls.amend_order("LTCBTC", "a", parse("0.5"))
    assert (request.method, request.path) == ("PUT", "/api/v3/order/amend/keepPriority")
    assert parameters(request) == {
        "symbol": "LTCBTC",
        "origClientOrderId": "a",
        "newClientOrderId": "a",
        "newQty": "0.5",
    }


FAILED: dict[str, Any] = {"code": -2022, "msg": "Order cancel-replace failed."}
PARTLY: dict[str, Any] = {"code": -2021, "msg": "Order cancel-replace partially failed."}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            200,
            {
                "cancelResult": "SUCCESS",
                "newOrderResult": "SUCCESS",
                "cancelResponse": {"orderId": 9},
                "newOrderResponse": {"orderId": 10},
            },
            (Accepted("9"), Accepted("10")),
        ),
        (
            400,
            FAILED
            | {
                "data": {
                    "cancelResult": "FAILURE",
                    "newOrderResult": "NOT_ATTEMPTED",
                    "cancelResponse": {"code": -2011, "msg": "Unknown order sent."},
                    "newOrderResponse": None,
                }
            },
            (Refused(-2011, "Unknown order sent."), NotSent("not attempted: the cancel had failed")),
        ),
        (
            409,
            PARTLY
            | {
                "data": {
                    "cancelResult": "SUCCESS",
                    "newOrderResult": "FAILURE",
                    "cancelResponse": {"orderId": 9},
                    "newOrderResponse": {"code": -2010, "msg": "Order would immediately match and take."},
                }
            },
            (Accepted("9"), Refused(-2010, "Order would immediately match and take.")),
        ),
    ],
)
def test_each_half_of_a_replacement_says_what_became_of_it(
    status: int, body: dict[str, Any], expected: tuple[object, object]
) -> None:
    """As documented for success, failure and partial failure."""
    raw = msgspec.json.encode(body)
    failed = None if status == 200 else codec.failure(status, raw)
    assert codec.replaced(status == 200, raw, failed) == expected


@pytest.mark.parametrize(("status", "code"), [(503, -1007), (500, 0), (418, -1003)])
def test_a_replacement_without_halves_is_as_known_as_any_request(status: int, code: int) -> None:
    raw = msgspec.json.encode({"code": code, "msg": "?"})
    halves = codec.replaced(False, raw, codec.failure(status, raw))
    assert {type(half) for half in halves} == {Refused if status == 418 else Unknown}


def report(**more: Any) -> stream.PrivateMessage:
    fields = {"e": "executionReport", "s": "LTCBTC", "c": "a", "x": "NEW", "X": "NEW", "i": 1, "T": 5} | more
    return stream.private_message(msgspec.json.encode({"subscriptionId": 0, "event": fields}), NOW)


def test_a_stop_is_new_twice_and_the_second_time_it_is_triggered() -> None:
    """At first it waits off the book; an order of another type is on the book from the start."""
    waiting = report(o="STOP_LOSS_LIMIT", w=False)
    working = report(o="STOP_LOSS_LIMIT", w=True)
    plain = report(o="LIMIT", w=True)
    found = [one.event for one in (waiting, working, plain) if isinstance(one, stream.OrderMessage)]
    assert [type(event).__name__ for event in found] == ["Accepted", "Triggered", "Accepted"]
    assert isinstance(found[1], Triggered)


def test_an_amended_order_says_what_it_is_now() -> None:
    message = report(x="REPLACED", q="0.50000000", p="0.20000000", C="")
    assert isinstance(message, stream.OrderMessage)
    assert message.event == Updated(
        client_order_id="a", ts=NOW, quantity=parse("0.5"), price=parse("0.2"), ts_venue=5_000_000
    )


def test_an_order_of_which_self_trade_prevention_takes_a_part_says_what_is_left() -> None:
    """From now on: a later change tells the venue's own total, which still has that part in it."""
    told = {"X": "PARTIALLY_FILLED", "q": "0.50000000", "p": "0.20000000", "A": "0.30000000", "B": "0.10000000"}
    left = Updated(
        client_order_id="a",
        ts=NOW,
        quantity=parse("0.2"),
        price=parse("0.2"),
        ts_venue=5_000_000,
        prevented=parse("0.3"),
    )
    assert report(x="TRADE_PREVENTION", **told) == stream.OrderMessage("LTCBTC", left)
    assert report(x="REPLACED", **told) == stream.OrderMessage("LTCBTC", left)
    del told["A"]
    with pytest.raises(codec.ProtocolError, match="not how much"):
        report(x="TRADE_PREVENTION", **told)


@pytest.mark.parametrize("kind", ["EXPIRED", "TRADE_PREVENTION"])
def test_what_self_trade_prevention_ends_has_expired(kind: str) -> None:
    """By either of the two names that the venue has for it."""
    message = report(x=kind, X="EXPIRED_IN_MATCH")
    assert isinstance(message, stream.OrderMessage)
    assert type(message.event).__name__ == "Expired"


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        ('["EXPIRE_TAKER","EXPIRE_MAKER","DECREMENT"]', ["EXPIRE_TAKER", "EXPIRE_MAKER"]),
        ('["EXPIRE_MAKER"]', [None, "EXPIRE_MAKER"]),
        ('["NONE"]', [None, None]),
        ("[]", [None, None]),
    ],
)
def test_only_a_mode_of_self_trade_prevention_that_the_venue_allows_is_sent(
    listed: str, sent: list[str | None]
) -> None:
    """Without one, the gate's own check for a self-match is all that is left."""
    body = (
        '{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[],'
        f'"allowedSelfTradePreventionModes":{listed}}}]}}'
    )
    allowed = codec.preventions(body.encode())["BTCUSDT"]
    orders = [approved("a", OrderType.MARKET, reduce_only=reducing) for reducing in (False, True)]
    for made in (
        [calls.new_order(order, allowed) for order in orders],
        [calls.new_pair(order, order, allowed) for order in orders],
        [calls.replace_order("old", order, untouched=True, allowed=allowed) for order in orders],
    ):
        assert [parameters(request).get("selfTradePreventionMode") for request in made] == sent


def test_rules_that_name_no_modes_say_nothing_of_them() -> None:
    body = b'{"symbols":[{"symbol":"BTCUSDT","baseAsset":"BTC","quoteAsset":"USDT","filters":[]}]}'
    assert codec.preventions(body) == {}

"""What is asked of the venue, each as a `Request` with its kind and weight. Pure."""

from typing import Final

import msgspec

from ringfence.model.approved import Approved
from ringfence.model.money import text
from ringfence.model.orders import UNPRICED, OrderType, Side
from ringfence.venues.binance.limits import Kind
from ringfence.venues.binance.request import Parameter, Request

PAGE: Final = 1000
"""Trades in one page of the history: the most that the venue gives."""
DEPTH: Final = 5000
"""Levels of a snapshot. A shallower one leaves holes once the price has walked past what it showed."""

EXPIRE_MAKER: Final = "EXPIRE_MAKER"
EXPIRE_TAKER: Final = "EXPIRE_TAKER"
PREVENTIONS: Final = frozenset({EXPIRE_MAKER, EXPIRE_TAKER})
"""The modes of self-trade prevention that we use. ``allowed`` is what the venue's rules list of an instrument."""


def new_order(order: Approved, allowed: frozenset[str] = PREVENTIONS) -> Request:
    """An order, acknowledged only: its fills come by the private stream, and a short answer comes sooner."""
    parameters: list[Parameter] = [
        *_wanted(order, allowed),
        ("newClientOrderId", order.client_order_id),
        ("newOrderRespType", "ACK"),
    ]
    return Request("POST", "/api/v3/order", parameters, Kind.ORDER, 1, ws_method="order.place")


def replace_order(replaced: str, order: Approved, *, untouched: bool, allowed: frozenset[str] = PREVENTIONS) -> Request:
    """Cancel one and place another: nothing is placed where the cancel fails."""
    parameters: list[Parameter] = [
        *_wanted(order, allowed),
        ("cancelReplaceMode", "STOP_ON_FAILURE"),
        ("cancelOrigClientOrderId", replaced),
        ("newClientOrderId", order.client_order_id),
        ("newOrderRespType", "ACK"),
    ]
    if untouched:
        parameters.append(("cancelRestrictions", "ONLY_NEW"))
    return Request("POST", "/api/v3/order/cancelReplace", parameters, Kind.ORDER, 1)


def amend_order(symbol: str, client_order_id: str, quantity: int) -> Request:
    """Lower an order's quantity; sent again as its own name, so that it keeps it."""
    parameters: list[Parameter] = [
        ("symbol", symbol),
        ("origClientOrderId", client_order_id),
        ("newClientOrderId", client_order_id),
        ("newQty", text(quantity)),
    ]
    return Request("PUT", "/api/v3/order/amend/keepPriority", parameters, Kind.CANCEL, 4)


def new_pair(first: Approved, second: Approved, allowed: frozenset[str] = PREVENTIONS) -> Request:
    """Two orders of which one at most executes (OCO): the one at the better price above or below, the stop beyond."""
    selling = first.side is Side.SELL
    above, below = (first, second) if selling else (second, first)
    parameters: list[Parameter] = [
        ("symbol", first.symbol),
        ("listClientOrderId", f"{first.client_order_id}-p"),
        ("side", first.side.value),
        ("quantity", text(first.quantity)),
        *_leg("above", above),
        *_leg("below", below),
        *_prevention(first, allowed),
        ("newOrderRespType", "ACK"),
    ]
    return Request("POST", "/api/v3/orderList/oco", parameters, Kind.ORDER, 1, orders=2)


def _wanted(order: Approved, allowed: frozenset[str]) -> list[Parameter]:
    """What kind of order it is, without any id."""
    parameters: list[Parameter] = [("symbol", order.symbol), ("side", order.side.value), ("type", order.type.value)]
    if order.type not in UNPRICED and order.type is not OrderType.LIMIT_MAKER:
        parameters.append(("timeInForce", order.time_in_force.value))
    parameters.append(("quantity", text(order.quantity)))
    if order.price:
        parameters.append(("price", text(order.price)))
    if order.stop_price:
        parameters.append(("stopPrice", text(order.stop_price)))
    if order.trailing_bps:
        parameters.append(("trailingDelta", order.trailing_bps))
    if order.display:
        parameters.append(("icebergQty", text(order.display)))
    return [*parameters, *_prevention(order, allowed)]


def _prevention(order: Approved, allowed: frozenset[str]) -> list[Parameter]:
    """Whose order goes where two of ours would meet: an order that protects a position does not give way.

    A mode that the venue does not allow is left out. Then only the gate's own check (SELF_MATCH) stands between two
    orders of ours, and what it cannot see: orders that the venue has triggered or accepted in the last milliseconds.
    """
    mode = EXPIRE_MAKER if order.reduce_only else EXPIRE_TAKER
    return [("selfTradePreventionMode", mode)] if mode in allowed else []


def _leg(place: str, order: Approved) -> list[Parameter]:
    parameters: list[Parameter] = [(f"{place}Type", order.type.value), (f"{place}ClientOrderId", order.client_order_id)]
    if order.price:
        parameters.append((f"{place}Price", text(order.price)))
    if order.stop_price:
        parameters.append((f"{place}StopPrice", text(order.stop_price)))
    if order.trailing_bps:
        parameters.append((f"{place}TrailingDelta", order.trailing_bps))
    if order.display:
        parameters.append((f"{place}IcebergQty", text(order.display)))
    if order.type in {OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT}:
        parameters.append((f"{place}TimeInForce", order.time_in_force.value))
    return parameters


def cancel_order(symbol: str, client_order_id: str) -> Request:
    named: list[Parameter] = [("symbol", symbol), ("origClientOrderId", client_order_id)]
    return Request("DELETE", "/api/v3/order", named, Kind.CANCEL, 1, ws_method="order.cancel")


def query_order(symbol: str, client_order_id: str) -> Request:
    named: list[Parameter] = [("symbol", symbol), ("origClientOrderId", client_order_id)]
    return Request("GET", "/api/v3/order", named, Kind.QUERY, 4)


def query_open_orders(symbol: str = "") -> Request:
    """Of one instrument, or of the whole account."""
    if not symbol:
        return Request("GET", "/api/v3/openOrders", [], Kind.QUERY, 80)
    return Request("GET", "/api/v3/openOrders", [("symbol", symbol)], Kind.QUERY, 6)


def query_trades(symbol: str, from_id: int) -> Request:
    page: list[Parameter] = [("symbol", symbol), ("fromId", from_id), ("limit", PAGE)]
    return Request("GET", "/api/v3/myTrades", page, Kind.QUERY, 20)


def query_account() -> Request:
    return Request("GET", "/api/v3/account", [], Kind.QUERY, 20)


def query_order_limits() -> Request:
    return Request("GET", "/api/v3/rateLimit/order", [], Kind.QUERY, 40)


def query_time() -> Request:
    return Request("GET", "/api/v3/time", [], Kind.QUERY, 1, signed=False)


def query_instruments(symbols: tuple[str, ...]) -> Request:
    names = msgspec.json.encode(symbols).decode()
    return Request("GET", "/api/v3/exchangeInfo", [("symbols", names)], Kind.QUERY, 20, signed=False)


def query_depth(symbol: str) -> Request:
    return Request("GET", "/api/v3/depth", [("symbol", symbol), ("limit", DEPTH)], Kind.QUERY, 250, signed=False)

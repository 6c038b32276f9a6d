"""What the venue answers, to our values, and what a failure proves. Pure: no socket, no clock, no credentials kept."""

import re
from typing import Final, TypeVar

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import parse
from ringfence.model.orders import OrderState, OrderType, Side, TimeInForce
from ringfence.venues.api import (
    Accepted,
    BookSnapshot,
    NotSent,
    OrderReport,
    Refused,
    TradeReport,
    Unknown,
    VenueBalance,
)
from ringfence.venues.binance.limits import Limit
from ringfence.venues.binance.rules import Symbol, instrument

MS_NS: Final = 1_000_000
_fixed: Final = re.compile(r"[0-9]{1,15}\.[0-9]{8}").fullmatch


class ProtocolError(ValueError):
    """Bytes that are not what the venue documents. What they meant is unknown."""


def scaled(value: str) -> int:
    """`money.parse`, twice as fast for the eight decimals that the venue always writes."""
    if _fixed(value):
        return int(value[:-9] + value[-8:])
    return parse(value)


# --- failures


class Failure(msgspec.Struct, frozen=True):
    """An answer that is not 2xx."""

    status: int
    code: int
    """The venue's own code, negative; 0 where the body was no error of the venue's."""
    message: str

    def __str__(self) -> str:
        return f"HTTP {self.status}, code {self.code}: {self.message}" if self.code else f"HTTP {self.status}"


class _Error(msgspec.Struct):
    code: int
    msg: str


_BANNED_UNTIL: Final = re.compile(r"banned until ([0-9]{13})")
# Codes that the venue gives before an order reaches its matching, or as matching's own refusal. What is not
# listed is not proven: -1000, -1001, -1006, -1007, -1008 and -1016 speak of the venue's own trouble.
_PROVEN: Final = frozenset(
    {-1002, -1003, -1013, -1014, -1015, -1020, -1021, -1022, -2010, -2011, -2013, -2014, -2015, -2038}
)
NO_SUCH_ORDER: Final = -2013
_NOT_REPLACED: Final = frozenset({-2021, -2022})
"""A replacement failed in part, or altogether: each half says what became of it."""
BAD_TIME: Final = -1021
BAD_CREDENTIALS: Final = frozenset({-1022, -2008, -2014, -2015})
_TOO_MUCH: Final = -1003


def failure(status: int, body: bytes) -> Failure:
    """What an answer that is not 2xx says. An unreadable body is a failure without a code."""
    try:
        error = _ERROR.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Failure(status, 0, "")
    return Failure(status, error.code, error.msg[:200])


def banned_until_ms(failed: Failure) -> int | None:
    """The end of a ban, where the venue's sentence names it."""
    found = _BANNED_UNTIL.search(failed.message)
    return int(found.group(1)) if found else None


def outcome(failed: Failure, retry_after_s: int | None = None) -> Refused | Unknown:
    """What a failed order or cancel proves.

    429, 418 and -1015 are Refused, not NotSent: the request did reach the wire, and the limiter stands before the
    matching, so nothing was done; until the wait is over the budget answers NotSent by itself, with nothing sent.
    Any 5xx is Unknown whatever its body says. So is "Duplicate order sent.": it refuses this request because an
    order of this id is there, from an attempt that we believed lost or that something on the way has repeated.
    """
    if failed.status in {418, 429}:
        after = "" if retry_after_s is None else f"; retry after {retry_after_s} s"
        return Refused(failed.code or _TOO_MUCH, f"{failed}{after}")
    if not 400 <= failed.status < 500:
        return Unknown(str(failed))
    if failed.code == -2010 and "duplicate" in failed.message.lower():
        return Unknown(f"{failed} (an order of this id exists)")
    if failed.code in _PROVEN or -1200 < failed.code <= -1100:
        return Refused(failed.code, failed.message)
    return Unknown(str(failed))


# --- answers


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


class _Acknowledged(msgspec.Struct, rename="camel"):
    order_id: int


class _Order(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str
    price: str
    orig_qty: str
    executed_qty: str
    status: str
    time_in_force: str
    type: str
    side: Side
    update_time: int = 0
    time: int = 0
    stop_price: str = "0"
    trailing_delta: int = 0
    iceberg_qty: str = "0"
    order_list_id: int = -1
    prevented_quantity: str = "0"
    """What self-trade prevention has taken off."""


class _ListedOrder(msgspec.Struct, rename="camel"):
    order_id: int
    client_order_id: str


class _OrderList(msgspec.Struct, rename="camel"):
    orders: list[_ListedOrder]


class _Part(msgspec.Struct, rename="camel"):
    """One half of a replacement's answer: an acknowledgement or an error."""

    order_id: int = 0
    code: int = 0
    msg: str = ""


class _Replaced(msgspec.Struct, rename="camel"):
    cancel_result: str
    new_order_result: str
    cancel_response: _Part | None = None
    new_order_response: _Part | None = None


class _NotReplaced(msgspec.Struct):
    data: _Replaced


class _Trade(msgspec.Struct, rename="camel"):
    symbol: str
    id: int
    order_id: int
    price: str
    qty: str
    commission: str
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


class _Balance(msgspec.Struct):
    asset: str
    free: str
    locked: str


class _Account(msgspec.Struct):
    balances: list[_Balance]


class _RateLimit(msgspec.Struct, rename="camel"):
    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class _ExchangeInfo(msgspec.Struct, rename="camel"):
    symbols: list[Symbol]
    rate_limits: list[_RateLimit] = []


class _Depth(msgspec.Struct, rename="camel"):
    last_update_id: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


_ERROR: Final = msgspec.json.Decoder(_Error)
_TIME: Final = msgspec.json.Decoder(_Time)
_ACKNOWLEDGED: Final = msgspec.json.Decoder(_Acknowledged)
_ORDER_LIST: Final = msgspec.json.Decoder(_OrderList)
_REPLACED: Final = msgspec.json.Decoder(_Replaced)
_NOT_REPLACED_BODY: Final = msgspec.json.Decoder(_NotReplaced)
_ORDER: Final = msgspec.json.Decoder(_Order)
_ORDERS: Final = msgspec.json.Decoder(list[_Order])
_TRADES: Final = msgspec.json.Decoder(list[_Trade])
_ACCOUNT: Final = msgspec.json.Decoder(_Account)
_EXCHANGE_INFO: Final = msgspec.json.Decoder(_ExchangeInfo)
_DEPTH: Final = msgspec.json.Decoder(_Depth)
_RATE_LIMITS: Final = msgspec.json.Decoder(list[_RateLimit])

_STATES: Final = {
    "PENDING_NEW": OrderState.SUBMITTED,
    "NEW": OrderState.ACCEPTED,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "PENDING_CANCEL": OrderState.PENDING_CANCEL,
    "FILLED": OrderState.FILLED,
    "CANCELED": OrderState.CANCELED,
    "REJECTED": OrderState.REJECTED,
    "EXPIRED": OrderState.EXPIRED,
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
}

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes | str) -> T:
    """Raises ProtocolError, with the place but without the content."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"unreadable answer: {error}") from None


def server_time_ms(body: bytes) -> int:
    return decoded(_TIME, body).server_time


def acknowledged(body: bytes) -> str:
    """The venue's order id, of an accepted order or cancel."""
    return str(decoded(_ACKNOWLEDGED, body).order_id)


def listed(body: bytes) -> dict[str, str]:
    """The venue's order ids of a pair, by client order id."""
    return {order.client_order_id: str(order.order_id) for order in decoded(_ORDER_LIST, body).orders}


Half = Accepted | Refused | Unknown | NotSent


def replaced(answer_ok: bool, body: bytes, failed: Failure | None) -> tuple[Half, Half]:
    """What became of the old order's cancel and of the new order."""
    if not answer_ok and failed is not None and (not 400 <= failed.status < 500 or failed.code not in _NOT_REPLACED):
        told = outcome(failed)
        return told, told
    found = decoded(_REPLACED, body) if answer_ok else decoded(_NOT_REPLACED_BODY, body).data
    return (
        _half(found.cancel_result, found.cancel_response, failed),
        _half(found.new_order_result, found.new_order_response, failed),
    )


def _half(result: str, part: _Part | None, failed: Failure | None) -> Half:
    match result:
        case "SUCCESS" if part is not None:
            return Accepted(str(part.order_id))
        case "NOT_ATTEMPTED":
            return NotSent("not attempted: the cancel had failed")
        case "FAILURE" if part is not None and part.code:
            return outcome(Failure(400, part.code, part.msg[:200]))
        case _:
            return Unknown(f"half of a replacement ended {result[:40]!r}")


def order_report(body: bytes) -> OrderReport:
    return _report(decoded(_ORDER, body))


def order_reports(body: bytes) -> tuple[OrderReport, ...]:
    return tuple(_report(order) for order in decoded(_ORDERS, body))


def trade_reports(body: bytes) -> tuple[TradeReport, ...]:
    """One page, oldest first."""
    page: list[_Trade] = decoded(_TRADES, body)
    return tuple(_execution(trade) for trade in sorted(page, key=lambda trade: trade.id))


def balances(body: bytes) -> dict[str, VenueBalance]:
    """Balances by asset; what is zero is left out (the venue lists every asset that it knows)."""
    found: dict[str, VenueBalance] = {}
    for line in decoded(_ACCOUNT, body).balances:
        free, locked = _money(line.free), _money(line.locked)
        if free or locked:
            found[line.asset] = VenueBalance(free, locked)
    return found


def instruments(body: bytes, symbols: tuple[str, ...]) -> tuple[Instrument, ...]:
    """The rules of these symbols, in this order. Raises ProtocolError also for a symbol that is not listed."""
    listed = {symbol.symbol: symbol for symbol in decoded(_EXCHANGE_INFO, body).symbols}
    missing = [symbol for symbol in symbols if symbol not in listed]
    if missing:
        raise ProtocolError(f"not listed: {', '.join(missing)}")
    return tuple(_instrument(listed[symbol]) for symbol in symbols)


def preventions(body: bytes) -> dict[str, frozenset[str]]:
    """By symbol: the modes of self-trade prevention that may be sent; left out where the venue lists none."""
    found = decoded(_EXCHANGE_INFO, body).symbols
    modes = {symbol.symbol: symbol.allowed_self_trade_prevention_modes for symbol in found}
    return {symbol: frozenset(named) for symbol, named in modes.items() if named is not None}


def rate_limits(body: bytes) -> tuple[Limit | None, tuple[Limit, ...]]:
    """The limits in the venue's rules: request weight, and order counts."""
    return _limits(decoded(_EXCHANGE_INFO, body).rate_limits)


def order_limits(body: bytes) -> tuple[Limit, ...]:
    """The order counts that this account is allowed."""
    found: list[_RateLimit] = decoded(_RATE_LIMITS, body)
    return _limits(found)[1]


def book_snapshot(body: bytes) -> BookSnapshot:
    depth = decoded(_DEPTH, body)
    return BookSnapshot(depth.last_update_id, levels(depth.bids), levels(depth.asks))


def levels(pairs: list[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    """Price and quantity texts to scaled integers."""
    try:
        return tuple([(scaled(price), scaled(quantity)) for price, quantity in pairs])
    except ValueError as error:
        raise ProtocolError(str(error)) from None


def _limits(lines: list[_RateLimit]) -> tuple[Limit | None, tuple[Limit, ...]]:
    weight: Limit | None = None
    orders: list[Limit] = []
    for line in lines:
        limit = Limit(f"{line.interval_num}{line.interval[:1]}", line.limit)
        if line.rate_limit_type == "REQUEST_WEIGHT":
            weight = limit
        elif line.rate_limit_type == "ORDERS":
            orders.append(limit)
    return weight, tuple(orders)


def _money(value: str) -> int:
    try:
        return scaled(value)
    except ValueError as error:
        raise ProtocolError(str(error)) from None


def _report(order: _Order) -> OrderReport:
    state = _STATES.get(order.status)
    kind = OrderType(order.type) if order.type in OrderType.__members__ else None
    if state is None or kind is None:
        raise ProtocolError(f"order {order.order_id}: status {order.status!r} or type {order.type!r} is not known")
    in_force, prevented = order.time_in_force, _money(order.prevented_quantity)
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=str(order.order_id),
        symbol=order.symbol,
        side=order.side,
        type=kind,
        time_in_force=TimeInForce(in_force) if in_force in TimeInForce.__members__ else TimeInForce.GTC,
        price=_money(order.price),
        quantity=_money(order.orig_qty) - prevented,
        filled=_money(order.executed_qty),
        state=state,
        ts_venue=(order.update_time or order.time) * MS_NS,
        stop_price=_money(order.stop_price),
        trailing_bps=order.trailing_delta,
        display=_money(order.iceberg_qty),
        group="" if order.order_list_id < 0 else str(order.order_list_id),
        prevented=prevented,
    )


def _execution(trade: _Trade) -> TradeReport:
    return TradeReport(
        trade_id=str(trade.id),
        venue_order_id=str(trade.order_id),
        symbol=trade.symbol,
        side=Side.BUY if trade.is_buyer else Side.SELL,
        price=_money(trade.price),
        quantity=_money(trade.qty),
        commission=_money(trade.commission),
        commission_asset=trade.commission_asset,
        maker=trade.is_maker,
        ts_venue=trade.time * MS_NS,
    )


def _instrument(symbol: Symbol) -> Instrument:
    try:
        return instrument(symbol)
    except ValueError as error:
        raise ProtocolError(f"rules of {symbol.symbol}: {error}") from None

"""Reading request parameters: texts to values, or the protocol's complaint. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from ringfence.model.money import MoneyError, parse
from ringfence.model.orders import CONDITIONAL, UNPRICED, OrderType, Side, TimeInForce
from ringfence.simulator.dialect import errors
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.orders import Prevention, Request

Params = Mapping[str, str]
EnumT = TypeVar("EnumT", bound=StrEnum)

_CLIENT_ID: Final = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_DECIMAL: Final = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_LEADING_ZEROS: Final = re.compile(r"^0+(?=[0-9])")
_INTEGER: Final = r"^[0-9]{1,20}$"


def required(params: Params, name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise errors.missing(name)
    return value


def integer(params: Params, name: str, default: int | None = None, maximum: int = 2**63) -> int:
    """Values above the maximum are lowered to it, as the venue does with limits."""
    if name not in params and default is not None:
        return default
    value = required(params, name)
    if re.fullmatch(_INTEGER, value) is None:
        raise errors.illegal(name, _INTEGER)
    return min(int(value), maximum)


def optional_integer(params: Params, name: str) -> int | None:
    return integer(params, name) if name in params else None


def money(params: Params, name: str) -> int:
    value = required(params, name)
    if re.fullmatch(_DECIMAL, value) is None:
        raise errors.illegal(name, _DECIMAL)
    try:
        return parse(_LEADING_ZEROS.sub("", value))
    except MoneyError as error:
        code, message = errors.PRECISION
        raise ApiError(code, message.format(name=name)) from error


def client_id(params: Params, name: str, default: str) -> str:
    value = params.get(name) or default
    if re.fullmatch(_CLIENT_ID, value) is None:
        raise errors.illegal(name, _CLIENT_ID)
    return value


def choice(params: Params, name: str, kind: type[EnumT], complaint: tuple[int, str]) -> EnumT:
    try:
        return kind(required(params, name))
    except ValueError as error:
        raise ApiError(*complaint) from error


def order(params: Params, default_id: str) -> Request:
    """A new order. Raises ApiError."""
    symbol = required(params, "symbol")
    side = choice(params, "side", Side, errors.SIDE)
    kind = choice(params, "type", OrderType, errors.TYPE)
    quote_quantity = 0
    if kind is OrderType.MARKET and "quoteOrderQty" in params:
        quantity, quote_quantity = 0, money(params, "quoteOrderQty")
    else:
        quantity = money(params, "quantity")
    price, stop_price, trailing_bps, time_in_force = _terms(params, kind, ("price", "stopPrice", "trailingDelta"))
    return Request(
        symbol=symbol,
        client_order_id=client_id(params, "newClientOrderId", default_id),
        side=side,
        type=kind,
        time_in_force=time_in_force,
        price=price,
        quantity=quantity,
        quote_quantity=quote_quantity,
        stop_price=stop_price,
        trailing_bps=trailing_bps,
        display=iceberg(params, "icebergQty", kind, quantity),
        prevention=prevention(params),
    )


def iceberg(params: Params, name: str, kind: OrderType, quantity: int) -> int:
    """How much an order shows; 0 = all of it. Raises ApiError."""
    if name not in params:
        return 0
    if kind in UNPRICED:
        raise ApiError(*errors.UNSUPPORTED)
    display = money(params, name)
    if display >= quantity:
        raise ApiError(*errors.ICEBERG_TOO_MUCH)
    return display


def prevention(params: Params) -> Prevention:
    word = params.get("selfTradePreventionMode", Prevention.EXPIRE_MAKER)
    try:
        return Prevention(word)
    except ValueError as error:
        raise ApiError(*errors.PREVENTION) from error


def leg(params: Params, place: str, default_id: str) -> Request:
    """One order of a pair: ``place`` is above or below. Raises ApiError."""
    kind = choice(params, f"{place}Type", OrderType, errors.TYPE)
    names = (f"{place}Price", f"{place}StopPrice", f"{place}TrailingDelta")
    price, stop_price, trailing_bps, time_in_force = _terms(params, kind, names, f"{place}TimeInForce")
    quantity = money(params, "quantity")
    return Request(
        symbol=required(params, "symbol"),
        client_order_id=client_id(params, f"{place}ClientOrderId", default_id),
        side=choice(params, "side", Side, errors.SIDE),
        type=kind,
        time_in_force=time_in_force,
        price=price,
        quantity=quantity,
        stop_price=stop_price,
        trailing_bps=trailing_bps,
        display=iceberg(params, f"{place}IcebergQty", kind, quantity),
        prevention=prevention(params),
    )


def _terms(
    params: Params, kind: OrderType, names: tuple[str, str, str], force: str = "timeInForce"
) -> tuple[int, int, int, TimeInForce]:
    """Price, stop price, trailing distance and time in force, as the type has them and only so. Raises ApiError."""
    timed = kind not in UNPRICED and kind is not OrderType.LIMIT_MAKER
    price_name, stop_name, trailing_name = names
    for name, allowed in (
        (force, timed),
        (price_name, kind not in UNPRICED),
        (stop_name, kind in CONDITIONAL),
        (trailing_name, kind in CONDITIONAL),
    ):
        if name in params and not allowed:
            code, message = errors.EMPTY_COMBINATION
            raise ApiError(code, message.format(name=name))
    trailing = integer(params, trailing_name, 0)
    stop_price = money(params, stop_name) if kind in CONDITIONAL and (stop_name in params or not trailing) else 0
    return (
        money(params, price_name) if kind not in UNPRICED else 0,
        stop_price,
        trailing,
        choice(params, force, TimeInForce, errors.TIME_IN_FORCE) if timed else TimeInForce.GTC,
    )

"""Reading request parameters: texts to values, or the protocol's complaint. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from ringfence.model.money import MoneyError, parse
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.simulator.dialect import errors
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.orders import Request

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
    time_in_force = TimeInForce.GTC
    price = quantity = quote_quantity = 0
    if kind is OrderType.LIMIT:
        time_in_force = choice(params, "timeInForce", TimeInForce, errors.TIME_IN_FORCE)
    elif "timeInForce" in params:
        code, message = errors.EMPTY_COMBINATION
        raise ApiError(code, message.format(name="timeInForce"))
    if kind is OrderType.MARKET:
        if "price" in params:
            code, message = errors.EMPTY_COMBINATION
            raise ApiError(code, message.format(name="price"))
        if "quoteOrderQty" in params:
            quote_quantity = money(params, "quoteOrderQty")
        else:
            quantity = money(params, "quantity")
    else:
        quantity = money(params, "quantity")
        price = money(params, "price")
    return Request(
        symbol=symbol,
        client_order_id=client_id(params, "newClientOrderId", default_id),
        side=side,
        type=kind,
        time_in_force=time_in_force,
        price=price,
        quantity=quantity,
        quote_quantity=quote_quantity,
    )

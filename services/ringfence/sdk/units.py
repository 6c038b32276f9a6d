"""Exact numbers at the author's edge. Everything inside is an integer scaled by 1e-8."""

from decimal import Decimal

from ringfence.model.money import DECIMALS, SCALE, notional, parse, text
from ringfence.wire.messages import Quote

__all__ = ["SCALE", "ceil_to", "decimal", "floor_to", "mid", "notional", "text", "units"]


def units(value: str | Decimal | int) -> int:
    """Scaled integer of an exact number: ``units("0.01") == 1_000_000``.

    A float is not exact and is refused; raises ValueError.
    """
    if isinstance(value, Decimal):
        return parse(format(value, "f"))
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{value!r} is not exact: write it as a text, such as units('{value}')")
    return value * SCALE if isinstance(value, int) else parse(value)


def decimal(value: int) -> Decimal:
    """A scaled integer as a Decimal, for showing and for arithmetic that is not on the path of an order."""
    return Decimal(value).scaleb(-DECIMALS)


def mid(quote: Quote) -> int:
    """Middle of best bid and best ask, rounded down to 1e-8."""
    return (quote.bid + quote.ask) // 2


def floor_to(value: int, step: int) -> int:
    """The largest multiple of a step (an instrument's tick or lot) that is not above the value."""
    return value // step * step


def ceil_to(value: int, step: int) -> int:
    """The smallest multiple of a step that is not below the value."""
    return -(-value // step) * step

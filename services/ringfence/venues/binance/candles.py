"""Prices of the past as Binance tells them: when a candle opened, its first and its last price. Pure."""

from typing import Final

import msgspec

from ringfence.venues.binance import codec
from ringfence.venues.binance.limits import Kind
from ringfence.venues.binance.request import Parameter, Request

_CANDLES: Final = msgspec.json.Decoder(list[list[int | str]])
_OPEN: Final = 1
_CLOSE: Final = 4
"""Of a candle: opened, open, high, low, close, and more."""


def query(symbol: str, interval: str, limit: int, span_ms: tuple[int, int] | None = None) -> Request:
    """The last candles, or the first of a span, at most 1,000, oldest first; the last one is not over yet."""
    named: list[Parameter] = [("symbol", symbol), ("interval", interval)]
    if span_ms is not None:
        named += [("startTime", span_ms[0]), ("endTime", span_ms[1])]
    named.append(("limit", limit))
    return Request("GET", "/api/v3/klines", named, Kind.QUERY, 2, signed=False)


def closes(body: bytes) -> dict[int, int]:
    """Last price by the milliseconds at which a candle opened, scaled. Raises ProtocolError."""
    found: list[list[int | str]] = codec.decoded(_CANDLES, body)
    if any(len(candle) <= _CLOSE or not isinstance(candle[0], int) for candle in found):
        raise codec.ProtocolError("unreadable answer: a candle without a time or a price")
    try:
        return {int(candle[0]): codec.scaled(str(candle[_CLOSE])) for candle in found}
    except ValueError as error:
        raise codec.ProtocolError(f"unreadable answer: price of a candle: {error}") from None


def opening(body: bytes) -> int | None:
    """First price of the first candle, scaled; None where there is none. Raises ValueError."""
    found: list[list[int | str]] = codec.decoded(_CANDLES, body)
    return codec.scaled(str(found[0][_OPEN])) if found and len(found[0]) > _OPEN else None

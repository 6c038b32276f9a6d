"""The protocol's market history: trades, aggregates, candles, tickers. Documents from the venue's own trades. Pure."""

from typing import Any, Final

from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.simulator.dialect import encode, errors, params
from ringfence.simulator.dialect.encode import Document
from ringfence.simulator.dialect.errors import ApiError
from ringfence.simulator.dialect.params import Params
from ringfence.simulator.history import DAY_MS, INTERVALS_MS, MINUTE_MS, Aggregate, Candle
from ringfence.simulator.traded import Instrument

LIST_MAX: Final = 1_000
AVERAGE_MINUTES: Final = 5
_LATEST: Final = 2**62


def trades(instrument: Instrument, query: Params) -> list[Document]:
    limit = _limit(query)
    return [encode.public_trade(trade) for trade in instrument.history.recent(limit)]


def historical_trades(instrument: Instrument, query: Params) -> list[Document]:
    if "fromId" not in query:
        return trades(instrument, query)
    found = instrument.history.from_id(params.integer(query, "fromId"), _limit(query))
    return [encode.public_trade(trade) for trade in found]


def aggregates(instrument: Instrument, query: Params) -> list[Document]:
    first = params.integer(query, "fromId", 0)
    start, end = params.integer(query, "startTime", 0), params.integer(query, "endTime", _LATEST)
    found = [a for a in instrument.history.aggregates if a.number >= first and start <= a.ms <= end]
    limit = _limit(query)
    return [_aggregate(one) for one in (found[:limit] if first or start else found[-limit:])]


def candles(instrument: Instrument, query: Params) -> list[list[Any]]:
    interval = params.required(query, "interval")
    if interval not in INTERVALS_MS:
        raise ApiError(*errors.INTERVAL)
    start, end = params.integer(query, "startTime", 0), params.integer(query, "endTime", _LATEST)
    found, limit = instrument.history.candles(interval, start, end), _limit(query)
    length = INTERVALS_MS[interval]
    return [_candle(one, length) for one in (found[:limit] if start else found[-limit:])]


def average_price(instrument: Instrument, now_ms: int) -> Document:
    """Of the last minutes, weighted by quantity; without a trade, the price that filters measure against."""
    window = instrument.history.window(AVERAGE_MINUTES * MINUTE_MS, now_ms)
    price = instrument.reference if window is None else window.amount * SCALE // window.quantity
    last = instrument.history.trades[-1].ts if instrument.history.trades else 0
    return {"mins": AVERAGE_MINUTES, "price": encode.decimal(price), "closeTime": encode.ms(last)}


def price(instrument: Instrument) -> Document:
    return {"symbol": instrument.listing.instrument.symbol, "price": encode.decimal(instrument.last_price)}


def day(instrument: Instrument, query: Params, now_ms: int) -> Document:
    """The last 24 hours, whole or as MINI; all zero without a trade."""
    kind = query.get("type", "FULL")
    if kind not in {"FULL", "MINI"}:
        raise errors.illegal("type", "FULL, MINI")
    found = instrument.history.window(DAY_MS, now_ms)
    said = encode.decimal
    document: Document = {
        "symbol": instrument.listing.instrument.symbol,
        "openPrice": said(found.open if found else 0),
        "highPrice": said(found.high if found else 0),
        "lowPrice": said(found.low if found else 0),
        "lastPrice": said(found.close if found else 0),
        "volume": said(found.quantity if found else 0),
        "quoteVolume": said(found.amount if found else 0),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": found.first_id if found else -1,
        "lastId": found.last_id if found else -1,
        "count": found.count if found else 0,
    }
    if kind == "MINI":
        return document
    change = found.close - found.open if found else 0
    percent = change * 100 * SCALE // found.open if found else 0
    best = encode.book_ticker(instrument.publisher.best)
    return document | {
        "priceChange": said(change),
        "priceChangePercent": said(percent)[:-5],
        "weightedAvgPrice": said(found.amount * SCALE // found.quantity if found else 0),
        "prevClosePrice": said(found.open if found else 0),
        "lastQty": said(instrument.history.trades[-1].quantity if found else 0),
        **{name: best[name] for name in ("bidPrice", "bidQty", "askPrice", "askQty")},
    }


def _limit(query: Params) -> int:
    return max(1, params.integer(query, "limit", 500, LIST_MAX))


def _aggregate(one: Aggregate) -> Document:
    return {
        "a": one.number,
        "p": encode.decimal(one.price),
        "q": encode.decimal(one.quantity),
        "f": one.first_id,
        "l": one.last_id,
        "T": one.ms,
        "m": one.aggressor is Side.SELL,
        "M": True,
    }


def _candle(one: Candle, length_ms: int) -> list[Any]:
    return [
        one.opened_ms,
        *(encode.decimal(value) for value in (one.open, one.high, one.low, one.close, one.quantity)),
        one.opened_ms + length_ms - 1,
        encode.decimal(one.amount),
        one.count,
        encode.decimal(one.bought),
        encode.decimal(one.bought_amount),
        "0",
    ]

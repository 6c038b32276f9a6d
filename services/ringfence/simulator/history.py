"""What has traded in one instrument, as its public history tells it: trades, aggregates, candles and a day's figures.

Everything is computed from the venue's own trades since its start. Bounded, so what is older is forgotten. Pure.
"""

from collections import deque
from itertools import islice
from typing import Final

import msgspec

from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.simulator.orders import PublicTrade

TRADES_MAX: Final = 20_000
MINUTE_MS: Final = 60_000
SECONDS_MAX: Final = 3_600
MINUTES_MAX: Final = 7 * 1_440
"""Candles kept: of a second for an hour, of a minute for a week."""
INTERVALS_MS: Final = {
    "1s": 1_000,
    **{f"{n}m": n * MINUTE_MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 60 * MINUTE_MS for n in (1, 2, 4, 6, 8, 12)},
    **{f"{n}d": n * 1_440 * MINUTE_MS for n in (1, 3)},
    "1w": 7 * 1_440 * MINUTE_MS,
}
"""Candles of a calendar month are not offered."""
_MONDAY_MS: Final = 4 * 1_440 * MINUTE_MS
"""1970-01-05, from which weeks are counted."""
DAY_MS: Final = 1_440 * MINUTE_MS


class Candle(msgspec.Struct, kw_only=True, gc=False):
    """All trades of one interval. Money scaled by 1e-8; amounts in the quote asset."""

    opened_ms: int
    open: int
    high: int
    low: int
    close: int
    quantity: int
    amount: int
    count: int
    bought: int
    """Quantity of which the buyer was the aggressor."""
    bought_amount: int
    first_id: int
    last_id: int


class Aggregate(msgspec.Struct, kw_only=True, gc=False):
    """Trades of one aggressor at one price in one millisecond."""

    number: int
    price: int
    quantity: int
    first_id: int
    last_id: int
    ms: int
    aggressor: Side
    order_id: int


class History:
    def __init__(self) -> None:
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_MAX)
        self.aggregates: deque[Aggregate] = deque(maxlen=TRADES_MAX)
        self._seconds: deque[Candle] = deque(maxlen=SECONDS_MAX)
        self._minutes: deque[Candle] = deque(maxlen=MINUTES_MAX)

    def add(self, trade: PublicTrade, order_id: int) -> None:
        """``order_id``: of the aggressor."""
        self.trades.append(trade)
        ms = trade.ts // 1_000_000
        for kept, length in ((self._seconds, 1_000), (self._minutes, MINUTE_MS)):
            one = _candle(trade, ms - ms % length)
            if kept and kept[-1].opened_ms == one.opened_ms:
                _merge(kept[-1], one)
            else:
                kept.append(one)
        last = self.aggregates[-1] if self.aggregates else None
        key = (trade.price, ms, trade.aggressor, order_id)
        if last is not None and (last.price, last.ms, last.aggressor, last.order_id) == key:
            last.quantity += trade.quantity
            last.last_id = trade.trade_id
            return
        self.aggregates.append(
            Aggregate(
                number=trade.trade_id if last is None else last.number + 1,
                price=trade.price,
                quantity=trade.quantity,
                first_id=trade.trade_id,
                last_id=trade.trade_id,
                ms=ms,
                aggressor=trade.aggressor,
                order_id=order_id,
            )
        )

    def recent(self, limit: int) -> list[PublicTrade]:
        """The latest, oldest first."""
        return list(islice(self.trades, max(0, len(self.trades) - limit), None))

    def from_id(self, first: int, limit: int) -> list[PublicTrade]:
        """Those from this id on, oldest first."""
        if not self.trades:
            return []
        skip = max(0, first - self.trades[0].trade_id)  # ids of an instrument have no holes
        return list(islice(self.trades, skip, skip + limit))

    def candles(self, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Candles that opened from start to end, oldest first; one without a trade stands at the last price."""
        length = INTERVALS_MS[interval]
        shift = _MONDAY_MS if interval == "1w" else 0
        found: list[Candle] = []
        for part in self._seconds if length < MINUTE_MS else self._minutes:
            opened = (part.opened_ms - shift) // length * length + shift
            if found and found[-1].opened_ms == opened:
                _merge(found[-1], part)
                continue
            while found and found[-1].opened_ms + length < opened:
                found.append(_flat(found[-1], found[-1].opened_ms + length))
            found.append(msgspec.structs.replace(part, opened_ms=opened))
        return [candle for candle in found if start_ms <= candle.opened_ms <= end_ms]

    def window(self, length_ms: int, now_ms: int) -> Candle | None:
        """All that has traded in the last so many milliseconds, to the minute; None without a trade."""
        since = now_ms - length_ms
        found: Candle | None = None
        for minute in self._minutes:
            if minute.opened_ms < since - since % MINUTE_MS:
                continue
            if found is None:
                found = msgspec.structs.replace(minute)
            else:
                _merge(found, minute)
        return found


def _candle(trade: PublicTrade, opened_ms: int) -> Candle:
    amount = trade.price * trade.quantity // SCALE
    buying = trade.aggressor is Side.BUY
    return Candle(
        opened_ms=opened_ms,
        open=trade.price,
        high=trade.price,
        low=trade.price,
        close=trade.price,
        quantity=trade.quantity,
        amount=amount,
        count=1,
        bought=trade.quantity if buying else 0,
        bought_amount=amount if buying else 0,
        first_id=trade.trade_id,
        last_id=trade.trade_id,
    )


def _flat(before: Candle, opened_ms: int) -> Candle:
    """An interval in which nothing traded."""
    return Candle(
        opened_ms=opened_ms,
        open=before.close,
        high=before.close,
        low=before.close,
        close=before.close,
        quantity=0,
        amount=0,
        count=0,
        bought=0,
        bought_amount=0,
        first_id=-1,
        last_id=-1,
    )


def _merge(into: Candle, later: Candle) -> None:
    into.high = max(into.high, later.high)
    into.low = min(into.low, later.low)
    into.close = later.close
    into.last_id = later.last_id
    for name in ("quantity", "amount", "count", "bought", "bought_amount"):
        setattr(into, name, getattr(into, name) + getattr(later, name))

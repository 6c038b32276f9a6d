"""What an asset is worth: middle prices, with the knowledge of how good they are. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.model.calendar import Calendar
from ringfence.wire.messages import FeedStatus, Quote

STATUS_STALE_NS: Final = 5_000_000_000
"""Marketdata confirms once a second; after five missed times a mark is stale."""
OPENING_NS: Final = 60_000_000_000
"""A last price from within a minute before midnight is the opening price of the day."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    price: int
    """Middle of best bid and best ask, scaled by 1e-8."""
    ts: int
    """When marketdata received it."""


class Opening(msgspec.Struct, frozen=True, gc=False):
    """The price that a day's result is counted from."""

    day: int
    price: int
    exact: bool
    """False if this process did not see the last price before midnight, and took the first one after."""


class Marks:
    """The newest mark of each symbol. A missing one is missing: it is never 0."""

    def __init__(self, calendars: Iterable[Calendar]) -> None:
        """``calendars``: all whose openings are asked for; those of one zone are one."""
        self._calendars = {str(calendar.zone): calendar for calendar in calendars}
        self._marks: dict[str, Mark] = {}
        self._status: dict[str, FeedStatus] = {}
        self._openings: dict[tuple[str, str], Opening] = {}
        """By zone and symbol."""

    def quote(self, quote: Quote) -> None:
        mark = Mark((quote.bid + quote.ask) // 2, quote.ts_recv)
        for zone, calendar in self._calendars.items():
            day = calendar.keys(mark.ts).day
            opening = self._openings.get((zone, quote.symbol))
            if opening is None or opening.day != day:
                self._openings[zone, quote.symbol] = self._opening(quote.symbol, mark, day, calendar.began(mark.ts))
        self._marks[quote.symbol] = mark

    def _opening(self, symbol: str, first: Mark, day: int, began: int) -> Opening:
        before = self._marks.get(symbol)
        if before is not None and 0 <= began - before.ts <= OPENING_NS:
            return Opening(day, before.price, exact=True)
        return Opening(day, first.price, exact=False)

    def status(self, status: FeedStatus) -> None:
        self._status[status.symbol] = status

    def mark(self, symbol: str) -> int | None:
        """The newest middle price, however old; None if there has been none."""
        mark = self._marks.get(symbol)
        return None if mark is None else mark.price

    def stale(self, symbol: str, now_ns: int) -> bool:
        """Whether the mark is missing, unusable, or not confirmed any more."""
        status = self._status.get(symbol)
        return symbol not in self._marks or status is None or not status.usable or now_ns - status.ts > STATUS_STALE_NS

    def opening(self, symbol: str, calendar: Calendar, now_ns: int) -> Opening | None:
        """The opening price of this day, None if there is no price of this day."""
        opening = self._openings.get((str(calendar.zone), symbol))
        return opening if opening is not None and opening.day == calendar.keys(now_ns).day else None

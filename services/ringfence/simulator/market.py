"""The market around our clients, as a stream of events in venue time, whoever makes them.

A source says only what *other* participants did. Update ids are the venue's: the book that it publishes also
holds our clients' orders, so no source could number it. Pure.
"""

from collections.abc import Iterator

import msgspec

from ringfence.model.orders import Side

Levels = tuple[tuple[int, int], ...]
"""Price and the market's quantity there, both scaled by 1e-8; quantity 0 removes the level."""


class BookChange(msgspec.Struct, frozen=True, gc=False):
    """The market's own quantity at some prices has changed."""

    ts: int
    """Venue time, UTC nanoseconds."""
    bids: Levels
    asks: Levels
    reset: bool = False
    """All other levels are gone: a recording starts anew."""


class Print(msgspec.Struct, frozen=True, gc=False):
    """Other participants traded. Comes before the change of the book that it causes."""

    ts: int
    price: int
    quantity: int
    aggressor: Side


MarketEvent = BookChange | Print
Market = Iterator[MarketEvent]
"""Events in order of time, without end or until the recording's end."""


class Feed:
    """Looks one event ahead, so that a market can be run up to a moment."""

    __slots__ = ("_market", "_next")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._next = next(market, None)

    @property
    def next_ns(self) -> int | None:
        """Time of the next event; None at the end."""
        return None if self._next is None else self._next.ts

    def pop(self) -> MarketEvent:
        """The next event. Only after `next_ns` has said that there is one."""
        event = self._next
        if event is None:
            raise LookupError("the market has ended")
        self._next = next(self._market, None)
        return event

"""Two connections that carry the same market: what each of them adds to what has been told already. Pure.

A venue ends each connection after a day. Its successor is opened before that, and for a few seconds both are read.
Nothing is told twice, and the successor's depth counts only once it reaches back to what the other has told, so
that no update can fall between them.
"""

from ringfence.venues.api import BookDiff, MarketEvent
from ringfence.wire.messages import Quote, Trade


class Splice:
    """Lives from the opening of the successor to the end of the predecessor."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._waiting = set(symbols)
        """Symbols whose successor's depth does not reach back yet."""
        self._depth: dict[str, int] = {}
        self._quotes: dict[str, int] = {}
        self._trades: set[tuple[str, int]] = set()

    @property
    def joined(self) -> bool:
        """The successor alone misses nothing from here on."""
        return not self._waiting

    def passes(self, event: MarketEvent, *, successor: bool) -> bool:
        """Whether the event is news that may be told."""
        match event:
            case BookDiff():
                return self._passes_depth(event, successor=successor)
            case Quote():
                newest = self._quotes.get(event.symbol, -1)
                self._quotes[event.symbol] = max(newest, event.update_id)
                return event.update_id > newest
            case Trade():
                known = (event.symbol, event.trade_id) in self._trades
                self._trades.add((event.symbol, event.trade_id))
                return not known

    def _passes_depth(self, diff: BookDiff, *, successor: bool) -> bool:
        last = self._depth.get(diff.symbol)
        if successor and diff.symbol in self._waiting:
            if last is None or diff.first_update_id > last + 1:
                return False  # it began after something that only the predecessor will tell
            self._waiting.discard(diff.symbol)
        if last is not None and diff.last_update_id <= last:
            return False
        self._depth[diff.symbol] = diff.last_update_id
        return True

"""The engine that keeps books in sync and judges whether an instrument's data may be traded on. Pure.

`MarketSync.handle(event, now_ns)` takes what the venue sent, snapshots, ticks of the clock and the state of the
connection, and returns what to publish and which snapshots to fetch. ``now_ns`` is our own clock, UTC: data is
fresh by when it reached us, never by the venue's word.
"""

from typing import Final

import msgspec

from ringfence.marketdata.book import Book
from ringfence.venues.api import BookDiff, BookSnapshot, MarketEvent
from ringfence.wire.messages import BookTop, FeedStatus, Quote, Trade

LEVELS: Final = 20
"""Levels a side of a published book."""
STATUS_NS: Final = 1_000_000_000
BUFFER_MAX: Final = 2_000
"""Changes kept while a snapshot is on its way: more than three minutes of them."""
QUOTES_MAX: Final = 512
"""Best quotes kept to compare the book with."""
SNAPSHOT_LATE_NS: Final = 30_000_000_000
RETRY_FIRST_NS: Final = 250_000_000
RETRY_MOST_NS: Final = 16_000_000_000
CALM_NS: Final = 30_000_000_000
"""In sync for this long, the next trouble counts as the first."""


# --- inputs, beside the venue's own events


class Connected(msgspec.Struct, frozen=True):
    """The stream went up or down. Either way nothing is known of what was missed."""

    up: bool
    reason: str


class SnapshotArrived(msgspec.Struct, frozen=True):
    symbol: str
    generation: int
    snapshot: BookSnapshot


class SnapshotFailed(msgspec.Struct, frozen=True):
    symbol: str
    generation: int
    reason: str


class Tick(msgspec.Struct, frozen=True):
    """Time has passed. Several a second: staleness is noticed no sooner than by the next one."""


Input = MarketEvent | Connected | SnapshotArrived | SnapshotFailed | Tick


# --- outputs


class SnapshotWanted(msgspec.Struct, frozen=True):
    """Fetch a snapshot, and answer with the same generation."""

    symbol: str
    generation: int


Output = BookTop | Quote | Trade | FeedStatus | SnapshotWanted


class SyncMetrics:
    """Plain counters of one symbol, read at scrape time."""

    __slots__ = (
        "agreements",
        "crossings",
        "diffs",
        "disagreements",
        "gaps",
        "quotes",
        "resyncs",
        "snapshots",
        "trades",
    )

    def __init__(self) -> None:
        self.diffs = 0
        self.quotes = 0
        self.trades = 0
        self.gaps = 0
        self.crossings = 0
        self.disagreements = 0
        """The book's best prices were not those of the best quote of the same update."""
        self.agreements = 0
        self.resyncs = 0
        self.snapshots = 0


class SymbolSync:
    """One instrument."""

    def __init__(self, symbol: str, book_stale_ms: int, quote_stale_ms: int) -> None:
        self.symbol = symbol
        self.book = Book()
        self.metrics = SyncMetrics()
        self._book_stale_ns = book_stale_ms * 1_000_000
        self._quote_stale_ns = quote_stale_ms * 1_000_000
        self._book_stale = f"book stale: no update for more than {book_stale_ms} ms"
        self._quote_stale = f"quote stale: none for more than {quote_stale_ms} ms"
        self._now_ns = 0
        self._connected = False
        self._why = "not connected yet"
        """Why it is not in sync."""
        self._synced = False
        self._last_id = 0
        self._book_ns = 0
        self._synced_ns = 0
        self._buffer: list[BookDiff] = []
        self._snapshot: BookSnapshot | None = None
        self._generation = 0
        self._asked_ns: int | None = None
        self._attempts = 0
        self._retry_ns = 0
        self._quote: Quote | None = None
        self._quote_ns = 0
        self._quotes: dict[int, tuple[int, int]] = {}
        self._reason: str | None = None
        """As last published; None before the first time."""
        self._status_ns = 0

    @property
    def reason(self) -> str:
        """Why the data is not usable, as last published; empty when it is."""
        return "not judged yet" if self._reason is None else self._reason

    def book_age_ns(self, now_ns: int) -> int | None:
        """Time since the last change of a book in sync; None when there is no such book."""
        return max(0, now_ns - self._book_ns) if self._synced else None

    def handle(self, event: Input, now_ns: int) -> list[Output]:
        self._step(now_ns)
        out: list[Output] = []
        match event:
            case BookDiff():
                self._on_diff(event, out)
            case Quote():
                self._on_quote(event, out)
            case Trade():
                self.metrics.trades += 1
                out.append(event)
            case SnapshotArrived():
                self._on_snapshot(event, out)
            case SnapshotFailed():
                self._on_snapshot_failed(event)
            case Connected():
                self._on_connected(event)
            case Tick():
                self._on_tick()
        if not self._synced:
            self._ask(out)
        self._judge(out)
        return out

    # --- time

    def _step(self, now_ns: int) -> None:
        """Move to now. A clock that was set back must make nothing look fresher: what we timed moves with it."""
        back_ns = self._now_ns - now_ns
        if back_ns > 0:
            self._book_ns -= back_ns
            self._quote_ns -= back_ns
            self._synced_ns -= back_ns
            self._status_ns -= back_ns
            self._retry_ns -= back_ns
            if self._asked_ns is not None:
                self._asked_ns -= back_ns
        self._now_ns = now_ns

    def _on_tick(self) -> None:
        if self._synced and self._attempts and self._now_ns - self._synced_ns > CALM_NS:
            self._attempts = 0
        if self._asked_ns is not None and self._now_ns - self._asked_ns > SNAPSHOT_LATE_NS:
            self._asked_ns = None
            self._generation += 1

    # --- connection and snapshots

    def _on_connected(self, event: Connected) -> None:
        self._connected = event.up
        self._lose("waiting for the first update" if event.up else f"disconnected: {event.reason}")
        self._quote = None
        self._quotes.clear()

    def _lose(self, why: str) -> None:
        """The book is no longer proven. What is on its way for the old one is not wanted any more."""
        if self._synced:
            self.metrics.resyncs += 1
        self._synced = False
        self._why = why
        self._buffer.clear()
        self._snapshot = None
        self._asked_ns = None
        self._generation += 1

    def _ask(self, out: list[Output]) -> None:
        """Want a snapshot once there is a change that it must reach back to, at most as often as patience allows."""
        if (
            self._asked_ns is not None
            or self._snapshot is not None
            or not self._buffer
            or self._now_ns < self._retry_ns
        ):
            return
        self._asked_ns = self._now_ns
        self._retry_ns = self._now_ns + min(RETRY_MOST_NS, RETRY_FIRST_NS << min(self._attempts, 8))
        self._attempts += 1
        out.append(SnapshotWanted(self.symbol, self._generation))

    def _on_snapshot(self, event: SnapshotArrived, out: list[Output]) -> None:
        if event.generation != self._generation or self._asked_ns is None:
            return
        self._asked_ns = None
        self.metrics.snapshots += 1
        self._snapshot = event.snapshot
        self._join(out)

    def _on_snapshot_failed(self, event: SnapshotFailed) -> None:
        if event.generation == self._generation and self._asked_ns is not None:
            self._asked_ns = None
            self._why = f"no snapshot: {event.reason}"

    # --- book

    def _on_diff(self, diff: BookDiff, out: list[Output]) -> None:
        self.metrics.diffs += 1
        if not self._connected:
            return  # of a connection that is over
        if not self._synced:
            self._keep(diff)
            self._join(out)
        elif diff.last_update_id <= self._last_id:
            # old news; but if there is nothing newer for so long, it is the venue that has begun anew
            if self._now_ns - self._book_ns > self._book_stale_ns:
                self._again("update ids went back: resyncing", diff)
        elif diff.first_update_id > self._last_id + 1:
            self.metrics.gaps += 1
            self._again("gap: resyncing", diff)
        else:
            self._fold(diff)
            self._publish(diff, out)

    def _keep(self, diff: BookDiff) -> None:
        if self._buffer and diff.first_update_id > self._buffer[-1].last_update_id + 1:
            # what came before the hole can never be joined to what comes after it
            self.metrics.gaps += 1
            self._buffer.clear()
        elif len(self._buffer) >= BUFFER_MAX:
            del self._buffer[0]
        self._buffer.append(diff)

    def _join(self, out: list[Output]) -> None:
        """Put snapshot and changes together, if they meet."""
        snapshot, buffer = self._snapshot, self._buffer
        if snapshot is None or not buffer:
            return
        if buffer[0].first_update_id > snapshot.last_update_id + 1:
            self._snapshot = None  # it ends before our changes begin
            self._why = "snapshot too old: fetching another"
            return
        newer = [diff for diff in buffer if diff.last_update_id > snapshot.last_update_id]
        if not newer:
            buffer.clear()  # the next change must still continue the snapshot, and is checked when it comes
            return
        self.book.replace(snapshot.bids, snapshot.asks)
        self._last_id = snapshot.last_update_id
        self._snapshot = None
        self._buffer = []
        self._synced = True
        self._synced_ns = self._now_ns
        for diff in newer:
            self._fold(diff)
        self._publish(newer[-1], out)

    def _fold(self, diff: BookDiff) -> None:
        self.book.apply(diff.bids, diff.asks)
        self._last_id = diff.last_update_id
        self._book_ns = self._now_ns

    def _publish(self, diff: BookDiff, out: list[Output]) -> None:
        """Publish the book as of this change, unless it cannot be right."""
        if self.book.crossed:
            self.metrics.crossings += 1
            self._again("crossed: resyncing", diff)
            return
        quote = self._quotes.get(self._last_id)
        if quote is not None and not self._agrees(*quote):
            self._again("book disagrees with the best quote: resyncing", diff)
            return
        out.append(
            BookTop(
                self.symbol,
                self._last_id,
                diff.ts_venue,
                diff.ts_recv,
                self.book.bids(LEVELS),
                self.book.asks(LEVELS),
            )
        )

    def _again(self, why: str, diff: BookDiff | None = None) -> None:
        self._lose(why)
        if diff is not None:
            self._buffer.append(diff)

    def _agrees(self, bid: int, ask: int) -> bool:
        if (self.book.best_bid, self.book.best_ask) == (bid, ask):
            self.metrics.agreements += 1
            return True
        self.metrics.disagreements += 1
        return False

    # --- best quote

    def _on_quote(self, quote: Quote, out: list[Output]) -> None:
        self.metrics.quotes += 1
        if not self._connected:
            return
        before = self._quote
        if before is not None and quote.update_id < before.update_id:
            if self._now_ns - self._quote_ns <= self._quote_stale_ns:
                return
            self._quotes.clear()
        self._quote = quote
        self._quote_ns = self._now_ns
        self._quotes[quote.update_id] = (quote.bid, quote.ask)
        if len(self._quotes) > QUOTES_MAX:
            del self._quotes[next(iter(self._quotes))]
        if self._synced and quote.update_id == self._last_id and not self._agrees(quote.bid, quote.ask):
            self._again("book disagrees with the best quote: resyncing")
        out.append(quote)

    # --- judgement

    def _judge(self, out: list[Output]) -> None:
        """Say whether the data is usable: on change and once a second."""
        reason = self._verdict()
        if reason != self._reason or self._now_ns - self._status_ns >= STATUS_NS:
            self._reason = reason
            self._status_ns = self._now_ns
            out.append(FeedStatus(self.symbol, self._now_ns, not reason, reason))

    def _verdict(self) -> str:
        if not self._synced:
            return self._why
        if self._now_ns - self._book_ns > self._book_stale_ns:
            return self._book_stale
        if self.book.one_sided:
            return "book has no bid or no ask"
        quote = self._quote
        if quote is None:
            return "no best quote yet"
        if self._now_ns - self._quote_ns > self._quote_stale_ns:
            return self._quote_stale
        if quote.bid >= quote.ask or quote.bid <= 0:
            return "best quote is crossed or has no price"
        return ""


class MarketSync:
    """All instruments of one venue."""

    def __init__(self, symbols: tuple[str, ...], book_stale_ms: int, quote_stale_ms: int) -> None:
        self.symbols = {symbol: SymbolSync(symbol, book_stale_ms, quote_stale_ms) for symbol in symbols}
        self.strangers = 0
        """Events of symbols that were not asked for."""

    def handle(self, event: Input, now_ns: int) -> list[Output]:
        if isinstance(event, Tick | Connected):
            return [output for one in self.symbols.values() for output in one.handle(event, now_ns)]
        one = self.symbols.get(event.symbol)
        if one is None:
            self.strangers += 1
            return []
        return one.handle(event, now_ns)

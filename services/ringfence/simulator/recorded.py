"""A recorded market, replayed in the order in which it happened at the venue. Lines in, events out. Pure.

Format: local receive time in nanoseconds, a space, the message as the venue sent it (`@depth@100ms`, `@trade`,
`@bookTicker`, and one REST depth snapshot near the start). Messages come late and by different ways, so they are
put back in venue order: trades at their T and depth at their E, both moved onto the recorder's clock by the offset
of the fastest percentile of trades; best quotes, which carry no time, when they were received; trades first where
times are equal. The market does not react to us, and what lies deeper than its snapshot is unknown.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Final

import msgspec

from ringfence.model.money import parse
from ringfence.model.orders import Side
from ringfence.simulator.book import Ladder
from ringfence.simulator.market import BookChange, Levels, Market, Print

LOOKAHEAD_NS: Final = 1_000_000_000
"""How late a message may come and still be put in its place."""
_BIDS_FIRST: Final = (Side.BUY, Side.SELL)


class _Message(msgspec.Struct):
    """All fields of the four kinds that are used; a message has those of its kind."""

    e: str = ""
    E: int = 0
    T: int = 0
    U: int = 0
    u: int = 0
    b: list[tuple[str, str]] | str = ""
    a: list[tuple[str, str]] | str = ""
    B: str = ""
    A: str = ""
    p: str = ""
    q: str = ""
    m: bool = False


class _Line(msgspec.Struct):
    stream: str = ""
    data: _Message | None = None
    lastUpdateId: int = 0  # noqa: N815 - the venue's name
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class RecordingError(ValueError):
    """Lines that are no recording that could be replayed."""


_line = msgspec.json.Decoder(_Line)


class RecordedSnapshot(msgspec.Struct):
    last_id: int
    bids: Levels
    asks: Levels


class RecordedDepth(msgspec.Struct):
    last_id: int
    bids: Levels
    asks: Levels


class RecordedQuote(msgspec.Struct):
    update_id: int
    bid: tuple[int, int]
    ask: tuple[int, int]


class RecordedTrade(msgspec.Struct):
    price: int
    quantity: int
    aggressor: Side


Record = RecordedSnapshot | RecordedDepth | RecordedQuote | RecordedTrade


def clock_offset_ns(lines: Iterable[bytes]) -> int:
    """Recorder's clock minus the venue's, plus the shortest way: first percentile of receive time minus T."""
    differences: list[int] = []
    for line in lines:
        if b'@trade"' in line[:64]:
            local, message = _parse(line)
            if message.data is not None:
                differences.append(local - message.data.T * 1_000_000)
    if not differences:
        raise RecordingError("a recording without trades cannot be put in venue order")
    differences.sort()
    return differences[len(differences) // 100]


def in_venue_order(lines: Iterable[bytes], offset_ns: int) -> Iterator[tuple[int, Record]]:
    """Time on the recorder's clock and record, from the snapshot on."""
    waiting: list[tuple[int, int, int, Record]] = []
    snapshot: RecordedSnapshot | None = None
    for number, line in enumerate(lines):
        local, message = _parse(line)
        at_ns, rank, record = _classify(local, message, offset_ns)
        if isinstance(record, RecordedSnapshot):
            if snapshot is not None:
                continue  # the book is already right
            snapshot = record
            yield local, record
            # what the snapshot does not hold of the depth is applied right after it
            waiting = [
                (max(local, at), order, sequence, held)
                for at, order, sequence, held in sorted(waiting)
                if isinstance(held, RecordedDepth) and held.last_id > record.last_id
            ]
            continue
        heappush(waiting, (at_ns, rank, number, record))
        while snapshot is not None and waiting and waiting[0][0] <= local - LOOKAHEAD_NS:
            at, _, _, held = heappop(waiting)
            yield at, held
    if snapshot is None:
        raise RecordingError("a recording without a depth snapshot has no book")
    while waiting:
        at, _, _, held = heappop(waiting)
        yield at, held


def replay(lines: Iterable[bytes], offset_ns: int, start_ns: int) -> Market:
    """One pass over a recording, moved so that its snapshot is at ``start_ns``."""
    book = _RecordedBook()
    moved = 0
    last_ns = start_ns
    for at_ns, record in in_venue_order(lines, offset_ns):
        if isinstance(record, RecordedSnapshot):
            moved = start_ns - at_ns
        last_ns = max(last_ns, at_ns + moved)
        match record:
            case RecordedTrade():
                yield Print(last_ns, record.price, record.quantity, record.aggressor)
            case RecordedSnapshot():
                book.snapshot(record)
                yield BookChange(last_ns, record.bids, record.asks, reset=True)
            case RecordedDepth() | RecordedQuote():
                change = book.depth(record) if isinstance(record, RecordedDepth) else book.quote(record)
                if any(change):
                    yield BookChange(last_ns, *change)


class _RecordedBook:
    """Depth as last told, and the best quote, which is told sooner, over it.

    A quote that is newer than the depth hides levels that are better than it; they are not forgotten, because
    the next depth update names only what differs from the last one.
    """

    def __init__(self) -> None:
        self._depth = {Side.BUY: Ladder(1), Side.SELL: Ladder(-1)}
        self._shown = {Side.BUY: Ladder(1), Side.SELL: Ladder(-1)}
        self._last_id = 0
        self._quote: RecordedQuote | None = None

    def snapshot(self, record: RecordedSnapshot) -> None:
        self._last_id = record.last_id
        for side, levels in zip(_BIDS_FIRST, (record.bids, record.asks), strict=True):
            for price, quantity in levels:
                self._depth[side].set(price, quantity)
                self._shown[side].set(price, quantity)

    def depth(self, record: RecordedDepth) -> tuple[Levels, Levels]:
        """What changes in the book that is shown."""
        if record.last_id <= self._last_id:
            return (), ()
        self._last_id = record.last_id
        for side, levels in zip(_BIDS_FIRST, (record.bids, record.asks), strict=True):
            for price, quantity in levels:
                self._depth[side].set(price, quantity)
        if self._quote is not None and self._quote.update_id <= self._last_id:
            self._quote = None
        return self._show(Side.BUY, record.bids), self._show(Side.SELL, record.asks)

    def quote(self, record: RecordedQuote) -> tuple[Levels, Levels]:
        """What changes in the book that is shown; an old quote changes nothing."""
        newest = self._last_id if self._quote is None else self._quote.update_id
        if record.update_id <= newest:
            return (), ()
        self._quote = record
        return self._show(Side.BUY, ()), self._show(Side.SELL, ())

    def _show(self, side: Side, told: Levels) -> Levels:
        """Bring the shown side to depth and quote, where they may differ from it."""
        depth, shown = self._depth[side], self._shown[side]
        top = depth.best if self._quote is None else (self._quote.bid if side is Side.BUY else self._quote.ask)[0]
        near = {price for price, _ in told}
        # beyond the limit of the quote nothing changes unless it was told
        near.update(shown.better_than(top), depth.better_than(top), self._above_last_top(side, top))
        near.add(top)
        changes: list[tuple[int, int]] = []
        for price in near:
            quantity = self._wanted(side, price)
            if shown.set(price, quantity):
                changes.append((price, quantity))
        return tuple(changes)

    def _above_last_top(self, side: Side, top: int) -> list[int]:
        """Levels of the depth that an earlier quote has hidden or changed, and this one may not."""
        shown = self._shown[side].best
        depth = self._depth[side]
        worst = min(shown, top) if side is Side.BUY else max(shown, top)
        return [*depth.better_than(worst), worst, shown]

    def _wanted(self, side: Side, price: int) -> int:
        if self._quote is None:
            return self._depth[side].get(price)
        top, quantity = self._quote.bid if side is Side.BUY else self._quote.ask
        if price == top:
            return quantity
        hidden = price > top if side is Side.BUY else price < top
        return 0 if hidden else self._depth[side].get(price)


def _parse(line: bytes) -> tuple[int, _Line]:
    local, _, text = line.partition(b" ")
    try:
        return int(local), _line.decode(text)
    except (ValueError, msgspec.MsgspecError) as error:
        raise RecordingError(f"not a line of a recording: {line[:80]!r}: {error}") from error


def _classify(local: int, line: _Line, offset_ns: int) -> tuple[int, int, Record]:
    """When it happened at the venue, its rank among equal times, and what it was."""
    message = line.data
    if message is None:
        return local, 0, RecordedSnapshot(line.lastUpdateId, _levels(line.bids), _levels(line.asks))
    if message.e == "trade":
        aggressor = Side.SELL if message.m else Side.BUY
        return message.T * 1_000_000 + offset_ns, 0, RecordedTrade(parse(message.p), parse(message.q), aggressor)
    if message.e == "depthUpdate" and isinstance(message.b, list) and isinstance(message.a, list):
        at_ns = message.E * 1_000_000 + offset_ns
        return at_ns, 1, RecordedDepth(message.u, _levels(message.b), _levels(message.a))
    if isinstance(message.b, str) and isinstance(message.a, str):
        bid, ask = (parse(message.b), parse(message.B)), (parse(message.a), parse(message.A))
        return local, 2, RecordedQuote(message.u, bid, ask)
    raise RecordingError(f"a message of stream {line.stream!r} that is not known")


def _levels(levels: list[tuple[str, str]]) -> Levels:
    return tuple((parse(price), parse(quantity)) for price, quantity in levels)

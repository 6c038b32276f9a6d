"""A market as anybody could have recorded it: best quotes, trades, and what changed in the book each 100 ms. Pure.

Prices and quantities are floats of whole units here, because everything that is done with them is statistics.
Times are seconds since the tape began.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.simulator.book import Ladder
from ringfence.simulator.market import BookChange, MarketEvent, Print
from ringfence.simulator.recorded import Record, RecordedDepth, RecordedQuote, RecordedSnapshot, RecordedTrade

BATCH_NS: Final = 100_000_000
"""Depth is told in batches of this length."""
SAMPLED_LEVELS: Final = 10
DEPTH_BPS: Final = (1, 5, 10, 25)
MILLISECOND_NS: Final = 1_000_000


class Quote(NamedTuple):
    """The best of both sides from this moment on."""

    at: float
    bid: float
    bid_size: float
    ask: float
    ask_size: float

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


class Trade(NamedTuple):
    at: float
    """In venue order, on the same clock as quotes."""
    venue_ms: int
    """The venue's own time, which all fills of one order share."""
    price: float
    size: float
    buy: bool
    """The aggressor's side."""


class Batch(NamedTuple):
    """One depth message: how many levels changed, and where each was."""

    at: float
    deleted: int
    distances_bps: tuple[float, ...]
    """Of each changed level from the middle price; negative is inside it."""


class Sample(NamedTuple):
    """The whole book at the end of a batch, best first, bids then asks."""

    sizes: tuple[tuple[float, ...], tuple[float, ...]]
    gaps: tuple[float, ...]
    """Distance of neighbouring levels among the ten best, ticks."""
    depth_usd: tuple[tuple[float, ...], tuple[float, ...]]
    """Within each of DEPTH_BPS of the middle."""


@dataclass(kw_only=True)
class Tape:
    tick: float
    seconds: float = 0.0
    quotes: list[Quote] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    reach_bps: tuple[float, float] = (0.0, 0.0)
    """How far the first book goes, bids and asks."""


class Writer:
    """Writes a tape from a stream of events."""

    def __init__(self, tick: int, start_ns: int) -> None:
        self.tape = Tape(tick=tick / SCALE)
        self.tick = tick
        self.start_ns = start_ns

    def at(self, now_ns: int) -> float:
        return (now_ns - self.start_ns) / 1e9

    def quote(self, now_ns: int, bid: tuple[int, int], ask: tuple[int, int]) -> None:
        found = Quote(self.at(now_ns), bid[0] / SCALE, bid[1] / SCALE, ask[0] / SCALE, ask[1] / SCALE)
        if not self.tape.quotes or self.tape.quotes[-1][1:] != found[1:]:
            self.tape.quotes.append(found)

    def trade(self, now_ns: int, venue_ms: int, price: int, quantity: int, side: Side) -> None:
        self.tape.trades.append(Trade(self.at(now_ns), venue_ms, price / SCALE, quantity / SCALE, side is Side.BUY))

    def batch(self, now_ns: int, bids: "Ladder", asks: "Ladder", changed: Iterable[tuple[int, int]]) -> None:
        """A depth message was told: ``changed`` is (price, quantity now); the ladders are the book after it."""
        middle = (bids.best + asks.best) / 2
        changes = list(changed)
        distances = tuple(abs(price - middle) / middle * 1e4 for price, _ in changes)
        self.tape.batches.append(Batch(self.at(now_ns), sum(1 for _, q in changes if not q), distances))
        self.tape.samples.append(self._sample(bids, asks, middle))

    def _sample(self, bids: "Ladder", asks: "Ladder", middle: float) -> Sample:
        sizes: list[tuple[float, ...]] = []
        depths: list[tuple[float, ...]] = []
        gaps: list[float] = []
        for ladder in (bids, asks):
            prices = [ladder.at(n) for n in range(min(SAMPLED_LEVELS, len(ladder)))]
            sizes.append(tuple(ladder.get(price) / SCALE for price in prices))
            gaps += [abs(a - b) / self.tick for a, b in pairwise(prices)]
            depths.append(tuple(_depth_usd(ladder, middle, bps) for bps in DEPTH_BPS))
        return Sample((sizes[0], sizes[1]), tuple(gaps), (depths[0], depths[1]))

    def reach(self, bids: "Ladder", asks: "Ladder") -> None:
        middle = (bids.best + asks.best) / 2
        self.tape.reach_bps = (
            (middle - bids.worst) / middle * 1e4,
            (asks.worst - middle) / middle * 1e4,
        )


def _depth_usd(ladder: Ladder, middle: float, bps: int) -> float:
    limit = int(middle * (1 - ladder.sign * bps / 1e4))
    return sum(price * ladder.get(price) for price in ladder.better_than(limit)) / SCALE / SCALE


def of_recording(records: Iterable[tuple[int, Record]], tick: int) -> Tape:
    """A recording in venue order. Quotes and depth are the venue's own messages, not the book rebuilt from both."""
    writer: Writer | None = None
    bids, asks = Ladder(1), Ladder(-1)
    last_id = 0
    now_ns = 0
    for now_ns, record in records:
        if writer is None:
            writer = Writer(tick, now_ns)
        match record:
            case RecordedSnapshot():
                last_id = record.last_id
                for side, levels in ((bids, record.bids), (asks, record.asks)):
                    for price, quantity in levels:
                        side.set(price, quantity)
                writer.reach(bids, asks)
            case RecordedDepth():
                if record.last_id <= last_id:
                    continue
                last_id = record.last_id
                for side, levels in ((bids, record.bids), (asks, record.asks)):
                    for price, quantity in levels:
                        side.set(price, quantity)
                writer.batch(now_ns, bids, asks, (*record.bids, *record.asks))
            case RecordedQuote():
                writer.quote(now_ns, record.bid, record.ask)
            case RecordedTrade():
                writer.trade(now_ns, now_ns // MILLISECOND_NS, record.price, record.quantity, record.aggressor)
    if writer is None:
        raise ValueError("the recording is empty")
    writer.tape.seconds = writer.at(now_ns)
    return writer.tape


def of_market(events: Iterable[MarketEvent], tick: int, seconds: float) -> Tape:
    """A generated market, told as a venue would: each change of the best, each trade, changed levels by 100 ms."""
    writer: Writer | None = None
    bids, asks = Ladder(1), Ladder(-1)
    changed: dict[tuple[Side, int], None] = {}
    batch_end = 0
    for event in events:
        if writer is None:
            writer = Writer(tick, event.ts)
            batch_end = event.ts + BATCH_NS
        while event.ts >= batch_end:
            if changed:
                now = ((p, (bids if side is Side.BUY else asks).get(p)) for side, p in changed)
                writer.batch(batch_end, bids, asks, now)
                changed.clear()
            batch_end += BATCH_NS
        if writer.at(event.ts) > seconds:
            break
        match event:
            case Print(ts, price, quantity, aggressor):
                writer.trade(ts, ts // MILLISECOND_NS, price, quantity, aggressor)
            case BookChange():
                for side, ladder, levels in ((Side.BUY, bids, event.bids), (Side.SELL, asks, event.asks)):
                    for price, quantity in levels:
                        if ladder.set(price, quantity):
                            changed[side, price] = None
                if event.reset:
                    changed.clear()
                    writer.reach(bids, asks)
                writer.quote(event.ts, (bids.best, bids.get(bids.best)), (asks.best, asks.get(asks.best)))
    if writer is None:
        raise ValueError("the market is empty")
    writer.tape.seconds = seconds
    return writer.tape

"""How long a book takes: one level changed, and the ten best levels of both sides. Prints, never fails.

Run `python tests/bench/book.py`. The naive floor (a dict, sorted when asked) is measured in the same run: on a
busy machine the ratio counts, not the figure. Its update is the cheaper one, and every question costs more.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "services"))

from ringfence.marketdata.book import Book, Level

TICK = 1_000_000
MIDDLE = 6_183_764 * TICK
LEVELS = 500
UPDATES = 100_000
BATCH = 20
"""Calls per reading of the clock, so that the reading does not count."""

Change = tuple[tuple[Level, ...], tuple[Level, ...]]


class Naive:
    """The floor: nothing is kept in order, so every question sorts."""

    def __init__(self) -> None:
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def apply(self, bids: tuple[Level, ...], asks: tuple[Level, ...]) -> None:
        for side, levels in ((self._bids, bids), (self._asks, asks)):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)

    @property
    def best_bid(self) -> int:
        return max(self._bids)

    def bids(self, count: int) -> list[Level]:
        return sorted(self._bids.items(), reverse=True)[:count]

    def asks(self, count: int) -> list[Level]:
        return sorted(self._asks.items())[:count]


def changes(rng: random.Random) -> list[Change]:
    """One level each, most of them near the touch, 31 % deletes: as recorded."""
    made: list[Change] = []
    for _ in range(UPDATES):
        depth = min(LEVELS - 1, int(rng.expovariate(1 / 40)))
        quantity = 0 if rng.random() < 0.31 else rng.randrange(1, 10**9)
        if rng.random() < 0.5:
            made.append((((MIDDLE - (1 + depth) * TICK, quantity),), ()))
        else:
            made.append(((), ((MIDDLE + (1 + depth) * TICK, quantity),)))
    return made


def per_call_ns(calls: list[Callable[[], object]]) -> list[float]:
    """Nanoseconds per call, one figure a batch."""
    found: list[float] = []
    for start in range(0, len(calls) - BATCH, BATCH):
        batch = calls[start : start + BATCH]
        begun = time.perf_counter_ns()
        for call in batch:
            call()
        found.append((time.perf_counter_ns() - begun) / BATCH)
    return found


def updates_ns(apply: Callable[[tuple[Level, ...], tuple[Level, ...]], None], made: list[Change]) -> list[float]:
    found: list[float] = []
    for start in range(0, len(made) - BATCH, BATCH):
        batch = made[start : start + BATCH]
        begun = time.perf_counter_ns()
        for bids, asks in batch:
            apply(bids, asks)
        found.append((time.perf_counter_ns() - begun) / BATCH)
    return found


def best_ns(book: Book | Naive, made: list[Change]) -> list[float]:
    def apply(bids: tuple[Level, ...], asks: tuple[Level, ...]) -> None:
        book.apply(bids, asks)
        _ = book.best_bid

    return updates_ns(apply, made)


def line(name: str, figures: list[float], floor: list[float]) -> str:
    ordered = sorted(figures)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    ratio = statistics.median(floor) / p50
    return (
        f"{name:24} p50 {p50:8.0f} ns   p99 {p99:8.0f} ns   naive p50 {statistics.median(floor):8.0f} ns ({ratio:.1f}x)"
    )


def main() -> None:
    rng = random.Random(1)
    bids = tuple((MIDDLE - (1 + i) * TICK, rng.randrange(1, 10**9)) for i in range(LEVELS))
    asks = tuple((MIDDLE + (1 + i) * TICK, rng.randrange(1, 10**9)) for i in range(LEVELS))
    made = changes(rng)
    book, naive = Book(), Naive()
    book.replace(bids, asks)
    naive.apply(bids, asks)
    updates, floor_updates = updates_ns(book.apply, made), updates_ns(naive.apply, made)
    tops = per_call_ns([lambda: (book.bids(10), book.asks(10))] * 20_000)
    floor_tops = per_call_ns([lambda: (naive.bids(10), naive.asks(10))] * 1_000)
    both = best_ns(book, made)
    floor_both = best_ns(naive, made)
    if list(book.bids(10)) != naive.bids(10) or list(book.asks(10)) != naive.asks(10):
        raise SystemExit("the two books differ: the figures mean nothing")
    print(f"book of {LEVELS} levels a side, {UPDATES} changes of one level, {len(book)} levels at the end")
    print(line("update", updates, floor_updates))
    print(line("update and best", both, floor_both))
    print(line("ten best, both sides", tops, floor_tops))


if __name__ == "__main__":
    main()

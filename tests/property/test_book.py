"""The book against a naive model, and the sync engine against streams that lose, repeat and mix messages."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.marketdata import book as book_module
from ringfence.marketdata.book import Book, Level
from ringfence.marketdata.sync import Connected, MarketSync, SnapshotArrived, SnapshotWanted, Tick
from ringfence.venues.api import BookDiff, BookSnapshot
from ringfence.wire.messages import BookTop

levels = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 5)), max_size=8)


class Naive:
    """The obvious book: two dicts, sorted when asked."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}

    def apply(self, bids: list[Level], asks: list[Level]) -> None:
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in changes:
                side.pop(price, None)
                if quantity:
                    side[price] = quantity

    def top(self, count: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        return tuple(sorted(self.bids.items(), reverse=True)[:count]), tuple(sorted(self.asks.items())[:count])


@given(
    start=st.tuples(levels, levels), changes=st.lists(st.tuples(levels, levels), max_size=30), count=st.integers(1, 25)
)
def test_book_equals_a_naive_model(
    start: tuple[list[Level], list[Level]], changes: list[tuple[list[Level], list[Level]]], count: int
) -> None:
    """After any snapshot and changes: the same levels in the same order, the same best, the same crossing."""
    book, naive = Book(), Naive()
    book.apply([(7, 7)], [(8, 8)])
    # a snapshot names each price once
    bids, asks = list(dict(start[0]).items()), list(dict(start[1]).items())
    book.replace(bids, asks)
    naive.apply(bids, asks)
    for bids, asks in [([], []), *changes]:
        book.apply(bids, asks)
        naive.apply(bids, asks)
        assert (book.bids(count), book.asks(count)) == naive.top(count)
        assert (book.best_bid, book.best_ask) == (max(naive.bids, default=0), min(naive.asks, default=0))
        crossed = bool(naive.bids and naive.asks) and max(naive.bids) >= min(naive.asks)
        assert (book.crossed, len(book)) == (crossed, len(naive.bids) + len(naive.asks))
        assert book.one_sided == (not naive.bids or not naive.asks)


@given(prices=st.lists(st.integers(1, 10**15), unique=True, min_size=1, max_size=50))
def test_book_never_grows_without_bound(prices: list[int]) -> None:
    """Beyond the limit the levels farthest from the best go, on both sides."""
    most = book_module.LEVELS_MAX
    book = Book()
    far = [(price, 1) for price in range(1, most + 1)]
    book.replace(far, [(10**16 + price, 1) for price, _ in far])
    book.apply([(10**15 + price, 1) for price in prices], [(10**16 - price, 1) for price in prices])
    assert len(book) == 2 * most
    assert book.bids(len(prices)) == tuple((10**15 + price, 1) for price in sorted(prices, reverse=True))
    assert book.asks(len(prices)) == tuple((10**16 - price, 1) for price in sorted(prices, reverse=True))


class Exchange:
    """The truth: every state that the venue's book has had, by its update id."""

    def __init__(self, steps: list[tuple[list[Level], list[Level]]]) -> None:
        self.diffs: list[BookDiff] = []
        self.states: list[Naive] = [Naive()]
        self.states[0].apply([(10, 1)], [(50, 1)])
        for number, (bids, asks) in enumerate(steps, start=1):
            # bids below asks, always: what this venue shows is never crossed
            low = [(1 + price % 20, quantity) for price, quantity in bids]
            high = [(40 + price % 20, quantity) for price, quantity in asks]
            after = Naive()
            after.bids, after.asks = dict(self.states[-1].bids), dict(self.states[-1].asks)
            after.apply(low, high)
            self.states.append(after)
            self.diffs.append(BookDiff("X", number, number, 0, 0, tuple(low), tuple(high)))

    def snapshot(self, update_id: int) -> BookSnapshot:
        state = self.states[update_id]
        return BookSnapshot(update_id, tuple(state.bids.items()), tuple(state.asks.items()))


faults = st.sampled_from(["pass", "pass", "pass", "pass", "drop", "repeat", "hold", "reconnect"])


@settings(max_examples=300)
@given(
    steps=st.lists(st.tuples(levels, levels), min_size=5, max_size=60),
    plan=st.lists(st.tuples(faults, st.integers(-4, 2), st.booleans()), min_size=60, max_size=60),
)
def test_no_book_is_published_from_a_stream_with_holes(
    steps: list[tuple[list[Level], list[Level]]], plan: list[tuple[str, int, bool]]
) -> None:
    """Whatever is lost, repeated, swapped or answered late: a published book is the venue's own of that update."""
    exchange = Exchange(steps)
    sync = MarketSync(("X",), 10**9, 10**9)
    now_ns = 10**18
    published: list[BookTop] = []
    wanted: list[SnapshotWanted] = []
    held: list[BookDiff] = []

    def give(event: Tick | Connected | BookDiff | SnapshotArrived) -> None:
        for output in sync.handle(event, now_ns):
            if isinstance(output, BookTop):
                published.append(output)
            elif isinstance(output, SnapshotWanted):
                wanted.append(output)

    give(Connected(True, ""))
    for diff, (fault, lag, answer) in zip(exchange.diffs, plan, strict=False):
        now_ns += 10**9
        if fault == "reconnect":
            give(Connected(False, "lost"))
            give(Connected(True, ""))
        if fault == "hold":
            held.append(diff)
        elif fault != "drop":
            for _ in range(2 if fault == "repeat" else 1):
                give(diff)
            while held:
                give(held.pop())
        if answer and wanted:
            asked = wanted.pop(0)
            at = min(len(steps), max(0, diff.last_update_id + lag))
            give(SnapshotArrived("X", asked.generation, exchange.snapshot(at)))
        give(Tick())
    for top in published:
        assert (top.bids, top.asks) == exchange.states[top.update_id].top(20)


@given(steps=st.lists(st.tuples(levels, levels), min_size=4, max_size=40))
def test_whole_stream_is_published_from_the_first_join(steps: list[tuple[list[Level], list[Level]]]) -> None:
    """With nothing lost, every update after the snapshot is published, in order."""
    exchange = Exchange(steps)
    sync = MarketSync(("X",), 10**9, 10**9)
    sync.handle(Connected(True, ""), 1)
    sync.handle(exchange.diffs[0], 1)
    sync.handle(SnapshotArrived("X", 1, exchange.snapshot(0)), 1)
    found = [
        output.update_id
        for diff in exchange.diffs[1:]
        for output in sync.handle(diff, 1)
        if isinstance(output, BookTop)
    ]
    assert found == list(range(2, len(steps) + 1))

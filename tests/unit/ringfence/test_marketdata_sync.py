"""The sync engine: joins snapshot and changes, sees gaps, and says when data may not be traded on."""

import itertools

from ringfence.marketdata.sync import (
    BUFFER_MAX,
    QUOTES_MAX,
    RETRY_FIRST_NS,
    SNAPSHOT_LATE_NS,
    Connected,
    Input,
    MarketSync,
    Output,
    SnapshotArrived,
    SnapshotFailed,
    SnapshotWanted,
    SymbolSync,
    Tick,
)
from ringfence.model.orders import Side
from ringfence.venues.api import BookDiff, BookSnapshot
from ringfence.wire.messages import BookTop, FeedStatus, Quote, Trade

MS = 1_000_000
START_NS = 1_700_000_000_000 * MS


def diff(first: int, last: int, bid: int = 100, ask: int = 101, quantity: int = 5) -> BookDiff:
    return BookDiff("BTCUSDT", first, last, 7, 8, ((bid, quantity),), ((ask, quantity),))


def quote(update_id: int, bid: int = 100, ask: int = 101) -> Quote:
    return Quote("BTCUSDT", update_id, 8, bid, 1, ask, 1)


class Driver:
    """A symbol's engine and a clock that only moves forward in the test's own words."""

    def __init__(self) -> None:
        self.sync = SymbolSync("BTCUSDT", book_stale_ms=1000, quote_stale_ms=2000)
        self.now_ns = START_NS
        self.wanted: SnapshotWanted | None = None

    def give(self, event: Input, after_ms: int = 0) -> list[Output]:
        self.now_ns += after_ms * MS
        out = self.sync.handle(event, self.now_ns)
        for output in out:
            if isinstance(output, SnapshotWanted):
                self.wanted = output
        return out

    def snapshot(self, last_id: int, bid: int = 99, ask: int = 102) -> list[Output]:
        assert self.wanted is not None
        arrived = SnapshotArrived("BTCUSDT", self.wanted.generation, BookSnapshot(last_id, ((bid, 3),), ((ask, 3),)))
        return self.give(arrived)

    def in_sync(self) -> "Driver":
        """Connected, joined at update 10, with a best quote: usable."""
        self.give(Connected(True, ""))
        self.give(diff(5, 10))
        self.snapshot(7)
        self.give(quote(10))
        assert self.sync.reason == ""
        return self


def tops(out: list[Output]) -> list[BookTop]:
    return [output for output in out if isinstance(output, BookTop)]


def statuses(out: list[Output]) -> list[tuple[bool, str]]:
    return [(output.usable, output.reason) for output in out if isinstance(output, FeedStatus)]


def test_snapshot_is_wanted_after_the_first_change_and_joined_with_it() -> None:
    """The first change is noted, then the snapshot is fetched; what it already holds is dropped."""
    driver = Driver()
    assert statuses(driver.give(Connected(True, ""))) == [(False, "waiting for the first update")]
    assert SnapshotWanted("BTCUSDT", 1) in driver.give(diff(5, 6, bid=90))
    driver.give(diff(7, 9))
    found = tops(driver.snapshot(6))
    assert [(top.update_id, top.bids, top.asks) for top in found] == [(9, ((100, 5), (99, 3)), ((101, 5), (102, 3)))]


def test_snapshot_older_than_the_first_change_is_fetched_again() -> None:
    """It ends before our changes begin: nothing proves what lies between."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    assert tops(driver.snapshot(3)) == []
    assert driver.sync.reason == "snapshot too old: fetching another"
    driver.wanted = None
    driver.give(Tick(), RETRY_FIRST_NS // MS)
    assert tops(driver.snapshot(5)) != []


def test_snapshot_ahead_of_the_changes_waits_for_the_one_that_continues_it() -> None:
    """A snapshot alone is not a book in sync; the next change must continue it."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    assert tops(driver.snapshot(8)) == []
    assert tops(driver.give(diff(7, 8))) == []
    assert [top.update_id for top in tops(driver.give(diff(9, 11)))] == [11]


def test_gap_makes_the_data_unusable_and_fetches_a_snapshot() -> None:
    """One lost message is enough."""
    driver = Driver().in_sync()
    out = driver.give(diff(12, 13))
    assert tops(out) == []
    assert statuses(out) == [(False, "gap: resyncing")]
    assert driver.sync.metrics.gaps == 1
    driver.give(Tick(), 300)
    out = driver.snapshot(12)
    assert [top.update_id for top in tops(out)] == [13]
    assert statuses(out) == [(True, "")]


def test_gap_among_waiting_changes_forgets_what_came_before_it() -> None:
    """A snapshot from before the hole cannot be joined to what comes after it."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    driver.give(diff(9, 10))
    assert tops(driver.snapshot(6)) == []
    driver.give(Tick(), 300)
    assert [top.update_id for top in tops(driver.snapshot(9))] == [10]


def test_old_changes_are_ignored_and_overlapping_ones_are_folded() -> None:
    """Quantities are absolute, so a change that overlaps what we have is as good as one that continues it."""
    driver = Driver().in_sync()
    assert tops(driver.give(diff(8, 10, bid=95))) == []
    assert [top.update_id for top in tops(driver.give(diff(9, 11)))] == [11]


def test_update_ids_that_go_back_start_anew() -> None:
    """A venue that begins a new session without closing the stream is followed, once nothing newer has come."""
    driver = Driver().in_sync()
    assert driver.wanted is not None
    driver.give(diff(1, 2), 500)
    assert driver.sync.reason == ""
    driver.give(diff(3, 4), 600)
    assert driver.sync.reason == "update ids went back: resyncing"
    assert [top.update_id for top in tops(driver.snapshot(3))] == [4]


def test_crossed_book_is_never_published() -> None:
    """A bid at the ask cannot be: the book is wrong, whatever the ids say."""
    driver = Driver().in_sync()
    out = driver.give(diff(11, 12, bid=101, ask=103))
    assert tops(out) == []
    assert statuses(out) == [(False, "crossed: resyncing")]
    assert driver.sync.metrics.crossings == 1


def test_book_that_disagrees_with_the_best_quote_is_given_up() -> None:
    """Two streams of the same update must tell the same best prices, whichever of them comes first."""
    before, after = Driver().in_sync(), Driver().in_sync()
    before.give(quote(12, bid=98))
    out = before.give(diff(11, 12))
    assert tops(out) == []
    after.give(diff(11, 12))
    after.give(quote(12, bid=98))
    for driver in (before, after):
        assert driver.sync.reason == "book disagrees with the best quote: resyncing"
        assert driver.sync.metrics.disagreements == 1


def test_stale_book_is_unusable_and_recovers_with_the_next_update() -> None:
    """Silence is not a quiet market, until something says so."""
    driver = Driver().in_sync()
    driver.give(Tick(), 1000)
    assert driver.sync.reason == ""
    assert statuses(driver.give(Tick(), 1)) == [(False, "book stale: no update for more than 1000 ms")]
    assert statuses(driver.give(diff(11, 12))) == [(True, "")]


def test_stale_quote_is_unusable() -> None:
    """A book that moves does not make an old best quote fresh."""
    driver = Driver().in_sync()
    for step in range(1, 4):
        driver.give(diff(10 + step, 10 + step), 700)
    assert driver.sync.reason == "quote stale: none for more than 2000 ms"
    driver.give(quote(14))
    assert driver.sync.reason == ""


def test_clock_set_back_does_not_make_stale_data_fresh() -> None:
    """Ages move with the clock: an hour back hides nothing."""
    driver = Driver().in_sync()
    driver.give(Tick(), -3_600_000)
    assert driver.sync.reason == ""
    driver.give(Tick(), 1001)
    assert driver.sync.reason.startswith("book stale")


def test_disconnect_is_unusable_and_a_late_snapshot_of_before_is_not_wanted() -> None:
    """Nothing is known of what was missed, and an answer to the old connection's question proves nothing."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    old = driver.wanted
    assert statuses(driver.give(Connected(False, "closed"))) == [(False, "disconnected: closed")]
    driver.give(diff(7, 8))
    driver.give(Connected(True, ""), 300)
    driver.give(diff(20, 21))
    assert old is not None
    driver.give(SnapshotArrived("BTCUSDT", old.generation, BookSnapshot(20, ((99, 1),), ((102, 1),))))
    assert driver.sync.reason == "waiting for the first update"
    assert [top.update_id for top in tops(driver.snapshot(20))] == [21]


def test_failed_snapshots_are_retried_ever_more_slowly() -> None:
    """A venue in trouble is not hammered, and the reason is shown."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    asked_ns: list[int] = []
    for _ in range(600):
        if driver.wanted is not None:
            asked_ns.append(driver.now_ns)
            failed = SnapshotFailed("BTCUSDT", driver.wanted.generation, "HTTP 503")
            driver.wanted = None
            driver.give(failed)
            assert driver.sync.reason == "no snapshot: HTTP 503"
        driver.give(Tick(), 100)
    waits = [(after - before) // MS for before, after in itertools.pairwise(asked_ns)]
    assert waits == [300, 500, 1000, 2000, 4000, 8000, 16000, 16000]


def test_snapshot_that_never_comes_is_asked_for_again() -> None:
    """A lost answer must not stop the feed for ever."""
    driver = Driver()
    driver.give(Connected(True, ""))
    driver.give(diff(5, 6))
    driver.wanted = None
    driver.give(Tick(), SNAPSHOT_LATE_NS // MS + 1)
    assert driver.wanted == SnapshotWanted("BTCUSDT", 2)


def test_status_is_repeated_once_a_second() -> None:
    """A subscriber that comes late learns within a second."""
    driver = Driver().in_sync()
    seen: list[tuple[bool, str]] = []
    for step in range(11, 51):
        seen += statuses(driver.give(diff(step, step), 100))
        driver.give(quote(step))
    assert seen == [(True, "")] * 4


def test_quotes_and_trades_pass_and_older_quotes_do_not() -> None:
    """They are facts of their own; a best quote that is older than the last one is none."""
    driver = Driver().in_sync()
    trade = Trade("BTCUSDT", 1, 7, 8, 100, 1, Side.BUY)
    assert trade in driver.give(trade)
    assert quote(9) not in driver.give(quote(9))
    assert quote(11) in driver.give(quote(11))


def test_crossed_quote_and_empty_side_are_unusable() -> None:
    """What cannot be is not traded on."""
    driver = Driver().in_sync()
    driver.give(quote(11, bid=101, ask=101))
    assert driver.sync.reason == "best quote is crossed or has no price"
    driver.give(quote(12))
    driver.give(BookDiff("BTCUSDT", 11, 13, 7, 8, ((100, 0), (99, 0)), ()))
    assert driver.sync.reason == "book has no bid or no ask"


def test_symbols_are_kept_apart() -> None:
    """One symbol's trouble is not another's, and strangers are counted."""
    sync = MarketSync(("BTCUSDT", "ETHUSDT"), 1000, 1000)
    out = sync.handle(Connected(True, ""), START_NS)
    assert {output.symbol for output in out if isinstance(output, FeedStatus)} == {"BTCUSDT", "ETHUSDT"}
    sync.handle(diff(1, 2), START_NS)
    assert sync.symbols["ETHUSDT"].metrics.diffs == 0
    assert sync.handle(Quote("DOGEUSDT", 1, 1, 1, 1, 2, 1), START_NS) == []
    assert sync.strangers == 1


def test_changes_that_wait_for_a_snapshot_are_bounded_and_the_oldest_are_let_go() -> None:
    """A snapshot that is very late is from before what is kept: another is fetched, and no hole is joined."""
    driver = Driver()
    driver.give(Connected(True, ""))
    for number in range(10, 10 + 2 * BUFFER_MAX):
        driver.give(diff(number, number))
    assert len(driver.sync._buffer) == BUFFER_MAX
    first = driver.wanted
    assert tops(driver.snapshot(12)) == []
    assert driver.sync.reason != ""
    driver.give(Tick(), 300)
    assert driver.wanted is not first
    last = 9 + 2 * BUFFER_MAX
    assert [top.update_id for top in tops(driver.snapshot(last - BUFFER_MAX))] == [last]


def test_best_quotes_that_wait_for_their_book_are_bounded() -> None:
    driver = Driver().in_sync()
    for number in range(11, 11 + 3 * QUOTES_MAX):
        driver.give(quote(number))
    assert len(driver.sync._quotes) == QUOTES_MAX

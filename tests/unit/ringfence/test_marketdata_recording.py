"""The recorded market through the sync engine: no gap, and the book agrees with the venue's own best quotes."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence.marketdata.sync import Connected, MarketSync, SnapshotArrived, SnapshotWanted
from ringfence.venues.api import MarketEvent
from ringfence.venues.binance.codec import book_snapshot
from ringfence.venues.binance.stream import MarketDecoder, Shutdown
from ringfence.wire.messages import BookTop, Quote

BESIDE = Path(__file__).parents[4] / "shared" / "data"


def lines(symbol: str) -> Iterator[tuple[int, bytes]]:
    """Receive time and message, as recorded."""
    directory = Path(os.environ.get("RINGFENCE_DATA", BESIDE))
    directory = directory / "binance-spot" if (directory / "binance-spot").is_dir() else directory
    path = directory / f"{symbol.lower()}-20240808.gz"
    if not path.is_file():
        pytest.skip(f"no recording {path.name}: set RINGFENCE_DATA to the directory that holds it")
    with gzip.open(path) as file:
        for line in file:
            ts, body = line.split(b" ", 1)
            yield int(ts), body


@pytest.mark.recording
@pytest.mark.parametrize(("symbol", "shared"), [("BTCUSDT", 564), ("ETHUSDT", 577)])
def test_recorded_book_agrees_with_every_best_quote(symbol: str, shared: int) -> None:
    """Wherever a best quote and the end of a depth update share an update id, their best prices are the same."""
    decoder, sync = MarketDecoder((symbol,)), MarketSync((symbol,), 2000, 2000)
    sync.handle(Connected(True, ""), next(lines(symbol))[0])
    books: dict[int, tuple[int, int]] = {}
    quotes: dict[int, tuple[int, int]] = {}
    wanted: list[SnapshotWanted] = []
    for ts, body in lines(symbol):
        event: MarketEvent | SnapshotArrived | Shutdown | None
        if body.startswith(b'{"lastUpdateId"'):
            event = SnapshotArrived(symbol, wanted[0].generation, book_snapshot(body))
        else:
            event = decoder.decode(body, ts)
        assert event is not None
        assert not isinstance(event, Shutdown)
        if isinstance(event, Quote):
            quotes[event.update_id] = (event.bid, event.ask)
        for output in sync.handle(event, ts):
            if isinstance(output, BookTop):
                books[output.update_id] = (output.bids[0][0], output.asks[0][0])
            elif isinstance(output, SnapshotWanted):
                wanted.append(output)
    both = books.keys() & quotes.keys()
    metrics = sync.symbols[symbol].metrics
    assert [book for book in both if books[book] != quotes[book]] == []
    assert (len(both), metrics.agreements, metrics.disagreements) == (shared, shared, 0)
    assert (metrics.gaps, metrics.resyncs, metrics.crossings, len(wanted)) == (0, 0, 0, 1)

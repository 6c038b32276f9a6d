"""The two markets: the generator is deterministic and of the right kind, the recording is replayed in venue order."""

import gzip
import os
import statistics
from collections.abc import Iterator
from itertools import islice, pairwise, takewhile
from pathlib import Path
from random import Random

import pytest

from ringfence.model.money import SCALE
from ringfence.model.orders import Side
from ringfence.simulator import recorded
from ringfence.simulator.book import Ladder
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.generated import PROFILES, generated
from ringfence.simulator.market import BookChange, Market, MarketEvent, Print
from ringfence.simulator.orders import BestQuote, DepthUpdate, PublicTrade
from ringfence.simulator.venue import Fees, Venue

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def generator(symbol: str, seed: int) -> Market:
    return generated(LISTED[symbol].instrument, PROFILES[symbol], Random(f"{seed}/{symbol}"), START)


@pytest.mark.parametrize("symbol", LISTED)
def test_one_seed_is_one_market(symbol: str) -> None:
    """The same numbers make the same events, other numbers make others."""
    first, again, other = (list(islice(generator(symbol, seed), 2_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("symbol", LISTED)
def test_generated_events_keep_the_rules_of_the_instrument(symbol: str) -> None:
    """Time never falls, prices are on the tick, quantities on the lot, and the book is never crossed or empty."""
    rules = LISTED[symbol].instrument
    bids, asks = Ladder(1), Ladder(-1)
    last_ns = START
    for event in takewhile(lambda e: e.ts < START + 20 * SECOND, generator(symbol, 3)):
        assert event.ts >= last_ns
        last_ns = event.ts
        if isinstance(event, Print):
            assert rules.price_error(event.price) is None
            assert event.quantity % rules.lot == 0 < event.quantity
            touch = asks.best if event.aggressor is Side.BUY else bids.best
            assert event.price == touch or event.price in (asks if event.aggressor is Side.BUY else bids).levels
            continue
        for ladder, levels in ((bids, event.bids), (asks, event.asks)):
            for price, quantity in levels:
                assert price % rules.tick == 0 == quantity % rules.lot
                ladder.set(price, quantity)
        assert 0 < bids.best < asks.best
        assert len(bids) > 50 < len(asks)


@pytest.mark.parametrize("symbol", LISTED)
def test_the_generated_market_is_of_the_recorded_kind(symbol: str) -> None:
    """Seen through the venue as clients see it, two minutes of one seed. `make market-stats` has the whole table."""
    seconds = 120
    venue = Venue({symbol: LISTED[symbol]}, {symbol: generator(symbol, 5)}, Fees(0, 0), START)
    quotes, tight, last_id = 0, 0, 0
    trades, depths, mids = [0] * seconds, list[int](), list[float]()
    for tenth in range(seconds * 10):
        venue.advance(START + (tenth + 1) * SECOND // 10)
        for event in venue.take_events():
            match event:
                case BestQuote():
                    assert event.bid < event.ask
                    quotes += 1
                case PublicTrade():
                    trades[tenth // 10] += 1
                case DepthUpdate() if event.period_ms == 100:
                    assert not depths or event.first_update_id == last_id + 1
                    last_id = event.last_update_id
                    depths.append(len(event.bids) + len(event.asks))
                case _:
                    pass
        best = venue.instruments[symbol].publisher.best
        tight += best.ask - best.bid == LISTED[symbol].instrument.tick
        mids.append((best.bid + best.ask) / 2)
    returns = [(b - a) / a * 1e4 for a, b in pairwise(mids[::10])]
    assert tight / len(mids) > 0.97
    assert 40 < quotes / seconds < 140
    assert 15 < statistics.mean(depths) < 60
    assert statistics.variance(trades) / statistics.mean(trades) > 3, "trades come in clusters"
    assert 0.4 < statistics.pstdev(returns) < 3, "basis points in one second"


# --- recordings


def line(local_ms: int, text: str) -> bytes:
    return f"{local_ms * 1_000_000} {text}\n".encode()


def trade(local_ms: int, venue_ms: int, price: str) -> bytes:
    fields = f'"e":"trade","E":{venue_ms},"s":"X","t":1,"p":"{price}","q":"1","T":{venue_ms},"m":true,"M":true'
    return line(local_ms, f'{{"stream":"x@trade","data":{{{fields}}}}}')


def depth(local_ms: int, venue_ms: int, first: int, last: int, bids: str, asks: str = "") -> bytes:
    fields = f'"e":"depthUpdate","E":{venue_ms},"s":"X","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]'
    return line(local_ms, f'{{"stream":"x@depth@100ms","data":{{{fields}}}}}')


def quote(local_ms: int, update_id: int, bid: str, ask: str) -> bytes:
    fields = f'"u":{update_id},"s":"X","b":"{bid}","B":"7","a":"{ask}","A":"7"'
    return line(local_ms, f'{{"stream":"x@bookTicker","data":{{{fields}}}}}')


def snapshot(local_ms: int, last: int, bids: str, asks: str) -> bytes:
    return line(local_ms, f'{{"lastUpdateId":{last},"bids":[{bids}],"asks":[{asks}]}}')


RECORDING = (
    depth(90, 1090, 1, 4, '["97","9"]'),
    depth(95, 1095, 5, 6, '["98","2"]'),
    snapshot(100, 5, '["99","1"],["98","1"],["97","1"]', '["101","1"],["102","1"],["103","1"]'),
    quote(120, 9, "98", "101"),
    trade(130, 1119, "99"),  # late: it happened before the quote that it moved
    trade(140, 1140, "98"),
    depth(200, 1200, 7, 10, '["99","0"],["98","7"]'),
    quote(210, 8, "99", "101"),  # late: older than the depth
    quote(220, 12, "98", "103"),
    depth(300, 1300, 11, 13, '["96","3"]'),
)


def test_the_clock_offset_is_that_of_the_fastest_trades() -> None:
    """Receive time less the venue's time, first percentile: here of two, the smaller."""
    assert recorded.clock_offset_ns(RECORDING) == -1_000_000_000


KINDS = ("Snapshot", "Depth", "Trade", "Quote", "Trade", "Depth", "Quote", "Quote", "Depth")


def test_records_are_put_in_venue_order() -> None:
    """A trade stands where it happened, before the quote that it caused, though it was told later."""
    kinds = [type(record).__name__ for _, record in recorded.in_venue_order(RECORDING, -SECOND)]
    assert kinds == [f"Recorded{kind}" for kind in KINDS]


def test_a_replay_shows_depth_under_the_newest_quote() -> None:
    """Quotes hide what is better than they are, until the depth says that it is gone or back."""
    events: list[MarketEvent] = list(recorded.replay(RECORDING, -SECOND, START))
    book = {Side.BUY: Ladder(1), Side.SELL: Ladder(-1)}
    seen = []
    for event in events:
        if isinstance(event, BookChange):
            for side, levels in ((Side.BUY, event.bids), (Side.SELL, event.asks)):
                for price, quantity in levels:
                    book[side].set(price, quantity)
            seen.append((book[Side.BUY].best // SCALE, book[Side.SELL].best // SCALE))
    assert seen == [(99, 101), (99, 101), (98, 101), (98, 101), (98, 103), (98, 101)]
    assert events[0].ts == START
    assert [e.price // SCALE for e in events if isinstance(e, Print)] == [99, 98]
    bids, asks = ({p // SCALE: q // SCALE for p, q in ladder.levels.items()} for ladder in book.values())
    assert bids == {96: 3, 97: 1, 98: 7}
    # what a quote had hidden is back when the depth, which is newer, does not say that it is gone
    assert asks == {101: 1, 102: 1, 103: 1}


def test_a_recording_without_snapshot_or_with_rubbish_is_refused() -> None:
    """Absence is not an empty market."""
    with pytest.raises(recorded.RecordingError, match="snapshot"):
        list(recorded.replay(RECORDING[3:], 0, START))
    with pytest.raises(recorded.RecordingError, match="not a line"):
        list(recorded.replay([b"12 {"], 0, START))
    with pytest.raises(recorded.RecordingError, match="without trades"):
        recorded.clock_offset_ns([])


def recording(symbol: str) -> Iterator[bytes]:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data" / "binance-spot"
    directory = Path(os.environ.get("RINGFENCE_DATA", beside))
    found = sorted(directory.glob(f"{symbol.lower()}*.gz"))
    if not found:
        pytest.skip(f"no recorded market in {directory}; set RINGFENCE_DATA")
    with gzip.open(found[0]) as file:
        yield from file


@pytest.mark.recording
@pytest.mark.parametrize(("symbol", "offset_s"), [("BTCUSDT", -1.273), ("ETHUSDT", -1.273)])
def test_the_recorded_book_is_the_depth_wherever_the_depth_is_newest(symbol: str, offset_s: float) -> None:
    """Level by level, against a book kept by depth updates alone; and never crossed in between."""
    lines = list(recording(symbol))
    offset_ns = recorded.clock_offset_ns(lines)
    assert offset_ns / SECOND == pytest.approx(offset_s, abs=0.01)
    shown = recorded._RecordedBook()
    alone: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    last_id = newest_quote = compared = 0
    for _, record in recorded.in_venue_order(lines, offset_ns):
        if isinstance(record, recorded.RecordedQuote):
            shown.quote(record)
            newest_quote = max(newest_quote, record.update_id)
        elif not isinstance(record, recorded.RecordedTrade):
            shown.snapshot(record) if isinstance(record, recorded.RecordedSnapshot) else shown.depth(record)
            if record.last_id > last_id:
                last_id = record.last_id
                alone[Side.BUY].update(record.bids)
                alone[Side.SELL].update(record.asks)
            if last_id >= newest_quote:
                compared += 1
                if compared % 20 == 0:
                    for side, ladder in shown._shown.items():
                        assert ladder.levels == {p: q for p, q in alone[side].items() if q}
        assert shown._shown[Side.BUY].best < shown._shown[Side.SELL].best
    assert compared > 500

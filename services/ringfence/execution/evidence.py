"""What a revision's orders were like: counts, and statistics of independent episodes. Pure; never asked on the way
to an order.

Consecutive fills of one burst say the same thing many times, so what is compared is the mean of an *episode*: fills
in one instrument less than a minute apart, weighted by value. For each revision the number of episodes, the sums of
their positive and of their negative means, and the sum of squares are kept as counters: from these alone Prometheus
can give mean and variance over any window, and so a bound that does not count one burst as many observations.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ringfence.execution.state import FOREIGN, Market, Track
from ringfence.model.money import BPS, SCALE
from ringfence.model.orders import Filled, Initialized, Rejected, Submitted
from ringfence.model.records import Entry
from ringfence.model.transfers import is_transfer

SECOND_NS: Final = 1_000_000_000
EPISODE_GAP_NS: Final = 60 * SECOND_NS
MARKOUT_NS: Final = 10 * SECOND_NS
MARKOUT_LATE_NS: Final = SECOND_NS
"""A price looked at later than this after its time is that of another time."""
QUOTE_STALE_NS: Final = 2 * SECOND_NS
REVISIONS_MAX: Final = 8
"""Label values that this process exports at most; the oldest goes."""
ORDERS_MAX: Final = 20_000
TRADES_MAX: Final = 20_000
PENDING_MAX: Final = 20_000

Owner = tuple[str, str]
"""Track and revision."""


class Moments:
    """Of episode means, in basis points. All of it only grows."""

    __slots__ = ("count", "negative", "positive", "squares")

    def __init__(self) -> None:
        self.count = 0
        self.positive = 0.0
        self.negative = 0.0
        """Sum of the negative means, as a positive number."""
        self.squares = 0.0

    def add(self, mean: float) -> None:
        self.count += 1
        if mean > 0:
            self.positive += mean
        else:
            self.negative -= mean
        self.squares += mean * mean


class Episodes:
    """Collects values into episodes, one open at a time in each instrument."""

    __slots__ = ("_open", "moments")

    def __init__(self) -> None:
        self.moments = Moments()
        self._open: dict[str, tuple[float, float, int]] = {}
        """By symbol: sum of value times weight, sum of weights, time of the last one."""

    def add(self, symbol: str, value: float, weight: float, at: int) -> None:
        total, weights, last = self._open.get(symbol, (0.0, 0.0, at))
        if at - last >= EPISODE_GAP_NS:
            self._close(symbol)
            total, weights = 0.0, 0.0
        self._open[symbol] = (total + value * weight, weights + weight, max(at, last))

    def close_before(self, now: int, wait_ns: int) -> None:
        """Close what can get no further member: the gap has passed, and ``wait_ns`` that a value takes to be known."""
        done = [s for s, (_, _, last) in self._open.items() if now - last >= EPISODE_GAP_NS + wait_ns]
        for symbol in done:
            self._close(symbol)

    def _close(self, symbol: str) -> None:
        total, weights, _ = self._open.pop(symbol)
        if weights > 0:
            self.moments.add(total / weights)


class Record:
    """What is known of one revision in one track."""

    __slots__ = ("fills", "intents", "markout", "orders", "passive_fills", "refused", "rejected", "slippage")

    def __init__(self) -> None:
        self.intents = 0
        self.refused = 0
        self.orders = 0
        self.rejected = 0
        self.fills = 0
        self.passive_fills = 0
        self.slippage = Episodes()
        """Fill price against the middle when the intent arrived; positive is a cost."""
        self.markout = Episodes()
        """The middle ten seconds after a passive fill against its price; negative is adverse selection."""


class Sent(NamedTuple):
    owner: Owner
    symbol: str
    sign: int
    mid: float
    """Middle price when the intent arrived; 0 = there was no fresh quote."""


class Pending(NamedTuple):
    """A passive fill whose markout is not known yet."""

    due: int
    owner: Owner
    symbol: str
    sign: int
    price: int
    weight: float


class Evidence:
    """Of one gate. ``revisions`` says which revision a track is now; ``mono`` is monotonic nanoseconds."""

    def __init__(self, markets: Mapping[str, Market], revision_of: Callable[[str], str]) -> None:
        self._markets = markets
        self._revision_of = revision_of
        self.records: OrderedDict[Owner, Record] = OrderedDict()
        self.self_matches = 0
        """Trades of which both sides were ours."""
        self._judged: dict[str, tuple[int, int]] = {}
        """By track: of its counts of intents and of refused ones, how much is in the records."""
        self._sent: OrderedDict[str, Sent] = OrderedDict()
        self._trades: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._pending: deque[Pending] = deque(maxlen=PENDING_MAX)

    def record(self, owner: Owner) -> Record:
        found = self.records.get(owner)
        if found is None:
            found = self.records[owner] = Record()
            if len(self.records) > REVISIONS_MAX:
                self.records.popitem(last=False)
        return found

    def expect(self, tracks: Iterable[str]) -> None:
        """Export these from zero on: a counter that first appears above zero has lost its first increase."""
        for track in tracks:
            if track != FOREIGN and self._revision_of(track):
                self.record(self._owner(track))

    def judged(self, track: Track) -> None:
        """The gate has judged intents of this track: what it counted since the last call is its revision's of now."""
        checked, failed = self._judged.get(track.name, (0, 0))
        if track.checked == checked:
            return
        self._judged[track.name] = track.checked, track.failed
        record = self.record(self._owner(track.name))
        record.intents += track.checked - checked
        record.refused += track.failed - failed

    def entries(self, entries: Iterable[Entry], mono: int) -> None:
        """What was journaled, as it happens; not what is replayed."""
        for entry in entries:
            event = entry.event
            match event:
                case Initialized() if entry.track != FOREIGN and not is_transfer(event.client_order_id):
                    sent = Sent(self._owner(entry.track), event.symbol, event.side.sign, self._mid(event.symbol, mono))
                    self._sent[event.client_order_id] = sent
                    if len(self._sent) > ORDERS_MAX:
                        self._sent.popitem(last=False)
                case Submitted():
                    if (known := self._sent.get(event.client_order_id)) is not None:
                        self.record(known.owner).orders += 1
                case Rejected():
                    if (known := self._sent.get(event.client_order_id)) is not None:
                        self.record(known.owner).rejected += 1
                case Filled():
                    self._filled(event, mono)
                case _:
                    pass

    def tick(self, mono: int) -> None:
        """Settle the markouts that are due, and close the episodes that are over."""
        while self._pending and self._pending[0].due <= mono:
            one = self._pending.popleft()
            mid = self._mid(one.symbol, mono)
            if mid and mono - one.due <= MARKOUT_LATE_NS:
                value = one.sign * (mid - one.price) / one.price * BPS
                self.record(one.owner).markout.add(one.symbol, value, one.weight, one.due - MARKOUT_NS)
        for record in self.records.values():
            record.slippage.close_before(mono, 0)
            record.markout.close_before(mono, MARKOUT_NS + MARKOUT_LATE_NS)

    def _filled(self, event: Filled, mono: int) -> None:
        sent = self._sent.get(event.client_order_id)
        if sent is None:
            return
        other = self._trades.setdefault((sent.symbol, event.trade_id), event.client_order_id)
        self.self_matches += other != event.client_order_id
        if len(self._trades) > TRADES_MAX:
            self._trades.popitem(last=False)
        record, weight = self.record(sent.owner), event.price * event.quantity / SCALE
        record.fills += 1
        if sent.mid:
            record.slippage.add(sent.symbol, sent.sign * (event.price - sent.mid) / sent.mid * BPS, weight, mono)
        if event.maker:
            record.passive_fills += 1
            self._pending.append(Pending(mono + MARKOUT_NS, sent.owner, sent.symbol, sent.sign, event.price, weight))

    def _owner(self, track: str) -> Owner:
        return track, self._revision_of(track)

    def _mid(self, symbol: str, mono: int) -> float:
        """Middle price; 0 where the quote is old, crossed or missing."""
        market = self._markets.get(symbol)
        if market is None or not market.quote_mono or mono - market.quote_mono > QUOTE_STALE_NS:
            return 0.0
        return (market.bid + market.ask) / 2 if 0 < market.bid < market.ask else 0.0

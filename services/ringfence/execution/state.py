"""What the gate checks against: instruments with their market, tracks with their limits, and exposure slots.

Flat, mutable, slotted: read on the order path, written by the manager (exposure) and the host (market). Pure.
Money is scaled by 1e-8; ``mono`` times are monotonic nanoseconds of this process.
"""

from collections import OrderedDict
from typing import Final

from ringfence.execution.caps import Caps
from ringfence.execution.tape import SECOND_NS, WINDOW_NS, Tape, Volume
from ringfence.execution.thresholds import NO_BREAKER_CAPS, NO_LOSS_CAPS
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE
from ringfence.wire.messages import BookTop, FeedStatus, Level, Quote

FOREIGN: Final = "foreign"
"""The sub-ledger of what we did not send: the owner's own orders, and what nobody can explain."""
INTENTS_REMEMBERED: Final = 100_000
"""Far more than can be fresh: an older copy of an intent is refused as stale."""


class Market:
    """One instrument: its rules, its market, and what blocks it."""

    __slots__ = (
        "ask",
        "asks",
        "bid",
        "bids",
        "book_mono",
        "buys",
        "instrument",
        "isolated",
        "long",
        "quote_mono",
        "resting_buys",
        "resting_sells",
        "short",
        "slots",
        "status_mono",
        "symbol",
        "tape",
        "unknown",
        "unusable",
        "worst",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.instrument: Instrument | None = None
        self.bid = 0
        self.ask = 0
        self.quote_mono = 0
        """0 = never: an old quote and no quote are the same to the gate."""
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.book_mono = 0
        self.unusable = "no market data yet"
        """Why marketdata says that it must not be traded on; empty while it may."""
        self.status_mono = 0
        self.unknown: set[str] = set()
        """Client ids of orders whose outcome is unknown."""
        self.resting_buys: dict[str, int] = {}
        """Price by client id of own orders that may be matched."""
        self.resting_sells: dict[str, int] = {}
        self.slots: list[Slot] = []
        self.worst = 0
        """Sum over the slots: tracks are not netted against each other."""
        self.isolated = False
        """On paper: tracks never meet, so an order is compared with the resting ones of its own track only."""
        self.long = self.short = self.buys = 0
        """Sums over the slots."""
        self.tape = Tape()

    def quote(self, quote: Quote, mono: int) -> None:
        self.bid = quote.bid
        self.ask = quote.ask
        self.quote_mono = mono
        self.tape.quote(quote.bid, quote.ask, mono)

    def book(self, book: BookTop, mono: int) -> None:
        self.bids = book.bids
        self.asks = book.asks
        self.book_mono = mono

    def status(self, status: FeedStatus, mono: int) -> None:
        self.unusable = "" if status.usable else status.reason or "marked unusable"
        self.status_mono = mono


class Slot:
    """One track in one instrument: position and what may still execute, in flight and unknown included."""

    __slots__ = (
        "_buys",
        "buys",
        "long",
        "market",
        "position",
        "resting_buys",
        "resting_sells",
        "sells",
        "short",
        "taken",
        "worst",
    )

    def __init__(self, market: Market) -> None:
        self.market = market
        self.position = 0
        self.buys = 0
        self.sells = 0
        self.worst = 0
        """Largest absolute position that any order of fills can lead to: the larger of the next two."""
        self.resting_buys: dict[str, int] = {} if market.isolated else market.resting_buys
        """Price by client id of the orders that one of this track might match."""
        self.resting_sells: dict[str, int] = {} if market.isolated else market.resting_sells
        self.long = 0
        """Position if all buys and no sell executes; ``short`` the other way round, counted negative."""
        self.short = 0
        self.taken = Volume(SECOND_NS, WINDOW_NS)
        """Quantity of the taking orders approved in 10 s."""
        self._buys = 0
        market.slots.append(self)

    def settle(self) -> None:
        """After any change of position or leaves."""
        market = self.market
        long, short = self.position + self.buys, self.sells - self.position
        worst = max(long, short)
        market.long += long - self.long
        market.short += short - self.short
        market.worst += worst - self.worst
        market.buys += self.buys - self._buys
        self.long, self.short, self.worst, self._buys = long, short, worst, self.buys


class Track:
    """One track (or, as the gate's ``account``, all of them together)."""

    __slots__ = (
        "_tightest",
        "_tightest_caps",
        "_tightest_equity",
        "allocation",
        "barred",
        "breaker_caps",
        "caps",
        "checked",
        "equity",
        "failed",
        "grant",
        "key",
        "loss",
        "loss_caps",
        "loss_latched",
        "losses",
        "mark",
        "name",
        "revision",
        "seen",
        "slots",
        "token_mono",
        "tokens",
        "ungranted",
        "weight",
        "working",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.barred = f"TRACK_NOT_ALLOWED track={name}"
        """The refusal of all its intents; empty while it may trade here."""
        self.ungranted = f"GRANT_MISSING track={name}"
        """The refusal of its new exposure; empty while a valid grant is known."""
        self.grant = ""
        """Name of the limits granted to it; it ends in their hash."""
        self.allocation = 0
        """Epoch of the allocation that all of this comes from."""
        self.key = ""
        self.loss_caps = NO_LOSS_CAPS
        self.breaker_caps = NO_BREAKER_CAPS
        self.mark = "000000"
        """Stands for the revision in client order ids."""
        self.revision = ""
        """What trades on it now, in full; empty before an allocation has said so."""
        self.weight = 0
        self.caps = Caps()
        self.equity = 0
        """What leverage and concentration are measured by: capital allocated and all it has won; 0 = not known yet."""
        self._tightest = self._tightest_equity = 0
        self._tightest_caps: Caps | None = None
        self.working = 0
        self.checked = 0
        """Intents checked while nothing stopped the gate, and (``failed``) those of them that were refused."""
        self.failed = 0
        self.tokens = 0
        """Of the message bucket, in nanoseconds."""
        self.token_mono = 0
        self.loss = 0
        """Lost since 00:00 UTC; negative while winning."""
        self.loss_latched = False
        self.losses: tuple[str, ...] = ()
        """Refusals of new exposure for all else that was lost: week, month, drawdown, streaks, and open breakers."""
        self.slots: dict[str, Slot] = {}
        self.seen: OrderedDict[str, None] = OrderedDict()
        """Intent ids, oldest first."""

    def tightest(self) -> int:
        """The smallest of the limits that hold positions by value, as quote value. Below it none is reached."""
        caps, equity = self.caps, self.equity
        if caps is not self._tightest_caps or equity != self._tightest_equity:
            self._tightest = caps.tightest(equity)
            self._tightest_caps, self._tightest_equity = caps, equity
        return self._tightest

    def slot(self, market: Market) -> Slot:
        found = self.slots.get(market.symbol)
        if found is None:
            found = self.slots[market.symbol] = Slot(market)
        return found

    def remember(self, intent_id: str) -> None:
        self.seen[intent_id] = None
        if len(self.seen) > INTENTS_REMEMBERED:
            self.seen.popitem(last=False)

    def gross(self) -> int:
        """Quote value of all positions at worst case."""
        total = 0
        for slot in self.slots.values():
            total += slot.worst * slot.market.ask // SCALE
        return total

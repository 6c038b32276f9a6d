"""What the gate checks against: instruments with their market, tracks with their limits, and exposure slots.

Flat, mutable, slotted: read on the order path, written by the manager (exposure) and the host (market). Pure.
Money is scaled by 1e-8; ``mono`` times are monotonic nanoseconds of this process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ringfence.execution.caps import Caps
from ringfence.execution.tape import SECOND_NS, WINDOW_NS, Tape, Volume
from ringfence.execution.thresholds import NO_BREAKER_CAPS, NO_LOSS_CAPS
from ringfence.model.instrument import Instrument
from ringfence.model.money import SCALE
from ringfence.wire.messages import BookTop, FeedStatus, Level, Quote

if TYPE_CHECKING:
    from ringfence.execution.clearance import Clearance

FOREIGN: Final = "foreign"
"""The sub-ledger of what we did not send: the owner's own orders, and what nobody can explain."""
CEILING_SHIFT: Final = 5
"""The ceiling of an ask is followed in steps of about 3 %: 1/32."""
NEVER_MONO: Final = -1 << 62
"""Before every moment, however short a time the machine has been up."""
STATUS_STALE_NS: Final = 3 * SECOND_NS
"""Marketdata says once a second whether an instrument may be traded on."""
INTENTS_REMEMBERED: Final = 100_000
"""Far more than can be fresh: an older copy of an intent is refused as stale."""


class Market:
    """One instrument: its rules, its market, and what blocks it.

    Prices are written by ``quote`` only: it keeps ``ceiling``, by which positions are valued from above.
    """

    __slots__ = (
        "account",
        "ask",
        "asks",
        "bid",
        "bids",
        "book_mono",
        "buys",
        "ceiling",
        "correlations",
        "instrument",
        "isolated",
        "last_ask",
        "long",
        "quote_mono",
        "resting_buys",
        "resting_sells",
        "short",
        "slots",
        "sound_mono",
        "status_mono",
        "symbol",
        "tape",
        "unknown",
        "unusable",
        "usable_until",
        "volatility",
        "worst",
    )

    def __init__(self, symbol: str, account: Track | None = None) -> None:
        self.symbol = symbol
        self.account = Track("account") if account is None else account
        """All tracks together, whose ``valued`` this instrument's positions add to."""
        self.ceiling = 0
        """A price that the ask does not pass without this being raised; near enough to value positions by."""
        self.instrument: Instrument | None = None
        self.bid = 0
        self.ask = 0
        self.last_ask = 0
        """The last that there was, at which positions are valued: without offers they are not worth nothing."""
        self.quote_mono = 0
        """0 = never: an old quote and no quote are the same to the gate."""
        self.sound_mono = NEVER_MONO
        """The same of best prices that have two sides and are not crossed; never, if the newest are not."""
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.book_mono = 0
        self.unusable = "no market data yet"
        """Why marketdata says that it must not be traded on; empty while it may."""
        self.status_mono = 0
        self.usable_until = NEVER_MONO
        """How long marketdata's word holds that it may be traded on; never, if it says no or has said nothing."""
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
        self.correlations: Mapping[str, int] = {}
        """Of its returns with those of other instruments, scaled; what is not there is not known."""
        self.volatility = 0
        """Of a day's returns, scaled; 0 = not known."""

    def quote(self, quote: Quote, mono: int) -> None:
        self.bid = quote.bid
        self.ask = quote.ask
        self.quote_mono = mono
        if quote.ask > 0:
            self.last_ask = quote.ask
        if not self.ceiling - (self.ceiling >> CEILING_SHIFT) <= self.last_ask <= self.ceiling:
            self._raise_ceiling(self.last_ask)
        tape = self.tape
        reference = tape.reference
        tape.quote(quote.bid, quote.ask, mono)
        sound = 0 < quote.bid < quote.ask
        self.sound_mono = mono if sound else NEVER_MONO
        if tape.reference is not reference or not sound:
            self.account.changed()

    def _raise_ceiling(self, ask: int) -> None:
        """Or lower it, if the ask has fallen far: to the middle of the next range."""
        ceiling = ask + (ask >> CEILING_SHIFT + 1)
        for slot in self.slots:
            grown = slot.worst * (ceiling - self.ceiling)
            slot.track.valued += grown
            self.account.valued += grown
        self.account.buying += self.buys * (ceiling - self.ceiling)
        self.ceiling = ceiling
        self.account.changed()

    def book(self, book: BookTop, mono: int) -> None:
        self.bids = book.bids
        self.asks = book.asks
        self.book_mono = mono

    def status(self, status: FeedStatus, mono: int) -> None:
        self.unusable = "" if status.usable else status.reason or "marked unusable"
        self.status_mono = mono
        self.usable_until = mono + STATUS_STALE_NS if status.usable else NEVER_MONO


class Slot:
    """One track in one instrument: position and what may still execute, in flight and unknown included."""

    __slots__ = (
        "_buys",
        "buys",
        "clearance",
        "long",
        "market",
        "position",
        "resting_buys",
        "resting_sells",
        "sells",
        "short",
        "taken",
        "track",
        "worst",
    )

    def __init__(self, market: Market, track: Track) -> None:
        self.market = market
        self.track = track
        self.clearance: Clearance | None = None
        """What passes all checks without a closer look; None = not computed yet."""
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
        track.bounded.append(self)
        market.account.bounded.append(self)

    def settle(self) -> None:
        """After any change of position or leaves."""
        market = self.market
        long, short = self.position + self.buys, self.sells - self.position
        worst = max(long, short)
        market.long += long - self.long
        market.short += short - self.short
        if worst != self.worst:
            grown = worst - self.worst
            market.worst += grown
            self.track.valued += grown * market.ceiling
            market.account.valued += grown * market.ceiling
        market.buys += self.buys - self._buys
        market.account.buying += (self.buys - self._buys) * market.ceiling
        self.long, self.short, self.worst, self._buys = long, short, worst, self.buys


class Track:
    """One track (or, as the gate's ``account``, all of them together).

    What a `Clearance` is computed from (``caps``, ``barred``, ``ungranted``, ``equity``, and the losses) is written by
    ``limit``, ``permit``, ``lost`` and ``refuse`` only, which void it.
    """

    __slots__ = (
        "_tightest",
        "_tightest_caps",
        "_tightest_equity",
        "allocation",
        "barred",
        "bounded",
        "breaker_caps",
        "buying",
        "caps",
        "checked",
        "equity",
        "failed",
        "full_mono",
        "grant",
        "key",
        "loss",
        "loss_caps",
        "losses",
        "mark",
        "name",
        "ready_mono",
        "revision",
        "seen",
        "slots",
        "ungranted",
        "valued",
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
        """Replaced, never written into."""
        self.equity = 0
        """What leverage and concentration are measured by: capital allocated and all it has won; 0 = not known yet."""
        self._tightest = self._tightest_equity = 0
        self._tightest_caps: Caps | None = None
        self.working = 0
        self.checked = 0
        """Intents checked while nothing stopped the gate, and (``failed``) those of them that were refused."""
        self.failed = 0
        self.full_mono = SECOND_NS
        """When the message bucket will be full again, if nothing is sent. It holds one second's worth (F29)."""
        self.ready_mono = 0
        """When it holds one message again; with a rate of nothing never."""
        self.bounded: list[Slot] = []
        """Whose `Clearance` is computed from its terms."""
        self.valued = 0
        """Sum of worst case times ceiling, scaled twice: never less than the gross value at the asks."""
        self.buying = 0
        """Of the account: what all buys that may execute cost at ceilings, scaled twice."""
        self.loss = 0
        """Lost since midnight; negative while winning."""
        self.losses: tuple[str, ...] = ()
        """Refusals of new exposure for all else that was lost: in percent, latched, by week and month, drawdown,
        streaks; and of open breakers."""
        self.slots: dict[str, Slot] = {}
        self.seen: OrderedDict[str, None] = OrderedDict()
        """Intent ids, oldest first."""
        self.changed()

    def limit(self, caps: Caps) -> None:
        self.caps = caps
        self.changed()

    def permit(self, barred: str, ungranted: str) -> None:
        """Why it may not trade, and why it may not open anything; empty = it may."""
        self.barred, self.ungranted = barred, ungranted
        self.changed()

    def lost(self, equity: int, loss: int, losses: tuple[str, ...]) -> None:
        self.equity, self.loss, self.losses = equity, loss, losses
        self.changed()

    def refuse(self, refusals: Iterable[str]) -> None:
        """New exposure, beside what was lost, until that is looked at again."""
        self.losses = tuple(dict.fromkeys((*self.losses, *refusals)))
        self.changed()

    def changed(self) -> None:
        """What was computed from the terms has to be computed again; of the account: for all tracks, and also when an
        instrument, a ceiling, a reference price or the balances have changed, or a quote was crossed."""
        for slot in self.bounded:
            slot.clearance = None
        self.ready_mono = self.full_mono + self.caps.message_ns - SECOND_NS

    def take_message(self, mono: int) -> None:
        """One has been sent."""
        message_ns = self.caps.message_ns
        self.full_mono = max(self.full_mono, mono) + message_ns
        self.ready_mono = self.full_mono + message_ns - SECOND_NS

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
            found = self.slots[market.symbol] = Slot(market, self)
            self.changed()
        return found

    def remember(self, intent_id: str) -> None:
        self.seen[intent_id] = None
        if len(self.seen) > INTENTS_REMEMBERED:
            self.seen.popitem(last=False)

    def gross(self) -> int:
        """Quote value of all positions at worst case."""
        total = 0
        for slot in self.slots.values():
            total += slot.worst * slot.market.last_ask // SCALE
        return total

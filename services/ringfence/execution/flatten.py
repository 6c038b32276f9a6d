"""Flatten: close what our tracks hold, in bounded slices, once nothing of ours works any more. Pure.

Everything is derived anew at each step from the books, the venue's balances and the market, so a restart in the
middle neither forgets nor repeats anything: what was sent is in the journal, and a leg with an order on its way waits.

    proof    wait until it is proven that no other order of ours works
    close    one order at a time for each leg: limit, immediate or cancel, at most three collars beyond the best
             price, at most half of the depth up to there, and within the account's order limits
    flat     nothing is left but what the venue would refuse as too small

It closes no more than the smaller of what our ledger says and what the venue shows free above the owner's own
inventory. Whatever makes one of them doubtful (a break, a lost Lease, an unwritable journal, no fresh book) makes it
wait, and say why.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ringfence.execution.accounting import Live
from ringfence.execution.cancelproof import CancelProof
from ringfence.execution.gate import REDUCING_COLLAR
from ringfence.execution.manager import Manager
from ringfence.execution.reconcile import BREAK, WRITER, Reconciler
from ringfence.execution.state import FOREIGN, Market, Slot, Track
from ringfence.execution.stopping import too_small
from ringfence.model.instrument import Instrument
from ringfence.model.money import BPS, SCALE, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import Intent
from ringfence.wire.stops import EVERYTHING, Scope, Severity

MILLISECOND_NS: Final = 1_000_000
SLICE_GAP_NS: Final = 250 * MILLISECOND_NS
"""Between slices: what the last one left of the book needs time to show."""
REFUSED_GAP_NS: Final = 1_000 * MILLISECOND_NS
HARMLESS: Final = frozenset({"market data", "allocation"})
"""What start-up may be waiting for meanwhile: each leg looks at its own market, and the last limits known hold on."""
BLOCKING: Final = frozenset({"journal", "loss ledger", "lease", BREAK, WRITER})
"""The gate's own sources that make ledger, venue or our right to send doubtful."""


class Leg(msgspec.Struct, frozen=True):
    """What is left of one track's position in one instrument."""

    track: str
    symbol: str
    quantity: int
    """Signed."""
    waiting: str
    """Why nothing is sent for it now; empty while a slice is on its way or about to be."""
    residue: bool
    """Too small for the venue: it stays."""


class Flatten:
    """``step`` at every tick. Remembers only when to go on, and since when it is flat."""

    def __init__(self, manager: Manager, reconciler: Reconciler, proof: CancelProof) -> None:
        self.legs: tuple[Leg, ...] = ()
        self.blocked = ""
        """Why nothing at all is sent; empty while slices may be."""
        self.slices = 0
        self._manager = manager
        self._reconciler = reconciler
        self._proof = proof
        self._flat: dict[Scope, int] = {}
        self._next: dict[tuple[str, str], int] = {}
        self._refused: dict[tuple[str, str], str] = {}

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of all stops that flatten."""
        guard = self._manager.guard
        partial = {stop.scope for stop in guard.partial if stop.severity is Severity.FLATTEN}
        return (EVERYTHING, *partial) if guard.severity is Severity.FLATTEN else tuple(partial)

    def flat_at(self, scope: Scope) -> int:
        """Wall time since when a scope is flat; 0 = it is not, or nobody asked."""
        return max((self._flat.get(key, 0) for key in (scope, EVERYTHING)), default=0)

    def step(self, balances: Mapping[str, VenueBalance], wall: int, mono: int) -> list[Intent]:
        """The slices that may go now: each is an intent for `Manager.close`."""
        scopes = self.scopes()
        if not scopes:
            self.legs, self.blocked, self._flat = (), "", {}
            self._next.clear()
            self._refused.clear()
            return []
        self.blocked = self._doubt()
        legs: list[Leg] = []
        intents: list[Intent] = []
        for scope in scopes:
            for track, slot in self._slots(scope):
                leg, intent = self._leg(track, slot, scope, balances, wall, mono)
                if leg not in legs:
                    legs.append(leg)
                if intent is not None and not any(other.symbol == intent.symbol for other in intents):
                    intents.append(intent)
        self.legs = tuple(legs)
        for scope in scopes:
            flat = not self.blocked and bool(self._proof.proven_at(scope)) and self._is_flat(scope)
            self._flat[scope] = (self._flat.get(scope) or wall) if flat else 0
        self._flat = {scope: self._flat[scope] for scope in scopes}
        return intents

    def sent(self, intent: Intent, refused: str, mono: int) -> None:
        """What became of an intent at the gate."""
        key = (intent.track, intent.symbol)
        self._next[key] = mono + (REFUSED_GAP_NS if refused else SLICE_GAP_NS)
        self._refused[key] = refused
        self.slices += not refused

    def _is_flat(self, scope: Scope) -> bool:
        within = [leg for leg in self.legs if scope.covers(leg.track, leg.symbol)]
        return all(leg.residue for leg in within) and not any(
            live.closing and scope.covers(live.order.track, live.order.symbol) for live in self._manager.live.values()
        )

    def _doubt(self) -> str:
        guard = self._manager.guard
        missing = [f"{name} ({why})" for name, why in sorted(guard.missing.items()) if name not in HARMLESS]
        held = [source.reason for name, source in sorted(guard.sources.items()) if name in BLOCKING]
        return "; ".join([*held, *(f"waiting for {name}" for name in missing)])

    def _slots(self, scope: Scope) -> list[tuple[Track, Slot]]:
        return [
            (track, slot)
            for track in self._manager.gate.tracks.values()
            if track.name != FOREIGN
            for symbol, slot in sorted(track.slots.items())
            if slot.position and scope.covers(track.name, symbol)
        ]

    def _leg(
        self, track: Track, slot: Slot, scope: Scope, balances: Mapping[str, VenueBalance], wall: int, mono: int
    ) -> tuple[Leg, Intent | None]:
        market, key = slot.market, (track.name, slot.market.symbol)

        def leg(waiting: str = "", *, residue: bool = False) -> Leg:
            return Leg(track.name, market.symbol, slot.position, waiting, residue)

        if self.blocked:
            return leg(self.blocked), None
        if not self._proof.proven_at(scope):
            return leg("it is not proven yet that no other order works"), None
        if self._on_its_way(market.symbol):
            return leg(), None
        rules = market.instrument
        if rules is None:
            return leg("its rules are not known"), None
        wanted = self._wanted(slot, rules, balances)
        small = too_small(rules, abs(slot.position), market)
        if small:
            return leg(small, residue=True), None
        stale = _not_fresh(market, track, mono)
        if stale:
            return leg(f"no order without a fresh two-sided book: {stale}"), None
        side = Side.SELL if slot.position > 0 else Side.BUY
        price, quantity = self._slice(side, market, rules, track, wanted)
        small = too_small(rules, quantity, market, price)
        if small:
            held = balances.get(rules.base if side is Side.SELL else rules.quote)
            shown = text(held.free) if held is not None else "nothing"
            return leg(f"the venue shows {shown} free, and its book allows {text(quantity)}: {small}"), None
        if mono < self._next.get(key, 0):
            return leg(self._refused.get(key, "")), None
        name = f"flatten-{wall}-{track.name}-{market.symbol}"
        return leg(), Intent(
            name, track.name, market.symbol, side, OrderType.LIMIT, TimeInForce.IOC, quantity, price, True, wall
        )

    def _on_its_way(self, symbol: str) -> bool:
        """Both tracks draw on one balance, so an instrument has one order at a time."""
        lives: Mapping[str, Live] = self._manager.live
        return any(live.closing and live.order.symbol == symbol for live in lives.values())

    def _wanted(self, slot: Slot, rules: Instrument, balances: Mapping[str, VenueBalance]) -> int:
        """The smaller of the ledger's position and what the venue shows free above the owner's inventory."""
        ours = abs(slot.position)
        if slot.position < 0:
            held = balances.get(rules.quote)
            ask = slot.market.ask
            return min(ours, (held.free if held is not None else 0) * SCALE // ask) if ask else 0
        held = balances.get(rules.base)
        if held is None:
            return 0
        above = held.free + held.locked - self._reconciler.owners(rules.base)
        return max(0, min(ours, held.free, above))

    def _slice(self, side: Side, market: Market, rules: Instrument, track: Track, wanted: int) -> tuple[int, int]:
        """Price and quantity of the next order; quantity 0 where nothing can go."""
        buying = side is Side.BUY
        best = market.ask if buying else market.bid
        band = best * track.caps.collar_bps * REDUCING_COLLAR // (SCALE * BPS)
        price = (best + band) // rules.tick * rules.tick if buying else -(-(best - band) // rules.tick) * rules.tick
        levels = market.asks if buying else market.bids
        depth = sum(quantity for at, quantity in levels if (at <= price if buying else at >= price))
        caps = self._manager.gate.account.caps
        most = min(wanted, depth, caps.quantity, caps.value * SCALE // max(price, best, 1), rules.quantity_max)
        half = most if most == wanted and wanted <= depth // 2 else min(most, depth // 2)
        rest = wanted - half
        if rest and too_small(rules, rest, market):
            half = most  # better one slightly larger slice than a rest that nobody can sell
        if too_small(rules, half, market, price):
            half = most
        if too_small(rules, half, market, price):
            price = best  # the venue judges the value at the order's price: a small rest goes at the best one
        return price, half // rules.lot * rules.lot


def _not_fresh(market: Market, track: Track, mono: int) -> str:
    """Why a market is not to be traded on; empty if it is."""
    if mono > market.usable_until:
        return market.unusable or "its status is stale"
    limit = track.caps.quote_stale_ns
    if not market.quote_mono or mono - market.quote_mono > limit:
        return "its quote is stale"
    if not market.book_mono or mono - market.book_mono > limit:
        return "its book is stale"
    if not 0 < market.bid < market.ask or not market.bids or not market.asks:
        return "it has no two sides"
    return ""

"""Which orders a stop cancels, which it leaves because they protect a position, and what is left unprotected. Pure.

A protective order rests at the venue, may only reduce, and all that are kept together close at most what their track
holds: whatever of them fills, no position is opened or turned around.
"""

from collections.abc import Iterable, Iterator

import msgspec

from ringfence.execution.accounting import Live
from ringfence.execution.state import FOREIGN, Market, Slot, Track
from ringfence.model.instrument import Instrument
from ringfence.model.money import notional, text
from ringfence.model.orders import Order, OrderType, Side, TimeInForce
from ringfence.runtime.guard import Guard
from ringfence.wire.stops import EVERYTHING, Scope, Severity


class Holding(msgspec.Struct, frozen=True):
    """One track's position in one instrument. Base asset, scaled by 1e-8."""

    track: str
    symbol: str
    quantity: int
    """Signed; negative is owed."""
    unprotected: int
    """How much of it no protective order would close; 0 = all of it is protected, but for what no order could."""


def protects(order: Order) -> bool:
    """Whether an order can only take from a position, and waits at the venue to do so."""
    return order.reduce_only and order.type is not OrderType.MARKET and order.time_in_force is TimeInForce.GTC


def protective(lives: Iterable[Live]) -> set[str]:
    """Client ids of the protective orders whose leaves are within the position, oldest first.

    Of two orders of which only one can execute (a pair, or an order and its replacement), the larger counts.
    """
    room: dict[tuple[int, Side], int] = {}
    found: dict[str, int] = {}
    for live in lives:
        order, slot = live.order, live.slot
        if order.track == FOREIGN or live.cancel_wanted or not protects(order):
            continue
        key = (id(slot), order.side)
        left = room.setdefault(key, max(0, slot.position if order.side is Side.SELL else -slot.position))
        more = max(0, order.leaves - found.get(live.rival or live.follower, 0))
        if more <= left:
            room[key] = left - more
            found[order.client_order_id] = order.leaves
    return set(found)


def stopped(lives: Iterable[Live], guard: Guard, scope: Scope = EVERYTHING) -> Iterator[Live]:
    """Orders of ours in a scope that a stop does not let work: what is to be cancelled, or is being."""
    lives = list(lives)
    kept = protective(lives)
    for live in lives:
        order = live.order
        if order.track == FOREIGN or not scope.covers(order.track, order.symbol):
            continue
        severity = guard.severity_of(order.track, order.symbol)
        if severity < Severity.CANCEL or (severity is Severity.FLATTEN and live.closing):
            continue
        stays = severity is Severity.CANCEL and guard.leaves_protective(order.track, order.symbol)
        if not (stays and order.client_order_id in kept):
            yield live


def stopping_scopes(guard: Guard) -> tuple[Scope, ...]:
    """The scopes of all stops that cancel."""
    partial = {stop.scope for stop in guard.partial if stop.severity >= Severity.CANCEL}
    return (EVERYTHING, *partial) if guard.severity >= Severity.CANCEL else tuple(partial)


def holdings(tracks: Iterable[Track], lives: Iterable[Live], scope: Scope = EVERYTHING) -> list[Holding]:
    """All positions of our tracks in a scope, and how much of each stands unprotected."""
    lives = list(lives)
    kept = protective(lives)
    covered: dict[int, int] = {}
    leaves: dict[str, int] = {}
    for live in lives:
        if live.order.client_order_id in kept:
            more = max(0, live.order.leaves - leaves.get(live.rival or live.follower, 0))
            leaves[live.order.client_order_id] = live.order.leaves
            covered[id(live.slot)] = covered.get(id(live.slot), 0) + more
    return [
        Holding(track.name, symbol, slot.position, _unprotected(slot, covered))
        for track in tracks
        if track.name != FOREIGN
        for symbol, slot in sorted(track.slots.items())
        if slot.position and scope.covers(track.name, symbol)
    ]


def _unprotected(slot: Slot, covered: dict[int, int]) -> int:
    """What fees leave is below the venue's smallest order: nobody can protect it, and it is no reason to call."""
    left = abs(slot.position) - covered.get(id(slot), 0)
    rules = slot.market.instrument
    return 0 if rules is not None and too_small(rules, left, slot.market) else left


def too_small(rules: Instrument, quantity: int, market: Market, price: int = 0) -> str:
    """Why the venue would refuse it as too small, whatever one does; empty if it would not."""
    if quantity < max(rules.lot, rules.quantity_min):
        return f"{text(quantity)} is below the venue's smallest quantity {text(max(rules.lot, rules.quantity_min))}"
    price = price or market.bid
    value = notional(price, quantity // rules.lot * rules.lot)
    if price and value < rules.notional_min:
        return f"{text(value)} is below the venue's smallest value {text(rules.notional_min)}"
    return ""

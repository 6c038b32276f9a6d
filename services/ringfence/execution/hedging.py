"""Which hedges do not hold: positions that a stop, or a fill that never came, left without their other leg. Pure."""

from collections.abc import Iterable

from ringfence.execution.gate import Gate
from ringfence.execution.state import FOREIGN, Market, Track
from ringfence.execution.stopping import too_small
from ringfence.model.money import SCALE, text
from ringfence.runtime.config import Hedge
from ringfence.wire.stops import EVERYTHING, Scope


def unhedged(hedges: Iterable[Hedge], gate: Gate, scope: Scope = EVERYTHING) -> list[str]:
    """One sentence for each hedge of each of our tracks whose legs do not offset each other, where a leg is in scope.

    Each track is held to it by itself: one strategy's position is no hedge of another's.
    """
    return [
        told
        for hedge in hedges
        for track in gate.tracks.values()
        if track.name != FOREIGN
        if scope.covers(track.name, hedge.leg) or scope.covers(track.name, hedge.against)
        if (told := _apart(hedge, track, gate.market(hedge.against)))
    ]


def _apart(hedge: Hedge, track: Track, market: Market) -> str:
    """Empty while the two offset each other, or what is missing is too small for any order."""
    held, other = (slot.position if (slot := track.slots.get(symbol)) else 0 for symbol in (hedge.leg, hedge.against))
    wanted = -held * hedge.ratio // SCALE
    missing = wanted - other
    if abs(missing) * 100 * SCALE <= hedge.tolerance * max(abs(wanted), abs(other)):
        return ""
    if market.instrument is not None and too_small(market.instrument, abs(missing), market):
        return ""
    return (
        f"{hedge.name} of {track.name}: {text(held)} {hedge.leg} stands against {text(other)} {hedge.against},"
        f" {text(wanted)} would hedge it"
    )

"""What stands open and nobody closes: hedges that miss a leg, and positions that a stop lets no strategy protect.

It is told by name once it has lasted. A pair whose legs are filled one after the other is no news, and what is told
changes rarely, so that the status which carries it is not written per tick. `Standing` is pure.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

from ringfence.execution.app import Execution
from ringfence.execution.hedging import unhedged
from ringfence.execution.stopping import holdings
from ringfence.wire.stops import Severity

EVERY_S: Final = 0.5
LASTING_NS: Final = 5_000_000_000
TOLD_MAX: Final = 16


class Standing:
    """``told`` is what has stood open for so long; it leaves again once it has been closed for as long."""

    def __init__(self) -> None:
        self.told: frozenset[str] = frozenset()
        self._since: dict[str, int] = {}
        """Monotonic time since which a name is not as it was told."""

    def look(self, found: frozenset[str], mono: int) -> bool:
        """What stands open now; whether that changed what is told."""
        self._since = {name: self._since.get(name, mono) for name in self.told ^ found}
        lasting = frozenset(name for name, since in self._since.items() if mono - since >= LASTING_NS)
        self.told ^= lasting
        return bool(lasting)

    @property
    def lines(self) -> list[str]:
        """For the gate's line, in an order that does not change."""
        more = len(self.told) - TOLD_MAX
        return [*sorted(self.told)[:TOLD_MAX], *([f"and {more} more"] if more > 0 else [])]


def stands_open(app: Execution) -> Iterator[str]:
    """By name and without amounts. While a strategy may act, how it protects its positions is its own affair."""
    for told in unhedged(app.config.hedges, app.gate):
        yield f"hedge {told.partition(':')[0]} misses a leg"
    for held in holdings(app.gate.tracks.values(), app.manager.live.values()):
        if held.unprotected and app.guard.severity_of(held.track, held.symbol) >= Severity.HALT:
            yield f"{held.symbol} of {held.track} has no protective order"


async def watch(app: Execution, standing: Standing) -> None:
    """Twice a second, for ever."""
    while True:
        if standing.look(frozenset(stands_open(app)), app.clock.monotonic_ns()):
            app.touch_status()
        await asyncio.sleep(EVERY_S)

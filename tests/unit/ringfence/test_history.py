"""What the gate learns of the past: only whole hours, again every hour, and for a day where the venue is silent."""

import msgspec
import pytest

from gatebench.ordinary import LIMITS
from ringfence.execution.correlation import HOUR_MS
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.history import HOURS, KEPT_NS, REFRESH_NS, History
from ringfence.model.money import SCALE
from ringfence.runtime.config import Allocation, Track
from ringfence.runtime.guard import Guard
from ringfence.venues.api import VenueError
from ringfence.venues.paper.venue import PaperVenue

A, B = "BTCUSDT", "ETHUSDT"


class Past(PaperVenue):
    """A venue with a past of its own, or none to tell."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent: set[str] = set()

    async def closes(self, symbol: str, hours: int) -> dict[int, int]:
        assert hours == HOURS
        self.asked.append(symbol)
        if symbol in self.silent:
            raise VenueError("no answer")
        closes = {hour * HOUR_MS: (1000 + hour * hour % 97) * SCALE for hour in range(22)}
        return closes | {22 * HOUR_MS: SCALE}

    def venue_now_ns(self) -> int:
        return 22 * HOUR_MS * 1_000_000 + 1


class Time:
    def __init__(self) -> None:
        self.mono = 10**15

    def monotonic_ns(self) -> int:
        return self.mono

    def wall_ns(self) -> int:
        return self.mono

    def boot_ns(self) -> int:
        return self.mono


@pytest.mark.parametrize(
    "limit",
    [
        "correlation",
        "value_at_risk",
        "value_at_risk_percent",
        "expected_shortfall",
        "expected_shortfall_percent",
    ],
)
def test_the_past_is_needed_as_soon_as_any_owner_has_a_limit_by_it(limit: str) -> None:
    """A track keeps what it was granted with, where the account's own limit was taken away since."""
    gate, time = Gate(Guard("s", {}, [], 0), (A, B)), Time()
    history = History(Past(), gate, (A, B), time)
    plain, limited = LIMITS, msgspec.structs.replace(LIMITS, **{f"position_{limit}": SCALE // 2})
    track = Track(name="stable", revision="r", stage="Live", weight=100, grant="g", key="k")
    for spec, granted, needed in ((plain, plain, False), (limited, plain, True), (plain, limited, True)):
        allocation = Allocation(epoch=1, tracks=(track,), limits=spec)
        allocate(gate.tracks, gate.account, allocation, {"g": granted}, paper=False)
        assert history.needed() is needed


@pytest.mark.asyncio
async def test_it_asks_once_an_hour_and_forgets_after_a_day_of_silence() -> None:
    """The hour that is not over yet, at an absurd price here, is left out."""
    venue, gate, time = Past(), Gate(Guard("s", {}, [], 0), (A, B)), Time()
    history = History(venue, gate, (A, B), time)
    await history.round()
    assert gate.markets[A].correlations[B] == pytest.approx(SCALE, rel=1e-6)
    assert 0 < gate.markets[A].volatility < SCALE
    await history.round()
    assert venue.asked == [A, B]
    time.mono += REFRESH_NS
    venue.silent = {B}
    await history.round()
    assert venue.asked == [A, B] * 2
    assert gate.markets[A].correlations.keys() == {B}, "what was told an hour ago is still known"
    time.mono += KEPT_NS - REFRESH_NS
    await history.round()
    assert gate.markets[A].correlations == gate.markets[B].correlations == {}
    assert gate.markets[A].volatility > gate.markets[B].volatility == 0, "what one moved by is known without the other"
    venue.silent = set()
    await history.round()
    assert gate.markets[B].correlations.keys() == {A}

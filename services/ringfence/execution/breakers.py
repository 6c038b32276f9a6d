"""Circuit breakers: what a gate stops itself for, until a person has looked. Pure.

A breaker reads a condition again and again. A soft one trips when the condition held in k of its last n readings, so
that one bad tick stops nobody; a hard one trips at once. Tripped, it is open (latched): only a person's
acknowledgement closes it, never time and never a restart, and one whose condition still holds trips again. It keeps
its evidence: the numbers that tripped it.

A breaker of the account latches the guard at its severity. A breaker of one track belongs to the revision that
tripped it: it refuses that revision's new exposure on whatever track, and holds neither the other track nor a later
revision of its own.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from ringfence.model.money import SCALE, text
from ringfence.wire.kill import Severity

SECOND_NS: Final = 1_000_000_000
GONE_KEPT: Final = 16
"""Open breakers of revisions that trade no more."""
LATCH: Final = "breaker/"
"""Prefix of a breaker's latch in the guard."""


class Rule(msgspec.Struct, frozen=True):
    """How a breaker decides, and what it does."""

    severity: Severity
    confirm: int = 1
    """k: so many of the last ``of`` readings must find the condition; 1 of 1 is a hard breaker."""
    of: int = 1
    code: str = ""
    """Of those that a track may have: what a refusal begins with. An account's speaks as the guard's reason."""


SOFT: Final = (3, 5)
RULES: Final[dict[str, Rule]] = {
    "loss-day": Rule(Severity.REDUCE_ONLY, *SOFT),
    "drawdown": Rule(Severity.HALT, *SOFT, code="DRAWDOWN_HALT"),
    "position": Rule(Severity.CANCEL),
    "checks": Rule(Severity.REDUCE_ONLY, *SOFT, code="CHECK_FAILURES"),
    "rejects": Rule(Severity.HALT, *SOFT),
    "connectivity": Rule(Severity.HALT, *SOFT),
    "market-data": Rule(Severity.REDUCE_ONLY, *SOFT),
    "consecutive-losses": Rule(Severity.REDUCE_ONLY, code="LOSSES_CONSECUTIVE"),
    "repeated-executions": Rule(Severity.REDUCE_ONLY, code="EXECUTIONS_REPEATED"),
}
"""Every breaker. Readings of another name are an error: a misspelt breaker would never open."""


class Reading(msgspec.Struct, frozen=True):
    """One look at a condition."""

    name: str
    holds: bool
    evidence: str = ""
    """The numbers, as ``key=value``; needed where it holds."""
    track: str = ""
    """Whose; empty: the account's."""
    revision: str = ""
    """What trades on the track."""

    @property
    def key(self) -> str:
        return _key(self.name, self.track, self.revision)


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that has tripped. Kept in the journal."""

    name: str
    track: str
    severity: str
    evidence: str
    at: int
    """UTC nanoseconds."""
    revision: str = ""
    """Which tripped it; empty: the account's, or not known, and then it holds whatever trades on the track."""

    @property
    def key(self) -> str:
        return _key(self.name, self.track, self.revision)

    def holds(self, track: str, revision: str) -> bool:
        """Whether it refuses this revision on this track."""
        return bool(self.track) and (self.revision == revision if self.revision else self.track == track)

    @property
    def reason(self) -> str:
        whose = f" of track {self.track}" if self.track else ""
        whose += f", revision {self.revision}," if self.revision else ""
        return f"breaker {self.name}{whose} tripped: {self.evidence}"

    @property
    def refusal(self) -> str:
        """Of a track's new exposure."""
        return f"{RULES[self.name].code} track={self.track} {self.evidence}"


def _key(name: str, track: str, revision: str) -> str:
    return f"{name}/{revision or track}" if track else name


class Breakers:
    """All breakers of one gate. ``open`` is what must survive; the host keeps it."""

    def __init__(self) -> None:
        self.open: dict[str, Open] = {}
        self.trips: dict[str, int] = {}
        """How often each has tripped in this process."""
        self._readings: dict[str, deque[bool]] = {}

    def read(self, readings: Iterable[Reading], wall: int) -> list[Open]:
        """Fold one round of readings in; returns what has tripped just now."""
        tripped = []
        for reading in readings:
            rule = RULES[reading.name]
            key = reading.key
            seen = self._readings.get(key)
            if seen is None:
                seen = self._readings[key] = deque(maxlen=rule.of)
            seen.append(reading.holds)
            if reading.holds and key not in self.open and sum(seen) >= rule.confirm:
                found = Open(
                    name=reading.name,
                    track=reading.track,
                    revision=reading.revision,
                    severity=rule.severity.word,
                    evidence=reading.evidence,
                    at=wall,
                )
                self.open[key] = found
                self.trips[reading.name] = self.trips.get(reading.name, 0) + 1
                tripped.append(found)
        return tripped

    def restore(self, found: Iterable[Open]) -> None:
        """What an earlier process had open."""
        self.open = {one.key: one for one in found}

    def acknowledge(self, keys: Iterable[str]) -> tuple[Open, ...]:
        """A person has looked: close them. What still holds is read again from nothing."""
        closed = tuple(found for key in list(keys) if (found := self.open.pop(key, None)) is not None)
        for found in closed:
            self._readings.pop(found.key, None)
        return closed

    def refusals(self, track: str, revision: str) -> tuple[str, ...]:
        """Why this revision may open nothing new on this track."""
        return tuple(found.refusal for found in self.open.values() if found.holds(track, revision))

    def forget(self, trading: Collection[str]) -> None:
        """Of revisions that do not trade any more, in case they come back, the last ones are kept."""
        gone = [found for found in self.open.values() if found.revision and found.revision not in trading]
        for found in sorted(gone, key=lambda found: found.at)[:-GONE_KEPT]:
            del self.open[found.key]


class Ratio:
    """Bad ones among all in a moving window, from two counters that only grow. Bounded: one sample a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int, int]] = deque()

    def read(self, total: int, bad: int, window_s: int, mono: int) -> tuple[int, int]:
        """All and bad ones in the window that ends now."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= mono - window_s * SECOND_NS:
            samples.popleft()
        if not samples or mono - samples[-1][0] >= SECOND_NS:
            samples.append((mono, total, bad))
        _, first_total, first_bad = samples[0]
        return total - first_total, bad - first_bad

    def restart(self) -> None:
        """Forget the window: a person has accepted what was in it."""
        self._samples.clear()


def ratio_reading(
    name: str, of: tuple[int, int], limit: int, least: int, track: str = "", revision: str = ""
) -> Reading:
    """``of``: all and bad ones; ``limit``: share of bad ones not to exceed, scaled, 0 = not watched; ``least``: fewer
    prove nothing."""
    every, bad = of
    holds = limit > 0 and every >= least and bad * SCALE > limit * every
    evidence = (
        f"percent={text(bad * 100 * SCALE // every)} of={every} limit_percent={text(limit * 100)}" if holds else ""
    )
    return Reading(name, holds, evidence, track, revision)


class Since:
    """How long something has been so without a break."""

    def __init__(self) -> None:
        self._mono: int | None = None

    def read(self, holds: bool, mono: int) -> int:
        """Nanoseconds; 0 while it does not hold."""
        if not holds:
            self._mono = None
        elif self._mono is None:
            self._mono = mono
        return 0 if self._mono is None else mono - self._mono


def duration_reading(name: str, lasted_ns: int, limit_ns: int, what: str = "") -> Reading:
    """``limit_ns`` 0 = not watched."""
    evidence = f"seconds={lasted_ns // SECOND_NS} limit={limit_ns // SECOND_NS}{what}"
    return Reading(name, 0 < limit_ns <= lasted_ns, evidence)

"""Circuit breakers: what a gate stops itself for, until a person has looked. Pure.

A breaker reads a condition again and again. A soft one trips when the condition held in k of its last n readings, so
that one bad tick stops nobody; a hard one trips at once. Tripped, it is open (latched): only a person's
acknowledgement closes it, never time and never a restart, and one whose condition still holds trips again. It keeps
its evidence: the numbers that tripped it.

A breaker of the account latches the guard at its severity. A breaker of one track refuses that track's new exposure
and leaves the other alone.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from ringfence.model.money import SCALE, text
from ringfence.wire.kill import Severity

SECOND_NS: Final = 1_000_000_000
LATCH: Final = "breaker/"
"""Prefix of a breaker's latch in the guard."""


class Rule(msgspec.Struct, frozen=True):
    """How a breaker decides, and what it does."""

    severity: Severity
    confirm: int = 1
    """k: so many of the last ``of`` readings must find the condition; 1 of 1 is a hard breaker."""
    of: int = 1


SOFT: Final = (3, 5)
RULES: Final[dict[str, Rule]] = {
    "loss-day": Rule(Severity.REDUCE_ONLY, *SOFT),
    "drawdown": Rule(Severity.HALT, *SOFT),
    "position": Rule(Severity.CANCEL),
    "checks": Rule(Severity.REDUCE_ONLY, *SOFT),
    "rejects": Rule(Severity.HALT, *SOFT),
    "connectivity": Rule(Severity.HALT, *SOFT),
    "market-data": Rule(Severity.REDUCE_ONLY, *SOFT),
    "losses-in-a-row": Rule(Severity.REDUCE_ONLY),
    "repeated-executions": Rule(Severity.REDUCE_ONLY),
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

    @property
    def key(self) -> str:
        return f"{self.name}/{self.track}" if self.track else self.name


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker that has tripped. Kept in the journal."""

    name: str
    track: str
    severity: str
    evidence: str
    at: int
    """UTC nanoseconds."""

    @property
    def key(self) -> str:
        return f"{self.name}/{self.track}" if self.track else self.name

    @property
    def reason(self) -> str:
        whose = f" of track {self.track}" if self.track else ""
        return f"breaker {self.name}{whose} tripped: {self.evidence}"

    @property
    def refusal(self) -> str:
        return f"BREAKER_OPEN breaker={self.key} {self.evidence}"


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

    def refusals(self, track: str) -> tuple[str, ...]:
        """Why this track may open nothing new."""
        return tuple(found.refusal for found in self.open.values() if found.track == track)


class Ratio:
    """Bad ones among all in a moving window, from two counters that only grow. Bounded: one sample a second."""

    def __init__(self, window_s: int = 60, least: int = 50) -> None:
        self.least = least
        """Fewer than this many prove nothing."""
        self._window_ns = window_s * SECOND_NS
        self._samples: deque[tuple[int, int, int]] = deque(maxlen=window_s + 2)

    def read(self, total: int, bad: int, mono: int) -> tuple[int, int]:
        """All and bad ones in the window that ends now."""
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= mono - self._window_ns:
            samples.popleft()
        if not samples or mono - samples[-1][0] >= SECOND_NS:
            samples.append((mono, total, bad))
        _, first_total, first_bad = samples[0]
        return total - first_total, bad - first_bad

    def restart(self) -> None:
        """Forget the window: a person has accepted what was in it."""
        self._samples.clear()

    def reading(self, name: str, total: int, bad: int, limit: int, mono: int) -> Reading:
        """``limit``: share of bad ones that must not be exceeded, scaled by 1e-8; 0 = not watched."""
        every, failed = self.read(total, bad, mono)
        holds = limit > 0 and every >= self.least and failed * SCALE > limit * every
        evidence = (
            f"failed={failed} of={every} window_s={self._window_ns // SECOND_NS} limit_percent={text(limit * 100)}"
        )
        return Reading(name, holds, evidence if holds else "")

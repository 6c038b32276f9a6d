"""What somebody wants stopped, and the KillSwitch that says so. Pure.

All of a system is stopped by the switch of its own name. A part of it, or every system of a namespace, has a switch of
its own beside that one: so each stop is released by itself, and none can make another one smaller.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ringfence.wire.stops import EVERYTHING, TRACKS, Scope

EVERY: Final = "every.system"
"""Name of the switch over a whole namespace. No system can have it: their names have no dot."""
NAME_MAX: Final = 253


@dataclass(frozen=True)
class Wanted:
    """One stop. Without a system it is every system of the namespace."""

    system: str
    scope: Scope = EVERYTHING
    action: str = ""
    protective: str = ""
    reason: str = ""

    @property
    def whole(self) -> bool:
        """Whether the system's own switch says it."""
        return bool(self.system) and self.scope == EVERYTHING

    @property
    def name(self) -> str:
        """Of the KillSwitch."""
        if self.whole:
            return self.system
        parts = [*self.scope.venues, *self.scope.instruments, *self.scope.tracks]
        told = "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts)
        return ".".join(part for part in (self.system or EVERY, told) if part)[:NAME_MAX].rstrip("-.")

    def spec(self) -> dict[str, Any]:
        """For a merge patch, or for a new switch. A stop is never made milder by what is left out."""
        spec: dict[str, Any] = {"engaged": True}
        spec |= {key: value for key in ("reason", "action", "protective") if (value := getattr(self, key))}
        if self.whole:
            return spec
        scope = {kind: list(getattr(self.scope, kind)) for kind in ("venues", "instruments", "tracks")}
        spec |= {"systems": [self.system]} if self.system else {"everySystem": True}
        return spec | ({"scope": scope} if self.scope != EVERYTHING else {})


def system_of(switch: str) -> str:
    """Whose part a switch stops, by its name; empty for the one over a namespace."""
    return "" if switch.startswith(EVERY) else switch.partition(".")[0]


def scope(venues: Iterable[str], instruments: Iterable[str], tracks: Iterable[str]) -> Scope:
    """From options. Raises ValueError for a track that there cannot be."""
    named = tuple(sorted(set(tracks)))
    if unknown := set(named) - set(TRACKS):
        raise ValueError(f"{', '.join(sorted(unknown))}: tracks are {' and '.join(TRACKS)}")
    return Scope(venues=tuple(sorted(set(venues))), instruments=tuple(sorted(set(instruments))), tracks=named)

"""What a stop is: how severe, of what, and what each severity still allows. Pure.

One table, which the gate, the docs and the tests share. Everything that cannot be read covers more, not less.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

TRACKS: Final = ("stable", "candidate")
"""The names that tracks can have; a scope that names another one was mistyped."""


class Severity(IntEnum):
    """How hard to stop; the most severe of all sources holds. `ALLOWED` says what each one allows."""

    NONE = 0
    REDUCE_ONLY = 1
    HALT = 2
    CANCEL = 3
    FLATTEN = 4

    @property
    def word(self) -> str:
        return _WORD[self]

    @classmethod
    def parse(cls, word: object, unknown: "Severity") -> "Severity":
        """The severity of a word, or ``unknown`` for anything that is not exactly one of the words."""
        return _SEVERITY.get(word, unknown) if isinstance(word, str) else unknown


_WORD: Final = {
    Severity.NONE: "None",
    Severity.REDUCE_ONLY: "ReduceOnly",
    Severity.HALT: "Halt",
    Severity.CANCEL: "Cancel",
    Severity.FLATTEN: "Flatten",
}
_SEVERITY: Final = {word: severity for severity, word in _WORD.items()}


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What passes while a stop holds. Cancels have no field: they pass always."""

    opening: bool
    """New orders that may open or enlarge a position."""
    reducing: bool
    """New orders of a strategy that can only shrink what its track holds."""
    closing: bool
    """Orders of the platform itself that close positions."""
    working: bool
    """Working orders stay at the venue."""
    protective: bool
    """Protective orders stay: resting, reduce-only, and within the position. ``protective: Cancel`` takes this away."""


ALLOWED: Final[Mapping[Severity, Allowed]] = {
    Severity.NONE: Allowed(opening=True, reducing=True, closing=False, working=True, protective=True),
    Severity.REDUCE_ONLY: Allowed(opening=False, reducing=True, closing=False, working=True, protective=True),
    Severity.HALT: Allowed(opening=False, reducing=False, closing=False, working=True, protective=True),
    Severity.CANCEL: Allowed(opening=False, reducing=False, closing=False, working=False, protective=True),
    Severity.FLATTEN: Allowed(opening=False, reducing=False, closing=True, working=False, protective=False),
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the systems that a switch covers; an empty list means all of its kind."""

    venues: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    tracks: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Whether it leaves anything out within one gate."""
        return bool(self.instruments or self.tracks)

    def covers(self, track: str, symbol: str) -> bool:
        """Within a gate whose venue it covers."""
        return (not self.instruments or symbol in self.instruments) and (not self.tracks or track in self.tracks)

    def __str__(self) -> str:
        named = (("venue", self.venues), ("instrument", self.instruments), ("track", self.tracks))
        return ", ".join(f"{what} {'/'.join(names)}" for what, names in named if names) or "everything"


EVERYTHING: Final = Scope()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gate is, as far as scopes can name it. What is empty is not known, and then nothing is ruled out."""

    venue: str = ""
    symbols: tuple[str, ...] = ()
    """What it trades."""
    venues: tuple[str, ...] = ()
    """Of its whole system."""
    instruments: tuple[str, ...] = ()
    """Of its whole system."""


def scope_of(spec: object) -> Scope:
    """The scope in a KillSwitch's spec. One that cannot be read, or that names an unknown track, is everything."""
    found = spec.get("scope") if isinstance(spec, Mapping) else None
    if not found or not isinstance(found, Mapping) or set(found) - {"venues", "instruments", "tracks"}:
        return EVERYTHING
    named = {}
    for kind in ("venues", "instruments", "tracks"):
        names = found.get(kind) or ()
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
            return EVERYTHING
        named[kind] = tuple(sorted(set(names)))
    return EVERYTHING if set(named["tracks"]) - set(TRACKS) else Scope(**named)


def scope_at(scope: Scope, place: Place, *, named: bool) -> Scope | None:
    """What a scope means at one gate; None = another venue's business.

    ``named``: the switch names this very system. Then a venue or an instrument that the system does not have was
    mistyped, and the stop covers all of it; in a switch over many systems it may be another one's.
    """
    if named and place.venues and set(scope.venues) - set(place.venues):
        return EVERYTHING
    if named and place.instruments and set(scope.instruments) - set(place.instruments):
        return EVERYTHING
    if scope.venues and place.venue and place.venue not in scope.venues:
        return None
    if scope.instruments and place.symbols and not set(scope.instruments) & set(place.symbols):
        return None
    return Scope(instruments=scope.instruments, tracks=scope.tracks)


def of_switch(spec: object) -> tuple[Severity, str]:
    """What a KillSwitch's spec asks for, and the reason that people gave.

    Fails closed: an engaged switch means at least Cancel whatever its action says, an unknown restriction means
    Halt, and a spec that cannot be read means Halt, because nobody knows what it said.
    """
    if not isinstance(spec, Mapping):
        return Severity.HALT, "the switch has no readable spec"
    reason = str(spec.get("reason") or "")
    engaged = spec.get("engaged", False)
    restrict = Severity.parse(spec.get("restrict", "None"), Severity.HALT)
    if not isinstance(engaged, bool):
        return max(restrict, Severity.CANCEL), reason or f"spec.engaged is {engaged!r}"
    if not engaged:
        return restrict, reason
    action = Severity.parse(spec.get("action", "Cancel"), Severity.CANCEL)
    return max(action, Severity.CANCEL), reason


def keeps_protective(spec: object) -> bool:
    """Whether protective orders stay when it cancels. Only the word Cancel takes protection from a position."""
    return not (isinstance(spec, Mapping) and spec.get("protective") == "Cancel")


def covers(switch: Mapping[str, Any], system: str, labels: Mapping[str, str]) -> bool:
    """Whether a KillSwitch stops this system or a part of it: by its own name always, else because it covers every
    system of the namespace, names this one, or selects it by its labels.

    An empty or absent selector selects nothing; one that cannot be read selects everything, and so does anything
    but a plain no in ``everySystem``.
    """
    metadata = switch.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("name") == system:
        return True
    spec = switch.get("spec")
    if not isinstance(spec, Mapping):
        return False
    every = spec.get("everySystem")
    if every is not None and every is not False:
        return True
    named = spec.get("systems") or ()
    if not isinstance(named, list | tuple) or system in named:
        return True
    return _selects(spec.get("selector"), labels)


def names(switch: Mapping[str, Any], system: str) -> bool:
    """Whether it names this very system, which makes a part that the system does not have a mistake."""
    spec = switch.get("spec")
    named = spec.get("systems") if isinstance(spec, Mapping) else None
    return isinstance(named, list | tuple) and system in named


def switch_scope(switch: Mapping[str, Any], system: str) -> Scope:
    """The scope of a KillSwitch for a system. The switch of the system's own name stops all of it, whatever its
    scope says: one patch stops everything, and nothing that was left in the object can make it less."""
    metadata = switch.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("name") == system:
        return EVERYTHING
    return scope_of(switch.get("spec"))


def _selects(selector: object, labels: Mapping[str, str]) -> bool:
    if not selector:
        return False
    if not isinstance(selector, Mapping) or set(selector) - {"matchLabels"}:
        return True
    wanted = selector.get("matchLabels")
    if not wanted:
        return False
    if not isinstance(wanted, Mapping):
        return True
    return all(labels.get(str(key)) == value for key, value in wanted.items())

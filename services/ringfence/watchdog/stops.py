"""What the KillSwitch objects ask of this system, as the watchdog reads them itself. Pure.

Only stops of the whole account count: what stops an instrument or a track in it is the gate's alone, because all that
the watchdog could do about it is more than was asked. A switch that is deleted while it stops goes on counting until a
gate has closed for it or the system's own switch is released: a deletion is no release.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ringfence.wire.kill import EVERYTHING, Place, Severity, covers, of_switch, scope_at, switch_scope
from ringfence.wire.stops import names

DELETED_MAX: Final = 64


class Ask(msgspec.Struct, frozen=True):
    """One switch over this system."""

    uid: str
    generation: int
    severity: Severity
    reason: str
    since: int
    """Boot nanoseconds at which it was first seen as strict as this."""


class Stops:
    """Fold of one namespace's switches."""

    def __init__(self, system: str, labels: Mapping[str, str], place: Place) -> None:
        self.releases = 0
        """How often the system's own switch was seen to stop and then no more: each one is a person's decision."""
        self._system = system
        self._labels = dict(labels)
        self._place = place
        self._asks: dict[str, Ask] = {}
        self._deleted: dict[str, Ask] = {}

    def listed(self, objects: Iterable[Mapping[str, Any]], now: int) -> None:
        """All that there are."""
        there = {self.seen(found, now) for found in objects}
        for name in set(self._asks) - there:
            self._vanish(name)

    def seen(self, found: Mapping[str, Any], now: int) -> str:
        """One switch as it is now; older generations than known are ignored. Returns its name."""
        metadata = found.get("metadata") or {}
        name, uid = str(metadata.get("name") or "?"), str(metadata.get("uid") or "")
        generation = metadata.get("generation")
        number = generation if isinstance(generation, int) else 0
        known = self._asks.get(name)
        if known is not None and known.uid == uid and number < known.generation:
            return name
        severity, reason = of_switch(found.get("spec"))
        scope = scope_at(switch_scope(found, self._system), self._place, named=names(found, self._system))
        if not covers(found, self._system, self._labels) or scope != EVERYTHING:
            severity = Severity.NONE
        lasts = known is not None and known.uid == uid and known.severity >= severity > Severity.NONE
        since = known.since if known is not None and lasts else now
        stopped = known is not None and known.severity >= Severity.CANCEL
        self._asks[name] = Ask(uid, number, severity, f"KillSwitch {name}" + (f": {reason}" if reason else ""), since)
        if name == self._system and severity < Severity.CANCEL and stopped:
            self.releases += 1
            self._deleted.clear()
        return name

    def deleted(self, found: Mapping[str, Any]) -> None:
        self._vanish(str((found.get("metadata") or {}).get("name") or "?"))

    def closed(self) -> None:
        """A gate has closed: from here on it keeps what is deleted latched by itself."""
        self._deleted.clear()

    @property
    def asked(self) -> Ask:
        """The most severe, the oldest of these."""
        asks = [*self._asks.values(), *self._deleted.values()]
        nothing = Ask("", 0, Severity.NONE, "", 0)
        return max(asks, key=lambda ask: (ask.severity, -ask.since), default=nothing)

    def _vanish(self, name: str) -> None:
        ask = self._asks.pop(name, None)
        if ask is not None and ask.severity >= Severity.CANCEL and len(self._deleted) < DELETED_MAX:
            self._deleted[name] = ask

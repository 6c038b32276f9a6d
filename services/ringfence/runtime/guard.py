"""The guard: what a gate may do now, and why. Pure; the hosts feed it with what they see.

Many sources, the most severe wins. What each severity allows is the table `wire.stops.ALLOWED`; the states are

    Active, ReduceOnly, Halted, Cancel, Flatten   the severities NONE to FLATTEN of all of the gate
    Starting                                      HALT, because start-up is not complete

A stop may have a scope: instruments, tracks. The rest of the gate then goes on: ``severity`` is that of the stops
that cover everything, ``worst`` that of any stop at all, and ``severity_of`` that of one track in one instrument.

Cancels pass at every severity. Rules that hold whatever comes in:

- It starts halted. It is Active only while every requirement is met and no source asks for more.
- What cannot be read counts as severe: HALT where data is broken, CANCEL where a switch is engaged with a word
  that nobody knows.
- An older generation of an object (or an older epoch or version of a document) is ignored: API servers can
  answer from the past.
- A push can only tighten. A direct kill is latched, and so is a switch that is deleted while it stops us. A latch
  is released by one thing: the system's own KillSwitch is seen engaged and then, in a later generation of the
  same object, released. Seeing it merely not engaged is no proof that somebody with the right to release did so.
- After a release the start-up checks run again: `cycle` goes up, and only a reconciliation of that cycle counts.
- `epoch` goes up with each tightening, also of a part: permissions given before are void.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from ringfence.wire.kill import ENGAGE_KEY, STATE_KEY, KillRequest, MirroredState
from ringfence.wire.stops import (
    EVERYTHING,
    Place,
    Scope,
    Severity,
    covers,
    keeps_protective,
    names,
    of_switch,
    scope_at,
    switch_scope,
)

RECONCILED: Final = "reconciled"
KILL_SWITCH: Final = "kill switch"
PAIRS_MAX: Final = 64
"""Past contents of the kill-switch document that are remembered, to tell an old file from news."""
DEAD_MAX: Final = 64
REOPENING: Final = "starting up again after its release: not reconciled yet"
ANYWHERE: Final = Place()


class Source(msgspec.Struct, frozen=True):
    """One reason to stop."""

    severity: Severity
    reason: str
    scope: Scope = EVERYTHING
    protective: bool = True
    """Whether protective orders stay where it cancels."""


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """A stop that outlives what caused it. The host keeps it on disk, so that restarts do not lose it."""

    name: str
    severity: str
    reason: str
    scope: Scope = EVERYTHING
    protective: str = "Keep"
    uid: str = ""
    """Of the deleted switch."""
    engaged_uid: str = ""
    """The system's own KillSwitch, once it has been seen engaged while this latch held."""
    engaged_generation: int = 0


class Switch(msgspec.Struct, frozen=True):
    """A KillSwitch as last seen."""

    name: str
    uid: str
    generation: int
    covers: bool
    severity: Severity
    scope: Scope = EVERYTHING
    """At this gate."""


class Guard:
    """Single writer; ``worst`` and ``epoch`` are read on the order path."""

    def __init__(
        self, system: str, labels: Mapping[str, str], requirements: Iterable[str], now: int, place: Place = ANYWHERE
    ) -> None:
        self.severity = Severity.HALT
        """Of everything."""
        self.worst = Severity.HALT
        """Of the part that is stopped hardest: the one number that says whether any stop holds anywhere."""
        self.partial: tuple[Source, ...] = ()
        """Stops of a part of this gate."""
        self.keeps_protective = True
        """Whether protective orders stay under the stops that cover everything."""
        self.epoch = 1
        self.cycle = 1
        """Start-up runs so far."""
        self.state = "Starting"
        self.reason = ""
        self.closed_at = now
        """When it last became tighter, UTC nanoseconds."""
        self.changed = 0
        """Counts changes of state, severity or reason: cheap for hosts to poll."""
        self.ignored_old = 0
        self.releases = 0
        """How often the system's own KillSwitch was seen engaged and then released: each one is a person's decision."""
        self.released_by = ""
        """Who last released (or engaged and never released) the system's own switch, by its own word."""
        self.switches: dict[str, Switch] = {}
        self.latches: dict[str, Latch] = {}
        self.sources: dict[str, Source] = {}
        self.missing: dict[str, str] = dict.fromkeys([*requirements, RECONCILED, KILL_SWITCH], "not yet")
        self._system = system
        self._labels = dict(labels)
        self._place = place
        self._halting: set[Scope] = set()
        """Parts that a stop halts."""
        self._reopening: set[Scope] = set()
        """Parts that were released and not reconciled since."""
        self._started = False
        self._stopped = False
        self._pushed: dict[str, int] = {}
        """Generation that the operator told us of, by uid, until we have seen it ourselves."""
        self._dead: OrderedDict[str, int] = OrderedDict()
        """Generation that each deleted switch had last, by uid. News of a later one is proof that it lives."""
        self._document = ("", 0)
        self._mirror_epoch = -1
        self._pairs: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._settle(now)

    # --- requirements and the gate's own sources

    def met(self, requirement: str, now: int) -> None:
        if self.missing.pop(requirement, None) is not None:
            self._settle(now)

    def missed(self, requirement: str, reason: str, now: int) -> None:
        if self.missing.get(requirement) != reason:
            self.missing[requirement] = reason
            self._settle(now)

    def reconciled(self, cycle: int, now: int) -> None:
        """A reconciliation that began in ``cycle`` found no break. One from before a release proves nothing."""
        if cycle != self.cycle:
            return
        if self._reopening:
            self._reopening.clear()
            self._settle(now)
        self.met(RECONCILED, now)

    def hold(self, name: str, severity: Severity, reason: str, now: int, scope: Scope = EVERYTHING) -> None:
        """Set one of the gate's own sources (lease, journal, breaks, shutdown, handovers)."""
        if self.sources.get(name) != Source(severity, reason, scope):
            self.sources[name] = Source(severity, reason, scope)
            self._settle(now)

    def drop(self, name: str, now: int) -> None:
        if self.sources.pop(name, None) is not None:
            self._settle(now)

    # --- KillSwitch objects

    def switches_listed(self, objects: Iterable[Mapping[str, Any]], now: int) -> None:
        """The complete state by the watch: what was known and is not in here has been deleted."""
        there = set()
        for found in objects:
            there.add(self._see(found))
        for name in [name for name in self.switches if name not in there]:
            self._vanish(name)
        for uid in self._pushed.keys() - {switch.uid for switch in self.switches.values()}:
            del self._pushed[uid]  # deleted before we ever saw it
            self._keep_deleted(uid, uid, self.sources.pop(f"push/{uid}"))
        self._own_switch()
        self._settle(now)

    def switch_seen(self, found: Mapping[str, Any], now: int) -> None:
        """One object, by a change or by a list that is not the watch's: absence from such a list means nothing."""
        self._see(found)
        self._own_switch()
        self._settle(now)

    def switch_deleted(self, found: Mapping[str, Any], now: int) -> None:
        name, uid, _ = _identity(found)
        known = self.switches.get(name)
        if known is not None and known.uid == uid:
            self._vanish(name)
            self._own_switch()
            self._settle(now)

    def _see(self, found: Mapping[str, Any]) -> str:
        name, uid, generation = _identity(found)
        known = self.switches.get(name)
        last = known.generation - 1 if known is not None and known.uid == uid else self._dead.get(uid, -1)
        if generation <= last:
            self.ignored_old += 1
            return name
        self._dead.pop(uid, None)
        if known is not None and known.uid != uid:
            self._vanish(name)  # the same name again is another object: the old one was deleted unseen
        covered = covers(found, self._system, self._labels) or not uid
        severity, reason = of_switch(found.get("spec"))
        wanted = switch_scope(found, self._system)
        scope = scope_at(wanted, self._place, named=names(found, self._system)) if uid else EVERYTHING
        covered = covered and scope is not None
        scope = scope or EVERYTHING
        if not uid:  # nobody can tell whose it is
            severity, reason = max(severity, Severity.HALT), reason or "the switch has no readable metadata"
        severity = severity if covered else Severity.NONE
        self.switches[name] = Switch(name, uid, generation, covered, severity, scope)
        self._source(
            f"switch/{name}", severity, f"KillSwitch {name}", reason, scope, keeps_protective(found.get("spec"))
        )
        for gone in [latch for latch in self.latches.values() if uid and latch.uid == uid]:
            del self.latches[gone.name]  # it lives: a list from the past had left it out
        if generation >= self._pushed.get(uid, 0):
            self._pushed.pop(uid, None)
            self.sources.pop(f"push/{uid}", None)
        if name == self._system:
            spec = found.get("spec")
            self.released_by = str(spec.get("releasedBy") or "") if isinstance(spec, Mapping) else ""
            if known is not None and known.uid == uid and known.severity >= Severity.CANCEL > severity:
                self.releases += 1
            self._cycle_latches(uid, generation, severity)
        return name

    def _vanish(self, name: str) -> None:
        switch = self.switches.pop(name)
        self._pushed.pop(switch.uid, None)
        pushed = self.sources.pop(f"push/{switch.uid}", Source(Severity.NONE, ""))
        source = self.sources.pop(f"switch/{name}", Source(Severity.NONE, ""))
        severest = max(source, pushed, key=lambda found: found.severity)
        if switch.uid:
            self._dead[switch.uid] = switch.generation
        if len(self._dead) > DEAD_MAX:
            self._dead.popitem(last=False)
        if severest.severity > Severity.NONE:
            self._keep_deleted(name, switch.uid, severest)

    def _keep_deleted(self, name: str, uid: str, source: Source) -> None:
        """A deletion is no release."""
        self._latch(
            Latch(
                name=f"deleted/{name}",
                severity=source.severity.word,
                reason=f"KillSwitch {name} was deleted while it stopped this system",
                scope=source.scope,
                protective=_protective(source.protective),
                uid=uid,
            )
        )

    def _own_switch(self) -> None:
        if self._system in self.switches:
            self.missing.pop(KILL_SWITCH, None)
        else:
            self.missing[KILL_SWITCH] = f"KillSwitch {self._system} does not exist"

    # --- latches

    def restore(self, latches: Iterable[Latch], now: int) -> None:
        """What an earlier process had latched, from disk."""
        for latch in latches:
            self.latches[latch.name] = latch
        self._settle(now)

    def pushed(self, request: KillRequest, now: int) -> None:
        """A verified push."""
        severity = Severity.parse(request.severity, Severity.CANCEL)
        if severity is Severity.NONE:
            return
        reason = f"{request.by or 'somebody'}: {request.reason or 'no reason given'}"
        scope = scope_at(request.scope, self._place, named=request.source == "direct")
        if scope is None:
            return
        if request.source == "operator" and request.uid:
            known = next((s for s in self.switches.values() if s.uid == request.uid), None)
            seen = known.generation if known is not None else self._dead.get(request.uid, -1)
            if seen >= request.generation:
                self.ignored_old += 1
                return
            held = self.sources.get(f"push/{request.uid}", Source(Severity.NONE, "", scope))
            keeps = held.protective and request.protective != "Cancel"
            if severity > held.severity or scope != held.scope or keeps is not held.protective:
                whole = scope if scope == held.scope else EVERYTHING
                told = f"pushed by the operator: {reason}"
                self.sources[f"push/{request.uid}"] = Source(max(severity, held.severity), told, whole, keeps)
            self._pushed[request.uid] = max(request.generation, self._pushed.get(request.uid, 0))
        else:
            name = f"direct/{scope}" if scope.partial else "direct"
            before = self.latches.get(name, Latch(name=name, severity=Severity.NONE.word, reason=""))
            held_to, kept = Severity.parse(before.severity, Severity.CANCEL), before.protective != "Cancel"
            keeps = kept and request.protective != "Cancel"
            if severity > held_to or keeps is not kept:
                self._latch(
                    Latch(
                        name=name,
                        severity=max(severity, held_to).word,
                        reason=f"direct kill by {reason}",
                        scope=scope,
                        protective=_protective(keeps),
                    )
                )
        self._settle(now)

    def latch(self, name: str, severity: Severity, reason: str, now: int) -> None:
        """One of the gate's own stops (a breaker) that only a person ends, however long ago its cause went away."""
        if name not in self.latches:
            self._latch(Latch(name=name, severity=severity.word, reason=reason))
            self._settle(now)

    def _latch(self, latch: Latch) -> None:
        own = self.switches.get(self._system)
        if own is not None and own.severity >= Severity.CANCEL:
            latch = msgspec.structs.replace(latch, engaged_uid=own.uid, engaged_generation=own.generation)
        self.latches[latch.name] = latch

    def _cycle_latches(self, uid: str, generation: int, severity: Severity) -> None:
        for name, latch in list(self.latches.items()):
            if severity >= Severity.CANCEL:
                self.latches[name] = msgspec.structs.replace(latch, engaged_uid=uid, engaged_generation=generation)
            elif (
                severity is Severity.NONE and uid and latch.engaged_uid == uid and generation > latch.engaged_generation
            ):
                del self.latches[name]

    # --- the kill-switch document: through the API, and as a mounted file

    def document_seen(self, found: Mapping[str, Any] | None, now: int) -> None:
        """The ConfigMap by the watch; None = it does not exist."""
        if found is None:
            self._document = ("", 0)
            self.hold("document", Severity.HALT, "the kill-switch ConfigMap does not exist", now)
            return
        metadata = found.get("metadata") or {}
        uid, version = str(metadata.get("uid") or ""), _integer(metadata.get("resourceVersion"))
        if uid == self._document[0] and version < self._document[1]:
            self.ignored_old += 1
            return
        if uid != self._document[0]:
            self._mirror_epoch = -1
        self._document = (uid, version)
        self.sources.pop("document", None)
        engage, state = _texts(found.get("data"))
        self._remember((engage, state))
        self._engage("document/engage", engage)
        self._mirror("document/state", state)
        self._settle(now)

    def file_seen(self, engage: str, state: str, now: int, error: str = "") -> None:
        """The mounted copy, up to two minutes late. What the watch has seen replaced since is old news, not a stop."""
        pairs = list(self._pairs)
        self._drop_all("file")
        if error:
            self._source("file", Severity.HALT, "mounted kill switch", error)
        elif (engage, state) in pairs[:-1]:
            self._source("file", Severity.NONE, "", "")
        elif engage.strip():
            self._engage("file", engage)
        else:
            self._mirror_sources("file", "mounted kill switch", _mirrored(state))
        self._settle(now)

    def _remember(self, pair: tuple[str, str]) -> None:
        self._pairs.pop(pair, None)
        self._pairs[pair] = None
        if len(self._pairs) > PAIRS_MAX:
            self._pairs.popitem(last=False)

    def _engage(self, name: str, engage: str) -> None:
        text = engage.strip()
        severity = max(Severity.parse(text, Severity.CANCEL), Severity.CANCEL) if text else Severity.NONE
        self._source(name, severity, "kill-switch ConfigMap", f"engage is {text[:200]!r}")

    def _mirror(self, name: str, state: str) -> None:
        found = _mirrored(state)
        if found is not None and not isinstance(found, str):
            if found.epoch < self._mirror_epoch:
                self.ignored_old += 1
                return
            self._mirror_epoch = found.epoch
        self._drop_all(name)
        self._mirror_sources(name, "kill-switch ConfigMap", found)

    def _mirror_sources(self, name: str, what: str, found: MirroredState | str | None) -> None:
        if found is None:
            return
        if isinstance(found, str):
            self._source(name, Severity.HALT, what, found)
            return
        keeps = found.protective != "Cancel"
        self._source(name, Severity.parse(found.severity, Severity.HALT), what, found.reason, EVERYTHING, keeps)
        for number, stop in enumerate(found.scoped):
            scope = scope_at(stop.scope, self._place, named=False)
            if scope is not None:
                severity = Severity.parse(stop.severity, Severity.HALT)
                self._source(f"{name}/{number}", severity, what, stop.reason, scope, stop.protective != "Cancel")

    def _drop_all(self, name: str) -> None:
        """A source with all its parts."""
        for key in [key for key in self.sources if key == name or key.startswith(f"{name}/")]:
            del self.sources[key]

    def _source(
        self,
        name: str,
        severity: Severity,
        what: str,
        reason: str,
        scope: Scope = EVERYTHING,
        protective: bool = True,
    ) -> None:
        if severity is Severity.NONE:
            self.sources.pop(name, None)
        else:
            self.sources[name] = Source(severity, f"{what}: {reason}" if reason else what, scope, protective)

    # --- the outcome

    def severity_of(self, track: str, symbol: str) -> Severity:
        """Of one track in one instrument."""
        found = self.severity
        for stop in self.partial:
            if stop.severity > found and stop.scope.covers(track, symbol):
                found = stop.severity
        return found

    def leaves_protective(self, track: str, symbol: str) -> bool:
        """Whether the stops that cancel here leave protective orders alone."""
        kept = self.keeps_protective or self.severity < Severity.CANCEL
        return kept and all(
            stop.protective
            for stop in self.partial
            if stop.severity >= Severity.CANCEL and stop.scope.covers(track, symbol)
        )

    def word(self, severity: Severity, scope: Scope) -> str:
        """The state of a part, as a switch that covers it sees it."""
        if not scope.partial or severity <= self.severity:
            return self.state
        return self._word(severity, severity)

    def _stops(self) -> dict[str, Source]:
        """All sources, and the latches among them."""
        found = {**self.sources}
        for latch in self.latches.values():
            severity = Severity.parse(latch.severity, Severity.CANCEL)
            told = f"{latch.reason}; latched until KillSwitch {self._system} is engaged and released"
            found[latch.name] = Source(severity, told, latch.scope, latch.protective != "Cancel")
        return found

    def _settle(self, now: int) -> None:
        """Fold all sources into severity, state and reason."""
        everything = self._stops()
        stops = {name: found for name, found in everything.items() if not found.scope.partial}
        asked = max((s.severity for s in stops.values()), default=Severity.NONE)
        if asked < Severity.HALT and self._stopped:
            # released: whatever was true before the stop has to be proven again
            self.cycle += 1
            self._started = False
            self.missing[RECONCILED] = "not since the release"
        self._stopped = asked >= Severity.HALT
        severity = max(asked, Severity.HALT) if self.missing else asked
        if not self.missing and asked < Severity.HALT:
            self._started = True
        tighter = self._settle_parts([found for found in everything.values() if found.scope.partial])
        self.keeps_protective = all(s.protective for s in stops.values() if s.severity >= Severity.CANCEL)
        state = self._word(severity, asked)
        reason = self._sentence(severity, asked, stops)
        if severity > self.severity or tighter:
            self.epoch += 1
            self.closed_at = now
        worst = max((s.severity for s in self.partial), default=Severity.NONE)
        outcome = (severity, max(severity, worst), state, reason)
        if tighter or outcome != (self.severity, self.worst, self.state, self.reason):
            self.severity, self.worst, self.state, self.reason = outcome
            self.changed += 1

    def _settle_parts(self, found: list[Source]) -> bool:
        """Take the stops of parts over; True if any part is stopped harder than before."""
        before = _severest(self.partial)
        halting = {stop.scope for stop in found if stop.severity >= Severity.HALT}
        released, self._halting = self._halting - halting, halting
        if released:
            # that part starts up again, as all of the gate would: only a reconciliation from here on counts
            self._reopening |= released
            self.cycle += 1
        found += [Source(Severity.HALT, REOPENING, scope) for scope in sorted(self._reopening, key=str)]
        self.partial = tuple(sorted(found, key=lambda stop: (-stop.severity, str(stop.scope), stop.reason)))
        return any(severity > before.get(scope, Severity.NONE) for scope, severity in _severest(found).items())

    def _word(self, severity: Severity, asked: Severity) -> str:
        match severity:
            case Severity.NONE:
                return "Active"
            case Severity.REDUCE_ONLY:
                return "ReduceOnly"
            case Severity.HALT:
                return "Halted" if asked is Severity.HALT or self._started else "Starting"
            case Severity.CANCEL:
                return "Cancel"
            case Severity.FLATTEN:
                return "Flatten"

    def _sentence(self, severity: Severity, asked: Severity, stops: Mapping[str, Source]) -> str:
        # all of them, the severest first: whoever releases a switch must have seen the break that lies beneath it
        told = sorted({(-s.severity, s.reason) for s in stops.values()})
        reasons = _without_echoes([*dict.fromkeys(reason for _, reason in told)])
        if asked < severity:
            waiting = ", ".join(f"{name} ({why})" for name, why in sorted(self.missing.items()))
            reasons = [f"{'waiting for' if self._started else 'Starting: waiting for'} {waiting}"]
        for part in dict.fromkeys(f"{stop.severity.word} of {stop.scope}" for stop in self.partial):
            whys = [stop.reason for stop in self.partial if part == f"{stop.severity.word} of {stop.scope}"]
            reasons += [f"{part}: {why}" for why in _without_echoes(whys)]
        return "; ".join(reasons)


def _without_echoes(reasons: list[str]) -> list[str]:
    """The ConfigMap and the mounted file repeat what a switch says: once is enough for a person."""
    return [one for one in reasons if not any(one.endswith(f": {other}") for other in reasons)]


def _identity(found: Mapping[str, Any]) -> tuple[str, str, int]:
    metadata = found.get("metadata")
    if not isinstance(metadata, Mapping):
        return "?", "", 0
    return str(metadata.get("name") or "?"), str(metadata.get("uid") or ""), _integer(metadata.get("generation"))


def _integer(value: object) -> int:
    return value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdigit() else 0


def _texts(data: object) -> tuple[str, str]:
    if data is None:
        return "", ""
    if not isinstance(data, Mapping):
        return "", "the data of the ConfigMap is no map"
    return str(data.get(ENGAGE_KEY) or ""), str(data.get(STATE_KEY) or "")


def _severest(stops: Iterable[Source]) -> dict[Scope, Severity]:
    found: dict[Scope, Severity] = {}
    for stop in stops:
        found[stop.scope] = max(stop.severity, found.get(stop.scope, Severity.NONE))
    return found


def _protective(keeps: bool) -> str:
    return "Keep" if keeps else "Cancel"


def _mirrored(state: str) -> MirroredState | str | None:
    """The operator's text; why it cannot be read; None where there is no text, which is no request."""
    if not state.strip():
        return None
    try:
        return msgspec.json.decode(state, type=MirroredState)
    except msgspec.MsgspecError as error:
        return f"the operator's state cannot be read: {error}"

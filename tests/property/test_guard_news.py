"""The guard against news that come late, twice, by several ways, or never: whatever was told, it is never looser than
the newest word of any switch, and once everything is told and released it opens again.

The API server is in this file: switches are made, changed and deleted; a watch tells in order and may begin anew with a
list that was made a while ago; the Lease's lists and the operator's pushes come whenever they come.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringfence.runtime.guard import Guard
from ringfence.wire.kill import KillRequest, Severity

NOW = 1_700_000_000_000_000_000
OWN, OTHERS = "s", ("a", "b")
SPECS: dict[Severity, dict[str, Any]] = {
    Severity.NONE: {},
    Severity.REDUCE_ONLY: {"restrict": "ReduceOnly"},
    Severity.HALT: {"restrict": "Halt"},
    Severity.CANCEL: {"engaged": True},
    Severity.FLATTEN: {"engaged": True, "action": "Flatten"},
}
names = st.sampled_from((OWN, *OTHERS))
severities = st.sampled_from(Severity)
picks = st.integers(0, 20)


@dataclass(frozen=True)
class Object:
    """A KillSwitch at one generation."""

    name: str
    uid: str
    generation: int
    severity: Severity

    @property
    def manifest(self) -> dict[str, Any]:
        meta = {"name": self.name, "uid": self.uid, "generation": self.generation}
        return {"metadata": meta, "spec": {"systems": ["s"]} | SPECS[self.severity]}


class News(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.guard = Guard("s", {}, [], NOW)
        self.there: dict[str, Object] = {}
        self.uids = 0
        self.watch: list[tuple[str, Any]] = []
        """What it will tell, in order."""
        self.lists: list[tuple[Object, ...]] = []
        self.pushes: list[Object] = []
        self.told: dict[str, Object] = {}
        """The newest that the gate was told of each, by uid."""
        self.gone: dict[str, int] = {}
        """Those that it must take for deleted, and the own switch's generation that has stopped since; -1: none."""
        self.make(OWN, Severity.NONE)
        self.relist()
        self.watch_tells(1)

    # --- the API server

    def make(self, name: str, severity: Severity) -> None:
        self.uids += 1
        self.change(Object(name, f"u{self.uids}", 1, severity))

    def change(self, found: Object) -> None:
        self.there[found.name] = found
        self.watch.append(("seen", found))
        if found.severity is not Severity.NONE:
            self.pushes.append(found)

    @rule(name=names, severity=severities)
    def write(self, name: str, severity: Severity) -> None:
        found = self.there.get(name)
        if found is None:
            self.make(name, severity)
        else:
            self.change(Object(name, found.uid, found.generation + 1, severity))

    @rule(name=names)
    def delete(self, name: str) -> None:
        found = self.there.pop(name, None)
        if found is not None:
            self.watch.append(("deleted", found))

    # --- what the gate is told

    @rule()
    def relist(self) -> None:
        """The watch begins anew: what it had not told yet is in its list, or is lost."""
        self.watch = [("list", tuple(self.there.values()))]

    @rule()
    def lease_lists(self) -> None:
        self.lists.append(tuple(self.there.values()))

    @rule(count=st.integers(1, 3))
    def watch_tells(self, count: int) -> None:
        for kind, found in self.watch[:count]:
            if kind == "list":
                self.guard.switches_listed([one.manifest for one in found], NOW)
                uids = {one.uid for one in found}
                self.bury([uid for uid in self.told if uid not in uids])
                for one in found:
                    self.heard(one)
            elif kind == "seen":
                self.guard.switch_seen(found.manifest, NOW)
                self.heard(found)
            else:
                self.guard.switch_deleted(found.manifest, NOW)
                self.heard(found)
                self.bury([found.uid])
        del self.watch[:count]

    @rule(pick=picks)
    def lease_list_comes(self, pick: int) -> None:
        if self.lists:
            for one in self.lists.pop(pick % len(self.lists)):
                self.guard.switch_seen(one.manifest, NOW)
                self.heard(one)

    @rule(pick=picks)
    def push_comes(self, pick: int) -> None:
        """At any time, also twice."""
        if self.pushes:
            one = self.pushes[pick % len(self.pushes)]
            request = KillRequest(
                severity=one.severity.word, reason="r", by="op", ts=NOW, source="operator", uid=one.uid,
                generation=one.generation,
            )  # fmt: skip
            self.guard.pushed(request, NOW)
            self.heard(one, own=False)

    # --- what must follow

    def heard(self, one: Object, *, own: bool = True) -> None:
        known = self.told.get(one.uid)
        if known is not None and known.generation >= one.generation:
            return
        self.told[one.uid] = one
        self.gone.pop(one.uid, None)
        if one.name == OWN and own:
            self.cycle(one)

    def bury(self, uids: list[str]) -> None:
        own = [one for uid, one in self.told.items() if one.name == OWN and uid not in self.gone and uid not in uids]
        stops = own[-1].generation if own and own[-1].severity >= Severity.CANCEL else -1
        for uid in uids:
            if uid in self.told:
                self.gone.setdefault(uid, stops)

    def cycle(self, own: Object) -> None:
        """Engaged and then released, the own switch lets go of what deleted ones had left."""
        for uid, stopped in list(self.gone.items()):
            if own.severity >= Severity.CANCEL:
                self.gone[uid] = own.generation
            elif own.severity is Severity.NONE and stopped >= 0:
                del self.gone[uid]
                self.told[uid] = replace(self.told[uid], severity=Severity.NONE)

    @invariant()
    def never_looser_than_the_newest_word(self) -> None:
        if hasattr(self, "guard"):
            wanted = max((one.severity for one in self.told.values()), default=Severity.NONE)
            assert self.guard.severity >= wanted, (wanted, self.told, self.guard.sources, self.guard.latches)

    @rule()
    def all_is_told_and_released(self) -> None:
        """Then nothing stays behind: no push, no latch, no switch that nobody could release."""
        for name in [*self.there, OWN]:
            self.write(name, Severity.NONE)
        self.write(OWN, Severity.CANCEL)
        self.relist()
        self.watch_tells(1)
        self.write(OWN, Severity.NONE)
        self.relist()
        self.watch_tells(1)
        assert (self.guard.sources, self.guard.latches) == ({}, {})
        self.guard.reconciled(self.guard.cycle, NOW)
        assert self.guard.state == "Active"


News.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestNews = News.TestCase

"""Follows the allocation document, confirms it, fetches the grants that it names, and sees handovers through.

The watch brings news in milliseconds, but a half-open one is silent for a minute. So the document is also read
afresh three times per Lease duration; one that was not confirmed for a whole Lease duration stops new exposure
of every track but stable, which is stopped by what fences it: the Lease, and the watch's own silence.
"""

import asyncio
from typing import Any, Final

import structlog

from ringfence.execution.app import Execution
from ringfence.execution.grants import allocate, allocation_of, limits_text, verified
from ringfence.execution.handover import NOTE_OPENED, NOTE_TRANSFER, PAPER, fresh, fresh_id
from ringfence.execution.state import FOREIGN
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, NotFound
from ringfence.kube.resources import CONFIG_MAP
from ringfence.runtime.config import STABLE, Allocation, Limits
from ringfence.runtime.killwatch import ALLOCATION
from ringfence.wire.stops import Scope, Severity

log = structlog.get_logger()

GRANT_RETRY_S: Final = 1.0
STEP_S: Final = 0.05
FLATTENING: Final = "handover "
HOLD: Final = "platform"
"""The operator's own halt, while it swaps the image of this program."""
ROUTES_EVERY: Final = 20
"""Steps between two tellings of who belongs where."""
SECOND_NS: Final = 1_000_000_000


class AllocationKeeper:
    """Everything that has to do with the allocation, for one gate."""

    def __init__(self, app: Execution, client: KubeClient) -> None:
        self.app = app
        self.allocation: Allocation | None = None
        self.ignored_old = 0
        self.grants: dict[str, Limits | str] = {}
        self.confirmed_ns = 0
        """When the API server last said that this is the allocation, UTC nanoseconds; 0 = never."""
        self._confirmed_mono = 0
        self._held: dict[str, str] = {}
        self._client = client
        self._uid = ""
        self._wanted = asyncio.Event()

    @property
    def epoch(self) -> int:
        return self.allocation.epoch if self.allocation is not None else 0

    @property
    def stale(self) -> str:
        """Why the allocation is stale; empty while it is not."""
        if not self.confirmed_ns:
            return "the API server has not confirmed it yet"
        age_s = (self.app.clock.monotonic_ns() - self._confirmed_mono) / SECOND_NS
        limit_s = self.app.config.lease_duration_s
        return f"not confirmed for {age_s:.0f} s, at most {limit_s} s" if age_s > limit_s else ""

    async def confirm(self) -> None:
        """Read it afresh, for ever."""
        name, namespace = self.app.config.allocation_configmap, self.app.config.namespace
        while True:
            asked, wall = self.app.clock.monotonic_ns(), self.app.clock.wall_ns()
            try:
                found = await self._client.get(CONFIG_MAP, name, namespace)
            except NotFound:
                self.seen(None)
            except ApiError as error:
                log.info("allocation not confirmed", reason=str(error))
            else:
                if self.seen(found):
                    self._confirmed_mono, self.confirmed_ns = asked, wall
            await asyncio.sleep(self.app.config.lease_duration_s / 3)

    async def watch_over(self) -> None:
        """See handovers through, and the age of the allocation."""
        turn = 0
        while True:
            if self.step():
                self._apply()
            if turn % ROUTES_EVERY == 0:
                self.app.publish_routes(self.allocation)
            turn += 1
            await asyncio.sleep(STEP_S)

    def step(self) -> bool:
        """Book what can be booked now; whether what holds tracks back has changed."""
        app = self.app
        while (made := app.handovers.step(app.clock.wall_ns(), app.clock.monotonic_ns(), self._flat())) is not None:
            transfer, outputs = made
            app.note(NOTE_TRANSFER, transfer)  # before its legs: a crash in between is made good at the next start
            app.perform(outputs)
            log.info("handover booked", id=transfer.id, source=transfer.source, target=transfer.target)
        if app.config.paper and self.allocation is not None:
            self._open_accounts(self.allocation)
        held = app.handovers.holds(track.name for track in app.gate.tracks.values())
        stale = self.stale
        if stale and self.allocation is not None:
            others = [track.name for track in self.allocation.tracks if track.name != STABLE]
            held = dict.fromkeys(others, f"ALLOCATION_STALE reason={stale}") | held
        changed = held.keys() != self._held.keys()
        self._held = held
        return changed

    def _flat(self) -> set[str]:
        """Have the source of a Flatten closed, by a stop of that track alone; the track once it is flat."""
        app, due = self.app, self.app.handovers.flattening()
        wanted = FLATTENING + due.id if due is not None else ""
        for name in [name for name in app.guard.sources if name.startswith(FLATTENING) and name != wanted]:
            app.observe(lambda now, name=name: app.guard.drop(name, now))  # type: ignore[misc]
        if due is None:
            return set()
        scope, reason = Scope(tracks=(due.source,)), f"handover {due.id} closes what {due.source} holds"
        app.observe(lambda now: app.guard.hold(wanted, Severity.FLATTEN, reason, now, scope))
        return {due.source} if app.flatten.flat_at(scope) else set()

    def _open_accounts(self, allocation: Allocation) -> None:
        """A paper account with fresh balances for each revision that is new on its track, once the old one is flat."""
        app, handovers = self.app, self.app.handovers
        for track in allocation.tracks:
            known = handovers.revisions.get(track.name)
            ready = known is None or fresh_id(track.name, allocation) in handovers.done
            if track.stage == PAPER and known != track.revision and ready:
                handovers.opened(track.name, track.revision)
                app.note(NOTE_OPENED, (track.name, track.revision))
                if app.reopen is not None:
                    app.reopen(track.name)

    def seen(self, found: dict[str, Any] | None) -> bool:
        """The ConfigMap as watched or read; None = it does not exist. Whether it is the allocation in force now."""
        app = self.app
        if found is None:
            app.observe(lambda now: app.guard.missed(ALLOCATION, "the allocation ConfigMap does not exist", now))
            return False
        try:
            allocation = allocation_of(found)
        except ValueError as error:
            reason = str(error)
            app.observe(lambda now: app.guard.missed(ALLOCATION, reason, now))
            return False
        uid = str((found.get("metadata") or {}).get("uid") or "")
        if self.allocation is not None and uid == self._uid and allocation.epoch < self.allocation.epoch:
            self.ignored_old += 1
            return False
        same = allocation == self.allocation
        self._uid, self.allocation = uid, allocation
        if same:
            app.observe(lambda now: app.guard.met(ALLOCATION, now))
            return True
        self._hold(allocation.hold)
        # a handover is of real positions: on paper each revision begins anew instead
        app.handovers.wanted = fresh(allocation, app.handovers.revisions) if app.config.paper else allocation.handovers
        for track in allocation.tracks:
            if not isinstance(self.grants.get(track.grant), Limits):
                cached = app.store.read_grant(track.grant)
                self.grants[track.grant] = cached if cached is not None else "not fetched yet"
        self._apply()  # the new revisions first: whose orders must go before anything is handed over
        self.step()
        self._apply()
        app.publish_routes(self.allocation)
        app.observe(lambda now: app.guard.met(ALLOCATION, now))
        self._wanted.set()
        return True

    @property
    def held(self) -> str:
        """Why the operator holds this gate; empty while it does not."""
        found = self.app.guard.sources.get(HOLD)
        return found.reason if found is not None else ""

    def _hold(self, reason: str) -> None:
        """Halt as the allocation says, or end that. Paper goes on: nothing of it is real."""
        app = self.app
        if reason and not app.config.paper:
            app.observe(lambda now: app.guard.hold(HOLD, Severity.HALT, reason, now))
        else:
            app.observe(lambda now: app.guard.drop(HOLD, now))

    def _apply(self) -> None:
        """Fold it in; what became tighter acts at once."""
        app = self.app
        if self.allocation is None:
            return
        allocate(app.gate.tracks, app.gate.account, self.allocation, self.grants, app.config.paper, self._held)
        wall, mono = app.clock.wall_ns(), app.clock.monotonic_ns()
        app.manager.evaluate(wall)  # what a track has lost is its ledger's, also before its first order here
        app.protection.allocated()
        app.perform(app.manager.cancel_unowned(app.handovers.leaving(), wall, mono))
        app.perform(app.manager.cancel_excess(wall, mono))

    def senders(self) -> set[str]:
        """Keys that may push intents."""
        return {track.key for track in self.app.gate.tracks.values() if track.key and track.name != FOREIGN}

    def subscribers(self) -> set[str]:
        """Keys that may read events: the services that the configuration lists, and every track's strategy."""
        return {*self.app.config.subscribers.values(), *self.senders()}

    async def fetch_grants(self) -> None:
        """Grants are immutable: each is fetched once, and kept on the journal's volume."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            named = {track.grant for track in self.allocation.tracks} if self.allocation else set()
            for name in sorted(n for n in named if not isinstance(self.grants.get(n), Limits)):
                await self._fetch(name)
            self.grants = {n: g for n, g in self.grants.items() if n in named}
            self._apply()
            if any(not isinstance(self.grants.get(name), Limits) for name in named):
                await asyncio.sleep(GRANT_RETRY_S)
                self._wanted.set()

    async def _fetch(self, name: str) -> None:
        try:
            found = await self._client.get(CONFIG_MAP, name, self.app.config.namespace)
            text = limits_text(found)
            self.grants[name] = verified(name, text)
            await asyncio.to_thread(self.app.store.write_grant, name, text)
        except NotFound:
            self.grants[name] = "it does not exist"
        except (ApiError, ValueError) as error:
            self.grants[name] = str(error)
        except OSError as error:
            log.warning("grant not cached", grant=name, reason=str(error))

"""Holds the Lease of the account: the I/O around `runtime.lease`. Each round first lists the KillSwitches afresh.

A watch may hang half-open for a minute without anybody noticing; a list cannot. So no renewal, and with it no
permission to send, without having looked at the switches in the same round.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from ringfence.kube.client import KubeClient
from ringfence.kube.errors import ApiError, Conflict
from ringfence.kube.resources import KILL_SWITCH, LEASE
from ringfence.runtime.clock import Clock
from ringfence.runtime.guard import Guard
from ringfence.runtime.killwatch import Fold
from ringfence.runtime.lease import LeaseCore, Wait, Write
from ringfence.wire.stops import Severity

REQUIREMENT: Final = "lease"
RETRY_S: Final = 0.5
LOOK_S: Final = 1.0


class Owner(Protocol):
    guard: Guard

    def observe(self, fold: Fold) -> None: ...


class Leader:
    """Without a Lease (paper) it only lists the switches."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        core: LeaseCore,
        owner: Owner,
        clock: Clock,
        on_acquired: Callable[[int], None],
        renew_every_s: float,
    ) -> None:
        self.core = core
        self.error = ""
        self.failures = 0
        self._client = client
        self._namespace = namespace
        self._name = name
        self._owner = owner
        self._clock = clock
        self._on_acquired = on_acquired
        self._renew_every_s = renew_every_s

    async def run(self) -> None:
        while True:
            try:
                pause_s = await self._round()
                self.error = ""
            except Conflict:
                self.core.lost()  # somebody wrote between our read and our write: read again
                pause_s = RETRY_S
            except ApiError as error:
                self.failures += 1
                self.error = str(error)
                pause_s = RETRY_S
            self.check()
            await asyncio.sleep(pause_s)

    async def _round(self) -> float:
        client, core = self._client, self.core
        listing = await client.list(KILL_SWITCH, self._namespace)
        for found in listing.items:
            self._owner.observe(lambda now, found=found: self._owner.guard.switch_seen(found, now))  # type: ignore[misc]
        if not self._name:
            return self._renew_every_s
        lease = await client.get(LEASE, self._name, self._namespace)
        began = self._clock.boot_ns()
        match core.step(lease, began, self._clock.wall_ns()):
            case Wait(until, _):
                return min(LOOK_S, max(0.05, (until - began) / 1e9))
            case Write(spec, version, fence):
                patch = {"metadata": {"resourceVersion": version}, "spec": spec}
                await client.patch(LEASE, self._name, self._namespace, patch)
                if fence != core.fence:
                    self._on_acquired(fence)
                core.written(fence, began)
                return self._renew_every_s

    def check(self) -> None:
        """Tell the guard whether the Lease still lets us send; also called by the host's tick."""
        guard = self._owner.guard
        if self.core.send_until > self._clock.boot_ns():
            if REQUIREMENT in guard.missing:
                self._owner.observe(lambda now: guard.met(REQUIREMENT, now))
            if REQUIREMENT in guard.sources:
                self._owner.observe(lambda now: guard.drop(REQUIREMENT, now))
            return
        because = f" ({self.error})" if self.error else ""
        if not self.core.acquisitions:
            held_by = f"held by {self.core.holder}" if self.core.holder else "not read yet"
            reason = f"Lease {self._name} is {held_by}{because}"
            self._owner.observe(lambda now: guard.missed(REQUIREMENT, reason, now))
        else:
            reason = f"Lease {self._name} ran out{because}"
            self._owner.observe(lambda now: guard.hold(REQUIREMENT, Severity.HALT, reason, now))

    async def release(self) -> None:
        """Let the next process in at once. Only after everything sent has been answered."""
        if not self._name or not self.core.held:
            return
        try:
            await self._client.patch(LEASE, self._name, self._namespace, {"spec": self.core.released()})
        except ApiError as error:
            self.error = str(error)  # the successor waits the Lease out instead

"""The gate's own line in the status of every KillSwitch that covers it: the proof that needs no operator.

Server-side apply under a field manager of our own touches no other line and no condition. Written on change,
coalesced, retried with backoff.
"""

import asyncio
from typing import Any, Final

from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import ApiError, NotFound
from ringfence.kube.resources import KILL_SWITCH
from ringfence.runtime.guard import Guard, Switch
from ringfence.runtime.lease import micro_time
from ringfence.wire.kill import Severity

EVERY_S: Final = 0.25
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
REASON_MAX: Final = 1_000


class Proof:
    """What the lines say besides the guard's own words."""

    __slots__ = ("canceled", "closed_at", "latency_ns", "working")

    def __init__(self) -> None:
        self.closed_at = 0
        self.latency_ns = 0
        self.working = 0
        self.canceled = 0


class StatusWriter:
    """``touch`` after each change; ``run`` as a task."""

    def __init__(
        self, client: KubeClient, namespace: str, pod: str, system: str, service: str, guard: Guard, proof: Proof
    ) -> None:
        self.written = 0
        self.failures = 0
        self.error = ""
        self._client = client
        self._namespace = namespace
        self._who = {"pod": pod, "system": system, "service": service}
        self._manager = f"ringfence-gate-{pod}"
        self._guard = guard
        self._proof = proof
        self._dirty = asyncio.Event()
        self._last: dict[str, tuple[Any, ...]] = {}

    def touch(self) -> None:
        self._dirty.set()

    async def run(self, wall_ns: Any) -> None:
        backoff_s = RETRY_FIRST_S
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                for switch in list(self._guard.switches.values()):
                    if switch.covers:
                        await self._write(switch, wall_ns())
                backoff_s, self.error = RETRY_FIRST_S, ""
                await asyncio.sleep(EVERY_S)
            except ApiError as error:
                self.failures += 1
                self.error = str(error)
                self._dirty.set()
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, RETRY_MAX_S)

    async def _write(self, switch: Switch, wall: int) -> None:
        entry = self.line(switch, wall)
        key = tuple(value for name, value in sorted(entry.items()) if name != "observedAt")
        if self._last.get(switch.name) == key:
            return
        manifest: Manifest = {
            "apiVersion": KILL_SWITCH.api_version,
            "kind": KILL_SWITCH.kind,
            "metadata": {"name": switch.name, "namespace": self._namespace},
            "status": {"gates": [entry]},
        }
        try:
            await self._client.apply(manifest, self._manager, subresource="status")
        except NotFound:
            return  # deleted meanwhile: the watch will say so
        self._last[switch.name] = key
        self.written += 1

    def line(self, switch: Switch, wall: int) -> dict[str, Any]:
        guard, proof = self._guard, self._proof
        closed = guard.severity > Severity.NONE
        return self._who | {
            "state": guard.state,
            "generation": switch.generation,
            "uid": switch.uid,
            "closedAt": micro_time(proof.closed_at) if closed and proof.closed_at else "",
            "latencyMs": f"{proof.latency_ns / 1e6:.3f}" if closed and proof.closed_at else "",
            "workingOrders": proof.working,
            "canceledOrders": proof.canceled,
            "reason": guard.reason[:REASON_MAX],
            "observedAt": micro_time(wall),
        }

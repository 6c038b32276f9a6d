"""The gate's own line in the status of every KillSwitch that covers it: the proof that needs no operator.

Server-side apply under a field manager of our own touches no other line and no condition. Written on change,
coalesced, retried with backoff.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import ApiError, NotFound
from ringfence.kube.resources import KILL_SWITCH
from ringfence.runtime.guard import Guard, Switch
from ringfence.runtime.lease import micro_time
from ringfence.wire.stops import Scope, Severity

EVERY_S: Final = 0.25
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
REASON_MAX: Final = 1_000
LATCHES_MAX: Final = 8
LATCH_MAX: Final = 300


class Proof:
    """When the guard closed last, and what that took; the host measures it."""

    __slots__ = ("closed_at", "durable", "latency_ns")

    def __init__(self) -> None:
        self.closed_at = 0
        self.latency_ns = 0
        self.durable = True
        """Whether what is latched outlives this process."""


class StatusWriter:
    """``touch`` after each change; ``run`` as a task."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        who: dict[str, str],
        guard: Guard,
        proof: Proof,
        evidence: Callable[[Scope], dict[str, Any]],
    ) -> None:
        """``who``: pod, podUID, system and service."""
        self.written = 0
        self.failures = 0
        self.error = ""
        self._client = client
        self._namespace = namespace
        self._who = who
        self._manager = f"ringfence-gate-{who['pod']}"
        self._guard = guard
        self._proof = proof
        self._evidence = evidence
        self._dirty = asyncio.Event()
        self._last: dict[str, dict[str, Any]] = {}

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
        key = {name: value for name, value in entry.items() if name != "observedAt"}
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
        severity = max(guard.severity, switch.severity)
        closed = severity > Severity.NONE and bool(proof.closed_at)
        return (
            self._who
            | self._evidence(switch.scope)
            | {
                "state": guard.word(severity, switch.scope),
                "generation": switch.generation,
                "uid": switch.uid,
                "closedAt": micro_time(proof.closed_at) if closed else "",
                "latencyMs": f"{proof.latency_ns / 1e6:.3f}" if closed else "",
                "reason": guard.reason[:REASON_MAX],
                "latch": "" if not guard.latches else "Durable" if proof.durable else "NotDurable",
                "latches": [latch.reason[:LATCH_MAX] for latch in guard.latches.values()][:LATCHES_MAX],
                "observedAt": micro_time(wall),
            }
        )

"""How long a kill switch takes: from the patch being sent to each gate closed, on a real cluster.

Both times are read from clocks of one machine where the cluster is a local node or kind; on another cluster the
figure includes the difference of the two machines' clocks, and says so.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from demo.cluster import Cluster
from demo.system import System, nanoseconds
from ringfence.kube.client import KubeClient

STEP_TIMEOUT_S: Final = 100.0
"""A gate reconciles after each release, and some thirty times a minute use up the venue's rate limit: it then waits
for the next minute, and so does the measurement."""
POLL_S: Final = 0.02
"""Rarely enough that asking does not slow what is measured."""


@dataclass(frozen=True)
class Latencies:
    """Milliseconds, one per patch, sorted."""

    closed: tuple[float, ...]
    """Patch sent -> gate closed, by the gate's own clock."""
    shown: tuple[float, ...]
    """Patch sent -> the gate's line read back from the switch's status."""

    def describe(self) -> str:
        return (
            f"{len(self.closed)} patches: gate closed p50 {quantile(self.closed, 0.50):.1f} ms, "
            f"p99 {quantile(self.closed, 0.99):.1f} ms, max {self.closed[-1]:.1f} ms; "
            f"proof in status p50 {quantile(self.shown, 0.50):.0f} ms, p99 {quantile(self.shown, 0.99):.0f} ms"
        )


def quantile(ordered: Sequence[float], q: float) -> float:
    """Nearest-rank quantile of sorted values."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def measure(cluster: Cluster, system: System, patches: int) -> Latencies:
    return asyncio.run(_measure(cluster, system, patches))


async def _measure(cluster: Cluster, system: System, patches: int) -> Latencies:
    client = KubeClient.from_kubeconfig(cluster.kubeconfig, cluster.context)
    closed: list[float] = []
    shown: list[float] = []
    try:
        released = {"spec": {"engaged": False, "releasedBy": await asyncio.to_thread(system.me)}}
        path = f"/apis/ringfence.dev/v1alpha1/namespaces/{system.namespace}/killswitches/{system.name}"
        for _ in range(patches):
            await _until(client, path, lambda gate, _generation: gate["state"] == "Active", 0)
            sent_ns = time.time_ns()  # sim-ok: a measurement of real time
            patched = await client.raw(
                "PATCH", path, body={"spec": {"engaged": True}}, content_type="application/merge-patch+json"
            )
            generation = patched["metadata"]["generation"]
            gate = await _until(client, path, _is_closed, generation)
            shown.append((time.time_ns() - sent_ns) / 1e6)  # sim-ok: as above
            closed.append((nanoseconds(gate["closedAt"]) - sent_ns) / 1e6)
            await client.raw("PATCH", path, body=released, content_type="application/merge-patch+json")
    finally:
        await client.close()
    return Latencies(tuple(sorted(closed)), tuple(sorted(shown)))


def _is_closed(gate: dict[str, Any], generation: int) -> bool:
    return bool(gate.get("generation", 0) >= generation and gate["state"] == "Cancel")


async def _until(client: KubeClient, path: str, holds: Any, generation: int) -> dict[str, Any]:
    """The execution gate's line, once it is as wanted."""
    async with asyncio.timeout(STEP_TIMEOUT_S):
        while True:
            switch = await client.raw("GET", path)
            for gate in switch.get("status", {}).get("gates", []):
                if gate["pod"].endswith("execution-0") and holds(gate, generation):
                    found: dict[str, Any] = gate
                    return found
            await asyncio.sleep(POLL_S)

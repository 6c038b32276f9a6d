"""Kills through a real API server: by patching the KillSwitch and by setting the ConfigMap, timed and proven."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from gatebench.bench import WAIT_S, Bench, furnished
from gatebench.fakeapi import SYSTEM
from localnode import NodeInfo
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import AlreadyExists, NotFound
from ringfence.kube.resources import CONFIG_MAP, KILL_SWITCH, LEASE
from ringfence.model.orders import Canceled

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(180)]
CRD = Path(__file__).parents[2] / "crds" / "killswitches.yaml"
ROUNDS = 10
"""Each release reconciles, and the venue's request limit is real: some thirty looks a minute."""


class Server:
    """A namespace of a real API server, as cluster administrator."""

    def __init__(self, client: KubeClient, kubeconfig: Path) -> None:
        self.client = client
        self.kubeconfig = kubeconfig
        self.namespace = f"gate-{uuid.uuid4().hex[:8]}"
        self.bench: Bench

    async def furnish(self, bench: Bench) -> None:
        self.bench = bench
        with contextlib.suppress(AlreadyExists):
            await self.client.create(yaml.safe_load(CRD.read_text()))
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        kinds = {"killswitches": KILL_SWITCH, "configmaps": CONFIG_MAP, "leases": LEASE}
        async with asyncio.timeout(WAIT_S):
            for path, found in bench.api.objects.items():
                kind = kinds[path.split("/")[-2]]
                meta = {"name": found["metadata"]["name"], "namespace": self.namespace}
                manifest = found | {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
                while not await self._created(manifest):
                    await asyncio.sleep(0.1)

    async def _created(self, manifest: dict[str, Any]) -> bool:
        try:
            await self.client.create(manifest)
        except NotFound:  # the kind is not served yet
            return False
        return True

    async def patch_switch(self, **spec: Any) -> None:
        await self.client.patch(KILL_SWITCH, SYSTEM, self.namespace, {"spec": spec})

    async def patch_map(self, engage: str | None) -> None:
        await self.client.patch(CONFIG_MAP, "momentum-kill-switch", self.namespace, {"data": {"engage": engage}})

    async def until_line(self, state: str) -> dict[str, Any]:
        """The gate's line, once it acknowledges the present generation in this state with no order left."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.client.get(KILL_SWITCH, SYSTEM, self.namespace)
                for line in (found.get("status") or {}).get("gates") or ():
                    acknowledged = line["generation"] == found["metadata"]["generation"]
                    if acknowledged and line["state"] == state and not line["workingOrders"]:
                        return dict(line)
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def server(api_server: NodeInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    async with KubeClient.from_kubeconfig(api_server.kubeconfig) as client:
        made = Server(client, Path(api_server.kubeconfig))
        async with furnished(tmp_path, monkeypatch, paper=False, server=made):
            yield made


@pytest.mark.asyncio
async def test_a_patch_of_the_switch_stops_within_milliseconds_and_proves_it(server: Server) -> None:
    """Patch to closed gate, many times with releases between; the gate's own line is the proof."""
    bench = server.bench
    took_ms, proven_ms = [], []
    for number in range(ROUNDS):
        await bench.resting(2)
        canceled, seen = len(bench.events(Canceled)), len(bench.states)
        begun = time.time_ns()
        await server.patch_switch(engaged=True, reason=f"drill {number}")
        await bench.until(lambda: bench.states[-1].state == "Cancel")
        took_ms.append((next(s for s in bench.states[seen:] if s.state == "Cancel").ts - begun) / 1e6)
        line = await server.until_line("Cancel")
        proven_ms.append((time.time_ns() - begun) / 1e6)
        await bench.until(lambda expected=canceled + 2: len(bench.events(Canceled)) == expected)
        assert line["canceledOrders"] == 2
        assert f"drill {number}" in line["reason"]
        assert line["closedAt"]
        await server.patch_switch(engaged=False, reason="")
        await bench.active()
    took_ms.sort()
    proven_ms.sort()
    half = ROUNDS // 2
    print(
        f"patch to gate closed: p50 {took_ms[half]:.1f} ms, max {took_ms[-1]:.1f} ms; "
        f"to proof in status with no order left: p50 {proven_ms[half]:.0f} ms, max {proven_ms[-1]:.0f} ms"
    )
    assert took_ms[half] < 200
    line = await server.until_line("Active")
    assert (line["closedAt"], line["latencyMs"]) == ("", "")


@pytest.mark.asyncio
async def test_the_configmap_engages_too(server: Server) -> None:
    """Any text in data.engage; clearing it starts up again."""
    bench = server.bench
    await bench.resting(2)
    await server.patch_map("stop")
    await bench.until(lambda: bench.states[-1].state == "Cancel" and len(bench.events(Canceled)) == 2)
    await server.until_line("Cancel")
    await server.patch_map(None)
    await bench.active()

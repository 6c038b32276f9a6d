"""The command line against a real API server, with gates that answer as real ones do: by watching the switch and
applying their own line of its status. No node is needed, and no operator runs."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from operatorbench.space import Server
from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.kube.errors import AlreadyExists
from ringfence.kube.watch import Deleted, Listed, Modified, watch
from ringfence_cli import main
from ringfence_operator.desired import labels, plan

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "cli"
SAMPLE = ROOT / "charts" / "trading-system" / "ci" / "simulator-values.yaml"

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio]


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    context: str

    def client(self) -> KubeClient:
        return KubeClient.from_kubeconfig(self.kubeconfig, self.context)

    async def ringfence(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as people do, in a process of its own, while the gates of the test go on."""
        command = [sys.executable, "-m", "ringfence_cli.main", *arguments]
        command += ["--namespace", NAMESPACE, "--context", self.context]
        environ = os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1", "COLUMNS": "200"}
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, env=environ, timeout=60
        )


@pytest.fixture(scope="module")
def cluster(api_server: Server) -> Cluster:
    """A namespace with our kinds, and nothing else of ours."""
    found = Cluster(Path(api_server.kubeconfig), api_server.context)

    async def prepare() -> None:
        async with found.client() as client:
            for path in sorted((ROOT / "crds").glob("*.yaml")):
                applied = await client.apply(yaml.safe_load(path.read_text()), "test")
                await established(client, applied["metadata"]["name"])
            with suppress(AlreadyExists):
                await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            with suppress(AlreadyExists):
                account = {"name": "gate", "namespace": NAMESPACE}
                await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})

    asyncio.run(prepare())
    return found


async def established(client: KubeClient, name: str) -> None:
    path = resources.CUSTOM_RESOURCE_DEFINITION.path()
    async with asyncio.timeout(30):
        async for event in watch(client, path, field_selector=f"metadata.name={name}"):
            objects = event.objects if isinstance(event, Listed) else (getattr(event, "object", {}),)
            for found in objects:
                conditions = (found.get("status") or {}).get("conditions") or ()
                if any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions):
                    return


async def make_system(client: KubeClient, name: str) -> None:
    spec = yaml.safe_load(SAMPLE.read_text())["spec"]
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"desk": name}}
    await client.create({"apiVersion": resources.VERSION, "kind": "TradingSystem", "metadata": metadata, "spec": spec})


async def make_switch(client: KubeClient, name: str, **spec: Any) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    await client.create({"apiVersion": resources.VERSION, "kind": "KillSwitch", "metadata": metadata, "spec": spec})


async def make_gate_pod(client: KubeClient, system: str) -> str:
    """A pod that no node ever runs; what counts is that it says it holds a gate, and that its container runs."""
    name = f"{system}-sim-execution-0"
    worn = labels.workload_labels(system, "execution", "sim") | {labels.GATE: "true"}
    await client.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": worn},
            "spec": {
                "serviceAccountName": "gate",
                "automountServiceAccountToken": False,
                "containers": [{"name": "main", "image": "example.com/none:1"}],
            },
        }
    )
    runs = {"name": "main", "image": "example.com/none:1", "imageID": "", "ready": True, "restartCount": 0}
    runs["state"] = {"running": {"startedAt": "2026-11-21T12:00:00Z"}}
    status = {"status": {"phase": "Running", "containerStatuses": [runs]}}
    await client.patch(resources.POD, name, NAMESPACE, status, subresource="status")
    return name


@asynccontextmanager
async def answering(
    client: KubeClient, switch: str, pod: str, *, working: int | None = 0, latch: str = "", forever: str = ""
) -> AsyncIterator[None]:
    """A gate: it watches the switch and writes its own line, whoever else is away."""

    async def run() -> None:
        path = resources.KILL_SWITCH.path(NAMESPACE)
        async for event in watch(client, path, field_selector=f"metadata.name={switch}"):
            match event:
                case Listed(objects=(found,)):
                    await answer(found)
                case Modified(object=found):
                    await answer(found)
                case Deleted():
                    return
                case _:
                    continue

    async def answer(found: dict[str, Any]) -> None:
        engaged = bool(found["spec"].get("engaged"))
        line = {"pod": pod, "system": switch, "service": "sim-execution", "latencyMs": "5.8" if engaged else ""}
        line |= {"generation": found["metadata"]["generation"], "state": "Cancel" if engaged else "Active"}
        line |= {"latches": [why for why in (latch if engaged else "", forever) if why]}
        if working is not None:
            line |= {"workingOrders": working, "provenAt": "2026-11-21T12:00:00Z" if working == 0 else ""}
        await client.apply(
            {
                "apiVersion": resources.VERSION,
                "kind": "KillSwitch",
                "metadata": {"name": switch, "namespace": NAMESPACE},
                "status": {"gates": [line]},
            },
            f"gate-{pod}",
            subresource="status",
        )

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_kill_is_proven_by_the_gates_and_release_lets_go(cluster: Cluster) -> None:
    """The whole way: engaged, acknowledged with latencies, shown, diagnosed, released."""
    async with cluster.client() as client:
        await make_system(client, "momentum")
        await make_switch(client, "momentum")
        pod = await make_gate_pod(client, "momentum")
        async with answering(client, "momentum", pod):
            killed = await cluster.ringfence("kill", "momentum", "--reason", "bad ticks")
            shown = await cluster.ringfence("status", "momentum", "-o", "json")
            why = await cluster.ringfence("doctor", "momentum", "-o", "json")
            released = await cluster.ringfence("release", "momentum", "--reason", "ticks are good")
        switch = await client.get(resources.KILL_SWITCH, "momentum", NAMESPACE)

    assert killed.returncode == 0, killed.stderr
    assert "5.8 ms" in killed.stdout
    assert "all gates acknowledged in 5.8 ms, no order working" in killed.stdout
    document = json.loads(shown.stdout)
    assert (document["trading"], document["killSwitches"][0]["reason"]) == ("Cancel", "bad ticks")
    assert (why.returncode, json.loads(why.stdout)[0]["reason"]) == (1, "KillSwitch")
    assert released.returncode == 0, released.stderr
    assert (switch["spec"]["engaged"], switch["spec"]["reason"]) == (False, "ticks are good")
    assert switch["spec"]["releasedBy"]


async def test_one_asks_and_the_release_clears_the_question(cluster: Cluster) -> None:
    """In the name that the API server knows; asking releases nothing."""
    async with cluster.client() as client:
        await make_switch(client, "asked", engaged=True, twoPerson=True)
        asked = await cluster.ringfence("release", "asked", "--ask", "--reason", "feed is back")
        between = (await client.get(resources.KILL_SWITCH, "asked", NAMESPACE))["spec"]
        released = await cluster.ringfence("release", "asked", "--reason", "checked")
        after = (await client.get(resources.KILL_SWITCH, "asked", NAMESPACE))["spec"]

    assert (asked.returncode, between["engaged"]) == (0, True), asked.stderr
    assert f"asked by {between['releaseRequestedBy']}; somebody else releases" in asked.stdout
    assert (released.returncode, after["engaged"]) == (0, False)
    assert (after["releasedBy"], after.get("releaseRequestedBy")) == (between["releaseRequestedBy"], None)


async def test_a_latched_gate_sees_the_switch_engaged_and_then_released(cluster: Cluster) -> None:
    """A direct kill leaves no trace on the switch; --latched engages it, waits for the gate, and only then releases."""
    async with cluster.client() as client:
        await make_system(client, "latched")
        await make_switch(client, "latched")
        pod = await make_gate_pod(client, "latched")
        refused = await cluster.ringfence("release", "latched", "--latched", "--reason", "fine", "--timeout", "1")
        engaged = await client.get(resources.KILL_SWITCH, "latched", NAMESPACE)
        async with answering(client, "latched", pod, latch="breaker a tripped: x=1", forever="breaker b tripped: y=2"):
            released = await cluster.ringfence("release", "latched", "--latched", "--reason", "fine")
        switch = await client.get(resources.KILL_SWITCH, "latched", NAMESPACE)

    assert (refused.returncode, engaged["spec"]["engaged"]) == (1, True)
    assert "NOT released" in refused.stdout
    assert (released.returncode, switch["spec"]["engaged"]) == (0, False)
    assert f"released by {switch['spec']['releasedBy']}: breaker a tripped: x=1" in released.stdout
    assert "STILL LATCHED, or latched again: breaker b tripped: y=2" in released.stdout


async def test_direct_finds_gates_and_their_tokens_while_it_can(cluster: Cluster) -> None:
    """Each account has a token of its own."""
    async with cluster.client() as client:
        pod = await make_gate_pod(client, "direct")
        await client.patch(resources.POD, pod, NAMESPACE, {"status": {"podIP": "10.1.2.3"}}, subresource="status")
        await client.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": plan.kill_token_secret("direct", "sim"), "namespace": NAMESPACE},
                "data": {"token": base64.b64encode(b"shared\n").decode()},
            }
        )

        found = await main._direct_access(client, "direct", NAMESPACE, b"")

    assert found == {"10.1.2.3:8081": b"shared"}


async def test_a_gate_that_does_not_answer_is_named_and_the_switch_stays(cluster: Cluster) -> None:
    """Not proven is exit 1, and never a release."""
    async with cluster.client() as client:
        await make_system(client, "silent")
        await make_switch(client, "silent")
        pod = await make_gate_pod(client, "silent")
        killed = await cluster.ringfence("kill", "silent", "--timeout", "1")
        switch = await client.get(resources.KILL_SWITCH, "silent", NAMESPACE)

    assert killed.returncode == 1
    assert f"NOT acknowledged by {pod}" in killed.stdout
    assert switch["spec"]["engaged"] is True


@pytest.mark.parametrize("working", [2, None])
async def test_orders_that_may_still_work_are_no_proof(cluster: Cluster, working: int | None) -> None:
    """Two orders left, or a number that the gate does not know: both exit 1."""
    name = f"working-{working or 'unknown'}"
    async with cluster.client() as client:
        await make_system(client, name)
        await make_switch(client, name)
        pod = await make_gate_pod(client, name)
        async with answering(client, name, pod, working=working):
            killed = await cluster.ringfence("kill", name, "--timeout", "1", "-o", "json")

    assert killed.returncode == 1
    document = json.loads(killed.stdout)
    assert (document["engaged"], document["proven"], document["progress"]["working"]) == (True, False, [pod])


async def test_a_switch_that_covers_others_waits_for_their_gates_too(cluster: Cluster) -> None:
    """One stop for many is proven when all of them have stopped."""
    async with cluster.client() as client:
        await make_system(client, "covered")
        await make_switch(client, "desk", selector={"matchLabels": {"desk": "covered"}})
        pod = await make_gate_pod(client, "covered")
        killed = await cluster.ringfence("kill", "desk", "--timeout", "1")

    assert killed.returncode == 1
    assert pod in killed.stdout


async def test_a_system_without_a_switch_is_stopped_all_the_same(cluster: Cluster) -> None:
    """The operator has not made one yet, or is away: stopping makes it."""
    async with cluster.client() as client:
        await make_system(client, "fresh")
        killed = await cluster.ringfence("kill", "fresh")
        switch = await client.get(resources.KILL_SWITCH, "fresh", NAMESPACE)

    assert killed.returncode == 0, killed.stdout + killed.stderr
    assert "no gate of it runs" in killed.stdout
    assert switch["spec"]["engaged"] is True


async def test_a_mistyped_name_stops_nothing_and_says_so(cluster: Cluster) -> None:
    async with cluster.client() as client:
        killed = await cluster.ringfence("kill", "momentun")
        switches = await client.list(resources.KILL_SWITCH, NAMESPACE, field_selector="metadata.name=momentun")

    assert killed.returncode == 1
    assert "there is no kill switch 'momentun' and no system 'momentun'" in killed.stderr
    assert switches.items == ()


async def test_what_does_not_exist_is_exit_1_and_what_cannot_be_asked_is_exit_2(cluster: Cluster) -> None:
    """Scripts can tell "it is not so" from "I could not find out"."""
    missing = await cluster.ringfence("status", "nothing")
    elsewhere = await Cluster(cluster.kubeconfig, "production").ringfence("kill", "momentum")

    assert missing.returncode == 1
    assert elsewhere.returncode == 2
    assert "no context 'production'" in elsewhere.stderr


async def test_names_are_completed(cluster: Cluster) -> None:
    """Systems, and switches that outlived theirs."""
    async with cluster.client() as client:
        await make_switch(client, "orphaned")
    environ = os.environ | {
        "KUBECONFIG": str(cluster.kubeconfig),
        "_RINGFENCE_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": f"ringfence kill --namespace {NAMESPACE} --context {cluster.context} orph",
    }
    program = Path(sys.executable).with_name("ringfence")
    done = await asyncio.to_thread(
        subprocess.run, [program], capture_output=True, text=True, check=False, env=environ, timeout=60
    )

    assert "orphaned" in done.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [(("rel",), "release"), (("kill", "unre"), "unreleased"), (("status", "x", "-o", "y"), "yaml")],
)
async def test_kubectl_completes_too(cluster: Cluster, typed: tuple[str, ...], offered: str) -> None:
    """kubectl runs kubectl_complete-ringfence and reads a word a line, then a directive."""
    if offered == "unreleased":
        async with cluster.client() as client:
            await make_switch(client, "unreleased")
    where = ("--namespace", NAMESPACE, "--context", cluster.context)
    command = [sys.executable, "-m", "ringfence_cli.complete", typed[0]]
    command += [*where, *typed[1:]] if len(typed) > 1 else []
    environ = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True, env=environ, timeout=60
    )

    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert words == [offered, ":4"]

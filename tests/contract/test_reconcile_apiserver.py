"""The operator against a real API server. No controllers, no kubelet: pods and statuses are written by the tests.

Each test has a namespace of its own. The operator runs as the process that is shipped, with the rights that it is
shipped with, so a right that is missing from its list fails here.
"""

import asyncio
import json
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from operatorbench.space import UNOWNED, Server, Space, account, eventually, kubeconfig_for, namespace_of, system
from ringfence.kube import resources
from ringfence.kube.client import Manifest
from ringfence.kube.errors import NotFound
from ringfence.kube.resources import Resource
from ringfence.wire import kill
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster import observe
from ringfence_operator.limits import gate_limits

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio, pytest.mark.timeout(180)]


def expected_children() -> set[tuple[str, str]]:
    """What manifests/samples/momentum.yaml becomes, by kind and name."""
    s, v = "momentum", "momentum-sim"
    programs = [
        f"{v}-simulator",
        f"{v}-marketdata",
        f"{v}-execution",
        f"{v}-watchdog",
        f"{v}-paper",
        f"{s}-portfolio",
        f"{s}-strategy-a",
    ]
    gates = [f"{v}-execution", f"{v}-paper"]
    known = [*gates, f"{v}-watchdog"]
    """Programs that the API server knows by accounts of their own."""
    roles = [*programs[1:]]
    found = {("Service", name) for name in programs} | {("NetworkPolicy", name) for name in [*programs, f"{s}-deny"]}
    found |= {("StatefulSet" if name in gates else "Deployment", name) for name in programs}
    found |= {("ConfigMap", f"{name}-config") for name in programs}
    found |= {("ConfigMap", f"{s}-allocation"), ("ConfigMap", f"{s}-kill-switch")}
    found |= {("ServiceAccount", name) for name in [*known, f"{s}-platform", f"{s}-strategy"]}
    found |= {(kind, name) for kind in ("Role", "RoleBinding") for name in known}
    # the keys of all three places for strategies, used or not, so that nobody restarts when one is taken
    found |= {("Secret", f"{name}-curve") for name in [*roles, f"{s}-strategy-b", f"{s}-strategy-c"]}
    found |= {("Secret", f"{v}-credentials"), ("Secret", f"{v}-kill-token")}
    found |= {("PodDisruptionBudget", f"{v}-execution"), ("Lease", v), ("PersistentVolumeClaim", f"{v}-journal")}
    return found | {("KillSwitch", s)}


def named_by_content(key: tuple[str, str]) -> bool:
    """Limits and revisions."""
    return "-limits-" in key[1] or "-revision-" in key[1]


def ours(children: Mapping[tuple[str, str], Manifest]) -> dict[tuple[str, str], Manifest]:
    """Without the test's own account."""
    return {key: item for key, item in children.items() if key[1] != "operator"}


async def complete(space: Space, within_s: float = 10.0) -> dict[tuple[str, str], Manifest]:
    """Wait until all children are there, and the status tells of them."""

    async def look() -> dict[tuple[str, str], Manifest] | None:
        found = ours(await space.children())
        hashed = sorted(key[1].rpartition("-")[0] for key in found if named_by_content(key))
        assert ["momentum-limits", "momentum-revision"] == hashed
        missing = expected_children() - set(found)
        assert not missing, f"missing {sorted(missing)}"
        return found

    found: dict[tuple[str, str], Manifest] = await eventually("all children", look, within_s)
    assert {key for key in found if not named_by_content(key)} == expected_children(), "nothing else"
    return found


async def settled(space: Space) -> None:
    """Wait until the operator has nothing more to do: two looks apart show the same versions."""

    async def look() -> bool:
        before = {key: item["metadata"]["resourceVersion"] for key, item in (await space.children()).items()}
        await asyncio.sleep(0.6)
        after = {key: item["metadata"]["resourceVersion"] for key, item in (await space.children()).items()}
        return before == after

    await eventually("settled", look, 20)


async def test_a_system_becomes_its_children_within_a_second(space: Space) -> None:
    """Everything is there, owned by the system, except what has to outlive it."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    made = await space.create(system())
    children = await complete(space)
    took_s = loop.time() - began

    uid = made["metadata"]["uid"]
    for (kind, name), child in children.items():
        owners = child["metadata"].get("ownerReferences") or []
        if kind in UNOWNED:
            assert owners == [], f"{kind} {name} must outlive the system"
        else:
            assert [(o["uid"], o["controller"]) for o in owners] == [(uid, True)], f"{kind} {name}"
    assert took_s < 5.0, f"children took {took_s:.2f} s (1 s on a quiet machine)"
    print(f"children applied after {took_s:.3f} s")
    found = await space.get(resources.TRADING_SYSTEM, "momentum")
    assert (found["status"]["stage"], found["status"]["weight"]) == ("Live", 100)
    await space.expect(resources.TRADING_SYSTEM, "momentum", Ready="False", Reconciling="True", Stalled="False")


async def test_drift_is_corrected_and_a_second_pass_writes_nothing(space: Space) -> None:
    """Deleted and changed children come back; a pass with nothing to do changes no resource version."""
    await space.create(system())
    await complete(space)
    await settled(space)

    await space.client.delete(resources.DEPLOYMENT, "momentum-portfolio", space.name)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "evil"}]}}}}
    path = resources.STATEFUL_SET.path(space.name, "momentum-sim-execution")
    await space.client.raw("PATCH", path, body=patch, content_type="application/strategic-merge-patch+json")
    await space.client.delete(resources.CONFIG_MAP, "momentum-allocation", space.name)

    async def look() -> bool:
        await space.get(resources.DEPLOYMENT, "momentum-portfolio")
        await space.get(resources.CONFIG_MAP, "momentum-allocation")
        found = await space.get(resources.STATEFUL_SET, "momentum-sim-execution")
        return bool(found["spec"]["template"]["spec"]["containers"][0]["image"] == "ringfence.local/platform:test")

    await eventually("drift corrected", look)
    await settled(space)
    before = await space.children()
    for _ in range(2):  # a trigger that changes nothing
        await space.client.patch(
            resources.TRADING_SYSTEM, "momentum", space.name, {"metadata": {"annotations": {"x": str(random.random())}}}
        )
        await asyncio.sleep(0.5)
    after = await space.children()
    assert {k: v["metadata"]["resourceVersion"] for k, v in before.items()} == {
        k: v["metadata"]["resourceVersion"] for k, v in after.items()
    }


async def test_limits_are_revisions_and_the_allocation_moves_on(space: Space) -> None:
    """A tightened limit is a new immutable ConfigMap and a higher epoch, and restarts no pod."""
    await space.create(system())
    before = await complete(space)
    old = json.loads(before["ConfigMap", "momentum-allocation"]["data"]["allocation.json"])
    await space.client.patch(
        resources.TRADING_SYSTEM, "momentum", space.name, {"spec": {"limits": {"loss": {"day": "100"}}}}
    )

    async def look() -> Any:
        found = await space.get(resources.CONFIG_MAP, "momentum-allocation")
        new = json.loads(found["data"]["allocation.json"])
        return new if new["limits"]["loss_day"] == 100 * 10**8 else None

    new = await eventually("tightened", look)
    grant = await space.get(resources.CONFIG_MAP, new["tracks"][0]["grant"])
    role = await space.get(resources.ROLE, "momentum-sim-execution")
    after = await space.children()

    assert new["epoch"] == old["epoch"] + 1
    assert grant["immutable"] is True
    assert any(grant["metadata"]["name"] in rule.get("resourceNames", ()) for rule in role["rules"])
    for name in ("momentum-sim-execution", "momentum-sim-paper"):
        key = ("StatefulSet", name)
        assert after[key]["metadata"]["generation"] == before[key]["metadata"]["generation"], "no restart"

    async def pruned() -> bool:
        left = [name for kind, name in await space.children() if "-limits-" in name]
        return left == [grant["metadata"]["name"]]

    await eventually("the old revision goes once nothing names it", pruned)


async def test_what_outlives_a_system_is_found_as_it_was(space: Space) -> None:
    """Deleting and recreating a system finds its switch engaged and its Lease held."""
    await space.create(system())
    await complete(space)
    await space.client.patch(resources.KILL_SWITCH, "momentum", space.name, {"spec": {"engaged": True}})
    await space.client.patch(
        resources.LEASE, "momentum-sim", space.name, {"spec": {"holderIdentity": "a", "leaseTransitions": 7}}
    )
    await space.client.delete(resources.TRADING_SYSTEM, "momentum", space.name)
    await eventually("gone", lambda: _gone(space, resources.TRADING_SYSTEM, "momentum"))
    await space.create(system())

    async def look() -> bool:
        condition = await space.condition(resources.TRADING_SYSTEM, "momentum", "TradingHalted")
        return bool(condition["status"] == "True")

    await eventually("still halted", look)
    lease = await space.get(resources.LEASE, "momentum-sim")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("a", 7)
    assert (await space.get(resources.KILL_SWITCH, "momentum"))["spec"]["engaged"] is True
    mirror = await space.get(resources.CONFIG_MAP, "momentum-kill-switch")
    assert json.loads(mirror["data"]["state"])["severity"] == "Cancel"


async def _gone(space: Space, resource: Resource, name: str) -> bool:
    try:
        await space.get(resource, name)
    except NotFound:
        return True
    return False


async def test_engage_in_the_config_map_is_never_written_by_us(space: Space) -> None:
    """People's key stays theirs, halts the system's report, and is not mirrored into ours."""
    await space.create(system())
    await complete(space)
    await space.client.patch(resources.CONFIG_MAP, "momentum-kill-switch", space.name, {"data": {"engage": "fire"}})
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="True")
    found = await space.get(resources.CONFIG_MAP, "momentum-kill-switch")
    assert found["data"]["engage"] == "fire"
    assert json.loads(found["data"]["state"])["severity"] == "None"
    await space.client.patch(resources.CONFIG_MAP, "momentum-kill-switch", space.name, {"data": {"engage": None}})
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="False")


async def pod(space: Space, name: str, service: str, status: Mapping[str, Any], venue: str = "sim") -> Manifest:
    """A pod as kubelet would report it."""
    labels = {
        "ringfence.dev/system": "momentum",
        "ringfence.dev/service": service,
        "ringfence.dev/venue": venue,
        "ringfence.dev/gate": "true",
    }
    if service == "strategy":
        labels = {"ringfence.dev/system": "momentum", "ringfence.dev/service": service, "ringfence.dev/slot": "a"}
    spec = {"containers": [{"name": "main", "image": "example/image:1"}], "automountServiceAccountToken": False}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    made = await space.create(body)
    path = resources.POD.path(space.name, name, "status")
    await space.client.raw(
        "PATCH", path, body={"status": dict(status)}, content_type="application/strategic-merge-patch+json"
    )
    return made


def container(**state: Any) -> dict[str, Any]:
    return {"name": "main", "ready": False, "restartCount": 3, "image": "i", "imageID": "", "state": state}


RUNNING = {
    "phase": "Running",
    "podIP": "127.0.0.1",
    "podIPs": [{"ip": "127.0.0.1"}],
    "containerStatuses": [container(running={"startedAt": "2026-11-21T00:00:00Z"}) | {"ready": True}],
}


async def gate_line(space: Space, pod_name: str, **line: Any) -> None:
    """A gate writes its own line: server-side apply, a field manager per pod, nothing else named."""
    switch = await space.get(resources.KILL_SWITCH, "momentum")
    manifest = {
        "apiVersion": switch["apiVersion"],
        "kind": "KillSwitch",
        "metadata": {"name": "momentum", "namespace": space.name},
        "status": {"gates": [{"pod": pod_name, "uid": switch["metadata"]["uid"]} | line]},
    }
    await space.client.apply(manifest, f"gate-{pod_name}", force=True, subresource="status")


async def test_a_kill_is_proven_by_the_gates_own_lines(space: Space) -> None:
    """No gate: unknown. Then gate by gate, and orders last. Their lines stay theirs."""
    await space.create(system())
    await complete(space)
    engaged = {"spec": {"engaged": True, "reason": "bad ticks"}}
    switch = await space.client.patch(resources.KILL_SWITCH, "momentum", space.name, engaged)
    generation = switch["metadata"]["generation"]
    await space.expect(
        resources.KILL_SWITCH, "momentum", Engaged="True", Acknowledged="Unknown", OrdersCanceled="Unknown"
    )

    await pod(space, "momentum-sim-execution-0", "execution", RUNNING)
    await pod(space, "momentum-sim-paper-0", "paper", RUNNING)
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="False", OrdersCanceled="Unknown")
    execution, paper = "momentum-sim-execution-0", "momentum-sim-paper-0"
    await gate_line(space, execution, generation=generation - 1, state="Cancel", workingOrders=0)
    proven = {"generation": generation, "state": "Cancel", "workingOrders": 0, "provenAt": "2026-11-21T00:00:00.1Z"}
    await gate_line(space, paper, **proven)
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="False")
    await gate_line(space, execution, generation=generation, state="Cancel", workingOrders=2)
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="True", OrdersCanceled="False")
    await gate_line(space, execution, generation=generation, state="Cancel", workingOrders=0)
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="True", OrdersCanceled="Unknown")
    await gate_line(space, execution, **proven, latencyMs="1.5")
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="True", OrdersCanceled="True")

    found = (await space.get(resources.KILL_SWITCH, "momentum"))["status"]
    assert (found["gatesAcknowledged"], found["workingOrders"]) == ("2/2", 0)
    assert (found["state"], found["reason"]) == ("Engaged", "bad ticks")
    assert {line["pod"]: line.get("latencyMs") for line in found["gates"]} == {execution: "1.5", paper: None}
    assert (await space.get(resources.TRADING_SYSTEM, "momentum"))["status"]["trading"] == "Cancel"
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="True")

    released = {"spec": {"engaged": False, "releasedBy": "alice"}}
    await space.client.patch(resources.KILL_SWITCH, "momentum", space.name, released)
    await space.expect(resources.KILL_SWITCH, "momentum", Engaged="False", Acknowledged="False")
    found = (await space.get(resources.KILL_SWITCH, "momentum"))["status"]
    last = found["lastStop"]
    assert (found["state"], found["reason"]) == ("Released", f"released by alice at {last['releasedAt']}")
    assert (last["severity"], last["reason"], last["releasedBy"]) == ("Cancel", "bad ticks", "alice")
    assert last["since"] <= last["releasedAt"]
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="False")


async def test_flat_is_what_the_gates_have_proven(space: Space) -> None:
    """Without a gate nobody knows; then it is being closed, waits for something, and is flat but for a residue."""
    await space.create(system())
    await complete(space)
    engaged = {"spec": {"engaged": True, "action": "Flatten"}}
    switch = await space.client.patch(resources.KILL_SWITCH, "momentum", space.name, engaged)
    await space.expect(resources.KILL_SWITCH, "momentum", Engaged="True", Flat="Unknown")
    gate = "momentum-sim-execution-0"
    await pod(space, gate, "execution", RUNNING)
    line = {"generation": switch["metadata"]["generation"], "workingOrders": 0, "provenAt": "2026-11-21T00:00:00.1Z"}
    await gate_line(space, gate, **line, state="Flatten", flattening="no fresh book")
    await space.expect(resources.KILL_SWITCH, "momentum", Acknowledged="True", OrdersCanceled="True", Flat="False")
    assert "no fresh book" in (await space.condition(resources.KILL_SWITCH, "momentum", "Flat"))["message"]
    await gate_line(space, gate, **line, state="Flatten", flatAt="2026-11-21T00:00:02Z", residue="0.00001 BTCUSDT")
    await space.expect(resources.KILL_SWITCH, "momentum", Flat="True")
    assert "0.00001 BTCUSDT" in (await space.condition(resources.KILL_SWITCH, "momentum", "Flat"))["message"]


async def test_a_switch_stops_by_label_and_one_that_goes_lets_go(space: Space) -> None:
    """Another switch's selector covers the system; deleting that switch is seen too."""
    await space.create(system())
    await complete(space)
    spec = {"engaged": True, "selector": {"matchLabels": {"kill.ringfence.dev/desk": "crypto"}}}
    await space.create(
        {"apiVersion": "ringfence.dev/v1alpha1", "kind": "KillSwitch", "metadata": {"name": "all"}, "spec": spec}
    )
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="True")
    await space.client.delete(resources.KILL_SWITCH, "all", space.name)
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="False")


async def test_an_engaged_switch_is_pushed_to_the_gates(space: Space) -> None:
    """Signed with the venue's kill token, before any reconcile; the gate's answer counts."""
    await space.create(system())
    await complete(space)
    content = await observe.read_secret(space.client, space.name, "momentum-sim-kill-token")
    got: asyncio.Queue[kill.KillRequest | str] = asyncio.Queue()

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        got.put_nowait(
            kill.opened(content["token"].encode(), body, request.headers[kill.SIGNATURE_HEADER], time.time_ns())
        )
        return web.json_response(
            {"state": "Cancel", "epoch": 2, "closedAt": "", "latencyMs": "0.1", "workingOrders": 0, "pod": "p"}
        )

    application = web.Application()
    application.router.add_post("/kill", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 8081).start()
    except OSError:
        pytest.skip("port 8081 is taken on this machine")
    try:
        await pod(space, "momentum-sim-execution-0", "execution", RUNNING)
        await space.client.patch(resources.KILL_SWITCH, "momentum", space.name, {"spec": {"engaged": True}})
        pushed = await asyncio.wait_for(got.get(), 5)
    finally:
        await runner.cleanup()
    assert isinstance(pushed, kill.KillRequest), pushed
    assert (pushed.severity, pushed.source, pushed.uid != "") == ("Cancel", "operator", True)


@pytest.mark.parametrize(
    ("service", "state", "reason", "told"),
    [
        (
            "strategy",
            {"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}},
            "ErrImageNeverPull",
            "load it",
        ),
        ("strategy", {"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff", "pull secret"),
        (
            "execution",
            {"waiting": {"reason": "CreateContainerConfigError", "message": "secret x not found"}},
            "CreateContainerConfigError",
            "secret x",
        ),
    ],
)
async def test_a_pod_that_cannot_start_stalls_the_system(
    space: Space, service: str, state: Mapping[str, Any], reason: str, told: str
) -> None:
    """The condition has kubelet's reason, and what to do."""
    await space.create(system())
    await complete(space)
    await pod(space, "broken", service, {"phase": "Pending", "containerStatuses": [container(**state)]})
    await space.expect(resources.TRADING_SYSTEM, "momentum", Stalled="True", Degraded="True", Ready="False")
    found = await space.condition(resources.TRADING_SYSTEM, "momentum", "Stalled")
    assert found["reason"] == reason
    assert told in found["message"]


async def test_a_crashing_strategy_is_quoted(space: Space) -> None:
    """Its termination message is in the condition."""
    await space.create(system())
    await complete(space)
    words = "strategy class momentum.strategy:Nope cannot be imported: AttributeError"
    last = {"terminated": {"exitCode": 1, "reason": "Error", "message": words}}
    status = container(waiting={"reason": "CrashLoopBackOff"}) | {"lastState": last}
    await pod(space, "broken", "strategy", {"phase": "Running", "containerStatuses": [status]})
    await space.expect(resources.TRADING_SYSTEM, "momentum", Stalled="True")
    found = await space.condition(resources.TRADING_SYSTEM, "momentum", "Stalled")
    assert found["reason"] == "StrategyCrashes"
    assert words in found["message"]


async def test_missing_credentials_are_asked_for(space: Space) -> None:
    """Nothing guesses: the condition names the Secret and its keys, and goes away once it is there."""
    binance = {"name": "sim", "type": "Binance", "binance": {"environment": "Testnet", "credentialsSecret": "mine"}}
    await space.create(system(venues=[binance]))
    await space.expect(resources.TRADING_SYSTEM, "momentum", Stalled="True", Ready="False")
    found = await space.condition(resources.TRADING_SYSTEM, "momentum", "Stalled")
    assert found["reason"] == "CredentialsMissing"
    assert "kubectl create secret generic mine" in found["message"]
    keys = {"api-key": "k", "api-secret": "s"}
    await space.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "stringData": keys})
    await space.client.patch(
        resources.TRADING_SYSTEM, "momentum", space.name, {"metadata": {"annotations": {"a": "b"}}}
    )
    await space.expect(resources.TRADING_SYSTEM, "momentum", Stalled="False")


async def test_killing_the_operator_at_any_moment_changes_nothing(
    api_server: Server, request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port: int
) -> None:
    """SIGKILL at twenty random moments while systems are made and changed: the same end as without."""
    rng = random.Random(20261121)
    async with namespace_of(api_server, request.node.name) as (client, name):
        token = await account(client, name)
        space = Space(client, name, kubeconfig_for(api_server, token, tmp_path / "kubeconfig"), unused_tcp_port)
        await space.start()
        try:
            await space.ready()
            started_s = 0.9  # a process needs about this long before it does anything
            await space.create(system())
            for turn in range(20):
                await asyncio.sleep(0 if turn == 0 else started_s + rng.uniform(0, 0.6))
                await space.stop()
                await space.start()
                loss = {"spec": {"limits": {"loss": {"day": str(300 - turn)}}}}
                await client.patch(resources.TRADING_SYSTEM, "momentum", name, loss)
            await space.ready()
            await complete(space, 20)
            await settled(space)
            children = await complete(space)
        finally:
            await space.stop()
        found = await space.get(resources.TRADING_SYSTEM, "momentum")
        allocation = json.loads(children["ConfigMap", "momentum-allocation"]["data"]["allocation.json"])
        spec = TradingSystem.parse(found).spec
        expected = gate_limits(spec.limits, spec.capital)
        assert allocation["limits"]["loss_day"] == expected.loss_day == 281 * 10**8
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert found["status"]["stable"]["stage"] == "Live"
        keys = {key[1]: item["data"] for key, item in children.items() if key[0] == "Secret"}
        config = json.loads(children["ConfigMap", "momentum-sim-marketdata-config"]["data"]["service.json"])
        for role, public in config["subscribers"].items():
            assert observe.decoded({"data": keys[f"momentum-{role}-curve"]})["public"] == public


async def test_serving_the_whole_cluster(
    api_server: Server, request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port: int
) -> None:
    """With the cluster's rights and no list of namespaces; a namespace that comes later is served as well."""
    async with namespace_of(api_server, request.node.name) as (client, name):
        token = await account(client, name, cluster_wide=True)
        path = kubeconfig_for(api_server, token, tmp_path / "kubeconfig")
        home = Space(client, name, path, unused_tcp_port, cluster_wide=True)
        await home.start()
        try:
            await home.ready()
            later = Space(client, f"{name}-later", path, unused_tcp_port)
            await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": later.name}})
            await later.create(system())
            await complete(later, 20)
        finally:
            await home.stop()


async def test_probes_and_metrics(space: Space) -> None:
    """Ready and live, and what is measured carries no system's name."""
    await space.create(system())
    await complete(space)
    live, _ = await space.http("/livez")
    status, text = await space.http("/metrics")
    assert (live, status) == (200, 200)
    assert 'ringfence_operator_reconciles_total{outcome="ok",queue="systems"}' in text
    named = [line for line in text.splitlines() if "momentum" in line]
    assert [line for line in named if not line.startswith("ringfence_rollout_")] == [], "only rollouts name systems"
    assert await space.stop(signal.SIGTERM) == 0

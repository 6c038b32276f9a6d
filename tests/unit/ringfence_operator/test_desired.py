"""Rules that hold for everything that we make, whatever the input. Word for word it is in tests/golden."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from ringfence.runtime import config
from ringfence_operator import access_rules
from ringfence_operator.cluster.apply import is_current
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import short_hash
from ringfence_operator.settings import Settings, SettingsError, from_environ

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "expected").glob("*.yaml"))
ALL = {path.stem: list(yaml.safe_load_all(path.read_text())) for path in GOLDEN}
Manifests = list[dict[str, Any]]
each = pytest.mark.parametrize("found", ALL.values(), ids=ALL.keys())

FILES: dict[str, type[config.Service]] = {
    "simulator": config.SimulatorConfig,
    "marketdata": config.MarketdataConfig,
    "execution": config.GateConfig,
    "watchdog": config.WatchdogConfig,
    "paper": config.GateConfig,
    "portfolio": config.PortfolioConfig,
    "strategy": config.StrategyConfig,
}


def of_kind(found: Manifests, *kinds: str) -> Manifests:
    return [manifest for manifest in found if manifest["kind"] in kinds]


def pods(found: Manifests) -> list[tuple[str, dict[str, Any]]]:
    """Service and pod spec of every workload."""
    return [
        (m["metadata"]["labels"]["ringfence.dev/service"], m["spec"]["template"]["spec"])
        for m in of_kind(found, "Deployment", "StatefulSet")
    ]


@each
def test_pods_are_restricted(found: Manifests) -> None:
    """The restricted Pod Security Standard, a read-only root, and bounds on memory."""
    for _, pod in pods(found):
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@each
def test_credentials_are_in_execution_watchdog_and_simulator_alone(found: Manifests) -> None:
    """And the author's image runs where no Secret but its bus key is, without a token of the cluster."""
    for service, pod in pods(found):
        mounted = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
        assert ("credentials" in mounted) == (service in {"execution", "watchdog", "simulator"})
        assert ("kill-token" in mounted) == (service in {"execution", "watchdog", "paper"})
        assert pod["automountServiceAccountToken"] is (service in {"execution", "watchdog", "paper"})
        ours = pod["containers"][0]["image"].startswith("registry.example/ringfence@")
        assert ours == (service != "strategy")
        if service == "strategy":
            assert mounted == {"curve"}


@each
def test_every_file_is_what_its_service_reads(found: Manifests) -> None:
    """Strictly decoded by the data plane's own types; nothing that changes at run time is in them."""
    maps = {m["metadata"]["name"]: m["data"] for m in of_kind(found, "ConfigMap")}
    for manifest in of_kind(found, "Deployment", "StatefulSet"):
        service = manifest["metadata"]["labels"]["ringfence.dev/service"]
        text = maps[f"{manifest['metadata']['name']}-config"]["service.json"]
        msgspec.json.decode(text, type=FILES[service])
        assert '"weight"' not in text
        assert "loss_day" not in text
    allocation = next(data for name, data in maps.items() if name.endswith("-allocation"))
    decoded = msgspec.json.decode(allocation[config.ALLOCATION_KEY], type=config.Allocation)
    for track in decoded.tracks:
        grant = maps[track.grant][config.LIMITS_KEY]
        assert track.grant.endswith(short_hash(grant)), "a gate checks that content and name agree"


@each
def test_the_operator_holds_what_it_grants(found: Manifests) -> None:
    """Kubernetes refuses to let anybody grant what he does not hold."""
    held = {
        (group, resource, verb)
        for rule in access_rules.NAMESPACED
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    granted = {
        (group, resource, verb)
        for role in of_kind(found, "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert granted <= held
    assert "*" not in str(access_rules.NAMESPACED + access_rules.CLUSTER + access_rules.OWN)
    assert not {verb for _, _, verb in held} & {"escalate", "bind", "impersonate", "deletecollection"}
    assert ("", "secrets", "list") not in held


@each
def test_secrets_are_granted_to_nobody(found: Manifests) -> None:
    """A gate reads ConfigMaps by name, and no Secret through the API."""
    for role in of_kind(found, "Role"):
        for rule in role["rules"]:
            assert "secrets" not in rule["resources"]
            if "configmaps" in rule["resources"]:
                assert rule["resourceNames"]


@each
def test_only_what_outlives_a_system_is_unowned(found: Manifests) -> None:
    """Garbage collection must not take a kill switch, a journal or a Lease."""
    unowned = {m["kind"] for m in found if not m["metadata"].get("ownerReferences")}
    assert unowned == {"KillSwitch", "PersistentVolumeClaim", "Lease"}


@each
def test_every_pod_is_behind_a_policy_of_its_own(found: Manifests) -> None:
    """Deny all, and one policy for each program."""
    policies = of_kind(found, "NetworkPolicy")
    assert sum("ingress" not in p["spec"] and "egress" not in p["spec"] for p in policies) == 1
    chosen = [p["spec"]["podSelector"]["matchLabels"] for p in policies]
    for manifest in of_kind(found, "Deployment", "StatefulSet"):
        assert manifest["spec"]["selector"]["matchLabels"] in chosen


def test_programs_are_listed_and_built_alike() -> None:
    """`plan.programs` promises what `workload.workloads` builds."""
    found = ALL["simulated-live"]
    built = [m["metadata"]["name"] for m in of_kind(found, "Deployment", "StatefulSet")]
    assert built == [names.workload_name("momentum", role) for role, _ in names.programs([("sim", True)], ["a"])]


def test_applied_once_is_current_until_somebody_changes_it() -> None:
    """More fields are fine, other values and other hashes are not."""
    wanted = of_kind(ALL["simulated-live"], "Deployment")[0]
    live: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(wanted))
    live["status"] = {"replicas": 1}
    live["spec"]["paused"] = False
    assert is_current(wanted, live)
    live["spec"]["replicas"] = 3
    assert not is_current(wanted, live)
    assert not is_current(wanted, None)
    assert not is_current({**wanted, "metadata": {**wanted["metadata"], "annotations": {}}}, live)


def test_settings_that_make_no_sense_are_refused() -> None:
    """Each by its variable's name; the image has no default."""
    good = {"RINGFENCE_PLATFORM_IMAGE": "x:1"}
    assert from_environ(good) == Settings(platform_image="x:1")
    assert from_environ(good | {"RINGFENCE_NAMESPACES": "a, b,"}).namespaces == ("a", "b")
    for name, value in (
        ("RINGFENCE_PLATFORM_IMAGE", ""),
        ("RINGFENCE_WORKERS", "0"),
        ("RINGFENCE_WORKERS", "many"),
        ("RINGFENCE_LOG_LEVEL", "loud"),
        ("RINGFENCE_JOURNAL_ACCESS_MODE", "ReadWriteMany"),
        ("RINGFENCE_ALERTMANAGERS", "http://a:9093,alertmanager:9093"),
        ("RINGFENCE_ALERTMANAGERS", "http://me:secret@a:9093"),
        ("RINGFENCE_ALERTMANAGERS", "http://a:port"),
        ("RINGFENCE_RUNBOOKS", "docs"),
    ):
        with pytest.raises(SettingsError, match=name):
            from_environ(good | {name: value})


@pytest.mark.parametrize(
    ("name", "unavailable"), [("simulated-live", 0), ("binance-stays-on-paper", 1), ("engaged-recorded", 1)]
)
def test_a_drain_waits_only_while_the_account_may_trade(name: str, unavailable: int) -> None:
    """Live: no. On paper, or stopped: yes."""
    (budget,) = of_kind(ALL[name], "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == unavailable

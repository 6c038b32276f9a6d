"""The charts as Helm and an API server see them."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import manifests
from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.kube.resources import Resource
from ringfence.kube.watch import watch
from ringfence_operator import access_rules, api, policies, settings

ROOT = manifests.ROOT
OPERATOR = ROOT / manifests.OPERATOR_CHART
SYSTEM = ROOT / manifests.SYSTEM_CHART
EVERYTHING = OPERATOR / "ci" / "everything-values.yaml"
SIMULATOR = SYSTEM / "ci" / "simulator-values.yaml"
MONITORS = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/ServiceMonitor")
POLICY_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
CLUSTER_SCOPED = {
    *("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "PriorityClass"),
    *POLICY_KINDS,
}


def run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)


def render(
    helm: str, chart: Path, *arguments: str, release: str = "ringfence", namespace: str = "ringfence-system"
) -> list[dict[str, Any]]:
    command = ["template", release, str(chart), "--namespace", namespace, "--kube-version", "1.34.0", *arguments]
    done = run(helm, *command)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def everything(helm: str) -> list[dict[str, Any]]:
    served = [word for monitor in MONITORS for word in ("--api-versions", monitor)]
    return render(helm, OPERATOR, "--values", str(EVERYTHING), *served)


def of_kind(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def operator_deployment(documents: list[dict[str, Any]]) -> dict[str, Any]:
    (deployment,) = of_kind(documents, "Deployment")
    return deployment


def pod_specs(documents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield operator_deployment(documents)["spec"]["template"]["spec"]
    for pod in of_kind(documents, "Pod"):
        yield pod["spec"]


@pytest.mark.parametrize(
    ("chart", "values"), [(OPERATOR, None), (OPERATOR, EVERYTHING), (SYSTEM, None), (SYSTEM, SIMULATOR)]
)
def test_lint_finds_nothing(helm: str, chart: Path, values: Path | None) -> None:
    """helm lint --strict, with defaults and with samples."""
    done = run(helm, "lint", "--strict", str(chart), *(["--values", str(values)] if values else []))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("image.tga=1", "tga"),
        ("logLevel=loud", "/logLevel"),
        ("watchNamespaces={A_b}", "/watchNamespaces/0"),
        ("image.digest=latest", "/image/digest"),
        ("journal.accessMode=ReadWriteMany", "/journal/accessMode"),
        ("workers=0", "/workers"),
        ("replicas=2", "replicas"),
        ("crds.install=maybe", "/crds/install"),
        ("policies.required=maybe", "/policies/required"),
        ("roles.creat=true", "creat"),
        ("metrics.monitor.interval=often", "/metrics/monitor/interval"),
        ("networkPolicy.prometheusPorts={90000}", "/networkPolicy/prometheusPorts/0"),
    ],
)
def test_the_operators_values_are_refused_by_name(helm: str, setting: str, field: str) -> None:
    """A typo is an error that names the field, never a value that does nothing."""
    done = run(helm, "template", "ringfence", str(OPERATOR), "--set", setting)

    assert done.returncode != 0
    assert field in done.stderr


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ([], "spec is needed"),
        (["spec.strategy.image=x"], "/spec"),
        (["spec.goal=Moon"], "/spec/goal"),
        (["spec.capitol=1"], "capitol"),
        (["spec.limits.order.valueMax=1000"], "/spec/limits/order/valueMax"),
        (["killSwitch.engaged=false"], "killSwitch"),
    ],
)
def test_a_systems_values_are_refused_by_name(helm: str, settings: list[str], field: str) -> None:
    """The kind's own schema, before anything reaches a cluster; money is a string, as in the kind."""
    done = run(helm, "template", "momentum", str(SYSTEM), *(word for each in settings for word in ("--set", each)))

    assert done.returncode != 0
    assert field in done.stderr


def test_the_schema_knows_every_value(helm: str) -> None:
    """A value in values.yaml that the schema leaves out could not be documented or checked."""

    def missing(values: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
        for key, value in values.items():
            inner = schema.get("properties", {}).get(key)
            if inner is None:
                yield f"{path}{key}"
            elif isinstance(value, dict) and "properties" in inner:
                yield from missing(value, inner, f"{path}{key}.")

    for chart in (OPERATOR, SYSTEM):
        values = yaml.safe_load((chart / "values.yaml").read_text())
        schema = json.loads((chart / "values.schema.json").read_text())
        assert list(missing(values, schema, "")) == []


def test_the_system_is_the_values(helm: str) -> None:
    """values = spec, word for word; the name is the release's unless another is given."""
    values = yaml.safe_load(SIMULATOR.read_text())
    (system,) = render(helm, SYSTEM, "--values", str(SIMULATOR), release="momentum", namespace="trading")

    assert system["spec"] == values["spec"]
    assert (system["metadata"]["name"], system["metadata"]["namespace"]) == ("momentum", "trading")
    (named,) = render(helm, SYSTEM, "--values", str(SIMULATOR), "--set", "name=pairs", release="momentum")
    assert named["metadata"]["name"] == "pairs"


def test_no_kill_switch_is_ever_part_of_a_release(helm: str) -> None:
    """A rollback or a sync would release it."""
    for documents in (everything(helm), render(helm, SYSTEM, "--values", str(SIMULATOR))):
        assert of_kind(documents, "KillSwitch") == []


def granted(documents: list[dict[str, Any]], kind: str, name: str) -> list[Any]:
    return [role["rules"] for role in of_kind(documents, kind) if role["metadata"]["name"] == name]


def test_the_chart_grants_what_the_operator_lists_and_no_more(helm: str) -> None:
    """Cluster-wide: the namespaced list once, the cluster list, and its own namespace."""
    documents = render(helm, OPERATOR, "--set", "tests.enabled=false")

    assert granted(documents, "ClusterRole", "ringfence") == [access_rules.NAMESPACED]
    assert granted(documents, "ClusterRole", "ringfence-cluster") == [access_rules.CLUSTER]
    assert granted(documents, "Role", "ringfence-own") == [access_rules.OWN]
    assert granted(documents, "ClusterRole", "ringfence-policies") == [access_rules.POLICIES]
    for name, rules in access_rules.PEOPLE.items():
        assert granted(documents, "ClusterRole", f"ringfence-{name}") == [rules]
    assert len(of_kind(documents, "ClusterRole")) + len(of_kind(documents, "Role")) == 4 + len(access_rules.PEOPLE)
    bound = of_kind(documents, "ClusterRoleBinding") + of_kind(documents, "RoleBinding")
    account = {"kind": "ServiceAccount", "name": "ringfence", "namespace": "ringfence-system"}
    assert [binding["subjects"] for binding in bound] == [[account]] * 4


def test_with_namespaces_only_policies_are_seen_at_cluster_scope(helm: str) -> None:
    """By name, and not at all where they are not required; roles for people are bound to nobody."""
    documents = everything(helm)

    (binding,) = of_kind(documents, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == "ringfence-policies"
    bare = render(helm, OPERATOR, "--values", str(EVERYTHING), "--set", "policies.required=false,roles.create=false")
    assert of_kind(bare, "ClusterRole") + of_kind(bare, "ClusterRoleBinding") == []
    roles = {
        role["metadata"]["namespace"]: role["rules"]
        for role in of_kind(documents, "Role")
        if role["metadata"]["name"] == "ringfence"
    }
    assert roles == {"trading": access_rules.NAMESPACED, "research": access_rules.NAMESPACED}


def test_no_rule_is_a_blank_cheque(helm: str) -> None:
    """No wildcard, no escalate, bind or impersonate, no list of Secrets, in any role of the chart."""
    for role in (
        entry
        for documents in (everything(helm), render(helm, OPERATOR))
        for entry in of_kind(documents, "Role") + of_kind(documents, "ClusterRole")
    ):
        for rule in role["rules"]:
            words = {word for values in rule.values() for word in values}
            assert not words & {"*", "escalate", "bind", "impersonate", "deletecollection"}, rule
            if "secrets" in rule["resources"]:
                assert not {"list", "watch"} & set(rule["verbs"])


def test_every_pod_is_restricted(helm: str) -> None:
    """Pod Security "restricted", a read-only root and no more rights than it needs."""
    for documents in (everything(helm), render(helm, OPERATOR)):
        for spec in pod_specs(documents):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["runAsUser"] == 65532
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            (container,) = spec["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_there_is_never_a_second_operator(helm: str) -> None:
    """Two would pause or fight each other; one that is away stops nothing."""
    for documents in (everything(helm), render(helm, OPERATOR)):
        deployment = operator_deployment(documents)
        assert deployment["spec"]["replicas"] == 1
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("values", [None, EVERYTHING])
def test_the_operator_understands_its_environment(helm: str, values: Path | None) -> None:
    """What the chart sets is what the operator reads: no variable is misspelt, none is refused."""
    documents = render(helm, OPERATOR, *(["--values", str(values)] if values else []))
    (container,) = operator_deployment(documents)["spec"]["template"]["spec"]["containers"]
    environ = {entry["name"]: entry.get("value", "ringfence-system") for entry in container["env"]}

    read = settings.from_environ(environ)

    assert read.platform_image == (
        "registry.example.com:5000/trading/ringfence:0.1.0" if values else container["image"]
    )
    assert read.namespaces == (("trading", "research") if values else ())
    assert read.operator_namespace == "ringfence-system"
    if values:
        assert read.image_pull_secrets == ("pull",)
        assert (read.journal_storage_class, read.journal_access_mode) == ("fast", "ReadWriteOnce")
        assert (read.journal_size, read.workers, read.resync_s) == ("10Gi", 4, 60.0)
        assert read.monitoring_namespaces == ("monitoring", "observability")
        assert read.alerting.alertmanagers == ("http://alertmanager.monitoring:9093",)
    source = Path(settings.__file__).read_text()
    assert [name for name in environ if name.startswith("RINGFENCE_") and name not in source] == []


def test_a_digest_wins_over_a_tag(helm: str) -> None:
    (container,) = operator_deployment(everything(helm))["spec"]["template"]["spec"]["containers"]

    assert container["image"].startswith("registry.example.com:5000/trading/ringfence@sha256:")


def test_monitors_only_where_prometheus_has_an_operator(helm: str) -> None:
    """Without its CRDs an install must not fail."""
    assert of_kind(render(helm, OPERATOR), "PodMonitor") == []
    assert len(of_kind(render(helm, OPERATOR, "--api-versions", MONITORS[0]), "PodMonitor")) == 1
    assert len(of_kind(everything(helm), "ServiceMonitor")) == 1


def test_crds_stay_when_the_chart_goes(helm: str) -> None:
    """Uninstalling must not delete anybody's systems, nor a switch that is engaged."""
    crds = of_kind(render(helm, OPERATOR), "CustomResourceDefinition")

    assert {crd["spec"]["names"]["kind"] for crd in crds} >= {"TradingSystem", "KillSwitch"}
    for crd in crds:
        assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert of_kind(render(helm, OPERATOR, "--set", "crds.install=false"), "CustomResourceDefinition") == []


def test_policies_are_the_models_and_stay_when_the_chart_goes(helm: str) -> None:
    """With this release's ServiceAccount as the operator, wherever and however it is named."""
    documents = render(helm, OPERATOR, "--set", "serviceAccount.name=somebody", namespace="elsewhere")
    operator = policies.Operator("elsewhere", "somebody")
    wanted = [made for one in policies.POLICIES for made in (policies.manifest(one, operator), policies.binding(one))]
    found = [document for kind in POLICY_KINDS for document in of_kind(documents, kind)]

    for document in found:
        assert document["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert sorted(found, key=str) == sorted(wanted, key=str)
    without = render(helm, OPERATOR, "--set", "policies.install=false")
    assert [document for kind in POLICY_KINDS for document in of_kind(without, kind)] == []


def test_artifact_hub_is_told_of_every_kind() -> None:
    """What the chart says that it brings is what it brings."""
    annotations = yaml.safe_load((OPERATOR / "Chart.yaml").read_text())["annotations"]
    told = yaml.safe_load(annotations["artifacthub.io/crds"])

    assert {(entry["kind"], entry["version"], entry["name"]) for entry in told} == {
        (kind.kind, api.VERSION, f"{kind.plural}.{api.GROUP}") for kind in api.KINDS
    }


@pytest.mark.parametrize("sample", sorted((ROOT / "manifests" / "samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sample_is_a_systems_values(helm: str, sample: Path, tmp_path: Path) -> None:
    """A spec that people have in a manifest is what the chart takes, unchanged."""
    values = tmp_path / "values.yaml"
    specs = [found["spec"] for found in yaml.safe_load_all(sample.read_text()) if found["kind"] == "TradingSystem"]
    for spec in specs:
        values.write_text(yaml.safe_dump({"spec": spec}))
        (system,) = render(helm, SYSTEM, "--values", str(values), release="sample")
        assert system["spec"] == spec


def test_every_object_names_its_namespace(helm: str) -> None:
    """`helm template | kubectl apply` puts objects where `helm install` does."""
    for document in everything(helm):
        assert ("namespace" in document["metadata"]) == (document["kind"] not in CLUSTER_SCOPED), document["kind"]


EXTRA = (
    Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
    Resource("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors"),
)
"""Kinds that only the charts use."""
MONITOR_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors", "singular": "servicemonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""As much of the Prometheus operator as it takes to be served."""


async def applied(client: KubeClient, manifest: dict[str, Any], *, dry_run: bool) -> None:
    """Server-side apply with strict field validation: an unknown field is an error."""
    known = {(found.api_version, found.kind): found for found in (*resources.KNOWN.values(), *EXTRA)}
    resource = known[manifest["apiVersion"], manifest["kind"]]
    metadata = manifest["metadata"]
    query = {"fieldManager": "test", "force": "true", "fieldValidation": "Strict"}
    path = resource.path(metadata.get("namespace"), metadata["name"])
    await client.raw(
        "PATCH",
        path,
        query=query | ({"dryRun": "All"} if dry_run else {}),
        body=manifest,
        content_type="application/apply-patch+yaml",
    )
    if manifest["kind"] == "CustomResourceDefinition" and not dry_run:
        async for _ in watch(client, resource.path(), field_selector=f"metadata.name={metadata['name']}"):
            found = await client.get(resource, metadata["name"])
            conditions = (found.get("status") or {}).get("conditions") or ()
            if any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions):
                return


@pytest.mark.apiserver
@pytest.mark.asyncio
async def test_an_api_server_accepts_every_object(helm: str, api_server: Any) -> None:
    """Rendered with everything on, with defaults, as install.yaml, and a system: strictly, each object by itself."""
    system = render(helm, SYSTEM, "--values", str(SIMULATOR), release="momentum", namespace="trading")
    install = [found for found in yaml.safe_load_all((ROOT / manifests.INSTALL).read_text()) if found]
    objects = [*everything(helm), *render(helm, OPERATOR), *install, *system]
    async with KubeClient.from_kubeconfig(api_server.kubeconfig, api_server.context) as client:
        for namespace in ("ringfence-system", "trading", "research"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            await applied(client, body, dry_run=False)
        account = {"name": "ringfence-test", "namespace": "ringfence-system"}
        # the one object that another needs in order to be admitted
        await applied(client, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, dry_run=False)
        for crd in (*of_kind(objects, "CustomResourceDefinition"), MONITOR_CRD):
            await applied(client, crd, dry_run=False)
        for manifest in objects:
            await applied(client, manifest, dry_run=True)


def test_generated_files_are_current(helm: str) -> None:
    """The chart's rights, the system chart's schema and install.yaml match the models; else `make generate`."""
    wanted = manifests.generate()
    assert manifests.differences(wanted) == ""
    install = {manifests.INSTALL: manifests.install_text(manifests.render_operator(ROOT))}
    assert manifests.differences(install) == ""


def test_install_yaml_is_the_chart_and_its_namespace(helm: str) -> None:
    documents = list(yaml.safe_load_all((ROOT / manifests.INSTALL).read_text()))

    assert documents[0]["kind"] == "Namespace"
    assert documents[0]["metadata"]["name"] == "ringfence-system"
    rendered = render(helm, OPERATOR, "--set", "tests.enabled=false")
    assert [document for document in documents[1:] if document] == rendered

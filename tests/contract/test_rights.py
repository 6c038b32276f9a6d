"""The rights that the chart grants are enough: the operator brings up a system with them and is refused nothing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import manifests
from operatorbench.space import Server
from ringfence.kube import resources
from ringfence.kube.client import KubeClient
from ringfence.kube.watch import watch

ROOT = manifests.ROOT
SAMPLE = ROOT / manifests.SYSTEM_CHART / "ci" / "simulator-values.yaml"
RBAC = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio]


async def prepare(client: KubeClient, helm: str, namespace: str, operator_namespace: str, watched: str) -> None:
    """The kinds, the namespaces, and the chart's rights; nothing else of the chart."""
    command = [helm, "template", operator_namespace, str(ROOT / manifests.OPERATOR_CHART)]
    command += ["--namespace", operator_namespace, "--set", "tests.enabled=false", "--kube-version", "1.34.0"]
    command += ["--set", f"watchNamespaces={{{watched}}}"] if watched else []
    rendered = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    for name in (namespace, operator_namespace):
        await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "test")
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        crd = await client.apply(yaml.safe_load(path.read_text()), "test")
        await until(client, resources.CUSTOM_RESOURCE_DEFINITION, crd["metadata"]["name"], None, "Established")
    for document in yaml.safe_load_all(rendered.stdout):
        if document and document["kind"] in RBAC:
            await client.apply(document, "test")


async def until(
    client: KubeClient, resource: resources.Resource, name: str, namespace: str | None, condition: str, reason: str = ""
) -> None:
    """Wait for a condition: True, or with the reason."""
    path = resource.path(namespace)
    async for _ in watch(client, path, field_selector=f"metadata.name={name}"):
        found = await client.get(resource, name, namespace)
        for entry in (found.get("status") or {}).get("conditions") or ():
            if entry["type"] == condition and (entry["reason"] == reason if reason else entry["status"] == "True"):
                return


async def as_operator(client: KubeClient, server: Server, name: str, directory: Path) -> Path:
    """A kubeconfig with nothing but a fresh token of the operator's ServiceAccount."""
    path = resources.SERVICE_ACCOUNT.path(name, f"{name}-ringfence", "token")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = (await client.raw("POST", path, body=request))["status"]["token"]
    original: dict[str, Any] = yaml.safe_load(server.kubeconfig.read_text())
    context = next(entry["context"] for entry in original["contexts"] if entry["name"] == server.context)
    cluster = next(entry for entry in original["clusters"] if entry["name"] == context["cluster"])
    document = {
        "current-context": "operator",
        "contexts": [{"name": "operator", "context": {"cluster": cluster["name"], "user": "operator"}}],
        "clusters": [cluster],
        "users": [{"name": "operator", "user": {"token": token}}],
    }
    found = directory / "kubeconfig"
    found.write_text(yaml.safe_dump(document))
    return found


@asynccontextmanager
async def running(kubeconfig: Path, log: Path, port: int, **environ: str) -> AsyncIterator[None]:
    """The operator as a process of its own."""
    settings = {"RINGFENCE_PLATFORM_IMAGE": "example.com/none:1", "RINGFENCE_HTTP_PORT": str(port), **environ}
    settings.setdefault("RINGFENCE_POLICIES_REQUIRED", "false")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("KUBERNETES_", "RINGFENCE_"))}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence_operator", "run",
            env=inherited | settings | {"KUBECONFIG": str(kubeconfig)}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


@pytest.mark.parametrize("scope", ["cluster", "namespace"])
async def test_the_operator_lacks_no_right(
    scope: str, helm: str, api_server: Server, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Cluster-wide and in one namespace: all that a system consists of is applied, with the gates' own Roles."""
    namespace, home = f"rights-{scope}", f"rights-{scope}-operator"
    watched = namespace if scope == "namespace" else ""
    log = tmp_path / "log"
    async with KubeClient.from_kubeconfig(api_server.kubeconfig, api_server.context) as client:
        await prepare(client, helm, namespace, home, watched)
        kubeconfig = await as_operator(client, api_server, home, tmp_path)
        spec = yaml.safe_load(SAMPLE.read_text())["spec"]
        metadata = {"name": "momentum", "namespace": namespace}
        system = {"apiVersion": resources.VERSION, "kind": "TradingSystem", "metadata": metadata, "spec": spec}
        environ = {"RINGFENCE_NAMESPACES": watched, "RINGFENCE_OPERATOR_NAMESPACE": home}
        async with running(kubeconfig, log, unused_tcp_port, **environ), asyncio.timeout(60):
            await client.apply(system, "test")
            # everything is applied, and no kubelet runs anything here
            await until(client, resources.TRADING_SYSTEM, "momentum", namespace, "Ready", "WorkloadsNotReady")
        roles = await client.list(resources.ROLE, namespace, label_selector="ringfence.dev/system=momentum")
        switch = await client.get(resources.KILL_SWITCH, "momentum", namespace)

    assert {role["metadata"]["name"] for role in roles.items} >= {"momentum-sim-execution", "momentum-sim-paper"}
    assert switch["metadata"].get("ownerReferences") is None
    said = log.read_text()
    assert "orbidden" not in said, said
    assert " 403 " not in said, said

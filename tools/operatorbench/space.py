"""A namespace, the operator in it, and what both can be asked."""

import asyncio
import os
import signal
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import ApiError
from ringfence.kube.resources import Resource
from ringfence_operator import access_rules
from ringfence_operator.cluster import observe

ROOT = Path(__file__).parents[2]

CHILDREN: tuple[Resource, ...] = (
    *observe.OWNED,
    resources.SECRET,
    resources.LEASE,
    resources.PERSISTENT_VOLUME_CLAIM,
    resources.KILL_SWITCH,
)
UNOWNED = frozenset({"Lease", "PersistentVolumeClaim", "KillSwitch"})


class Server(Protocol):
    """What the fixture ``api_server`` gives."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def context(self) -> str: ...


def system(name: str = "momentum", **spec: Any) -> Manifest:
    found: Manifest = yaml.safe_load((ROOT / "manifests" / "samples" / "momentum.yaml").read_text())
    found["metadata"] = {"name": name, "labels": {"kill.ringfence.dev/desk": "crypto"}}
    found["spec"] |= spec
    return found


async def eventually(what: str, look: Callable[[], Awaitable[Any]], within_s: float = 10.0) -> Any:
    """The first answer that is neither None nor False nor an error of the API; fails with the last one."""
    last: Any = None
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while loop.time() < end:
        try:
            last = await look()
        except (ApiError, KeyError, AssertionError) as error:
            last = error
        else:
            if last is not None and last is not False:
                return last
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what}: not within {within_s} s; last: {last!r}")


@dataclass
class Space:
    """One namespace, and an operator that serves it alone."""

    client: KubeClient
    name: str
    kubeconfig: Path
    port: int
    process: asyncio.subprocess.Process | None = None
    cluster_wide: bool = False
    image: str = "ringfence.local/platform:test"
    """Of the platform, as the installation asks for it."""

    async def start(self) -> None:
        environ = os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "RINGFENCE_PLATFORM_IMAGE": self.image,
            "RINGFENCE_PLATFORM_PROOF_SECONDS": "5",
            "RINGFENCE_POLICIES_REQUIRED": "false",
            "RINGFENCE_NAMESPACES": "" if self.cluster_wide else self.name,
            "RINGFENCE_OPERATOR_NAMESPACE": self.name,
            "RINGFENCE_HTTP_PORT": str(self.port),
            "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'services'}",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ringfence_operator", "run", env=environ, stdout=asyncio.subprocess.DEVNULL
        )

    async def stop(self, number: int = signal.SIGKILL) -> int:
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()

    async def ready(self) -> None:
        async def look() -> bool:
            return (await self.http("/readyz"))[0] == 200

        await eventually("operator ready", look, 60)

    async def http(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            async with aiohttp.ClientSession(trust_env=False) as session, session.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def create(self, manifest: Manifest) -> Manifest:
        manifest["metadata"]["namespace"] = self.name
        return await self.client.create(manifest)

    async def get(self, resource: Resource, name: str) -> Manifest:
        return await self.client.get(resource, name, self.name)

    async def children(self) -> dict[tuple[str, str], Manifest]:
        found: dict[tuple[str, str], Manifest] = {}
        for listing in await asyncio.gather(*(self.client.list(kind, self.name) for kind in CHILDREN)):
            for item in listing.items:
                if item["metadata"]["name"] not in {"kube-root-ca.crt", "default", "ringfence-operator-heartbeat"}:
                    found[item["kind"], item["metadata"]["name"]] = item
        return found

    async def condition(self, resource: Resource, name: str, kind: str) -> Mapping[str, Any]:
        """A condition that was found for the current generation; KeyError before."""
        found = await self.get(resource, name)
        for condition in (found.get("status") or {}).get("conditions") or ():
            if condition["type"] == kind and condition["observedGeneration"] == found["metadata"]["generation"]:
                return dict(condition)
        raise KeyError(kind)

    async def expect(self, resource: Resource, name: str, **wanted: str) -> None:
        """Wait until these conditions have these statuses, as kubectl wait does."""

        async def look() -> bool:
            found = {kind: (await self.condition(resource, name, kind))["status"] for kind in wanted}
            assert found == wanted, found
            return True

        await eventually(f"{name}: {wanted}", look)


def allowed(rules: list[access_rules.Rule]) -> list[dict[str, Any]]:
    """The rules as an API server takes them."""
    return [dict(rule) for rule in rules]


async def account(client: KubeClient, namespace: str, *, cluster_wide: bool = False) -> str:
    """A ServiceAccount with the shipped rights, in one namespace or in all; returns a token for it."""
    metadata = {"name": "operator", "namespace": namespace}
    api = "rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    await client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    rules = allowed(access_rules.NAMESPACED)
    kind = "Role"
    if cluster_wide:
        rules, kind = rules + allowed(access_rules.CLUSTER), "ClusterRole"
        metadata = {"name": f"operator-{namespace}"}
        reference = reference | {"kind": "ClusterRole", "name": f"operator-{namespace}"}
    await client.create({"apiVersion": api, "kind": kind, "metadata": metadata, "rules": rules})
    binding = {"apiVersion": api, "kind": f"{kind}Binding", "metadata": metadata}
    await client.create(binding | {"roleRef": reference, "subjects": [subject]})
    path = resources.SERVICE_ACCOUNT.path(namespace, "operator", "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    answer = await client.raw("POST", path, body=body)
    return str(answer["status"]["token"])


def kubeconfig_for(server: Server, token: str, path: Path) -> Path:
    """The same cluster, as another user."""
    found = yaml.safe_load(server.kubeconfig.read_text())
    cluster = next(c["context"]["cluster"] for c in found["contexts"] if c["name"] == server.context)
    entry = next(c for c in found["clusters"] if c["name"] == cluster)
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "contexts": [{"name": "operator", "context": {"cluster": cluster, "user": "operator"}}],
        "clusters": [entry],
        "users": [{"name": "operator", "user": {"token": token}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def install_crds(client: KubeClient) -> None:
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        await client.apply(yaml.safe_load(path.read_text()), "test")
    for resource in (resources.TRADING_SYSTEM, resources.KILL_SWITCH):
        await eventually(f"{resource.kind} served", lambda kind=resource: client.list(kind, "default"), 20)  # type: ignore[misc]


@asynccontextmanager
async def namespace_of(server: Server, test: str) -> AsyncIterator[tuple[KubeClient, str]]:
    """A client and a namespace of its own for the test of that name."""
    words = test.removeprefix("test_").partition("[")[0].replace("_", "-")[:36].strip("-")
    name = f"{words}-{zlib.crc32(test.encode()):08x}-{os.getpid()}"
    async with KubeClient.from_kubeconfig(server.kubeconfig, server.context) as client:
        await install_crds(client)
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield client, name
        for kind in (resources.TRADING_SYSTEM, resources.KILL_SWITCH):
            for item in (await client.list(kind, name)).items:
                await client.delete(kind, item["metadata"]["name"], name)

"""What contract tests share: helm, and a real API server (etcd and kube-apiserver on loopback, without root)."""

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import localnode
import manifests
from operatorbench.space import Server, Space, account, kubeconfig_for, namespace_of


@pytest.fixture(scope="session")
def api_server() -> Iterator[localnode.NodeInfo]:
    """One for each process of the run. Where a cluster is required, not being able to start it is a failure."""
    name = f"contract-{os.getpid()}"
    try:
        found = localnode.up(name, control_plane=True)
    except localnode.LocalNodeError as error:
        localnode.down(name, purge=True)
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(f"NO API SERVER, nothing was judged: {error}")
    yield found
    localnode.down(name, purge=True)


@pytest.fixture(scope="session")
def helm() -> str:
    """The helm program. Where a cluster is required, it is required too."""
    try:
        return str(manifests.helm())
    except manifests.HelmMissing as error:
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(str(error))


@pytest_asyncio.fixture
async def space(
    api_server: Server, request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Space]:
    """A namespace with an operator that is ready."""
    async with namespace_of(api_server, request.node.name) as (client, name):
        token = await account(client, name)
        found = Space(client, name, kubeconfig_for(api_server, token, tmp_path / "kubeconfig"), unused_tcp_port)
        await found.start()
        try:
            await found.ready()
            yield found
        finally:
            await found.stop()


@pytest.fixture(scope="session")
def await_established() -> Callable[[Callable[..., str], list[str]], None]:
    """Waits until CRDs are served, given what runs kubectl.

    Asked before the server has written the first condition, `kubectl wait` fails at once, and so does a JSONPath.
    """

    def wait(kubectl: Callable[..., str], names: list[str]) -> None:
        until = time.monotonic() + 60
        for name in names:
            while not established(json.loads(kubectl("get", name, "-o", "json"))):
                assert time.monotonic() < until, f"{name} was not established within 60 s"
                time.sleep(0.1)

    def established(crd: dict[str, Any]) -> bool:
        conditions = crd.get("status", {}).get("conditions") or []
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    return wait

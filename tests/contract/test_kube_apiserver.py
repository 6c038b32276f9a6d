"""The Kubernetes client against a real API server: the same promises that its unit tests hold it to."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio
import yaml

from ringfence.kube import errors, resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.resources import CONFIG_MAP
from ringfence.kube.watch import Added, Bookmark, Deleted, Initial, Listed, Modified, Watch, watch

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio]
NAMESPACE = f"kube-contract-{os.getpid()}"


class Server(Protocol):
    """What the fixture ``api_server`` gives."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def context(self) -> str: ...
    @property
    def pids(self) -> dict[str, int]: ...


def thing(name: str, **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


@pytest_asyncio.fixture
async def client(api_server: Server) -> AsyncIterator[KubeClient]:
    async with KubeClient.from_kubeconfig(api_server.kubeconfig, api_server.context) as found:
        try:
            await found.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        except errors.AlreadyExists:
            for item in (await found.list(CONFIG_MAP, NAMESPACE)).items:
                await found.delete(CONFIG_MAP, item["metadata"]["name"], NAMESPACE)
        yield found


async def test_verbs_and_errors(client: KubeClient) -> None:
    """Create, read, patch three ways, delete; and each refusal by its reaction."""
    made = await client.create(thing("a", x="1"))
    with pytest.raises(errors.AlreadyExists):
        await client.create(thing("a"))
    with pytest.raises(errors.NotFound, match=f"GET /api/v1/namespaces/{NAMESPACE}/configmaps/b: 404"):
        await client.get(CONFIG_MAP, "b", NAMESPACE)
    with pytest.raises(errors.Invalid):
        await client.create(thing("Not a name"))
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"x": "2"}}
    with pytest.raises(errors.Conflict):
        await client.patch(CONFIG_MAP, "a", NAMESPACE, stale)
    await client.patch(CONFIG_MAP, "a", NAMESPACE, {"data": {"x": "2"}})
    await client.patch(CONFIG_MAP, "a", NAMESPACE, [{"op": "add", "path": "/data/y", "value": "3"}], kind="json")
    assert (await client.get(CONFIG_MAP, "a", NAMESPACE))["data"] == {"x": "2", "y": "3"}
    with pytest.raises(errors.Conflict):
        await client.delete(CONFIG_MAP, "a", NAMESPACE, uid="00000000-0000-0000-0000-000000000000")
    await client.delete(CONFIG_MAP, "a", NAMESPACE, uid=made["metadata"]["uid"])
    with pytest.raises(errors.NotFound):
        await client.delete(CONFIG_MAP, "a", NAMESPACE)


async def test_apply_owns_what_it_names_and_nothing_else(client: KubeClient) -> None:
    """Another manager's key stays; a key that is no longer named goes; the same again changes nothing."""
    await client.apply(thing("a", mine="1", gone="1"), "us")
    await client.patch(CONFIG_MAP, "a", NAMESPACE, {"data": {"theirs": "1"}}, field_manager="them")
    second = await client.apply(thing("a", mine="1"), "us")
    third = await client.apply(thing("a", mine="1"), "us")

    assert second["data"] == {"mine": "1", "theirs": "1"}
    assert second["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]
    with pytest.raises(errors.Conflict):
        await client.apply(thing("a", theirs="2"), "us", force=False)
    dry = await client.apply(thing("a", mine="2"), "us", dry_run=True)
    assert dry["data"]["mine"] == "2"
    assert (await client.get(CONFIG_MAP, "a", NAMESPACE))["data"]["mine"] == "1"


async def heard(found: Watch, into: "asyncio.Queue[str]") -> None:
    async for event in found:
        match event:
            case Listed(objects):
                names = [o["metadata"]["name"] for o in objects if not o["metadata"]["name"].startswith("kube-root")]
                into.put_nowait(f"listed {','.join(names)}")
            case Added(body) | Modified(body) | Deleted(body):
                if not body["metadata"]["name"].startswith("kube-root"):
                    into.put_nowait(f"{type(event).__name__.lower()} {body['metadata']['name']}")
            case Bookmark():
                pass


@pytest.mark.parametrize("initial", ["list", "stream", "get"])
async def test_watch(client: KubeClient, initial: Initial) -> None:
    """State, then changes, in all three ways to begin."""
    await client.create(thing("a"))
    found = watch(client, CONFIG_MAP.path(NAMESPACE), name="a", initial=initial)
    news: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(heard(found, news))

    async def following() -> str:
        return await asyncio.wait_for(news.get(), 10)

    try:
        assert await following() == "listed a"
        if initial == "get":  # starts without a version, so the object is told twice
            assert await following() == "added a"
        await client.patch(CONFIG_MAP, "a", NAMESPACE, {"data": {"x": "1"}})
        assert await following() == "modified a"
        await client.delete(CONFIG_MAP, "a", NAMESPACE)
        assert await following() == "deleted a"
        await client.create(thing("other"))
        await client.create(thing("a"))
        assert await following() == "added a"
        assert found.silent_s() < 10
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("name", ["", "a"])
async def test_a_watch_is_fresh_within_seconds_of_a_frozen_servers_return(
    client: KubeClient, api_server: Server, name: str
) -> None:
    """SIGSTOP for longer than the bound of its silence: it is not trusted meanwhile; then it has the state anew, and
    follows it, without waiting for a bookmark (a minute)."""
    bound_s = 3.0
    await client.create(thing("a"))
    found = watch(client, CONFIG_MAP.path(NAMESPACE), name=name, inactivity_timeout_s=bound_s)
    news: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(heard(found, news))
    server = api_server.pids["kube-apiserver"]
    try:
        async with asyncio.timeout(10):
            assert await news.get() == "listed a"
        os.kill(server, signal.SIGSTOP)
        try:
            await asyncio.sleep(2 * bound_s + 1)
            assert found.silent_s() > bound_s
            assert news.empty()
        finally:
            os.kill(server, signal.SIGCONT)
        thawed = time.monotonic()
        async with asyncio.timeout(15):
            assert await news.get() == "listed a"
            print(f"\nfresh {time.monotonic() - thawed:.2f} s after the thaw")
            assert found.silent_s() < bound_s
            await client.delete(CONFIG_MAP, "a", NAMESPACE)
            while await news.get() not in ("deleted a", "listed "):
                pass
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_that_is_broken_off_leaves_no_connection(api_server: Server) -> None:
    """Not even for the moment in which a server says its farewell: the loop ends at once, and the collector finds no
    socket that is still open, which would fail this test."""

    async def broken_off() -> None:
        async with KubeClient.from_kubeconfig(api_server.kubeconfig, api_server.context) as client:
            news: asyncio.Queue[str] = asyncio.Queue()
            task = asyncio.create_task(heard(watch(client, CONFIG_MAP.path(NAMESPACE)), news))
            await news.get()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    for _ in range(3):
        await asyncio.to_thread(asyncio.run, broken_off())
        gc.collect()


async def limited(client: KubeClient, server: Server, path: Path, rules: list[dict[str, Any]]) -> Path:
    """A kubeconfig of a ServiceAccount that has these rights only."""
    metadata = {"name": "limited", "namespace": NAMESPACE}
    api = "rbac.authorization.k8s.io/v1"
    subject = {"kind": "ServiceAccount", "name": "limited", "namespace": NAMESPACE}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
    await client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, "test")
    await client.apply({"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": rules}, "test")
    binding = {"apiVersion": api, "kind": "RoleBinding", "metadata": metadata}
    await client.apply(binding | {"roleRef": reference, "subjects": [subject]}, "test")
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    token = await client.raw("POST", resources.SERVICE_ACCOUNT.path(NAMESPACE, "limited", "token"), body=request)
    found = yaml.safe_load(server.kubeconfig.read_text())
    (path.parent / "token").write_text(token["status"]["token"])
    found["users"] = [{"name": "limited", "user": {"tokenFile": "token"}}]
    for context in found["contexts"]:
        context["context"]["user"] = "limited"
    path.write_text(yaml.safe_dump(found))  # noqa: ASYNC240 - nothing else runs in this loop
    return path


async def test_a_gate_that_may_not_list_can_still_watch(client: KubeClient, api_server: Server, tmp_path: Path) -> None:
    """Rights to get and watch one name are enough, and say Forbidden for everything else."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get", "watch"]}]
    path = await limited(client, api_server, tmp_path / "kubeconfig", rules)
    async with KubeClient.from_kubeconfig(path, api_server.context) as gate:
        with pytest.raises(errors.Forbidden):
            await gate.list(CONFIG_MAP, NAMESPACE)
        found = watch(gate, CONFIG_MAP.path(NAMESPACE), name="a")
        news: asyncio.Queue[str] = asyncio.Queue()
        task = asyncio.create_task(heard(found, news))
        try:
            assert await asyncio.wait_for(news.get(), 10) == "listed "
            await client.create(thing("a"))
            assert await asyncio.wait_for(news.get(), 10) == "added a"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

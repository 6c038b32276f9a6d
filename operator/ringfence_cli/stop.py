"""Engage and release a kill switch through the API server, and follow it until each gate has answered for itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import AlreadyExists, ApiError, Forbidden, NotFound, RetryLater
from ringfence.kube.watch import Deleted, Listed, Modified, watch
from ringfence.wire import kill
from ringfence_cli import facts, view
from ringfence_cli.wanted import Wanted
from ringfence_operator.desired import labels

INSIST_S: Final = 3.0
"""A restarting API server refuses, and even answers 403 before it knows its roles: so long we ask again."""
INSIST_FORBIDDEN_S: Final = 1.0
INSIST_PAUSE_S: Final = 0.1
MANAGER: Final = "kubectl-ringfence"
"""Who wrote it, in the object's managedFields and so in `kubectl get kill`."""
STOPPED: Final = frozenset({"Cancel", "Flatten"})
"""States of a gate that obeys an engaged switch."""


class NoSuchSystem(Exception):  # noqa: N818 - a sentence for the person
    """There is neither a kill switch nor a system of this name."""


@dataclass(frozen=True)
class Progress:
    """How far the gates are with one generation of the switch."""

    switch: view.Switch
    waiting: tuple[str, ...]
    """Gates (pods) that have not closed for this generation."""
    working: tuple[str, ...]
    """Gates that have closed and have not proven that nothing of ours works at the venue."""

    @property
    def closed(self) -> bool:
        return not self.waiting

    @property
    def proven(self) -> bool:
        return not self.waiting and not self.working


def progress(switch: view.Switch, generation: int, expected: Mapping[str, str] | None) -> Progress:
    """Judge the gates' own lines. A line of a pod that is gone counts only where pods may not be read. Pure.

    ``expected``: uid by name of the pods that hold a gate: an earlier pod's line proves nothing of this one.
    """
    lines = {
        line.pod: line
        for line in switch.gates
        if expected is None or (line.pod in expected and line.pod_uid in ("", expected[line.pod]))
    }
    everyone = sorted(lines if expected is None else expected)
    waiting = tuple(
        pod
        for pod in everyone
        if pod not in lines or lines[pod].generation < generation or lines[pod].state not in STOPPED
    )
    working = tuple(pod for pod in everyone if pod not in waiting and not lines[pod].canceled)
    return Progress(switch, waiting, working)


@dataclass(frozen=True)
class Latch:
    """A stop that a gate holds by itself, and whether a release has ended it."""

    pod: str
    reason: str
    released_by: str = ""
    """Empty: it is still there."""


def latches(switch: view.Switch, generation: int) -> tuple[Latch, ...]:
    """What the lines of gates that have seen this generation list. Pure."""
    lines = [line for line in switch.gates if line.generation >= generation]
    return tuple(Latch(line.pod, reason) for line in lines for reason in line.latches)


async def let_go(
    client: KubeClient, released: Manifest, held: tuple[Latch, ...], timeout_s: float
) -> tuple[Latch, ...]:
    """What became of each latch once its gate has seen the release, or when time has run out."""
    meta, by = released["metadata"], str(released["spec"].get("releasedBy") or "somebody")
    generation = int(meta["generation"])
    last: set[Latch] = set(held)

    def judge(switch: view.Switch) -> bool:
        nonlocal last
        seen = {line.pod for line in switch.gates if line.generation >= generation}
        last = {latch for latch in held if latch.pod not in seen} | set(latches(switch, generation))
        return all(latch.pod in seen for latch in held)

    if held:
        await until(client, meta["name"], meta["namespace"], judge, lambda _switch: None, timeout_s)
    return tuple(latch if latch in last else Latch(latch.pod, latch.reason, by) for latch in held)


async def engage(client: KubeClient, wanted: Wanted, namespace: str) -> Manifest:
    """One patch. Makes the switch only where the system exists and the operator has not made one yet."""
    name, spec = wanted.name, wanted.spec()
    try:
        return await _insist(
            lambda: client.patch(resources.KILL_SWITCH, name, namespace, {"spec": spec}, field_manager=MANAGER)
        )
    except NotFound as error:
        if wanted.system:
            await _must_exist(client, wanted, namespace, error)
    manifest = {
        "apiVersion": resources.VERSION,
        "kind": "KillSwitch",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    try:
        return await client.create(manifest, field_manager=MANAGER)
    except AlreadyExists:
        return await client.patch(resources.KILL_SWITCH, name, namespace, {"spec": spec}, field_manager=MANAGER)


async def release(client: KubeClient, name: str, namespace: str, *, reason: str) -> Manifest:
    """Let go of everything that this switch holds; gates then start up again before they trade."""
    spec: dict[str, Any] = {"engaged": False, "restrict": "None", "reason": reason}
    # the server compares it with whom it takes us for; without an answer it is for the server to refuse
    spec |= {"releasedBy": await facts.whoami(client) or None, "releaseRequestedBy": None}
    return await _patched(client, name, namespace, spec)


async def ask(client: KubeClient, name: str, namespace: str, *, reason: str) -> Manifest:
    """Ask for the release of a switch that takes two persons; another one releases."""
    spec = {"releaseRequestedBy": await facts.whoami(client) or None, "reason": reason}
    return await _patched(client, name, namespace, spec)


async def _patched(client: KubeClient, name: str, namespace: str, spec: dict[str, Any]) -> Manifest:
    try:
        return await client.patch(resources.KILL_SWITCH, name, namespace, {"spec": spec}, field_manager=MANAGER)
    except NotFound as error:
        raise NoSuchSystem(f"there is no kill switch {name!r} in namespace {namespace}") from error


async def gate_pods(client: KubeClient, switch: Manifest, namespace: str) -> Mapping[str, str] | None:
    """Name and uid of pods with a gate of any system that the switch covers; None where that cannot be found out.

    Never raises: it is asked after the switch was engaged, and what fails now must not look as if that had failed.
    """
    try:
        systems, pods = await asyncio.gather(
            client.list(resources.TRADING_SYSTEM, namespace),
            client.list(resources.POD, namespace, label_selector=facts.GATES),
        )
    except ApiError:
        return None
    worn = {system["metadata"]["name"]: facts.labels_of(system) for system in systems.items}
    return {
        pod["metadata"]["name"]: str(pod["metadata"].get("uid") or "")
        for pod in pods.items
        # the pod may be left over from a system that is gone, and trade on: its switch still covers it by name
        if _lives(pod) and _covered(switch, pod, worn)
    }


def _covered(switch: Manifest, pod: Manifest, worn: Mapping[str, Mapping[str, str]]) -> bool:
    """By system, and by venue where the switch names any."""
    system = facts.labels_of(pod).get(labels.SYSTEM, "")
    venues = kill.switch_scope(switch, system).venues
    at = facts.labels_of(pod).get(labels.VENUE, "")
    return kill.covers(switch, system, worn.get(system, {})) and (not venues or not at or at in venues)


def _lives(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}


async def follow(client: KubeClient, name: str, namespace: str) -> AsyncIterator[view.Switch]:
    """The switch as it is and at each change, for as long as one listens."""
    path = resources.KILL_SWITCH.path(namespace)
    async for event in watch(client, path, field_selector=f"metadata.name={name}", initial="list"):
        match event:
            case Listed(objects=objects):
                found = objects[0] if objects else None
            case Modified(object=changed):
                found = changed
            case Deleted():
                raise NoSuchSystem(f"kill switch {name!r} was deleted")
            case _:
                continue
        if found is not None:
            yield view.switch(found)


async def until(
    client: KubeClient,
    name: str,
    namespace: str,
    enough: Callable[[view.Switch], bool],
    seen: Callable[[view.Switch], None],
    timeout_s: float,
) -> bool:
    """Follow until it is enough; False if time ran out first. ``seen`` is called with every state."""
    try:
        async with asyncio.timeout(timeout_s):
            async for switch in follow(client, name, namespace):
                seen(switch)
                if enough(switch):
                    return True
    except TimeoutError:
        pass
    return False


async def _must_exist(client: KubeClient, wanted: Wanted, namespace: str, cause: NotFound) -> None:
    """Creating a switch for a mistyped name would say that something was stopped, and nothing was."""
    try:
        system = await client.get(resources.TRADING_SYSTEM, wanted.system, namespace)
    except NotFound:
        told = f"there is no kill switch {wanted.name!r} and no system {wanted.system!r} in namespace {namespace}"
        raise NoSuchSystem(told) from cause
    spec = system.get("spec") or {}
    traded = (spec.get("strategy") or {}).get("instruments") or ()
    for what, named, there in (
        ("venue", wanted.scope.venues, {str(found.get("name")) for found in spec.get("venues") or ()}),
        ("instrument", wanted.scope.instruments, {str(found.get("symbol")) for found in traded}),
    ):
        if missing := sorted(set(named) - there):
            has = ", ".join(sorted(there))
            raise NoSuchSystem(f"{wanted.system} has no {what} {', '.join(missing)}; it has {has}")


async def _insist(request: Callable[[], Awaitable[Manifest]]) -> Manifest:
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        try:
            return await request()
        except (RetryLater, Forbidden) as error:
            patience_s = INSIST_FORBIDDEN_S if isinstance(error, Forbidden) else INSIST_S
            if loop.time() - start + INSIST_PAUSE_S > patience_s:
                raise
        await asyncio.sleep(INSIST_PAUSE_S)

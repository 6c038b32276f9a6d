"""Read everything that one pass needs, at once, into one frozen value. Nothing is cached between passes."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

import aiohttp

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import NotFound
from ringfence.kube.resources import Resource
from ringfence.wire.tracks import TracksReport
from ringfence_operator.cluster.apply import Ref, ref
from ringfence_operator.cluster.reports import tracks_reports
from ringfence_operator.desired.labels import GATE, SYSTEM, VENUE
from ringfence_operator.pods import pod, standing
from ringfence_operator.rollout.health import Pod

OWNED: Final[tuple[Resource, ...]] = (
    resources.DEPLOYMENT,
    resources.STATEFUL_SET,
    resources.SERVICE,
    resources.SERVICE_ACCOUNT,
    resources.CONFIG_MAP,
    resources.NETWORK_POLICY,
    resources.POD_DISRUPTION_BUDGET,
    resources.ROLE,
    resources.ROLE_BINDING,
)
"""Kinds that are found by label, and pruned. Secrets are not: we may not list them, and nothing deletes keys."""
FoundT = TypeVar("FoundT")


@dataclass(frozen=True, slots=True)
class Seen:
    """One system as the cluster holds it now."""

    system: Manifest
    live: Mapping[Ref, Manifest]
    """Objects of the system, by kind and name."""
    pods: tuple[Pod, ...]
    switches: tuple[Manifest, ...]
    """All kill switches of the namespace."""
    secrets: Mapping[str, Mapping[str, str]]
    """Decoded content by name, of those that exist. Never logged; not part of the repr."""
    pod_monitors: bool
    evaluations: tuple[Manifest, ...] = ()
    """Of the system."""
    promotions: tuple[Manifest, ...] = ()
    """That name the system."""
    reports: tuple[TracksReport, ...] = ()
    """What its gates say of their tracks; one that does not answer says nothing."""

    def __repr__(self) -> str:
        return f"Seen({self.system['metadata']['name']}, {len(self.live)} objects, {len(self.pods)} pods)"

    def data(self, config_map: str, key: str) -> str | None:
        """One document of a ConfigMap; None where it is not there."""
        found = self.live.get(Ref("ConfigMap", config_map))
        return (found.get("data") or {}).get(key) if found else None


async def read_system(client: KubeClient, namespace: str, name: str) -> Manifest | None:
    return await _found(client.get(resources.TRADING_SYSTEM, name, namespace))


async def observe(
    client: KubeClient,
    http: aiohttp.ClientSession,
    system: Manifest,
    *,
    secrets: Iterable[str],
    lasting: Iterable[tuple[Resource, str]],
) -> Seen:
    """All objects of a system. ``secrets`` and ``lasting`` are read by name: the one may not be listed, the other is
    not found by label where people made it."""
    name, namespace = system["metadata"]["name"], system["metadata"]["namespace"]
    secrets, lasting, mine = tuple(secrets), tuple(lasting), f"{SYSTEM}={name}"
    async with asyncio.TaskGroup() as group:
        owned = [group.create_task(client.list(kind, namespace, label_selector=mine)) for kind in OWNED]
        monitors = group.create_task(_found(client.list(resources.POD_MONITOR, namespace, label_selector=mine)))
        pods = group.create_task(client.list(resources.POD, namespace, label_selector=mine))
        switches = group.create_task(client.list(resources.KILL_SWITCH, namespace))
        evaluations = group.create_task(client.list(resources.EVALUATION, namespace, label_selector=mine))
        promotions = group.create_task(client.list(resources.PROMOTION, namespace))
        kept = [group.create_task(_found(client.get(kind, one, namespace))) for kind, one in lasting]
        opened = [group.create_task(_found(client.get(resources.SECRET, one, namespace))) for one in secrets]
    found_pods = standing(pod(item) for item in pods.result().items)
    reports = await tracks_reports(http, [one for one in found_pods if one.service in {"execution", "paper"}])
    monitor_list = monitors.result()
    objects = [item for task in owned for item in task.result().items]
    objects += monitor_list.items if monitor_list is not None else ()
    objects += [found for task in kept if (found := task.result()) is not None]
    objects += [item for item in switches.result().items if item["metadata"]["name"] == name]
    contents = {one: task.result() for one, task in zip(secrets, opened, strict=True)}
    return Seen(
        system=system,
        live=MappingProxyType({ref(item): item for item in objects}),
        pods=found_pods,
        switches=switches.result().items,
        secrets=MappingProxyType({one: decoded(found) for one, found in contents.items() if found is not None}),
        pod_monitors=monitor_list is not None,
        evaluations=evaluations.result().items,
        promotions=tuple(one for one in promotions.result().items if (one.get("spec") or {}).get("system") == name),
        reports=reports,
    )


@dataclass(frozen=True, slots=True)
class SwitchSeen:
    """One kill switch, and what it could stop."""

    switch: Manifest
    systems: tuple[Manifest, ...]
    gates: tuple[Pod, ...]
    """All pods with a gate in the namespace."""
    owners: Mapping[str, str]
    """System by pod name."""
    venues: Mapping[str, str]
    """Venue by pod name."""


async def observe_switch(client: KubeClient, namespace: str, name: str) -> SwitchSeen | None:
    """Everything that one kill switch concerns; None where it does not exist any more."""
    async with asyncio.TaskGroup() as group:
        switch = group.create_task(_found(client.get(resources.KILL_SWITCH, name, namespace)))
        systems = group.create_task(client.list(resources.TRADING_SYSTEM, namespace))
        pods = group.create_task(client.list(resources.POD, namespace, label_selector=f"{GATE}=true"))
    found = switch.result()
    if found is None:
        return None
    labels = {item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in pods.result().items}
    return SwitchSeen(
        switch=found,
        systems=systems.result().items,
        gates=tuple(pod(item) for item in pods.result().items),
        owners={one: str(found.get(SYSTEM, "")) for one, found in labels.items()},
        venues={one: str(found.get(VENUE, "")) for one, found in labels.items()},
    )


async def read_secret(client: KubeClient, namespace: str, name: str) -> Mapping[str, str]:
    """Decoded content; empty where it does not exist."""
    found = await _found(client.get(resources.SECRET, name, namespace))
    return decoded(found) if found is not None else {}


def decoded(found: Mapping[str, Any]) -> dict[str, str]:
    """Content of a Secret; what is no text is left out, so it counts as missing."""
    content = {}
    for key, value in (found.get("data") or {}).items():
        try:
            content[key] = base64.b64decode(value or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return content


async def _found(request: Awaitable[FoundT]) -> FoundT | None:
    try:
        return await request
    except NotFound:
        return None

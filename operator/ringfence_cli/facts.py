"""What a command reads before it says anything: one system and all that belongs to it, as of now.

What may not be read is None, never empty: nothing found and not allowed to look are different answers.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ringfence.kube import resources
from ringfence.kube.client import KubeClient, Listing, Manifest
from ringfence.kube.errors import Forbidden, NotFound
from ringfence.wire import kill
from ringfence_operator.desired import labels

GATES: Final = f"{labels.GATE}=true"
"""Selects the pods that hold a gate."""


@dataclass(frozen=True)
class Facts:
    """One system. Lists that the person may not read are None."""

    name: str
    namespace: str
    system: Manifest | None
    """None where there is no TradingSystem of this name."""
    switches: tuple[Manifest, ...]
    """Kill switches that cover it; its own comes first."""
    workloads: tuple[Manifest, ...] | None
    pods: tuple[Manifest, ...] | None

    @property
    def spec(self) -> dict[str, Any]:
        return dict((self.system or {}).get("spec") or {})

    @property
    def status(self) -> dict[str, Any]:
        return dict((self.system or {}).get("status") or {})


async def gather(client: KubeClient, name: str, namespace: str) -> Facts:
    """Read all of it at once."""
    mine = f"{labels.SYSTEM}={name}"
    system, switches, deployments, stateful_sets, pods = await asyncio.gather(
        _one(client.get(resources.TRADING_SYSTEM, name, namespace)),
        client.list(resources.KILL_SWITCH, namespace),
        _all(client.list(resources.DEPLOYMENT, namespace, label_selector=mine)),
        _all(client.list(resources.STATEFUL_SET, namespace, label_selector=mine)),
        _all(client.list(resources.POD, namespace, label_selector=mine)),
    )
    worn = labels_of(system or {})
    covering = sorted(
        (switch for switch in switches.items if kill.covers(switch, name, worn)),
        key=lambda switch: (switch["metadata"]["name"] != name, switch["metadata"]["name"]),
    )
    workloads = None if deployments is None or stateful_sets is None else deployments + stateful_sets
    return Facts(name, namespace, system, tuple(covering), workloads, pods)


def labels_of(manifest: Manifest) -> dict[str, str]:
    return dict((manifest.get("metadata") or {}).get("labels") or {})


async def names(client: KubeClient, namespace: str) -> list[str]:
    """Of everything that can be stopped: systems, and switches that outlived theirs."""
    systems, switches = await asyncio.gather(
        client.list(resources.TRADING_SYSTEM, namespace), client.list(resources.KILL_SWITCH, namespace)
    )
    return sorted({item["metadata"]["name"] for item in systems.items + switches.items})


async def parts(client: KubeClient, system: str, namespace: str, which: str) -> list[str]:
    """Venues or instruments of a system, of every system of the namespace where none is named."""
    systems = (await client.list(resources.TRADING_SYSTEM, namespace)).items
    specs = [found.get("spec") or {} for found in systems if system in ("", found["metadata"]["name"])]
    if which == "venues":
        return sorted({str(venue.get("name")) for spec in specs for venue in spec.get("venues") or ()})
    traded = [one for spec in specs for one in (spec.get("strategy") or {}).get("instruments") or ()]
    return sorted({str(one.get("symbol")) for one in traded})


async def whoami(client: KubeClient) -> str:
    """The user that the API server takes us for; empty where it does not say."""
    question = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=question)
    except (Forbidden, NotFound):
        return ""
    return str(answer["status"]["userInfo"].get("username", ""))


async def _one(request: Coroutine[Any, Any, Manifest]) -> Manifest | None:
    try:
        return await request
    except NotFound:
        return None


async def _all(request: Coroutine[Any, Any, Listing]) -> tuple[Manifest, ...] | None:
    try:
        return (await request).items
    except Forbidden:
        return None

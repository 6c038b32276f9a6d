"""The table of contents: everything that exists for a system, in the order in which it is made.

| what | when | owned |
|---|---|---|
| KillSwitch, journal claims, Leases | created if missing, never changed | no: they outlive the system |
| Secrets (keys, kill tokens, simulators' credentials) | created if missing, never changed | yes |
| ServiceAccounts, Roles, NetworkPolicies, Services | applied first: a pod never runs without them | yes |
| ConfigMaps: limits, then allocation, kill switch, services' files | applied | yes |
| Deployments, StatefulSets, PodDisruptionBudgets, PodMonitor | applied last | yes |
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ringfence_operator.desired import access, config, manifests, network, storage, workload
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import Manifest, sealed
from ringfence_operator.desired.plan import API_VERSION, Plan

Stage = tuple[Manifest, ...]


class Desired(NamedTuple):
    lasting: Stage
    """Created if missing, never owned."""
    stages: tuple[Stage, ...]
    """Applied one after the other; the objects of a stage in any order. All owned."""
    keep: frozenset[tuple[str, str]]
    """Kind and name of objects that are not built any more and must not be pruned yet."""


def desired_objects(plan: Plan) -> Desired:
    """Everything of a system."""
    found = workload.workloads(plan)
    grants = config.grants_in_use(plan)
    stages: tuple[Stage, ...] = (
        (*access.service_accounts(plan, found), *network.policies(plan, found)),
        access.roles(plan, found),
        # a gate that reads a new allocation must find the grant that it names
        (config.limits_map(plan), config.kill_switch_map(plan), *config.revision_maps(plan)),
        (
            config.allocation_map(plan),
            *(config.service_map(plan, names.workload_name(plan.system, one.role), one.document) for one in found),
            *(manifests.service(plan, one) for one in found),
        ),
        (
            *(manifests.controller(plan, one) for one in found),
            *(manifests.disruption_budget(plan, one) for one in found if one.service == "execution"),
            *((manifests.pod_monitor(plan),) if plan.observed.pod_monitors else ()),
        ),
    )
    return Desired(
        lasting=storage.lasting(plan),
        stages=tuple(tuple(sealed(owned(plan, manifest)) for manifest in stage) for stage in stages),
        keep=frozenset(("ConfigMap", name) for name in grants) | _unbuilt(plan),
    )


def _unbuilt(plan: Plan) -> frozenset[tuple[str, str]]:
    """A strategy whose record is gone cannot be built again; that is no reason to end it."""
    found = set()
    for revision, slot in plan.slots.items():
        if revision not in plan.strategies:
            name = names.workload_name(plan.system, names.strategy_role(slot))
            found |= {("Deployment", name), ("Service", name), ("NetworkPolicy", name), ("ConfigMap", f"{name}-config")}
    return frozenset(found)


def owned(plan: Plan, manifest: Mapping[str, Any]) -> Manifest:
    """The manifest with the system as its controller: garbage collection removes it with the system."""
    return with_owner(manifest, plan.system, plan.uid)


def with_owner(manifest: Mapping[str, Any], system: str, uid: str) -> Manifest:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "TradingSystem",
        "name": system,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}

"""Who may do what: one ServiceAccount per kind of trust, and the few rights that a gate needs."""

from ringfence_operator.desired import config
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import Manifest, system_labels
from ringfence_operator.desired.plan import Plan
from ringfence_operator.desired.workload import Workload, platform_account, strategy_account


def service_accounts(plan: Plan, found: tuple[Workload, ...]) -> tuple[Manifest, ...]:
    """No token is mounted by itself: only a pod that asks for it gets one."""
    own = [one.service_account for one in found if one.token]
    return tuple(_account(plan, name) for name in (platform_account(plan), strategy_account(plan), *own))


def roles(plan: Plan, found: tuple[Workload, ...]) -> tuple[Manifest, ...]:
    """A Role and its binding for each program that speaks to the API server."""
    made: list[Manifest] = []
    for one in found:
        if one.token:
            role = _gate_role(plan, one) if one.is_gate else _watchdog_role(plan, one)
            made += [role, _binding(plan, one.service_account)]
    return tuple(made)


def _gate_role(plan: Plan, gate: Workload) -> Manifest:
    """See what stops it and what it may do, hold its Lease, report in its own line. Nothing else, and no Secret."""
    watched = [names.kill_switch_name(plan.system), names.allocation_name(plan.system)]
    rules = [
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["list", "watch"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": watched, "verbs": ["get", "watch"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": list(config.grants_in_use(plan)),
            "verbs": ["get"],
        },
    ]
    if gate.service == "execution":
        rules.append(
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "resourceNames": [names.account(plan.system, gate.venue)],
                "verbs": ["get", "update", "patch"],
            }
        )
    return _rbac(plan, "Role", gate.service_account) | {"rules": rules}


def _watchdog_role(plan: Plan, one: Workload) -> Manifest:
    """See what stops the system and whether execution lives, and delete execution's one pod. A StatefulSet's pod keeps
    its name, so this reaches no other."""
    account = names.account(plan.system, one.venue)
    pod = f"{names.workload_name(plan.system, f'{one.venue}-execution')}-0"
    rules = [
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [account],
            "verbs": ["get"],
        },
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": [pod], "verbs": ["get", "delete"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [names.allocation_name(plan.system)],
            "verbs": ["get"],
        },
    ]
    return _rbac(plan, "Role", one.service_account) | {"rules": rules}


def _binding(plan: Plan, name: str) -> Manifest:
    return _rbac(plan, "RoleBinding", name) | {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": plan.namespace}],
    }


def _rbac(plan: Plan, kind: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": plan.namespace, "labels": system_labels(plan.system)}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata}


def _account(plan: Plan, name: str) -> Manifest:
    metadata = {"name": name, "namespace": plan.namespace, "labels": system_labels(plan.system)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}

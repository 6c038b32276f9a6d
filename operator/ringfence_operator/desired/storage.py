"""What is created once and then left alone: journals, Leases, kill switches, and Secrets.

The first three are never owned, so that they outlive the system: deleting and recreating a system must find its
orders, its losses, its fence and an engaged switch as they were. A Lease that went with its system would let a
new process trade before the old one, perhaps on a node that nobody reaches, has stopped.
"""

from collections.abc import Mapping

from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import Manifest, system_labels
from ringfence_operator.desired.plan import API_VERSION, Plan


def lasting(plan: Plan) -> tuple[Manifest, ...]:
    """Created if missing, never changed, never owned."""
    found = [_kill_switch(plan)]
    for venue in plan.venues:
        found += [_journal(plan, venue.name), _lease(plan, venue.name)]
    return tuple(found)


def secret(system: str, namespace: str, name: str, content: Mapping[str, str]) -> Manifest:
    """A Secret that the shell fills with fresh random values, once."""
    metadata = {"name": name, "namespace": namespace, "labels": system_labels(system)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": dict(content),
    }


def _kill_switch(plan: Plan) -> Manifest:
    metadata = {"name": plan.system, "namespace": plan.namespace}
    return {"apiVersion": API_VERSION, "kind": "KillSwitch", "metadata": metadata, "spec": {"engaged": False}}


def _journal(plan: Plan, venue: str) -> Manifest:
    spec: Manifest = {
        "accessModes": [plan.settings.journal_access_mode],
        "resources": {"requests": {"storage": plan.journal_size}},
    }
    if plan.journal_class:
        spec["storageClassName"] = plan.journal_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(plan, names.journal_claim(plan.system, venue)),
        "spec": spec,
    }


def _lease(plan: Plan, venue: str) -> Manifest:
    """Empty: its first holder fills it. Creating cannot be limited by name, so gates may only update."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": _metadata(plan, names.account(plan.system, venue)),
        "spec": {},
    }


def _metadata(plan: Plan, name: str) -> Manifest:
    return {"name": name, "namespace": plan.namespace, "labels": system_labels(plan.system)}

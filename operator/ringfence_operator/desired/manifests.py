"""A program as Kubernetes gets it: its Deployment or StatefulSet, its address, and how it is kept in check."""

from typing import Final

from ringfence.runtime import config as contract
from ringfence_operator.desired import config
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.labels import (
    CONFIG_HASH,
    GATE,
    REVISION,
    TRACK,
    Manifest,
    selector,
    short_hash,
    workload_labels,
)
from ringfence_operator.desired.plan import Plan
from ringfence_operator.desired.workload import Workload, mount

USER: Final = 65532
"""The conventional nonroot user of our image; authors' images are built FROM it."""
CONTAINER: Final = "main"


def controller(plan: Plan, found: Workload) -> Manifest:
    """The Deployment or StatefulSet of a program."""
    labels = workload_labels(plan.system, found.service, found.venue, found.slot)
    name = names.workload_name(plan.system, found.role)
    spec: Manifest = {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector(plan.system, found.service, found.venue, found.slot)},
        "template": _template(plan, found, labels),
    }
    if found.kind == "Deployment":
        # never two of them at a time: both would speak under one name on the bus
        spec |= {"strategy": {"type": "Recreate"}, "progressDeadlineSeconds": 300}
    else:
        # Parallel: OrderedReady would wait for a broken pod to become ready before it takes a repaired template
        spec |= {
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
        }
    told = {TRACK: track} if (track := _track(plan, found)) else {}
    metadata = {"name": name, "namespace": plan.namespace, "labels": labels | told}
    return {"apiVersion": "apps/v1", "kind": found.kind, "metadata": metadata, "spec": spec}


def service(plan: Plan, found: Workload) -> Manifest:
    """The address of a program. Also while it is not ready: a halted gate must be heard and reached."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.workload_name(plan.system, found.role),
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, found.service, found.venue, found.slot),
        },
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": selector(plan.system, found.service, found.venue, found.slot),
            "ports": [
                {"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in found.ports
            ],
        },
    }


def disruption_budget(plan: Plan, found: Workload) -> Manifest:
    """Whether a node drain may take execution away.

    While its account may be trading, no: a drain waits until somebody halts the system (``restrict: Halt`` or
    engaged), because only people know whether positions may be left alone. Once halted, or on paper, it may go,
    so node upgrades never wait for an edit of this budget. A pod that is not ready never holds up a drain.
    """
    stopped = plan.stop.severity in {"Halt", "Cancel", "Flatten"}
    trading = plan.trading and not stopped
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.workload_name(plan.system, found.role),
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, found.service, found.venue, found.slot),
        },
        "spec": {
            "maxUnavailable": 0 if trading else 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(plan.system, found.service, found.venue, found.slot)},
        },
    }


_RELABELINGS: Final = [
    {"sourceLabels": [f"__meta_kubernetes_pod_label_ringfence_dev_{name}"], "targetLabel": name, "action": "replace"}
    for name in ("system", "service", "venue", "slot")
]
"""The names by which the metric library selects; podTargetLabels would make ringfence_dev_system of them."""


def pod_monitor(plan: Plan) -> Manifest:
    """All pods of the system, for the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {
            "name": plan.system,
            "namespace": plan.namespace,
            "labels": workload_labels(plan.system, "monitor"),
        },
        "spec": {
            "selector": {"matchLabels": {"ringfence.dev/system": plan.system}},
            "podMetricsEndpoints": [
                {"port": "http", "path": "/metrics", "interval": "5s", "relabelings": _RELABELINGS}
            ],
        },
    }


def _track(plan: Plan, found: Workload) -> str:
    """For people who list Deployments."""
    state = plan.state
    named = (("stable", state.stable), ("candidate", state.candidate), ("shadow", state.shadow))
    return next((name for name, track in named if track is not None and track.revision == found.revision), "")


# --- the pod


def _template(plan: Plan, found: Workload, labels: dict[str, str]) -> Manifest:
    annotations = {
        CONFIG_HASH: short_hash(config.text(found.document), 16),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(contract.HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
    if found.revision:
        annotations[REVISION] = found.revision
    gate = {GATE: "true"} if found.is_gate else {}
    return {"metadata": {"labels": labels | gate, "annotations": annotations}, "spec": _pod(plan, found)}


def _pod(plan: Plan, found: Workload) -> Manifest:
    name = names.workload_name(plan.system, found.role)
    spec: Manifest = {
        "serviceAccountName": found.service_account,
        "automountServiceAccountToken": found.token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": found.grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan, found)],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{name}-config"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *(
                {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
                for volume, secret, _ in found.secrets
            ),
            *found.volumes,
        ],
    }
    if found.apart_from:
        spec["affinity"] = {"podAntiAffinity": _apart(selector(plan.system, found.apart_from, found.venue))}
    if plan.settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in plan.settings.image_pull_secrets]
    return spec


def _apart(labels: dict[str, str]) -> Manifest:
    """Preferred: on one node both are still better than execution alone."""
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


_FIRST: Final = frozenset({"paper", "portfolio"})
"""What runs a new image of the platform first: nothing of a live order depends on it."""


def _platform_image(plan: Plan, found: Workload) -> str:
    """A simulator stands for a venue: an account that it forgot would be a break. It keeps the image of its making."""
    if found.service == "simulator" and found.venue in plan.observed.simulators:
        return plan.observed.simulators[found.venue]
    return plan.platform.paper if found.service in _FIRST else plan.platform.execution


def _container(plan: Plan, found: Workload) -> Manifest:
    image = found.image or _platform_image(plan, found)
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [f"ringfence.{found.service}"],
        "env": [
            _field("POD_NAME", "metadata.name"),
            _field("POD_UID", "metadata.uid"),
            _field("POD_IP", "status.podIP"),
            {"name": "RINGFENCE_IMAGE", "value": image},
        ],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in found.ports],
        "startupProbe": _probe("/livez", period_s=1, failures=60),
        "livenessProbe": _probe("/livez", period_s=10, failures=3),
        "readinessProbe": _probe("/readyz", period_s=2, failures=2),
        "resources": {
            "requests": {"cpu": found.resources.cpu, "memory": found.resources.memory},
            "limits": {"memory": found.resources.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # a service leaves its last sentence there; one that could not is quoted from its log
        "terminationMessagePath": str(contract.TERMINATION_LOG),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            mount("config", str(contract.CONFIG_FILE.parent), read_only=True),
            mount("tmp", "/tmp"),  # noqa: S108 - an emptyDir of this pod alone
            *(mount(volume, path, read_only=True) for volume, _, path in found.secrets),
            *found.mounts,
        ],
    }


def _probe(path: str, *, period_s: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def _field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

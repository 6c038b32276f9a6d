"""What a bare cluster lacks to be useful: DNS, storage, and Prometheus when it is asked for. Pure."""

import json
from pathlib import Path
from typing import Any, Final

from localnode.layout import Layout

Json = dict[str, Any]

MONITORING: Final = "monitoring"
VOLUMES: Final = {"journal": ("ReadWriteOncePod", 24), "data": ("ReadWriteOnce", 4)}
"""Name, access mode and number: the API server allows ReadWriteOncePod beside no other mode."""
STORAGE_CLASS: Final = "local"
_RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _meta(name: str, namespace: str = "", **more: Any) -> Json:
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def _rbac(name: str, namespace: str, rules: list[Json]) -> list[Json]:
    """A ServiceAccount that may read some things in the whole cluster."""
    group = "rbac.authorization.k8s.io"
    role = f"localnode:{name}"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(name, namespace)},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": _meta(role), "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _meta(role),
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def _deployment(name: str, namespace: str, labels: Json, pod: Json, annotations: Json | None = None) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(name, namespace),
        "spec": {
            "replicas": 1,
            # the old one goes first: nothing here may run twice
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": annotations or {}}, "spec": pod},
        },
    }


def coredns(layout: Layout, image: str) -> list[Json]:
    """Cluster DNS. It knows the cluster's names only: pods of this node have no way out of the machine."""
    labels = {"k8s-app": "kube-dns"}
    corefile = (
        ".:53 {\n  errors\n  health\n  ready\n"
        "  kubernetes cluster.local in-addr.arpa {\n    pods insecure\n    ttl 5\n  }\n  cache 5\n}\n"
    )
    watched = {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"]}
    verbs = {"verbs": ["list", "watch"]}
    container = {
        "name": "coredns",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]}
    return [
        *_rbac("coredns", "kube-system", [watched | verbs, slices | verbs]),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _meta("coredns", "kube-system"),
            "data": {"Corefile": corefile},
        },
        _deployment("coredns", "kube-system", labels, pod),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("kube-dns", "kube-system"),
            "spec": {"clusterIP": layout.dns_address, "selector": labels, "ports": ports},
        },
    ]


def storage_class() -> Json:
    """The default class: claims bind to the volumes below once a pod wants them."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": _meta(STORAGE_CLASS, annotations={"storageclass.kubernetes.io/is-default-class": "true"}),
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume_modes() -> dict[str, str]:
    """Every volume's name and access mode."""
    return {f"{name}-{index}": mode for name, (mode, count) in VOLUMES.items() for index in range(1, count + 1)}


def volume(layout: Layout, name: str, mode: str) -> Json:
    """One folder of the machine, offered as a volume; it keeps its content until the next `up`."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": _meta(name, labels={"app.kubernetes.io/managed-by": "localnode"}),
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": [mode],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(layout.volumes / name), "type": "Directory"},
        },
    }


def prometheus_config() -> str:
    """Scrapes every pod that asks for it, and names the series as the platform's own queries do."""
    meta = "__meta_kubernetes_pod"

    def relabel(action: str, *sources: str, **more: str) -> Json:
        return {"action": action, "source_labels": list(sources), **more}

    scrape = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            relabel("keep", f"{meta}_annotation_prometheus_io_scrape", regex="true"),
            relabel("drop", f"{meta}_phase", regex="Pending|Succeeded|Failed"),
            relabel(
                "replace",
                f"{meta}_ip",
                f"{meta}_annotation_prometheus_io_port",
                separator=":",
                regex="(.+:.+)",
                target_label="__address__",
            ),
            relabel("replace", f"{meta}_annotation_prometheus_io_path", regex="(.+)", target_label="__metrics_path__"),
            relabel("replace", "__meta_kubernetes_namespace", target_label="namespace"),
            relabel("replace", f"{meta}_name", target_label="pod"),
            {"action": "labelmap", "regex": f"{meta}_label_ringfence_dev_(system|track|service)"},
            # a pod has one entry for each of its ports: keep those that are one and the same only once
            relabel("replace", "__address__", target_label="instance"),
        ],
    }
    # JSON is YAML
    return json.dumps(
        {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
            "rule_files": ["/etc/prometheus/rules/*.yaml"],
            "scrape_configs": [scrape],
        },
        indent=1,
    )


def prometheus(image: str) -> list[Json]:
    """Prometheus as a pod. Rules come from a ConfigMap `prometheus-rules`, where there is one."""
    labels = {"app.kubernetes.io/name": "prometheus"}
    watched = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    arguments = [
        "--config.file=/etc/prometheus/config/prometheus.yaml",
        "--storage.tsdb.path=/data",
        "--storage.tsdb.retention.time=6h",
        "--web.enable-lifecycle",
    ]
    container = {
        "name": "prometheus",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "ports": [{"containerPort": 9090, "name": "http"}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
        "securityContext": _RESTRICTED,
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus/config"},
            {"name": "rules", "mountPath": "/etc/prometheus/rules"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    pod = {
        "serviceAccountName": "prometheus",
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"fsGroup": 65532},
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": "prometheus"}},
            {"name": "rules", "configMap": {"name": "prometheus-rules", "optional": True}},
            {"name": "data", "emptyDir": {}},
        ],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(MONITORING)},
        *_rbac("prometheus", MONITORING, [watched]),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _meta("prometheus", MONITORING),
            "data": {"prometheus.yaml": prometheus_config()},
        },
        _deployment("prometheus", MONITORING, labels, pod),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("prometheus", MONITORING),
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 9090, "targetPort": 9090}]},
        },
    ]


def program_images(programs: Path, with_prometheus: bool) -> dict[str, Path]:
    """The programs that run as pods."""
    names = ["pause", "coredns", *(["prometheus"] if with_prometheus else [])]
    return {name: programs / name for name in names}

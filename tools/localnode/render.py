"""The configuration files of a node, as text. Pure: a layout in, a document out.

JSON is YAML, and the standard library writes it; a person reads these files only when something is wrong.
"""

import base64
import json
from typing import Any

from localnode.layout import Layout


def _document(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def kubeconfig(layout: Layout, user: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    """A kubeconfig that carries its certificates, so that it can be copied elsewhere."""

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    cluster = {"server": layout.api_url, "certificate-authority-data": encoded(authority)}
    identity = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    name = layout.context
    return _document(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": f"{name}-{user}", "user": identity}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-{user}"}}],
            "current-context": name,
        }
    )


def kubelet(layout: Layout) -> str:
    """The kubelet's configuration."""
    pki = layout.pki
    return _document(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet.key"),
            "containerRuntimeEndpoint": f"unix://{layout.socket}",
            "cgroupDriver": "cgroupfs",
            # without a root of its own, two kubelets would each end the other's pods as orphans
            "cgroupRoot": f"/{layout.cgroup}",
            "podLogsDir": str(layout.pod_logs),
            "resolvConf": str(layout.config / "resolv.conf"),
            "failSwapOn": False,
            # lowering it needs CAP_SYS_RESOURCE, which not every container that we run in has
            "oomScoreAdj": 0,
            "enforceNodeAllocatable": [],
            "clusterDNS": [layout.dns_address],
            "clusterDomain": "cluster.local",
            # our images come from archives, and nothing could pull them again
            "imageMinimumGCAge": "24h",
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "maxPods": 200,
            "registerNode": True,
            "serializeImagePulls": False,
            # a person watches: report at once what has changed
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
            "configMapAndSecretChangeDetectionStrategy": "Watch",
        }
    )


def containerd(layout: Layout, pause_image: str) -> str:
    """containerd's configuration: everything under our own folders, so that another containerd is untouched."""
    disabled = ["btrfs", "zfs", "aufs", "devmapper"]
    plugins = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in disabled)
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{layout.containerd}"
state = "{layout.containerd_state}"
disabled_plugins = [{plugins}]
[grpc]
  address = "{layout.socket}"
[{cri}]
  sandbox_image = "{pause_image}"
  disable_hugetlb_controller = true
  # runc fails with "can't get final child's PID from pipe" where CAP_SYS_RESOURCE is missing
  restrict_oom_score_adj = true
  # stale namespaces are then found and unmounted with everything else of this node
  netns_mounts_under_state_dir = true
  [{cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [{cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [{cri}.containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{layout.run}/runc"
  [{cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.cni}"
"""


def cni(layout: Layout) -> str:
    """The pod network: a routed cable for each pod. No bridge, so no br_netfilter module is needed."""
    address = {
        "type": "host-local",
        "dataDir": str(layout.run / "addresses"),
        "ranges": [[{"subnet": layout.pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": address},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return _document({"cniVersion": "0.4.0", "name": layout.context, "plugins": plugins})


def resolv_conf(host: str) -> str:
    """The host's, without servers on its loopback: they do not answer in a pod."""
    kept = [line for line in host.splitlines() if line.split()[:1] == ["nameserver"] and " 127." not in line]
    return "\n".join([*kept[:3], ""])

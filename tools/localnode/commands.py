"""The command line of every process of a node. Pure."""

from dataclasses import dataclass
from pathlib import Path

from localnode.layout import Layout


@dataclass(frozen=True)
class Process:
    """One process: its name, what runs, and whether it lives in the node's network namespace."""

    name: str
    words: tuple[str, ...]
    isolated: bool = True

    def command(self, layout: Layout) -> list[str]:
        # nsenter becomes the program, so the process id stays; `ip netns exec` would also give each process mounts of
        # its own, and containerd could not see what the kubelet mounts
        prefix = ["nsenter", f"--net={layout.netns_path}", "--"] if self.isolated and layout.sort == "node" else []
        return [*prefix, *self.words]


def etcd(layout: Layout, programs: Path) -> Process:
    peer = f"http://127.0.0.1:{layout.ports.etcd_peer}"
    words = (
        *(str(programs / "etcd"), "--name", layout.name, "--data-dir", str(layout.etcd)),
        *("--listen-client-urls", layout.etcd_url, "--advertise-client-urls", layout.etcd_url),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"{layout.name}={peer}"),
        # a disk that waits would slow every write of a cluster that nobody keeps for long
        *("--unsafe-no-fsync", "--log-level", "warn"),
    )
    return Process("etcd", words)


def apiserver(layout: Layout, programs: Path) -> Process:
    pki = layout.pki
    words = [
        *(str(programs / "kube-apiserver"), "--etcd-servers", layout.etcd_url),
        *("--secure-port", str(layout.ports.api), "--advertise-address", layout.address),
        *("--bind-address", "127.0.0.1" if layout.sort == "control-plane" else "0.0.0.0"),  # noqa: S104 - in its own network
        *("--service-cluster-ip-range", layout.service_cidr),
        *("--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"),
        *("--allow-privileged=true", "--profiling=false"),
        *("--client-ca-file", str(pki / "ca.crt")),
        *("--tls-cert-file", str(pki / "apiserver.crt"), "--tls-private-key-file", str(pki / "apiserver.key")),
        *("--service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        *("--service-account-key-file", str(pki / "sa.pub"), "--service-account-signing-key-file", str(pki / "sa.key")),
        *("--kubelet-client-certificate", str(pki / "admin.crt"), "--kubelet-client-key", str(pki / "admin.key")),
        *("--kubelet-certificate-authority", str(pki / "ca.crt")),
        *("--kubelet-preferred-address-types", "InternalIP"),
        *("--shutdown-delay-duration", "0s", "--shutdown-watch-termination-grace-period", "0s"),
    ]
    if layout.sort == "control-plane":
        # nobody runs the controllers that create it, and 127.0.0.1 may not be an endpoint
        words += ["--disable-admission-plugins", "ServiceAccount", "--endpoint-reconciler-type", "none"]
    return Process("kube-apiserver", tuple(words))


def containerd(layout: Layout) -> Process:
    return Process("containerd", ("containerd", "--config", str(layout.config / "containerd.toml")))


def controller_manager(layout: Layout, programs: Path) -> Process:
    pki = layout.pki
    words = (
        *(str(programs / "kube-controller-manager"), *_control_plane_flags(layout, "controller-manager")),
        *("--service-account-private-key-file", str(pki / "sa.key"), "--root-ca-file", str(pki / "ca.crt")),
        *("--use-service-account-credentials=true", "--allocate-node-cidrs=true"),
        *("--cluster-cidr", layout.pod_cidr, "--service-cluster-ip-range", layout.service_cidr),
        *("--cluster-signing-cert-file", str(pki / "ca.crt"), "--cluster-signing-key-file", str(pki / "ca.key")),
    )
    return Process("kube-controller-manager", words)


def scheduler(layout: Layout, programs: Path) -> Process:
    return Process("kube-scheduler", (str(programs / "kube-scheduler"), *_control_plane_flags(layout, "scheduler")))


def _control_plane_flags(layout: Layout, user: str) -> tuple[str, ...]:
    path = str(layout.kubeconfig(user))
    return (
        *("--kubeconfig", path, "--authentication-kubeconfig", path, "--authorization-kubeconfig", path),
        *("--leader-elect=false", "--bind-address", "127.0.0.1", "--profiling=false"),
        # at the default of 20 a second, the controllers' own accounts alone take five seconds to create
        *("--kube-api-qps", "300", "--kube-api-burst", "500"),
    )


def kubelet(layout: Layout, programs: Path) -> Process:
    words = (
        *(str(programs / "kubelet"), "--config", str(layout.config / "kubelet.yaml")),
        *("--kubeconfig", str(layout.kubeconfig("kubelet")), "--root-dir", str(layout.kubelet)),
        *("--hostname-override", layout.node, "--node-ip", layout.address),
    )
    return Process("kubelet", words)


def proxy(layout: Layout, programs: Path) -> Process:
    words = (
        *(str(programs / "kube-proxy"), "--kubeconfig", str(layout.kubeconfig("proxy"))),
        *("--proxy-mode", "iptables", "--cluster-cidr", layout.pod_cidr, "--hostname-override", layout.node),
        *("--oom-score-adj", "0", "--iptables-min-sync-period", "0s"),
        # these sysctls belong to the host, and are not ours to change
        *("--conntrack-max-per-core", "0", "--conntrack-tcp-timeout-established", "0"),
        *("--conntrack-tcp-timeout-close-wait", "0", "--iptables-localhost-nodeports=false"),
    )
    return Process("kube-proxy", words)


NODE_ORDER = (
    *("etcd", "kube-apiserver", "containerd"),
    *("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
)
CONTROL_PLANE_ORDER = ("etcd", "kube-apiserver")


def expected(layout: Layout) -> tuple[str, ...]:
    """The names of the processes that must live, in the order in which they start."""
    return NODE_ORDER if layout.sort == "node" else CONTROL_PLANE_ORDER

"""What a node is built from: the pinned versions, and how each program is compiled. Pure, apart from reading go.mod.

The versions live in the committed go.mod files, and are repeated here only where a linker flag needs them; a test
compares the two.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnode.errors import LocalNodeError

MODULES: Final = Path(__file__).parent / "modules"
KUBERNETES_VERSION: Final = "1.34.4"
ETCD_VERSION: Final = "3.6.4"
COREDNS_VERSION: Final = "1.12.3"
HELM_VERSION: Final = "4.3.0"
PROMETHEUS_VERSION: Final = "3.15.0"
PROMETHEUS_MODULE_VERSION: Final = "0.315.0"
"""Prometheus numbers its Go module apart from its releases."""

VERSIONS: Final = {
    "kubernetes": KUBERNETES_VERSION,
    "etcd": ETCD_VERSION,
    "coredns": COREDNS_VERSION,
    "helm": HELM_VERSION,
    "prometheus": PROMETHEUS_VERSION,
}


@dataclass(frozen=True)
class Component:
    """One program: the module folder that pins it, its main package, and what the linker and compiler are told."""

    name: str
    module: str
    package: str
    variables: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables)])


def _kubernetes(name: str) -> Component:
    # without these the server calls itself v0.0.0-master, and Helm's kubeVersion checks fail
    base = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    said = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    variables = tuple((f"{base}.{key}", value) for key, value in said.items())
    return Component(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", variables)


def _prometheus(name: str) -> Component:
    # all other discoveries pull in the clients of twenty clouds
    tags = ("netgo", "remove_all_sd", "enable_kubernetes_sd")
    said = (("github.com/prometheus/common/version.Version", PROMETHEUS_VERSION),)
    return Component(name, "prometheus", f"github.com/prometheus/prometheus/cmd/{name}", said, tags)


COMPONENTS: Final = {
    component.name: component
    for component in (
        Component("etcd", "kubernetes", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kubectl"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        Component("coredns", "coredns", "."),
        Component("pause", "pause", "."),
        Component(
            "helm",
            "helm",
            "helm.sh/helm/v4/cmd/helm",
            (("helm.sh/helm/v4/internal/version.version", f"v{HELM_VERSION}"),),
        ),
        _prometheus("prometheus"),
        _prometheus("promtool"),
    )
}

GROUPS: Final = {
    "control-plane": ("etcd", "kube-apiserver", "kubectl"),
    "node": tuple(name for name in COMPONENTS if name not in {"prometheus", "promtool"}),
    "prometheus": ("prometheus", "promtool"),
    "all": tuple(COMPONENTS),
}
"""What people ask for by one word."""


def select(words: list[str] | tuple[str, ...]) -> list[Component]:
    """The components that group and program names stand for, each once, in the order of the table."""
    chosen: set[str] = set()
    for word in words:
        if word in GROUPS:
            chosen.update(GROUPS[word])
        elif word in COMPONENTS:
            chosen.add(word)
        else:
            known = ", ".join([*GROUPS, *COMPONENTS])
            raise LocalNodeError(f"nothing is called {word!r}", f"choose from {known}")
    return [component for name, component in COMPONENTS.items() if name in chosen]


def cache_key(modules: Path = MODULES) -> str:
    """Changes whenever a version, a pinned dependency or a source of ours does."""
    digest = hashlib.sha256()
    for path in sorted(modules.glob("*/*")):
        digest.update(f"{path.relative_to(modules)}\0".encode())
        digest.update(path.read_bytes())
    for component in COMPONENTS.values():
        digest.update(repr(component).encode())
    return f"{KUBERNETES_VERSION}-{digest.hexdigest()[:12]}"

"""Where everything of one node lives: paths, names and addresses, all derived from its name and its slot.

Pure: two nodes on one machine cannot meet, because nothing that they use is written anywhere but here.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from localnode.errors import LocalNodeError

DEFAULT_NAME: Final = "demo"
SLOTS: Final = 12
"""Pod networks are 10.244 to 10.255: one second octet for each slot."""

Sort = Literal["node", "control-plane"]
_INTERFACE_LENGTH: Final = 15
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")


def checked_name(name: str) -> str:
    """``name``, if it can be part of a host name, a cgroup and a path."""
    if not _NAME.fullmatch(name):
        raise LocalNodeError(f"{name!r} is no name for a node", "use up to 20 lower-case letters, digits and hyphens")
    return name


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads and builds are kept: never inside the repository."""
    if found := environment.get("RINGFENCE_CACHE"):
        return Path(found).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ringfence"


def roots(sort: Sort, environment: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
    """The folders that hold every node's state and every node's sockets."""
    if found := environment.get("RINGFENCE_STATE"):
        base = Path(found).expanduser().absolute()
        return base / sort, base / "run" / sort
    if sort == "node":
        return Path("/var/lib/ringfence/node"), Path("/run/ringfence/node")
    # a control plane needs no root, so it must not need a root's folders either
    base = cache_root(environment) / "control-plane"
    return base, base


@dataclass(frozen=True)
class Ports:
    """Where a control plane without a network of its own listens."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380


@dataclass(frozen=True)
class Layout:
    """One node. The slot is its number among the nodes of this machine; a control plane needs none."""

    name: str
    sort: Sort
    state: Path
    run: Path
    slot: int = 0
    ports: Ports = Ports()

    # names
    @property
    def node(self) -> str:
        return f"rf-{self.name}"

    @property
    def context(self) -> str:
        return f"ringfence-{self.name}"

    @property
    def netns(self) -> str:
        return self.node

    @property
    def netns_path(self) -> Path:
        return Path("/run/netns") / self.netns

    @property
    def link(self) -> str:
        """The host's end of the cable, 15 characters at most.

        Named after the node and not its slot: what is removed may depend on nothing but the name, because the slot
        of a node that never started is some other node's.
        """
        if len(self.node) <= _INTERFACE_LENGTH:
            return self.node
        return f"rf{hashlib.sha256(self.name.encode()).hexdigest()[: _INTERFACE_LENGTH - 2]}"

    @property
    def cgroup(self) -> str:
        return f"ringfence-{self.name}"

    # addresses
    @property
    def address(self) -> str:
        """Where the node answers, as seen from the host and from its pods."""
        return "127.0.0.1" if self.sort == "control-plane" else f"10.95.{self.slot}.2"

    @property
    def host_address(self) -> str:
        return f"10.95.{self.slot}.1"

    @property
    def link_cidr(self) -> str:
        return f"10.95.{self.slot}.0/30"

    @property
    def pod_cidr(self) -> str:
        return f"10.{244 + self.slot}.0.0/24"

    @property
    def service_cidr(self) -> str:
        return f"10.{96 + self.slot}.0.0/16"

    @property
    def service_address(self) -> str:
        return f"10.{96 + self.slot}.0.1"

    @property
    def dns_address(self) -> str:
        return f"10.{96 + self.slot}.0.10"

    @property
    def api_url(self) -> str:
        return f"https://{self.address}:{self.ports.api}"

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.etcd}"

    # files that live as long as the node
    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def settings(self) -> Path:
        """What was chosen at the first start: slot and ports."""
        return self.state / "node.json"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.config / f"{user}.kubeconfig"

    # files that a reboot may take
    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @cached_property
    def socket(self) -> Path:
        path = self.run / "containerd.sock"
        if len(str(path)) > 100:
            raise LocalNodeError(f"{path} is too long for a socket", "set RINGFENCE_STATE to a shorter path")
        return path

    @property
    def containerd_state(self) -> Path:
        return self.run / "containerd"

    @property
    def cni(self) -> Path:
        return self.run / "cni"


def layout(
    name: str,
    sort: Sort = "node",
    slot: int = 0,
    ports: Ports | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Layout:
    """The layout of node ``name``."""
    state, run = roots(sort, environment)
    return Layout(checked_name(name), sort, state / name, run / name, slot, ports or Ports())

"""What a node needs from the machine: checked before anything starts, and installed where we may."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localnode.errors import LocalNodeError
from localnode.layout import Sort
from localnode.progress import step
from localnode.shell import program, run

CNI: Final = Path("/usr/lib/cni")


@dataclass(frozen=True)
class Need:
    """One program or file and the Debian package that brings it."""

    what: str
    package: str
    path: Path | None = None

    def is_met(self) -> bool:
        return self.path.exists() if self.path is not None else program(self.what) is not None


CONTROL_PLANE: Final = (Need("openssl", "openssl"),)
NODE: Final = (
    *CONTROL_PLANE,
    Need("containerd", "containerd"),
    Need("ctr", "containerd"),
    Need("runc", "runc"),
    Need("CNI plugin ptp", "containernetworking-plugins", CNI / "ptp"),
    Need("CNI plugin host-local", "containernetworking-plugins", CNI / "host-local"),
    Need("iptables", "iptables"),
    Need("conntrack", "conntrack"),
    Need("ip", "iproute2"),
    Need("nsenter", "util-linux"),
    Need("mount", "mount"),
)
IMAGES: Final = (Need("mmdebstrap", "mmdebstrap"),)


def packages(needs: tuple[Need, ...], is_met: Callable[[Need], bool] = Need.is_met) -> list[str]:
    """The packages that are missing, each once."""
    return list(dict.fromkeys(need.package for need in needs if not is_met(need)))


def needs_of(sort: Sort) -> tuple[Need, ...]:
    return NODE if sort == "node" else CONTROL_PLANE


def check_rights(sort: Sort, user: int | None = None) -> None:
    """Whether this user may make or remove such a thing."""
    if sys.platform != "linux":
        raise LocalNodeError("a local node needs Linux", "use kind: https://kind.sigs.k8s.io")
    if sort == "node" and (os.geteuid() if user is None else user) != 0:
        raise LocalNodeError(
            "a node needs root: it makes network namespaces, mounts and cgroups",
            "run it with sudo, or `up --control-plane` for an API server without nodes, which needs none",
        )


def check(sort: Sort, is_met: Callable[[Need], bool] = Need.is_met) -> None:
    """Everything that is missing, in one sentence and with one remedy."""
    if missing := packages(needs_of(sort), is_met):
        raise LocalNodeError(f"missing on this machine: {', '.join(missing)}", f"apt-get install {' '.join(missing)}")


def install(sort: Sort = "node") -> list[str]:
    """Install what is missing by apt-get, for images too where there can be pods; returns the packages."""
    missing = packages((*NODE, *IMAGES) if sort == "node" else CONTROL_PLANE)
    if not missing:
        return []
    asked = f"apt-get install {' '.join(missing)}"
    if shutil.which("apt-get") is None:
        raise LocalNodeError(
            f"missing on this machine: {', '.join(missing)}, and there is no apt-get", f"like `{asked}`"
        )
    if os.geteuid() != 0:
        raise LocalNodeError("installing packages needs root", f"sudo {asked}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    with step(f"installing {' '.join(missing)}"):
        run("apt-get", "update", "-q", limit_s=300)
        # services that the packages bring may not start everywhere, and none of them is wanted
        options = ["--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
        run("apt-get", "install", "-y", "-q", *options, *missing, limit_s=900)
    return missing

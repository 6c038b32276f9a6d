"""Which cluster a person gets: a context that they named, else kind where Docker runs, else our own local node.

Never reads or writes the current context of a kubeconfig: every command carries its own.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import localnode

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = Path(os.environ.get("RINGFENCE_CACHE", Path.home() / ".cache" / "ringfence"))


class ClusterError(RuntimeError):
    """No cluster, or a command against it failed; the message carries what it printed."""


@dataclass(frozen=True)
class Cluster:
    """A cluster and the exact programs and context that reach it."""

    sort: Literal["local", "kind", "named"]
    name: str
    kubeconfig: Path
    context: str
    kubectl_binary: Path
    helm_binary: Path

    def kubectl_command(self, *arguments: str) -> list[str]:
        return [str(self.kubectl_binary), "--kubeconfig", str(self.kubeconfig), "--context", self.context, *arguments]

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl; returns standard output. Raises ClusterError with standard error."""
        return run(self.kubectl_command(*arguments), stdin=stdin, timeout_s=timeout_s)

    def helm(self, *arguments: str, timeout_s: float = 300) -> str:
        where = ["--kubeconfig", str(self.kubeconfig), "--kube-context", self.context]
        return run([str(self.helm_binary), *where, *arguments], timeout_s=timeout_s)

    def shell_hint(self) -> str:
        """What to type so that plain ``kubectl`` means this cluster."""
        if self.sort == "local":
            return f"export KUBECONFIG={self.kubeconfig} PATH={self.kubectl_binary.parent}:$PATH"
        return f"export KUBECONFIG={self.kubeconfig}; kubectl config use-context {self.context}"


def run(command: list[str], stdin: str | None = None, timeout_s: float = 600, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(command[:6])} ... took longer than {timeout_s:.0f} s") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def docker_runs() -> bool:
    """A client alone is not enough: only an engine that answers can host kind."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def obtain(name: str, context: str | None = None) -> Cluster:
    """The cluster to use. Creates kind or local node ``name`` where none was named."""
    if context is not None:
        return _named(context)
    if docker_runs() and shutil.which("kind"):
        return _kind(name)
    return _local(name)


def existing(name: str, context: str | None = None) -> Cluster | None:
    """The same without creating anything."""
    if context is not None:
        return _named(context)
    if docker_runs() and shutil.which("kind") and name in run(["kind", "get", "clusters"]).split():
        return _kind(name)
    info = localnode.status(name)
    return None if info.state == "absent" else _from_node(info)


def remove(cluster: Cluster) -> None:
    """Remove a cluster that `obtain` created; a named one is left alone."""
    match cluster.sort:
        case "kind":
            run(["kind", "delete", "cluster", "--name", cluster.name, "--kubeconfig", str(cluster.kubeconfig)])
            cluster.kubeconfig.unlink(missing_ok=True)
        case "local":
            localnode.down(cluster.name)
        case "named":
            pass


def _named(context: str) -> Cluster:
    kubeconfig = Path(os.environ.get("KUBECONFIG", Path.home() / ".kube" / "config"))
    return Cluster("named", context, kubeconfig, context, _program("kubectl"), _program("helm"))


def _kind(name: str) -> Cluster:
    kubeconfig = CACHE / f"kind-{name}.kubeconfig"
    kubeconfig.parent.mkdir(parents=True, exist_ok=True)
    if name not in run(["kind", "get", "clusters"]).split():
        run(["kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", "120s"])
    else:
        run(["kind", "export", "kubeconfig", "--name", name, "--kubeconfig", str(kubeconfig)])
    return Cluster("kind", name, kubeconfig, f"kind-{name}", _program("kubectl"), _program("helm"))


def _local(name: str) -> Cluster:
    try:
        return _from_node(localnode.up(name, install=os.geteuid() == 0))
    except localnode.LocalNodeError as error:
        raise ClusterError(f"no Docker with kind, and no node of our own: {error}") from error


def _program(name: str) -> Path:
    """From PATH, else built as the local node's own."""
    found = shutil.which(name)
    return Path(found) if found else localnode.binary(name)


def _from_node(info: "localnode.NodeInfo") -> Cluster:
    return Cluster("local", info.name, info.kubeconfig, info.context, info.kubectl, info.helm)

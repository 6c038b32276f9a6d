"""What is remembered of a node between commands, and what can be seen of it now."""

import fcntl
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from localnode import builder, commands, components, network, supervise
from localnode.api import Api
from localnode.layout import SLOTS, Layout, Ports, Sort, layout, roots

State = Literal["running", "degraded", "stopped", "absent"]


@dataclass(frozen=True)
class ProcessInfo:
    """One process of a node."""

    name: str
    pid: int
    alive: bool


@dataclass(frozen=True)
class NodeInfo:
    """A node, and everything that is needed to use it."""

    name: str
    sort: Sort
    state: State
    kubeconfig: Path
    context: str
    kubectl: Path
    helm: Path
    api_url: str
    address: str
    node: str
    pod_cidr: str
    service_cidr: str
    dns: str
    logs: Path
    state_dir: Path
    versions: dict[str, str]
    processes: tuple[ProcessInfo, ...]
    prometheus: bool = False

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self.processes if process.alive}

    def as_json(self) -> dict[str, Any]:
        """For programs: paths as text."""
        plain = asdict(self) | {"pids": self.pids, "running": self.running}
        return {key: str(value) if isinstance(value, Path) else value for key, value in plain.items()}


@dataclass(frozen=True)
class Settings:
    """What was decided when the node first started."""

    slot: int = 0
    ports: Ports = field(default_factory=Ports)
    programs: str = ""
    prometheus: bool = False


def read_settings(folder: Path) -> Settings | None:
    try:
        found = json.loads((folder / "node.json").read_text())
        return Settings(int(found["slot"]), Ports(**found["ports"]), str(found["programs"]), bool(found["prometheus"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_settings(where: Layout, settings: Settings) -> None:
    where.state.mkdir(parents=True, exist_ok=True)
    unfinished = where.settings.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(settings), indent=1) + "\n")
    unfinished.replace(where.settings)


def known(name: str, sort: Sort) -> tuple[Layout, Settings | None]:
    """The layout that a node was started with; the default one where it never was."""
    bare = layout(name, sort)
    settings = read_settings(bare.state)
    if settings is None:
        return bare, None
    return replace(bare, slot=settings.slot, ports=settings.ports), settings


def names(sort: Sort) -> list[str]:
    """Every node that has been started and not been taken down."""
    root, _ = roots(sort)
    if not root.is_dir():
        return []
    return sorted(entry.name for entry in root.iterdir() if (entry / "node.json").is_file())


@contextmanager
def exclusive(name: str, sort: Sort) -> Iterator[None]:
    """One command at a time for each node."""
    _, root = roots(sort)
    with builder.locked(root / f".{name}.lock", f"another command on {name}"):
        yield


@contextmanager
def _choosing(sort: Sort) -> Iterator[None]:
    root, _ = roots(sort)
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".slots.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def reserve(name: str, sort: Sort, programs: Path, prometheus: bool) -> Layout:
    """The layout to start with: the slot that the node holds already, else the first free one, and free ports."""
    with _choosing(sort):
        where, settings = known(name, sort)
        if sort == "control-plane":
            where = replace(where, ports=_free_ports())
        elif settings is None:
            taken = {found.slot for other in names(sort) if (found := known(other, sort)[1]) is not None}
            candidates = [layout(name, sort, slot) for slot in range(SLOTS)]
            where = candidates[network.choose_slot(name, taken, candidates, network.host_routes())]
        write_settings(where, Settings(where.slot, where.ports, str(programs), prometheus))
    return where


def _free_ports() -> Ports:
    """Three ports that nobody holds; all are held open until all are known, so that they differ."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in sockets))
    finally:
        for each in sockets:
            each.close()


def describe(where: Layout, settings: Settings | None) -> NodeInfo:
    """What can be seen of a node now, without changing anything."""
    found = [
        ProcessInfo(running.name, running.pid, running.alive)
        for name in commands.expected(where)
        if (running := supervise.find(where, name)) is not None
    ]
    alive = [process for process in found if process.alive]
    if settings is None and not alive:
        state: State = "absent"
    elif not alive:
        state = "stopped"
    elif len(alive) == len(commands.expected(where)) and Api(where, limit_s=3).is_ready():
        state = "running"
    else:
        state = "degraded"
    programs = Path(settings.programs) if settings is not None and settings.programs else builder.bin_dir()
    return NodeInfo(
        name=where.name,
        sort=where.sort,
        state=state,
        kubeconfig=where.kubeconfig(),
        context=where.context,
        kubectl=programs / "kubectl",
        helm=programs / "helm",
        api_url=where.api_url,
        address=where.address,
        node=where.node if where.sort == "node" else "",
        pod_cidr=where.pod_cidr if where.sort == "node" else "",
        service_cidr=where.service_cidr,
        dns=where.dns_address if where.sort == "node" else "",
        logs=where.logs,
        state_dir=where.state,
        versions=dict(components.VERSIONS),
        processes=tuple(found),
        prometheus=settings is not None and settings.prometheus,
    )

"""Brings a node up and takes it down. Everything here may be called at any time, after any crash.

`up` has one path: if the node is not whole, clear what is left of it and start; a first start finds nothing to clear.
"""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from localnode import (
    builder,
    cgroups,
    commands,
    deps,
    manifests,
    mounts,
    network,
    pki,
    render,
    runtime,
    state,
    supervise,
    volumes,
)
from localnode.api import Api, Refused, dns_answers
from localnode.errors import LocalNodeError, StartError
from localnode.layout import DEFAULT_NAME, Layout, Sort
from localnode.progress import say, step
from localnode.state import NodeInfo

_PATIENCE_S: Final = 0.5
_START_S: Final = 60.0
_ANSWER_S: Final = 20.0
_PROVEN_NAME: Final = "kubernetes.default.svc.cluster.local"


def up(
    name: str = DEFAULT_NAME, *, control_plane: bool = False, prometheus: bool = False, install: bool = False
) -> NodeInfo:
    """A running node of that name: as it is when it is whole, else started anew with what it had stored.

    With ``control_plane`` there are etcd and the API server alone: no pods, no garbage collection, and namespaces that
    are deleted stay Terminating. ``install`` lets apt-get bring what is missing.
    """
    sort: Sort = "control-plane" if control_plane else "node"
    deps.check_rights(sort)
    if install:
        deps.install(sort)
    deps.check(sort)
    with state.exclusive(name, sort):
        where, settings = state.known(name, sort)
        prometheus = prometheus or (settings is not None and settings.prometheus)
        if settings is not None and _is_whole(where):
            programs = Path(settings.programs)
            _refresh(where, settings, programs, prometheus)
        else:
            wanted = ["control-plane"] if control_plane else ["node", *(["prometheus"] if prometheus else [])]
            programs = builder.build(wanted)
            kept = where.etcd.is_dir()
            _clear(where)
            where = state.reserve(name, sort, programs, prometheus)
            with step(f"starting {sort} {name}"):
                _start_or_forget(where, programs, prometheus, kept)
        return state.describe(*state.known(name, sort))


def _refresh(where: Layout, settings: state.Settings, programs: Path, prometheus: bool) -> None:
    """What each `up` renews on a node that runs."""
    if where.sort == "control-plane":
        return
    api = Api(where)
    volumes.ensure(where, api)
    if prometheus:
        # from this checkout's programs: an earlier `up` may not have built it
        _run_prometheus(where, api, builder.build(["prometheus"]))
        state.write_settings(where, state.Settings(settings.slot, settings.ports, str(programs), prometheus))


def _start_or_forget(where: Layout, programs: Path, prometheus: bool, kept: bool) -> None:
    """Start with the stored objects; once more without, where etcd refuses them: a crash can ruin its files.

    Being slow is no such refusal: then nothing is thrown away.
    """
    begin = _start_node if where.sort == "node" else _start_control_plane
    try:
        begin(where, programs, prometheus)
    except StartError:
        etcd = supervise.find(where, "etcd")
        refused = etcd is not None and not etcd.alive
        _clear(where)
        if not (kept and refused):
            raise
        say(f"etcd cannot read what {where.name} had stored: starting without ({where.logs / 'etcd.log.1'})")
        shutil.rmtree(where.etcd, ignore_errors=True)
        begin(where, programs, prometheus)


def _configure(where: Layout) -> None:
    """Certificates and kubeconfigs: what both sorts need."""
    pki.ensure(where)
    where.config.mkdir(parents=True, exist_ok=True)
    authority = (where.pki / "ca.crt").read_bytes()
    for user in ("admin", "controller-manager", "scheduler", "kubelet", "proxy"):
        certificate = where.pki / f"{user}.crt"
        if certificate.exists():
            key = certificate.with_suffix(".key").read_bytes()
            path = where.kubeconfig(user)
            path.touch(mode=0o600)
            path.write_text(render.kubeconfig(where, user, authority, certificate.read_bytes(), key))


def _start_control_plane(where: Layout, programs: Path, _: bool = False) -> None:
    _configure(where)
    for process in (commands.etcd(where, programs), commands.apiserver(where, programs)):
        supervise.start(where, process)
    api = Api(where)
    supervise.wait_for(where, "the API server", api.is_ready, _START_S, commands.expected(where))
    # nothing else creates it here, and clients expect it
    supervise.wait_for(where, "the default namespace", lambda: api.get("/api/v1/namespaces/default") is not None, 10)


def _start_node(where: Layout, programs: Path, prometheus: bool) -> None:
    begun = datetime.now(UTC).replace(microsecond=0)  # sim-ok: compared with the node's own heartbeat
    _configure(where)
    network.setup(where)
    cgroups.setup(where)
    pause = runtime.program_reference(programs / "pause")
    _write_node_files(where, pause)
    for process in (
        commands.etcd(where, programs),
        commands.apiserver(where, programs),
        commands.containerd(where),
    ):
        supervise.start(where, process)
    api = Api(where)
    with ThreadPoolExecutor(1) as pool:
        # the API server needs two seconds; images are in by then
        loading = pool.submit(_load_images, where, programs, prometheus)
        supervise.wait_for(where, "the API server", api.is_ready, _START_S, ("etcd", "kube-apiserver"))
        # these end themselves if they start before the API server has its first roles
        for process in (commands.controller_manager(where, programs), commands.scheduler(where, programs)):
            supervise.start(where, process)
        supervise.start(where, commands.proxy(where, programs))
        images = loading.result()
    supervise.start(where, commands.kubelet(where, programs))
    for manifest in manifests.coredns(where, images["coredns"]):
        api.apply(manifest)
    volumes.ensure(where, api)
    watched = commands.expected(where)
    supervise.wait_for(where, "the node to be Ready", lambda: _is_node_ready(where, api, begun), _START_S, watched)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    supervise.wait_for(where, "the default ServiceAccount", lambda: api.get(account) is not None, _START_S, watched)
    supervise.wait_for(where, "cluster DNS", lambda: dns_answers(where.dns_address, _PROVEN_NAME), _START_S, watched)
    if prometheus:
        _run_prometheus(where, api, programs)


def _write_node_files(where: Layout, pause: str) -> None:
    for folder in (where.cni, where.kubelet, where.pod_logs, where.containerd):
        folder.mkdir(parents=True, exist_ok=True)
    (where.config / "containerd.toml").write_text(render.containerd(where, pause))
    (where.config / "kubelet.yaml").write_text(render.kubelet(where))
    try:
        host = Path("/etc/resolv.conf").read_text()
    except OSError:
        host = ""
    (where.config / "resolv.conf").write_text(render.resolv_conf(host))
    (where.cni / "10-ringfence.conflist").write_text(render.cni(where))


def _load_images(where: Layout, programs: Path, prometheus: bool) -> dict[str, str]:
    supervise.wait_for(where, "containerd", lambda: runtime.is_serving(where), 30, ("containerd",))
    present = runtime.images(where)
    wanted = manifests.program_images(programs, prometheus)
    return {name: runtime.load_program(where, path, present) for name, path in wanted.items()}


def _run_prometheus(where: Layout, api: Api, programs: Path) -> None:
    image = runtime.load_program(where, programs / "prometheus", runtime.images(where))
    for manifest in manifests.prometheus(image):
        api.apply(manifest)
    path = f"/apis/apps/v1/namespaces/{manifests.MONITORING}/deployments/prometheus"
    supervise.wait_for(where, "Prometheus", lambda: _is_available(api.get(path)), _START_S, commands.expected(where))


def _condition(found: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return next((dict(entry) for entry in conditions if entry["type"] == kind), {})


def _is_available(deployment: dict[str, Any] | None) -> bool:
    observed = ((deployment or {}).get("status") or {}).get("observedGeneration", 0)
    current = ((deployment or {}).get("metadata") or {}).get("generation", 1)
    return bool(observed >= current and _condition(deployment, "Available").get("status") == "True")


def _is_node_ready(where: Layout, api: Api, since: datetime | None) -> bool:
    """Ready, and said so since ``since``: the store still holds what it said before a crash."""
    try:
        ready = _condition(api.get(f"/api/v1/nodes/{where.node}"), "Ready")
    except (OSError, Refused):
        return False
    if ready.get("status") != "True":
        return False
    return since is None or datetime.fromisoformat(ready["lastHeartbeatTime"]) >= since


def _is_whole(where: Layout) -> bool:
    """Whether every part of a node lives and does its work.

    What is dead is known at once. What lives may only be slow on a busy machine, and a restart would hurt its pods.
    """
    for name in commands.expected(where):
        running = supervise.find(where, name)
        if running is None or not running.alive:
            return False
    api = Api(where, limit_s=5)
    if where.sort == "control-plane":
        return _within(_ANSWER_S, api.is_ready)
    return network.exists(where) and _within(
        _ANSWER_S,
        lambda: api.is_ready() and _is_node_ready(where, api, None) and dns_answers(where.dns_address, _PROVEN_NAME, 2),
    )


def _within(limit_s: float, condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + limit_s  # sim-ok: waits for real processes
    while not condition():
        if time.monotonic() > until:  # sim-ok: waits for real processes
            return False
        time.sleep(0.05)
    return True


def _clear(where: Layout, *, gently: bool = False) -> None:
    """End and remove whatever of a node is there, but for what it has stored. Each part may be missing."""
    # the API server would hold its port for a minute if it were asked nicely
    order = [name for name in reversed(commands.expected(where)) if name != "containerd"]
    supervise.stop(where, order, _PATIENCE_S if gently else 0)
    if where.sort == "control-plane":
        shutil.rmtree(where.pids, ignore_errors=True)
        return
    traces = runtime.traces(where)
    cgroups.teardown(where)
    if runtime.is_serving(where):
        runtime.remove_containers(where)
    supervise.stop(where, ["containerd"], _PATIENCE_S)
    runtime.kill_shims(where)
    network.teardown(where)
    mounts.unmount_below(where.state, where.run)
    if left := mounts.below([where.state, where.run], Path("/proc/mounts").read_text()):
        raise LocalNodeError(f"cannot unmount {left[0]}", f"umount {left[0]}, then try again")
    for folder in (where.kubelet, where.pod_logs, where.run):
        shutil.rmtree(folder, ignore_errors=True)
    for trace in traces:
        trace.unlink(missing_ok=True)


def down(name: str = DEFAULT_NAME, *, purge: bool = False) -> bool:
    """Take a node away with all that ran on it; images, certificates and logs stay unless purged.

    Returns whether there was anything to take away.
    """
    did = False
    sorts: tuple[Sort, ...] = ("node", "control-plane")
    for sort in sorts:
        where, settings = state.known(name, sort)
        if settings is None and not where.state.is_dir() and not where.run.is_dir():
            continue
        deps.check_rights(sort)
        with state.exclusive(name, sort):
            did = did or settings is not None
            _clear(where, gently=True)
            if purge or sort == "control-plane":
                shutil.rmtree(where.state, ignore_errors=True)
            for folder in (where.etcd, where.volumes, where.config):
                shutil.rmtree(folder, ignore_errors=True)
            where.settings.unlink(missing_ok=True)
    return did


def down_all(*, purge: bool = False) -> list[str]:
    """The same for every node of this machine; returns their names."""
    found = sorted({*state.names("node"), *state.names("control-plane")})
    for name in found:
        down(name, purge=purge)
    return found


def status(name: str = DEFAULT_NAME) -> NodeInfo:
    """What can be seen of a node now; where both sorts carry the name, the node."""
    node = state.describe(*state.known(name, "node"))
    if node.state == "absent":
        plane = state.describe(*state.known(name, "control-plane"))
        return plane if plane.state != "absent" else node
    return node


def statuses() -> list[NodeInfo]:
    sorts: tuple[Sort, ...] = ("node", "control-plane")
    return [state.describe(*state.known(name, sort)) for sort in sorts for name in state.names(sort)]


def load(name: str, archives: Iterable[Path]) -> list[str]:
    """Import OCI archives into a running node; returns the names for use in pods."""
    where, settings = state.known(name, "node")
    if settings is None or not runtime.is_serving(where):
        raise LocalNodeError(f"node {name} is not running", f"python -m localnode up --name {name}")
    return runtime.load(where, archives)


def recycle(name: str = DEFAULT_NAME) -> None:
    """Make the volumes of deleted claims empty and free again, as `up` does."""
    where, settings = state.known(name, "node")
    if settings is None:
        raise LocalNodeError(f"node {name} is not running", f"python -m localnode up --name {name}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(state.exclusive(name, "node"))
        volumes.ensure(where, Api(where))

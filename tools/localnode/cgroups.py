"""The node's own cgroup: two kubelets in one would each end the other's pods. Works on versions 1 and 2."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from localnode import supervise
from localnode.errors import LocalNodeError
from localnode.layout import Layout

_ROOT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")
_NEEDED: Final = frozenset({"cpu", "memory", "pids"})


def is_unified(root: Path = _ROOT) -> bool:
    """Whether the kernel shows cgroup version 2 alone."""
    return (root / "cgroup.controllers").exists()


def folders(layout: Layout, root: Path = _ROOT) -> list[Path]:
    """The node's folder in each hierarchy. On version 2 there is one hierarchy."""
    if is_unified(root):
        return [root / layout.cgroup]
    seen: dict[Path, Path] = {}
    for hierarchy in sorted(root.iterdir()):
        if hierarchy.is_dir() and (hierarchy / "cgroup.procs").exists():
            seen.setdefault(hierarchy.resolve(), hierarchy.resolve() / layout.cgroup)
    return list(seen.values())


def setup(layout: Layout) -> None:
    """Create the folders that the kubelet wants to find."""
    check()
    for folder in folders(layout):
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            # version 1 gives a new folder no processors, and nothing may run there then
            path = folder / name
            if not is_unified() and path.exists() and not path.read_text().strip():
                path.write_text((folder.parent / name).read_text())
    if is_unified():
        for folder in (_ROOT, _ROOT / layout.cgroup):
            for controller in _CONTROLLERS:
                with contextlib.suppress(OSError):
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def check() -> None:
    """Fails early, with a reason, where the kubelet would fail late with a riddle."""
    if is_unified():
        found = set((_ROOT / "cgroup.controllers").read_text().split())
    else:
        found = {entry.name for entry in _ROOT.iterdir()} if _ROOT.is_dir() else set()
    if missing := sorted(_NEEDED - found):
        raise LocalNodeError(
            f"this machine has no cgroup controllers {', '.join(missing)}",
            "in a container, run it with --privileged and --cgroupns=host",
        )


def teardown(layout: Layout, limit_s: float = 5) -> None:
    """End every process in the node's cgroup and remove it."""
    found = folders(layout)
    until = time.monotonic() + limit_s  # sim-ok: waits for real processes
    while members := set(_members(found)):
        supervise.kill(((pid, ticks) for pid in members if (ticks := supervise.start_ticks(pid)) is not None), 0)
        if time.monotonic() > until:  # sim-ok: waits for real processes
            break
        time.sleep(0.02)  # the kernel empties a cgroup a moment after its last process is gone
    for folder in found:
        for path in [*sorted(_tree(folder), key=lambda path: -len(path.parts))]:
            with contextlib.suppress(OSError):
                path.rmdir()


def _tree(folder: Path) -> Iterator[Path]:
    """A folder and all below it; one that goes while we look, as the kubelet's do, is simply not there."""
    try:
        children = [child for child in folder.iterdir() if child.is_dir()]
    except FileNotFoundError:
        return
    yield folder
    for child in children:
        yield from _tree(child)


def _members(found: list[Path]) -> Iterator[int]:
    for folder in found:
        for path in _tree(folder):
            with contextlib.suppress(OSError):
                yield from map(int, (path / "cgroup.procs").read_text().split())

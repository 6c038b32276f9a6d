"""The node's containerd: images in, and its containers and shims out."""

import contextlib
import hashlib
import json
import platform
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from images import oci
from localnode import supervise
from localnode.errors import LocalNodeError
from localnode.layout import Layout
from localnode.shell import attempt, run

_CNI_RESULTS: Final = Path("/var/lib/cni/results")
_LOG_LINKS: Final = Path("/var/log/containers")


def _ctr(layout: Layout, *words: str) -> list[str]:
    return ["ctr", "--address", str(layout.socket), "--namespace", "k8s.io", *words]


def is_serving(layout: Layout) -> bool:
    return layout.socket.exists() and attempt(_ctr(layout, "version"), limit_s=5)


def images(layout: Layout) -> set[str]:
    return set(run(*_ctr(layout, "images", "list", "-q")).split())


def load(layout: Layout, archives: Iterable[Path]) -> list[str]:
    """Import OCI archives; returns the names by which pods can use them."""
    names: list[str] = []
    for archive in archives:
        if not archive.is_file():
            raise LocalNodeError(f"{archive} is not there", "python -m images")
        found = references_of(archive)
        run(*_ctr(layout, "images", "import", str(archive)), limit_s=300)
        names += found
    return names


def references_of(archive: Path) -> list[str]:
    """The names by which an archive's images will be known."""
    try:
        with tarfile.open(archive) as opened:
            member = opened.extractfile("index.json")
            index = json.load(member) if member is not None else {}
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise LocalNodeError(f"{archive} is no OCI image archive: {error}", "python -m images") from error
    entries = [entry.get("annotations") or {} for entry in index.get("manifests") or ()]
    return [entry["io.containerd.image.name"] for entry in entries if "io.containerd.image.name" in entry]


def architecture() -> str:
    """This machine's, as OCI calls it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def program_reference(program: Path) -> str:
    """The name of the image that holds just one program; it changes with the program."""
    with program.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return f"ringfence.local/{program.name}:{digest[:12]}"


def load_program(layout: Layout, program: Path, present: set[str]) -> str:
    """An image of one static program, built and imported unless it is there already; returns its name."""
    reference = program_reference(program)
    if reference not in present:
        with tempfile.TemporaryDirectory(prefix="ringfence-") as text:
            folder = Path(text)
            (folder / "bin").mkdir()
            shutil.copy2(program, folder / "bin" / program.name)
            oci.pack(folder / "bin", "bin", folder / "layer.tar")
            layers = [oci.Layer.of(folder / "layer.tar")]
            config = {"Entrypoint": [f"/bin/{program.name}"], "WorkingDir": "/"}
            oci.write(folder / "image.tar", [reference], layers, config, architecture())
            load(layout, [folder / "image.tar"])
    return reference


def remove_containers(layout: Layout) -> None:
    """Forget every container: the next start would otherwise find the dead of this one."""
    if tasks := run(*_ctr(layout, "tasks", "list", "-q")).split():
        attempt(_ctr(layout, "tasks", "delete", "--force", *tasks))
    if containers := run(*_ctr(layout, "containers", "list", "-q")).split():
        attempt(_ctr(layout, "containers", "delete", *containers))


def traces(layout: Layout) -> list[Path]:
    """Files of this node's containers in folders that every containerd and kubelet of a machine shares.

    Their places cannot be configured. To be asked before the containers go, and to be removed after.
    """
    found: list[Path] = []
    for bundle in (layout.containerd_state / "io.containerd.runtime.v2.task" / "k8s.io").glob("*"):
        with contextlib.suppress(OSError):
            address = (bundle / "address").read_text().strip()
            found.append(Path(address.removeprefix("unix://")))
        found += _CNI_RESULTS.glob(f"*-{bundle.name}-*")
    found += _CNI_RESULTS.glob(f"{layout.context}-*")
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.pod_logs):
            found.append(link)
    return found


def kill_shims(layout: Layout) -> None:
    """End the shims that serve this node's containerd: they outlive it, by design, and hold its containers."""
    ours = [
        (pid, ticks)
        for pid, words in supervise.every_command()
        if words and Path(words[0]).name.startswith("containerd-shim") and str(layout.socket) in words
        if (ticks := supervise.start_ticks(pid)) is not None
    ]
    supervise.kill(ours, patience_s=0)

"""OCI image archives from layer files, with the standard library only.

Deterministic: entries are sorted, owned by root and dated 1970, so that the same files give the same digest.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CHUNK: Final = 1 << 20
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar and its digest (which is also its diff id)."""

    path: Path
    digest: str
    size: int

    @classmethod
    def of(cls, path: Path) -> "Layer":
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return cls(path, f"sha256:{digest.hexdigest()}", path.stat().st_size)


def pack(folder: Path, inside: str, out: Path) -> None:
    """Write the files of ``folder`` as a layer that places them under ``inside`` (``opt/ringfence/app``)."""
    temporary = out.with_suffix(".partial")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for parent in _parents(inside):
            tar.addfile(_entry(parent, tarfile.DIRTYPE, 0o755))
        for path in sorted(folder.rglob("*")):
            name = f"{inside}/{path.relative_to(folder)}"
            if path.is_dir():
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
            else:
                entry = _entry(name, tarfile.REGTYPE, 0o755 if path.stat().st_mode & 0o100 else 0o644)
                entry.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(entry, file)
    temporary.rename(out)


def write(
    archive: Path, references: Iterable[str], layers: Iterable[Layer], config: dict[str, Any], architecture: str
) -> None:
    """An OCI layout in one tar, as ``ctr images import`` and ``docker load`` (25 and newer) read it.

    The image has every one of ``references`` as a name.
    """
    layers = list(layers)
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    blobs: dict[str, bytes] = {}
    descriptors = [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(blobs, CONFIG, document),
        "layers": descriptors,
    }
    described = _blob(blobs, MANIFEST, manifest)
    entries = [_named(described, reference, architecture) for reference in references]
    temporary = archive.with_suffix(".partial")
    with tarfile.open(temporary, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
        for digest, data in blobs.items():
            _add(tar, f"blobs/sha256/{digest.removeprefix('sha256:')}", data)
        for layer in {layer.digest: layer for layer in layers}.values():
            info = tarfile.TarInfo(f"blobs/sha256/{layer.digest.removeprefix('sha256:')}")
            info.size = layer.size
            with layer.path.open("rb") as file:
                tar.addfile(info, file)
    temporary.rename(archive)


def _named(described: dict[str, Any], reference: str, architecture: str) -> dict[str, Any]:
    annotations = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
    }
    return {**described, "annotations": annotations, "platform": {"architecture": architecture, "os": "linux"}}


def _blob(blobs: dict[str, bytes], media_type: str, document: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blobs[digest] = data
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 0
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def _parents(inside: str) -> list[str]:
    parts = inside.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]

"""The two images: the platform, and the sample strategy FROM it."""

import hashlib
import platform as machine
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from images import layers, oci

REPOSITORY: Final = "ringfence.local"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHIVES_KEPT: Final = 2
ENTRYPOINT: Final = ["/usr/bin/python3", "-m"]
LIBRARY_PATH: Final = "/opt/ringfence/lib:/opt/ringfence/app"


@dataclass(frozen=True)
class Image:
    name: str
    reference: str
    """``ringfence.local/platform:<12 hex of its content>``: a new content is a new reference. The archive also names
    the image ``ringfence.local/platform:dev``, which samples use."""
    archive: Path


def build() -> dict[str, Image]:
    """Build what is not built yet. Raises layers.BuildError."""
    stack = [layers.base(), layers.dependencies(), layers.application()]
    strategy = layers.strategy(layers.ROOT / "examples" / "momentum" / "momentum")
    return {
        "platform": _image("platform", stack, LIBRARY_PATH),
        "momentum": _image("momentum", [*stack, strategy], f"{LIBRARY_PATH}:/opt/strategy"),
    }


def variant(name: str, files: Mapping[str, str]) -> Image:
    """The platform with some modules replaced (path below the packages, such as ``ringfence/paper/__main__.py``, to
    source): what an upgrade is shown with. Raises layers.BuildError."""
    stack = [layers.base(), layers.dependencies(), layers.application(), layers.replaced(files)]
    return _image(name, stack, LIBRARY_PATH)


def strategy(name: str, *packages: Path) -> Image:
    """A strategy image with these package folders, such as a test needs. Raises layers.BuildError."""
    stack = [layers.base(), layers.dependencies(), layers.application(), *map(layers.strategy, packages)]
    return _image(name, stack, f"{LIBRARY_PATH}:/opt/strategy")


def _image(name: str, stack: list[oci.Layer], python_path: str) -> Image:
    config: dict[str, Any] = {
        "User": f"{layers.USER}:{layers.USER}",
        "WorkingDir": "/",
        "Entrypoint": ENTRYPOINT,
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            f"PYTHONPATH={python_path}",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONSAFEPATH=1",
        ],
    }
    content = "\0".join([*(layer.digest for layer in stack), repr(config)])
    tag = hashlib.sha256(content.encode()).hexdigest()[:12]
    reference = f"{REPOSITORY}/{name}:{tag}"
    archive = layers.CACHE / f"{name}-{tag}.tar"
    if not archive.exists():
        _forget(name)
        oci.write(archive, [reference, f"{REPOSITORY}/{name}:dev"], stack, config, ARCHITECTURES[machine.machine()])
    return Image(name, reference, archive)


def _forget(name: str) -> None:
    """Keep the cache bounded: of earlier contents of an image, only the newest archives stay."""
    found = sorted(layers.CACHE.glob(f"{name}-{'[0-9a-f]' * 12}.tar"), key=lambda path: path.stat().st_mtime)
    for path in found[: -ARCHIVES_KEPT or None]:
        path.unlink(missing_ok=True)

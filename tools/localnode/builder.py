"""Compiles the programs of a node from pinned Go modules into a cache outside the repository."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from localnode import components
from localnode.components import Component
from localnode.errors import LocalNodeError
from localnode.layout import cache_root
from localnode.progress import say, step

_OLDEST_SWITCHING_GO: Final = (1, 21)
"""The first Go that fetches a newer toolchain by itself."""
_GO_REMEDY: Final = "install Go 1.26 or newer from https://go.dev/dl/ and put its bin folder on PATH"
_ERROR_LINES: Final = 25
GO_FOLDERS: Final = "/usr/local/go/bin:/usr/lib/go/bin"
"""Where Go's installers put it without changing PATH."""


def bin_dir() -> Path:
    """Where the programs of this checkout's pinned versions lie, or will."""
    return cache_root() / "node" / components.cache_key() / "bin"


def binary(name: str) -> Path:
    """The path of one program; it exists once `build` has made it."""
    if name not in components.COMPONENTS:
        components.select([name])
    return bin_dir() / name


def build(only: Iterable[str] = ("node",), *, quiet: bool = False) -> Path:
    """Compile what is missing of the named groups or programs; returns the folder that holds them."""
    wanted = components.select(tuple(only))
    target = bin_dir()
    if not _missing(wanted, target):
        return target
    target.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / "build.lock", "another build"):
        missing = _missing(wanted, target)  # another process may have built them while we waited
        if missing:
            go = find_go()
            environment = build_environment(toolchain(installed_version(go), needed_version(missing)))
            for number, component in enumerate(missing, 1):
                if quiet:
                    _compile(go, component, target, environment)
                    continue
                with step(f"building {component.name}", number, len(missing)):
                    _compile(go, component, target, environment)
    return target


def _missing(wanted: list[Component], target: Path) -> list[Component]:
    return [component for component in wanted if not (target / component.name).is_file()]


@contextmanager
def locked(path: Path, holder: str) -> Iterator[None]:
    """Only one process at a time; says so when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {holder} to finish ({path})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def find_go() -> str:
    """The go program, also from where its installer puts it when PATH does not say so."""
    found = shutil.which("go") or shutil.which("go", path=GO_FOLDERS)
    if found is None:
        raise LocalNodeError("Go is needed to build the node's programs, and no `go` was found", _GO_REMEDY)
    return found


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of ``go1.26.8`` or ``1.24.0``; a release candidate counts as its release."""
    found = re.match(r"(?:go)?(\d+(?:\.\d+)*)", text.strip())
    if found is None:
        raise LocalNodeError(f"cannot understand Go's version {text!r}", _GO_REMEDY)
    return tuple(int(part) for part in found.group(1).split("."))


def toolchain(installed: tuple[int, ...], needed: tuple[int, ...]) -> str:
    """GOTOOLCHAIN: this one where it is new enough, else let Go fetch a newer one. Raises where it cannot."""
    if installed >= needed:
        return "local"
    if installed[:2] >= _OLDEST_SWITCHING_GO:
        return "auto"
    have, want = (".".join(map(str, version)) for version in (installed, needed))
    raise LocalNodeError(f"Go {have} is too old: {want} is needed", _GO_REMEDY)


def needed_version(missing: list[Component]) -> tuple[int, ...]:
    """The newest ``go`` line among the modules to build."""
    lines = [(components.MODULES / component.module / "go.mod").read_text() for component in missing]
    found = [re.search(r"^go (\S+)$", text, re.MULTILINE) for text in lines]
    return max(parse_version(match.group(1)) for match in found if match is not None)


def installed_version(go: str) -> tuple[int, ...]:
    # asked without a module around, and without leave to fetch another Go
    asked = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    done = subprocess.run([go, "env", "GOVERSION"], env=asked, capture_output=True, text=True, check=False, cwd="/")
    return parse_version(done.stdout)


def build_environment(toolchain: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The caller's environment without what would change what is built."""
    chosen = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
        "GOTOOLCHAIN": toolchain,
    }
    dropped = {"GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG"}
    return {key: value for key, value in environment.items() if key not in dropped} | chosen


def command(go: str, component: Component, output: Path) -> list[str]:
    tags = ["-tags", ",".join(component.tags)] if component.tags else []
    return [go, "build", "-trimpath", *tags, "-ldflags", component.ldflags, "-o", str(output), component.package]


def _compile(go: str, component: Component, target: Path, environment: dict[str, str]) -> None:
    unfinished = target / f".{component.name}.{os.getpid()}"
    words = command(go, component, unfinished)
    folder = components.MODULES / component.module
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-_ERROR_LINES:])
            raise LocalNodeError(
                f"building {component.name} failed:\n{said}",
                "needed are about 8 GB of disk and a Go module proxy (`go env GOPROXY`) that can be reached",
            )
        unfinished.replace(target / component.name)
    finally:
        unfinished.unlink(missing_ok=True)

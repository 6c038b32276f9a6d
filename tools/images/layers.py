"""The layers of our images, each cached by what it is made from."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from images.oci import Layer, pack

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = Path(os.environ.get("RINGFENCE_CACHE", Path.home() / ".cache" / "ringfence")) / "images"
SUITE: Final = "bookworm"
PACKAGES: Final = ("ca-certificates", "python3", "tzdata")
USER: Final = 65532
_EXCLUDED: Final = ("man", "doc", "locale", "info", "lintian", "bug")
BASE_RECIPE: Final = 2
"""Raise it when what `base` does changes: it is part of the cache key."""


class BuildError(RuntimeError):
    """An image cannot be built; the message carries the remedy."""


def base() -> Layer:
    """Debian with its own python3 and nothing that a service does not need; uid 65532 has a name."""
    key = _key("base", SUITE, *PACKAGES, str(BASE_RECIPE))
    return _cached(f"base-{key}.tar", _build_base)


def dependencies() -> Layer:
    """The locked dependencies of operator and services, hash-checked, wheels only, at /opt/ringfence/lib."""
    requirements = _uv(
        "export", "--frozen", "--no-dev", "--no-emit-project", "--extra", "operator", "--extra", "services", "--quiet"
    )
    key = _key("dependencies", requirements, sys.implementation.cache_tag or "")
    return _cached(f"lib-{key}.tar", lambda out: _build_dependencies(requirements, out))


def application() -> Layer:
    """Our own wheel, unpacked at /opt/ringfence/app."""
    with tempfile.TemporaryDirectory() as work:
        _uv("build", "--wheel", "--quiet", "--out-dir", work)
        wheel = next(Path(work).glob("*.whl"))
        tree = Path(work) / "tree"
        shutil.unpack_archive(wheel, tree, "zip")
        return _from_tree(tree, "opt/ringfence/app", "app")


def strategy(source: Path) -> Layer:
    """An author's package folder at /opt/strategy."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        shutil.copytree(source, tree / source.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        return _from_tree(tree, "opt/strategy", source.name)


def replaced(files: Mapping[str, str]) -> Layer:
    """Modules of ours with another source, above the application's layer."""
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        for name, source in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return _from_tree(tree, "opt/ringfence/app", "replaced")


def _from_tree(tree: Path, inside: str, name: str) -> Layer:
    digest = hashlib.sha256(inside.encode())
    for path in sorted(p for p in tree.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(tree)).encode() + b"\0" + path.read_bytes())
    key = _key(name, digest.hexdigest(), sys.implementation.cache_tag or "")

    def build(out: Path) -> None:
        compile_tree(tree)
        pack(tree, inside, out)

    return _cached(f"{name}-{key}.tar", build)


def _build_dependencies(requirements: str, out: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        listing = Path(work) / "requirements.txt"
        listing.write_text(requirements)
        tree = Path(work) / "lib"
        where = ["--target", str(tree), "--python-version", "3.11", "--only-binary", ":all:", "--require-hashes"]
        _uv("pip", "install", "--quiet", *where, "-r", str(listing))
        shutil.rmtree(tree / "bin", ignore_errors=True)
        compile_tree(tree)
        pack(tree, "opt/ringfence/lib", out)


def compile_tree(tree: Path) -> None:
    """Byte code for the image's Python, which may not write any itself on its read-only root.

    Unchecked hashes: a pyc that is judged by its source's date would be stale, because we date all files 1970.
    Another Python than the image's 3.11 makes byte code that it would ignore, so there is nothing to do then.
    """
    if sys.version_info[:2] != (3, 11):
        return
    command = [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    # byte code carries the path for tracebacks: relative, so that the work folder's name does not leak into it
    _run([*command, "-s", str(tree), "-p", "/", str(tree)], check=False)


def _build_base(out: Path) -> None:
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is missing: apt-get install mmdebstrap")
    temporary = out.with_suffix(".partial.tar")
    excludes = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _EXCLUDED]
    account = f"ringfence:x:{USER}:{USER}::/nonexistent:/usr/sbin/nologin"
    hooks = [
        f"--customize-hook=echo '{account}' >> \"$1/etc/passwd\"",
        f"--customize-hook=echo 'ringfence:x:{USER}:' >> \"$1/etc/group\"",
        '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*',
    ]
    what = [f"--include={','.join(PACKAGES)}", "--variant=minbase", SUITE, str(temporary)]
    _run(["mmdebstrap", "--quiet", *excludes, *hooks, *what])
    temporary.rename(out)


def _cached(name: str, build: Callable[[Path], None]) -> Layer:
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / name
    with _lock(path):
        if not path.exists():
            build(path)
    return Layer.of(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One builder per layer; a second one waits and finds it made."""
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _uv(*arguments: str) -> str:
    local = ROOT / ".venv" / "bin" / "uv"
    uv = str(local) if local.exists() else shutil.which("uv")
    if uv is None:
        raise BuildError("uv is missing: make setup")
    return _run([uv, *arguments, *([] if arguments[0] == "pip" else ["--project", str(ROOT)])])


def _run(command: list[str], check: bool = True) -> str:
    # a virtual environment of the caller must not decide for which Python wheels are chosen
    environment = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if check and done.returncode:
        raise BuildError(f"{' '.join(command[:4])} ... failed:\n{done.stderr.strip()[-4000:]}")
    return done.stdout

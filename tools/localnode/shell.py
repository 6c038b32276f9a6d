"""Runs the machine's own programs, and turns their failure into a sentence."""

import shutil
import subprocess
from collections.abc import Sequence

from localnode.errors import LocalNodeError

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Where a program lies, also when PATH leaves out sbin."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def run(*words: str, stdin: str | None = None, limit_s: float = 60) -> str:
    """Run to the end; returns standard output, raises LocalNodeError with standard error."""
    path = program(words[0])
    if path is None:
        raise LocalNodeError(f"{words[0]} is not installed", "python -m localnode deps")
    try:
        done = subprocess.run(
            [path, *words[1:]], input=stdin, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LocalNodeError(f"`{' '.join(words[:6])}` took longer than {limit_s:.0f} s") from error
    if done.returncode:
        raise LocalNodeError(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def attempt(words: Sequence[str], limit_s: float = 30) -> bool:
    """The same where failure is an answer."""
    try:
        run(*words, limit_s=limit_s)
    except LocalNodeError:
        return False
    return True

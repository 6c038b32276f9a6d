"""Which platform this process runs: a hash of its own source, the same in every image that holds the same code.

Image tags say what somebody called it, and a strategy's image is another one than ours; the source that both were
built with is the same or is not.
"""

import functools
import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec

from ringfence.wire.messages import VERSION

PACKAGE: Final = Path(__file__).parents[1]
DIGITS: Final = 12


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself."""

    build: str
    """Hash of the platform's source."""
    image: str
    """As the pod's environment tells it; empty outside of a pod."""
    wire: int
    """Version of the bus messages that it speaks."""


@functools.cache
def own() -> Build:
    return Build(build=source_hash(PACKAGE), image=os.environ.get("RINGFENCE_IMAGE", ""), wire=VERSION)


def source_hash(package: Path) -> str:
    """Over names and contents of all modules, in order. Raises OSError."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:DIGITS]

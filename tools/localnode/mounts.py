"""Unmounts what the kubelet and containerd mounted below a node's folders; also after a kill or a crash."""

import re
from collections.abc import Iterable
from pathlib import Path

from localnode.shell import attempt


def below(folders: Iterable[Path], table: str) -> list[str]:
    """The mount points at or below some folders, deepest first. Pure: ``table`` is the text of /proc/mounts."""
    roots = [str(folder) for folder in folders]
    found = []
    for line in table.splitlines():
        # the kernel writes spaces and the like as octal numbers
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), line.split(" ")[1])
        if any(point == root or point.startswith(f"{root}/") for root in roots):
            found.append(point)
    return sorted(found, key=lambda point: -point.count("/"))


def unmount_below(*folders: Path) -> None:
    for point in below(folders, Path("/proc/mounts").read_text()):
        if not attempt(["umount", point]):
            attempt(["umount", "-l", point])

"""The node's own network namespace and its cable to the host.

Bridges, iptables rules, ports and routes of a node all live inside it: nodes cannot disturb each other or the host,
and removing the namespace removes the lot. The host reaches pods and Services by two routes over the cable.
"""

import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from localnode.errors import LocalNodeError
from localnode.layout import SLOTS, Layout
from localnode.shell import attempt, run

_SYSCTLS: Final = {
    "net/ipv4/ip_forward": "1",
    # replies of Services may leave by another cable than the question came in by
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}


def setup_commands(layout: Layout) -> list[list[str]]:
    """What makes the namespace and its cable, in order. Pure."""
    inside = ["ip", "-n", layout.netns]
    return [
        ["ip", "netns", "add", layout.netns],
        [*inside, "link", "set", "lo", "up"],
        ["ip", "link", "add", layout.link, "type", "veth", "peer", "name", "eth0", "netns", layout.netns],
        ["ip", "address", "add", f"{layout.host_address}/30", "dev", layout.link],
        ["ip", "link", "set", layout.link, "up"],
        [*inside, "address", "add", f"{layout.address}/30", "dev", "eth0"],
        [*inside, "link", "set", "eth0", "up"],
        [*inside, "route", "add", "default", "via", layout.host_address],
        ["ip", "route", "replace", layout.pod_cidr, "via", layout.address, "dev", layout.link],
        ["ip", "route", "replace", layout.service_cidr, "via", layout.address, "dev", layout.link],
    ]


def setup(layout: Layout) -> None:
    """Make the network afresh; what an earlier one left is removed first."""
    teardown(layout)
    for words in setup_commands(layout):
        run(*words)
    _in_namespace(layout, _SYSCTLS)


def _in_namespace(layout: Layout, values: dict[str, str]) -> None:
    """Write sysctls as a process inside: /proc/sys/net shows each process its own namespace."""
    lines = "\n".join(f"echo {value} > /proc/sys/{path} 2>/dev/null" for path, value in values.items())
    script = f"{lines}\ncat /proc/sys/net/ipv4/ip_forward"
    said = run("nsenter", f"--net={layout.netns_path}", "sh", "-c", script)
    if said.strip() != "1":
        raise LocalNodeError(
            "the kernel refuses net.ipv4.ip_forward in a network namespace", "run in a container with --privileged"
        )


def teardown(layout: Layout) -> None:
    """Remove namespace and cable, whatever of them is there."""
    if Path(f"/sys/class/net/{layout.link}").exists():
        attempt(["ip", "link", "delete", layout.link])
    if layout.netns_path.exists():
        # after a crash the file can be there without the mount that makes it a namespace
        if not attempt(["ip", "netns", "delete", layout.netns]):
            attempt(["umount", "-l", str(layout.netns_path)])
        if layout.netns_path.exists():
            layout.netns_path.unlink()


def exists(layout: Layout) -> bool:
    """Whether the namespace is there and the host has the way into it."""
    routes = {route.get("dst"): route.get("gateway") for route in host_routes()}
    ways = (layout.pod_cidr, layout.service_cidr)
    return os.path.ismount(layout.netns_path) and all(routes.get(way) == layout.address for way in ways)


def is_free(candidate: Layout, routes: Iterable[dict[str, Any]]) -> bool:
    """Whether nothing on this machine routes to the networks of a slot already. Pure."""
    wanted = [ipaddress.ip_network(text) for text in (candidate.link_cidr, candidate.pod_cidr, candidate.service_cidr)]
    for route in routes:
        if route.get("dev") == candidate.link or route.get("dst", "default") == "default":
            continue
        taken = ipaddress.ip_network(route["dst"], strict=False)
        if taken.version == 4 and any(network.overlaps(taken) for network in wanted):
            return False
    return True


def host_routes() -> list[dict[str, Any]]:
    found = json.loads(run("ip", "-j", "-4", "route", "show") or "[]")
    return list(found)


def choose_slot(name: str, taken: set[int], candidates: Iterable[Layout], routes: Iterable[dict[str, Any]]) -> int:
    """The first slot that no node holds and whose networks are free here. Pure."""
    known = list(routes)
    for candidate in candidates:
        if candidate.slot not in taken and is_free(candidate, known):
            return candidate.slot
    raise LocalNodeError(
        f"no free network for node {name}: {len(taken)} of {SLOTS} slots are held by nodes",
        "python -m localnode down --all, or remove routes to 10.95.0.0/16, 10.96.0.0/12 and 10.244.0.0/12",
    )

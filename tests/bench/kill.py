"""Patch-to-gate latency of the kill switch: operator up, scaled to zero, and with every core busy.

`make bench-kill [PATCHES=100]`: on the demo's cluster, which it brings up to trading first. Prints, with the load
average of the last minute; never fails for being slow.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from demo import cluster as clusters
from demo import install, story
from demo.cluster import Cluster
from demo.latency import measure
from demo.say import line, step
from demo.system import System, wait_for

BUSY_AT_MOST_S: Final = 1200
"""A busy process ends by itself, whatever becomes of us."""
SPIN: Final = f"import time\nend = time.monotonic() + {BUSY_AT_MOST_S}\nwhile time.monotonic() < end: pass"


@contextmanager
def busy_cores() -> Iterator[None]:
    """One process a core that does nothing else than use it."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def show(what: str, cluster: Cluster, system: System, patches: int) -> None:
    found = measure(cluster, system, patches)
    line(f"{what + ':':<15} {found.describe()}; load average {os.getloadavg()[0]:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=100)
    parser.add_argument("--name", default="demo", help="which cluster")
    options = parser.parse_args()
    with step("a cluster with a system that trades"):
        cluster = clusters.obtain(options.name)
        found = install.build_and_load(cluster)
        install.install_chart(cluster, found.platform)
        system = story.clear(cluster)
    story.trade(system, found.strategy)
    show("operator up", cluster, system, options.patches)
    with busy_cores():
        show("all cores busy", cluster, system, options.patches)
    install.scale_operator(cluster, 0)
    try:
        show("operator down", cluster, system, options.patches)
    finally:
        install.scale_operator(cluster, 1)
    wait_for("trading Active", lambda: system.is_active() or None, 60)
    return 0


if __name__ == "__main__":
    sys.exit(main())

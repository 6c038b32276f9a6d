"""Patch-to-gate latency of the kill switch, with the operator up and with it scaled to zero.

`make bench-kill [PATCHES=100]`: on the demo's cluster, which it brings up to trading first. Prints; never fails
for being slow.
"""

import sys

from demo import cluster as clusters
from demo import install, story
from demo.latency import measure
from demo.say import line, step
from demo.system import wait_for


def main() -> int:
    patches = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with step("a cluster with a system that trades"):
        cluster = clusters.obtain("demo")
        found = install.build_and_load(cluster)
        install.install_chart(cluster, found.platform)
        system = story.clear(cluster)
    story.trade(system, found.strategy)
    line(f"operator up:   {measure(cluster, system, patches).describe()}")
    install.scale_operator(cluster, 0)
    try:
        line(f"operator down: {measure(cluster, system, patches).describe()}")
    finally:
        install.scale_operator(cluster, 1)
    wait_for("trading Active", lambda: system.is_active() or None, 60)
    return 0


if __name__ == "__main__":
    sys.exit(main())

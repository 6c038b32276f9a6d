"""`python -m demo up|down [--context NAME]`."""

import argparse
import sys
from typing import Final

from demo import cluster as clusters
from demo import install, story
from demo.say import failure, line, step
from ringfence_operator import policies

NAME: Final = "demo"


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--context", help="use this context of your kubeconfig; nothing else is ever touched")
    parser.add_argument("--image", help="platform image that the cluster can pull (with --context)")
    parser.add_argument("--strategy-image", help="strategy image that the cluster can pull (with --context)")
    options = parser.parse_args()
    try:
        return up(options) if options.verb == "up" else down(options)
    except (clusters.ClusterError, AssertionError) as error:
        failure("the demo stopped", str(error), "make demo goes on from here; make demo-down removes everything")
        return 1


def up(options: argparse.Namespace) -> int:
    with step("a cluster"):
        cluster = clusters.obtain(NAME, options.context)
    line(f"  {cluster.sort} {cluster.name}, kubeconfig {cluster.kubeconfig}")
    if options.image and options.strategy_image:
        found = install.Images(options.image, options.strategy_image)
    else:
        with step("images built and loaded"):
            found = install.build_and_load(cluster)
    with step("helm install ringfence charts/ringfence"):
        install.install_chart(cluster, found.platform)
    with step("the stage cleared"):
        system = story.clear(cluster)
    story.trade(system, found.strategy)
    story.kill(system)
    story.next_commands(cluster)
    return 0


def down(options: argparse.Namespace) -> int:
    cluster = clusters.existing(NAME, options.context)
    if cluster is None:
        line("nothing to remove")
        return 0
    if cluster.sort == "named":
        with step("the system and the operator removed"):
            story.clear(cluster)
            install.uninstall_chart(cluster)
            cluster.kubectl("delete", "namespace", story.NAMESPACE, install.NAMESPACE, "--ignore-not-found")
            _forget(cluster)
    else:
        with step(f"{cluster.sort} cluster {cluster.name} removed"):
            clusters.remove(cluster)
    return 0


def _forget(cluster: clusters.Cluster) -> None:
    """What Helm keeps on purpose: the kinds, whose deletion has to be asked for, and the policies."""
    for crd in ("tradingsystems.ringfence.dev", "killswitches.ringfence.dev"):
        if cluster.kubectl("get", "crd", crd, "--ignore-not-found", "-o", "name").strip():
            cluster.kubectl("annotate", "--overwrite", "crd", crd, "ringfence.dev/allow-deletion=yes")
            cluster.kubectl("delete", "crd", crd)
    for name in policies.NAMES:
        kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
        cluster.kubectl("delete", kinds, name, "--ignore-not-found")


if __name__ == "__main__":
    sys.exit(main())

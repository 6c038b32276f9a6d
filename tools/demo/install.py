"""Images onto a cluster and the operator's chart into it."""

import json
from dataclasses import dataclass
from typing import Final

import images
import localnode
from demo.cluster import ROOT, Cluster, ClusterError, run

NAMESPACE: Final = "ringfence-system"
RELEASE: Final = "ringfence"


@dataclass(frozen=True)
class Images:
    platform: str
    strategy: str


def build_and_load(cluster: Cluster) -> Images:
    """Build both images and bring them onto the cluster, by the way that the cluster has."""
    if cluster.sort == "local":
        built = images.build()
        localnode.load(cluster.name, [image.archive for image in built.values()])
        return Images(built["platform"].reference, built["momentum"].reference)
    if cluster.sort == "kind":
        found = Images("ringfence.local/platform:dev", "ringfence.local/momentum:dev")
        run(["docker", "build", "-t", found.platform, str(ROOT)], timeout_s=1800)
        momentum = ROOT / "examples" / "momentum"
        run(["docker", "build", "--build-arg", f"PLATFORM={found.platform}", "-t", found.strategy, str(momentum)])
        run(["kind", "load", "docker-image", "--name", cluster.name, found.platform, found.strategy])
        return found
    raise ClusterError("a cluster of yours needs images that it can pull: IMAGE=... STRATEGY_IMAGE=...")


def install_chart(cluster: Cluster, platform_image: str, *values: str) -> None:
    """`helm install`, or upgrade where the release is already there. ``values`` are further ``key=value``."""
    chart = str(ROOT / "charts" / "ringfence")
    repository, _, tag = platform_image.rpartition(":")
    # a tag may be all digits, and is a text nevertheless
    image = ["--set-string", f"image.repository={repository},image.tag={tag}"]
    settings = [*image, *(["--set", ",".join(values)] if values else []), "--wait", "--timeout", "180s"]
    releases = json.loads(cluster.helm("list", "--namespace", NAMESPACE, "-o", "json"))
    verb = "upgrade" if any(release["name"] == RELEASE for release in releases) else "install"
    create = ["--create-namespace"] if verb == "install" else []
    cluster.helm(verb, RELEASE, chart, "--namespace", NAMESPACE, *create, *settings)


def uninstall_chart(cluster: Cluster) -> None:
    cluster.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")


def scale_operator(cluster: Cluster, replicas: int) -> None:
    """Scale the operator and wait until it is so."""
    selector = "app.kubernetes.io/name=ringfence"
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment", "-l", selector, f"--replicas={replicas}")
    if replicas:
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", "deployment", "-l", selector, "--timeout=90s")
    else:
        cluster.kubectl("-n", NAMESPACE, "wait", "--for=delete", "pod", "-l", selector, "--timeout=90s")

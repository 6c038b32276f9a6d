"""A cluster of the tests' own, with the operator installed by Helm; never the demo's, never the current context."""

import os
from collections.abc import Generator, Iterator

import pytest

import localnode
from demo import cluster as clusters
from demo import evidence, install
from demo.cluster import Cluster, ClusterError
from demo.install import Images

NAME = os.environ.get("RINGFENCE_E2E_CLUSTER", "e2e")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A local node or kind cluster named ``e2e`` (or RINGFENCE_E2E_CLUSTER), made for this run and removed after it."""
    try:
        leftover = clusters.existing(NAME)
        if leftover is not None:
            clusters.remove(leftover)
        found = clusters.obtain(NAME)
    except ClusterError as error:
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(f"NO CLUSTER, nothing was shown on Kubernetes: {error}")
    yield found
    if not os.environ.get("RINGFENCE_KEEP_CLUSTER"):
        clusters.remove(found)


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Images:
    """Both images, built from this checkout and on the cluster."""
    return install.build_and_load(cluster)


@pytest.fixture(scope="module")
def operator(cluster: Cluster, images: Images) -> Images:
    """The chart, installed and ready."""
    install.install_chart(cluster, images.platform)
    return images


@pytest.fixture(scope="module", autouse=True)
def _emptied(cluster: Cluster) -> Iterator[None]:
    """Each file leaves the node as it found it: it does not carry the systems and journals of all files at once."""
    yield
    cluster.kubectl("delete", "tsys", "--all", "--all-namespaces", "--ignore-not-found", timeout_s=180)
    pods = ("pod", "--all-namespaces", "-l", "ringfence.dev/system")
    cluster.kubectl("wait", "--for=delete", *pods, "--timeout=120s", timeout_s=150)
    # journals outlive their systems on purpose, and a node has only so many volumes
    cluster.kubectl("delete", "pvc", "--all-namespaces", "-l", "ringfence.dev/system", "--timeout=60s", timeout_s=90)
    if cluster.sort == "local":
        localnode.recycle(cluster.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure carries what the cluster showed at that moment: afterwards it is gone."""
    report = yield
    found = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(found, Cluster):
        report.sections.append(("the cluster at that moment", evidence.gather(found)))
    return report

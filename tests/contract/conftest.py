"""A real API server for contract tests: etcd and kube-apiserver on loopback, without root, gone after the run."""

import os
from collections.abc import Iterator

import pytest

import localnode


@pytest.fixture(scope="session")
def api_server() -> Iterator[localnode.NodeInfo]:
    """One for each process of the run. Where a cluster is required, not being able to start it is a failure."""
    name = f"contract-{os.getpid()}"
    try:
        found = localnode.up(name, control_plane=True)
    except localnode.LocalNodeError as error:
        localnode.down(name, purge=True)
        if os.environ.get("RINGFENCE_REQUIRE_CLUSTER"):
            raise
        pytest.skip(f"NO API SERVER, nothing was judged: {error}")
    yield found
    localnode.down(name, purge=True)

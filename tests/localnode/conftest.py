"""Nodes of the tests' own: named after this process, so that a person's `demo` is never touched."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import localnode

REQUIRED = os.environ.get("RINGFENCE_REQUIRE_CLUSTER") == "1"


@dataclass(frozen=True)
class Cluster:
    """A running node and kubectl against it."""

    info: localnode.NodeInfo

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        command = [str(self.info.kubectl), "--kubeconfig", str(self.info.kubeconfig), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))


def await_true(condition: Callable[[], bool], limit_s: float = 30) -> None:
    """Wait for a condition and fail when it does not come."""
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, f"not within {limit_s} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return await_true


@pytest.fixture(scope="session")
def node_name() -> Iterator[str]:
    """A name for a node; whatever it became is taken away at the end. Skips where no node can be."""
    if os.geteuid() != 0:
        if REQUIRED:
            pytest.fail("RINGFENCE_REQUIRE_CLUSTER=1, but a node needs root")
        pytest.skip("a node needs root")
    name = f"test-{os.getpid()}"
    try:
        yield name
    finally:
        localnode.down(name, purge=True)


@pytest.fixture(scope="session")
def cluster(node_name: str) -> Cluster:
    """A running node that the tests of this session share."""
    return Cluster(localnode.up(node_name, install=True))

"""A real one-node Kubernetes on a bare Linux machine, for people without a cluster and for the tests.

It builds Kubernetes from its Go modules and runs it in a network namespace, cgroup and folders of its own. It must
never touch a process, a rule or a mount that it did not make, nor anyone's current kubeconfig.
"""

from localnode.builder import binary, build
from localnode.errors import LocalNodeError, StartError
from localnode.node import down, down_all, load, recycle, status, statuses, up
from localnode.state import NodeInfo, ProcessInfo

__all__ = [
    "LocalNodeError",
    "NodeInfo",
    "ProcessInfo",
    "StartError",
    "binary",
    "build",
    "down",
    "down_all",
    "load",
    "recycle",
    "status",
    "statuses",
    "up",
]

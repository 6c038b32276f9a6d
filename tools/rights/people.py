"""People with the chart's roles, a namespace's administrator without our verbs, gates, and kubectl as any of them."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

import localnode
from ringfence_operator import access_rules, policies

SPACE: Final = "trading"
OPERATOR: Final = policies.Operator("ringfence-system", "ringfence")
VERBS: Final = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
RBAC: Final = "rbac.authorization.k8s.io"
PEOPLE: Final = {"alice": "trader", "bob": "risk", "carol": "risk", "dave": "deployer", "vic": "viewer"}
"""And ned, who administrates the namespace and holds none of our verbs; root is the cluster's administrator."""
GATE: Final = "momentum-sim-execution"

Document = dict[str, Any]
Done = subprocess.CompletedProcess[str]


@dataclass
class Server:
    """kubectl as anybody."""

    node: localnode.NodeInfo
    tokens: dict[str, str] = field(default_factory=dict)
    before_ms: float = 0.0
    """Median of a kill patch without policies."""

    def kubectl(self, user: str, *arguments: str, stdin: str | None = None) -> Done:
        command = [str(self.node.kubectl), "--kubeconfig", str(self.node.kubeconfig), "-n", SPACE, *arguments]
        if user in self.tokens:
            command += ["--token", self.tokens[user], "--kubeconfig", str(self.anonymous)]
        elif user != "root":
            command += ["--as", user]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    @property
    def anonymous(self) -> Path:
        """A kubeconfig without credentials: a client certificate would win over a token."""
        path = self.node.kubeconfig.parent / "anonymous.kubeconfig"
        if not path.exists():
            document = yaml.safe_load(self.node.kubeconfig.read_text())
            document["users"] = [{"name": entry["name"], "user": {}} for entry in document["users"]]
            path.write_text(yaml.safe_dump(document))
        return path

    def must(self, *arguments: str, stdin: str | None = None, user: str = "root") -> str:
        done = self.kubectl(user, *arguments, stdin=stdin)
        assert done.returncode == 0, f"{user}: kubectl {' '.join(arguments)}\n{done.stderr}"
        return done.stdout

    def make(self, *documents: Document, user: str = "root") -> None:
        text = yaml.safe_dump_all(documents)
        self.must("create", "-f", "-", stdin=text, user=user)

    def get(self, target: str) -> Document:
        found: Document = json.loads(self.must("get", target, "-o", "json"))
        return found


def rbac(kind: str, name: str, **rest: Any) -> Document:
    metadata = {"name": name} if kind.startswith("Cluster") else {"name": name, "namespace": SPACE}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, **rest}


def bound(user: str, kind: str, role: str) -> Document:
    subject = {"kind": "User", "apiGroup": RBAC, "name": user}
    return rbac("RoleBinding", user, roleRef={"apiGroup": RBAC, "kind": kind, "name": role}, subjects=[subject])


def grants() -> list[Document]:
    """The chart's roles, each bound to somebody in the namespace; and a namespace's administrator without our verbs."""
    made = [rbac("ClusterRole", name, rules=rules) for name, rules in access_rules.PEOPLE.items()]
    made += [bound(user, "ClusterRole", role) for user, role in PEOPLE.items()]
    groups = ["", "apps", "ringfence.dev", "coordination.k8s.io", "networking.k8s.io", RBAC]
    made.append(rbac("Role", "ned", rules=[{"apiGroups": groups, "resources": ["*"], "verbs": VERBS}]))
    made.append(bound("ned", "Role", "ned"))
    crds = {"apiGroups": ["apiextensions.k8s.io"], "resources": ["*"], "verbs": VERBS}
    made.append(rbac("ClusterRole", "crds", rules=[crds]))
    subject = {"kind": "User", "apiGroup": RBAC, "name": "ned"}
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "crds"}
    made.append(rbac("ClusterRoleBinding", "crds", roleRef=reference, subjects=[subject]))
    everything = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    operator = {"kind": "User", "apiGroup": RBAC, "name": OPERATOR.username}
    made.append(rbac("ClusterRoleBinding", "operator", roleRef=everything, subjects=[operator]))
    return made


def gate_account(name: str) -> list[Document]:
    """A gate's ServiceAccount with its Role as the operator makes it, and a pod that no node runs."""
    rules = [
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["list", "watch", "get"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches/status"], "verbs": ["patch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "update", "patch"]},
    ]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": SPACE}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": name}
    labels = {"ringfence.dev/system": "momentum", "ringfence.dev/gate": "true"}
    pod = {"name": f"{name}-0", "namespace": SPACE, "labels": labels}
    container = {"name": "main", "image": "example.com/none:1"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SPACE}},
        rbac("Role", name, rules=rules),
        rbac("RoleBinding", name, roleRef=reference, subjects=[subject]),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": pod,
            "spec": {"serviceAccountName": name, "containers": [container]},
        },
    ]

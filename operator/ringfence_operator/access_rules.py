"""Rights as data: the operator's, which a test holds our code to, and roles for people. The chart renders both.

No wildcard, no escalate, no bind. It may only hand out rights that it holds itself, so what gates need
(see `desired.access`) is here too. Served namespaces get NAMESPACED each (or once, as a ClusterRole bound
cluster-wide); its own namespace gets OWN as well.
"""

from typing import Final

from ringfence_operator import policies

Rule = dict[str, list[str]]

_OWNED: Final = ["get", "list", "create", "patch", "delete"]
_WATCHED: Final = ["get", "list", "watch", "create", "patch", "delete"]

NAMESPACED: Final[list[Rule]] = [
    # what people write: read it, report on it
    {"apiGroups": ["ringfence.dev"], "resources": ["tradingsystems"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["ringfence.dev"], "resources": ["tradingsystems/status"], "verbs": ["get", "patch"]},
    # one kill switch per system is created; none is ever changed or deleted. list and watch are handed on to gates
    {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["get", "list", "watch", "create"]},
    {"apiGroups": ["ringfence.dev"], "resources": ["killswitches/status"], "verbs": ["get", "patch"]},
    # evidence is ours to write, approvals are people's: seen, and told what became of them
    {"apiGroups": ["ringfence.dev"], "resources": ["evaluations"], "verbs": ["get", "list", "create", "delete"]},
    {"apiGroups": ["ringfence.dev"], "resources": ["evaluations/status"], "verbs": ["get", "patch"]},
    {"apiGroups": ["ringfence.dev"], "resources": ["promotions"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["ringfence.dev"], "resources": ["promotions/status"], "verbs": ["get", "patch"]},
    # what a system consists of; garbage collection may be refused for references to owners without this
    {"apiGroups": ["ringfence.dev"], "resources": ["tradingsystems/finalizers"], "verbs": ["update"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": _WATCHED},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": _WATCHED},
    {"apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": _OWNED},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _OWNED},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _OWNED},
    {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": _OWNED},
    {"apiGroups": ["monitoring.coreos.com"], "resources": ["podmonitors"], "verbs": _OWNED},
    # outlive their system: created, never deleted
    {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "create"]},
    # read by name only, made once; no list, so that a stolen token cannot enumerate them
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"]},
    # created for gates; update and patch are only handed on to the one holder
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
    # delete is only handed on: to a watchdog, for its execution's one pod
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "delete"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]

CLUSTER: Final[list[Rule]] = [
    # is the PodMonitor kind there? A lookup of one name, not a list
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
]
"""Only for an operator that serves the whole cluster: it follows namespaces as they come and go."""

OWN: Final[list[Rule]] = [
    # the heartbeat that must come back through the watch, or the operator is restarted
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "patch"]},
]

POLICIES: Final[list[Rule]] = [
    # are they still there? By name: nobody's other policies are our business
    {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
        "resourceNames": [*policies.NAMES],
        "verbs": ["get"],
    },
]
"""At cluster scope always, because policies are there: where the operator is to refuse to work without them."""

_SEE: Final[list[Rule]] = [
    {
        "apiGroups": ["ringfence.dev"],
        "resources": ["tradingsystems", "killswitches", "evaluations", "promotions"],
        "verbs": ["get", "list", "watch"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["get", "list", "watch"]},
]
_ENGAGE: Final[list[Rule]] = [
    # engage; letting go takes the verb release on top
    {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["create", "patch"]},
]

_EXPLAIN: Final[list[Rule]] = [
    # GET a gate's documents through the API server; its kill endpoint takes POST, which is create
    {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]},
]

PEOPLE: Final[dict[str, list[Rule]]] = {
    "viewer": _SEE,
    "trader": _SEE + _EXPLAIN + _ENGAGE,
    "risk": [
        *_SEE,
        *_EXPLAIN,
        *_ENGAGE,
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["update", "delete"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["killswitches"], "verbs": ["release", "flatten"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["tradingsystems"], "verbs": ["update", "patch"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["tradingsystems"], "verbs": ["raise-limits", "promote"]},
        {"apiGroups": ["ringfence.dev"], "resources": ["promotions"], "verbs": ["create", "delete"]},
    ],
    # tightens and changes code, and cannot loosen: grant raise-limits to a deployer only on purpose
    "deployer": [
        *_SEE,
        {
            "apiGroups": ["ringfence.dev"],
            "resources": ["tradingsystems"],
            "verbs": ["create", "update", "patch", "delete"],
        },
    ],
}
"""ClusterRoles that an administrator binds to people, per namespace. None reads a Secret, enters a pod or makes one;
who trades or watches risk may read what gates tell."""

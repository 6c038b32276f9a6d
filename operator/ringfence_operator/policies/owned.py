"""What the operator made of a system is changed by changing the system. Gates renew their Leases; people set
data.engage of the kill-switch ConfigMap (a policy of its own), delete pods, and annotate what they like."""

from typing import Final

from ringfence_operator.desired.labels import SYSTEM
from ringfence_operator.policies.configmap import SUFFIX, WAS_ENGAGED
from ringfence_operator.policies.model import NOT_THE_OPERATOR, Check, Match, Policy, verb
from ringfence_operator.policies.status import ACCOUNT, POD

_ALL: Final = ("CREATE", "UPDATE", "DELETE")
_CONTENT: Final = (
    "spec", "data", "binaryData", "stringData", "immutable", "type", "rules", "roleRef", "subjects", "secrets",
    "imagePullSecrets", "automountServiceAccountToken",
)  # fmt: skip
"""Where the kinds below keep what they say. Not annotations, which storage and schedulers write, nor status."""
_SAME: Final = (
    "request.operation == 'UPDATE'\n"
    f"&& {list(_CONTENT)}.all(k, object[?k] == oldObject[?k])\n"
    "&& object.metadata.?labels == oldObject.metadata.?labels\n"
    "&& object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences"
)
_CLUSTER: Final = (
    "!(request.userInfo.username.startsWith('system:serviceaccount:kube-system:')\n"
    "|| request.userInfo.username in ['system:kube-controller-manager', 'system:kube-scheduler', 'system:apiserver'])"
)
"""CEL: not Kubernetes itself, which makes pods of workloads, binds volumes and collects garbage."""
_HOLDER: Final = (
    "request.resource.resource == 'leases' && request.operation == 'UPDATE'\n"
    "&& variables.account == request.name + '-execution' && variables.pod == variables.account + '-0'\n"
    "&& object.metadata.?labels == oldObject.metadata.?labels\n"
    "&& object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences"
)

POLICY: Final = Policy(
    name="owned",
    match=(
        Match(
            group="",
            resources=("configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims"),
            operations=_ALL,
        ),
        # a pod may be deleted: that is a restart. Relabelled, it could hide a gate from those who count gates
        Match(group="", resources=("pods",), operations=("CREATE", "UPDATE")),
        Match(
            group="apps",
            resources=("deployments", "statefulsets", "replicasets", "controllerrevisions"),
            operations=_ALL,
        ),
        Match(group="networking.k8s.io", resources=("networkpolicies",), operations=_ALL),
        Match(group="coordination.k8s.io", resources=("leases",), operations=_ALL),
        Match(group="rbac.authorization.k8s.io", resources=("roles", "rolebindings"), operations=_ALL),
        Match(group="policy", resources=("poddisruptionbudgets",), operations=_ALL),
    ),
    labelled=SYSTEM,
    conditions=(
        NOT_THE_OPERATOR,
        ("not-kubernetes", _CLUSTER),
        (
            "not-the-kill-switch",
            (
                "!(request.resource.resource == 'configmaps' && request.operation == 'UPDATE'\n"
                f"&& request.name.endsWith('{SUFFIX}'))"
            ),
        ),
    ),
    variables=(
        ("account", ACCOUNT),
        ("pod", POD),
        (
            "system",
            "oldObject == null ? object.metadata.labels[?'" + SYSTEM + "'].orValue('')\n"
            ": oldObject.metadata.?labels[?'" + SYSTEM + "'].orValue(object == null ? ''"
            " : object.metadata.?labels[?'" + SYSTEM + "'].orValue(''))",
        ),
        ("same", _SAME),
        ("holder", _HOLDER),
    ),
    checks=(
        Check(
            "request.operation == 'DELETE' || variables.same || variables.holder",
            "owned by the Ringfence operator: change the TradingSystem instead",
            "'owned by the Ringfence operator: change TradingSystem ' + variables.system + ' instead'",
        ),
        Check(
            "request.operation != 'DELETE' || " + verb("raise-limits", "tradingsystems", "variables.system"),
            "deleting what the Ringfence operator made needs verb raise-limits on tradingsystems.ringfence.dev;"
            " deleting the TradingSystem or a pod does not",
        ),
        Check(
            "!(request.operation == 'DELETE' && request.resource.resource == 'configmaps'\n"
            f"&& oldObject.metadata.name.endsWith('{SUFFIX}') && {WAS_ENGAGED})\n"
            "|| " + verb("release", "killswitches", "variables.system"),
            "data.engage of this ConfigMap stops the system; deleting it needs verb release on"
            " killswitches.ringfence.dev",
        ),
    ),
)

SCALE: Final = Policy(
    name="scale",
    match=(
        Match(
            group="apps",
            resources=("deployments/scale", "statefulsets/scale", "replicasets/scale"),
            operations=("UPDATE",),
        ),
    ),
    conditions=(
        NOT_THE_OPERATOR,
        ("ours", f"oldObject.?status.?selector.orValue('').contains('{SYSTEM}=')"),
    ),
    checks=(Check("false", "owned by the Ringfence operator: it runs one of each, and an account has one writer"),),
)

"""How a policy is described, and the two objects that it becomes: policy and binding. A binding without its policy
enforces nothing, silently, so they are always made together and under one name."""

from dataclasses import dataclass
from typing import Any, Final

from ringfence_operator.api import GROUP

Manifest = dict[str, Any]

API_VERSION: Final = "admissionregistration.k8s.io/v1"
POLICY_KIND: Final = "ValidatingAdmissionPolicy"
BINDING_KIND: Final = "ValidatingAdmissionPolicyBinding"
OPERATOR: Final = "OPERATOR-USERNAME"
"""Stands in expressions for the operator's user name, which the installation decides."""
NAMESPACE_CONTROLLER: Final = "system:serviceaccount:kube-system:namespace-controller"


@dataclass(frozen=True, slots=True)
class Operator:
    """The ServiceAccount that the operator runs as."""

    namespace: str
    service_account: str

    @property
    def username(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which requests a policy looks at."""

    group: str
    resources: tuple[str, ...]
    operations: tuple[str, ...]

    def manifest(self) -> Manifest:
        return {
            "apiGroups": [self.group],
            "apiVersions": ["*"],
            "operations": list(self.operations),
            "resources": list(self.resources),
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One validation: the request is refused unless the expression is true. ``says`` is a CEL expression for a message
    that names the object; where it cannot be evaluated, ``message`` is told."""

    expression: str
    message: str
    says: str = ""

    def manifest(self) -> Manifest:
        found = {"expression": self.expression, "reason": "Forbidden", "message": self.message}
        return found | ({"messageExpression": self.says} if self.says else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy. Expressions are CEL; conditions and variables are name and expression, in order."""

    name: str
    match: tuple[Match, ...]
    checks: tuple[Check, ...]
    conditions: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    labelled: str = ""
    """Only objects that have, or had, this label."""
    per: str = ""
    """Kind of ours; the policy is evaluated once for each object of it in the request's namespace, as ``params``."""
    audit: tuple[tuple[str, str], ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.name}.{GROUP}"


def verb(word: str, resource: str, name: str) -> str:
    """CEL: may the requester do this custom verb on the object of that name? ``name`` is CEL too."""
    return (
        f"authorizer.group('{GROUP}').resource('{resource}').namespace(request.namespace).name({name})"
        f".check('{word}').allowed()"
    )


DYING: Final = (
    f"request.operation == 'DELETE' && request.userInfo.username == '{NAMESPACE_CONTROLLER}'\n"
    "&& namespaceObject != null && has(namespaceObject.metadata.deletionTimestamp)"
)
"""CEL: the namespace is on its way out, with pods, credentials and all; refusing would leave it Terminating for ever.
For variables only: in matchConditions, namespaceObject is always null."""
NOT_THE_OPERATOR: Final = ("not-the-operator", f"request.userInfo.username != '{OPERATOR}'")


def manifest(policy: Policy, operator: Operator) -> Manifest:
    """The ValidatingAdmissionPolicy."""
    match: Manifest = {"matchPolicy": "Equivalent", "resourceRules": [found.manifest() for found in policy.match]}
    if policy.labelled:
        match["objectSelector"] = {"matchExpressions": [{"key": policy.labelled, "operator": "Exists"}]}
    spec: Manifest = {"failurePolicy": "Fail"}
    if policy.per:
        spec["paramKind"] = {"apiVersion": f"{GROUP}/v1alpha1", "kind": policy.per}
    spec["matchConstraints"] = match
    if policy.conditions:
        spec["matchConditions"] = _named(policy.conditions)
    if policy.variables:
        spec["variables"] = _named(policy.variables)
    spec["validations"] = [check.manifest() for check in policy.checks]
    if policy.audit:
        spec["auditAnnotations"] = [{"key": key, "valueExpression": value} for key, value in policy.audit]
    made = {"apiVersion": API_VERSION, "kind": POLICY_KIND, "metadata": {"name": policy.full_name}, "spec": spec}
    filled: Manifest = _filled(made, operator.username)
    return filled


def binding(policy: Policy) -> Manifest:
    """The ValidatingAdmissionPolicyBinding: everywhere, and refusing."""
    spec: Manifest = {"policyName": policy.full_name, "validationActions": ["Deny"]}
    if policy.per:
        spec["paramRef"] = {"selector": {}, "parameterNotFoundAction": "Allow"}
    return {"apiVersion": API_VERSION, "kind": BINDING_KIND, "metadata": {"name": policy.full_name}, "spec": spec}


def _named(entries: tuple[tuple[str, str], ...]) -> list[Manifest]:
    return [{"name": name, "expression": expression} for name, expression in entries]


def _filled(found: Any, username: str) -> Any:
    if isinstance(found, dict):
        return {key: _filled(value, username) for key, value in found.items()}
    if isinstance(found, list):
        return [_filled(value, username) for value in found]
    return found.replace(OPERATOR, username) if isinstance(found, str) else found

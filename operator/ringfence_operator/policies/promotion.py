"""Approvals and the evidence that they rest on. A Promotion is made by a person who may promote that system, in the
own name; its spec never changes (a rule of the kind). Evaluations are the operator's, and so is all of their status."""

from typing import Final

from ringfence_operator.policies.model import (
    NAMESPACE_CONTROLLER,
    NOT_THE_OPERATOR,
    Check,
    Match,
    Policy,
    verb,
)

GARBAGE_COLLECTOR: Final = "system:serviceaccount:kube-system:generic-garbage-collector"

POLICY: Final = Policy(
    name="promotions",
    match=(Match(group="ringfence.dev", resources=("promotions",), operations=("CREATE",)),),
    checks=(
        Check(
            "object.spec.by == request.userInfo.username",
            "spec.by must be the requesting user",
            "'spec.by must be you: \"' + request.userInfo.username + '\"'",
        ),
        Check(
            "!request.userInfo.username.startsWith('system:serviceaccount:')",
            "a Promotion is made by a person, not by a service account",
        ),
        # on the system: a create has no name yet, so resourceNames could not say whose promotion it is
        Check(
            verb("promote", "tradingsystems", "object.spec.system"),
            "promoting needs verb promote on tradingsystems.ringfence.dev",
            "'promoting ' + object.spec.system + ' needs verb promote on tradingsystems.ringfence.dev'",
        ),
    ),
    audit=(
        (
            "promotion",
            (
                "object.spec.action + ' ' + object.spec.system + ' revision ' + object.spec.revision + ' into '"
                " + object.spec.stage + ' by ' + request.userInfo.username"
            ),
        ),
    ),
)

EVIDENCE: Final = Policy(
    name="evidence",
    match=(
        Match(
            group="ringfence.dev",
            resources=("evaluations", "evaluations/status", "promotions/status"),
            operations=("CREATE", "UPDATE", "DELETE"),
        ),
    ),
    conditions=(
        NOT_THE_OPERATOR,
        (
            "not-collected",
            (
                "!(request.operation == 'DELETE' && request.userInfo.username in "
                f"['{GARBAGE_COLLECTOR}', '{NAMESPACE_CONTROLLER}'])"
            ),
        ),
    ),
    checks=(Check("false", "only the Ringfence operator writes Evaluations, and what became of a Promotion"),),
)
"""An Evaluation goes with its system; nobody else removes what speaks against a revision."""

"""Deleting a CRD deletes its objects inside the API server, past every policy on them."""

from typing import Final

from ringfence_operator.api import GROUP
from ringfence_operator.policies.model import Check, Match, Policy

ALLOWING: Final = f"{GROUP}/allow-deletion"
"""Annotation; yes allows it."""

POLICY: Final = Policy(
    name="crds",
    match=(Match(group="apiextensions.k8s.io", resources=("customresourcedefinitions",), operations=("DELETE",)),),
    conditions=(("ours", f"oldObject.spec.group == '{GROUP}'"),),
    checks=(
        Check(
            f"oldObject.metadata.?annotations[?'{ALLOWING}'].orValue('') == 'yes'",
            f"this deletes every object of the kind, engaged kill switches too; first annotate the CRD {ALLOWING}=yes",
        ),
    ),
)

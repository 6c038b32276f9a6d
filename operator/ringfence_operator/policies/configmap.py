"""The ConfigMap `<system>-kill-switch`: data.engage is people's and engages by any text; all else is the operator's."""

from typing import Final

from ringfence.wire.kill import ENGAGE_KEY
from ringfence_operator.desired.labels import SYSTEM
from ringfence_operator.policies.model import NOT_THE_OPERATOR, Check, Match, Policy, verb

SUFFIX: Final = "-kill-switch"
"""As `desired.plan.kill_switch_name` makes it; a test holds the two together."""
WAS_ENGAGED: Final = f"oldObject.?data[?'{ENGAGE_KEY}'].orValue('').trim() != ''"

POLICY: Final = Policy(
    name="kill-configmap",
    match=(Match(group="", resources=("configmaps",), operations=("UPDATE",)),),
    labelled=SYSTEM,
    conditions=(
        NOT_THE_OPERATOR,
        ("the-kill-switch", f"request.name.endsWith('{SUFFIX}')"),
    ),
    variables=(
        ("was", "oldObject.?data.orValue({})"),
        ("now", "object.?data.orValue({})"),
        ("system", f"oldObject.metadata.?labels[?'{SYSTEM}'].orValue('')"),
    ),
    checks=(
        Check(
            f"variables.now.all(k, k == '{ENGAGE_KEY}' || variables.was[?k] == variables.now[?k])\n"
            f"&& variables.was.all(k, k == '{ENGAGE_KEY}' || variables.was[?k] == variables.now[?k])\n"
            "&& object.?immutable == oldObject.?immutable && object.?binaryData == oldObject.?binaryData\n"
            "&& object.metadata.?labels == oldObject.metadata.?labels\n"
            "&& object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
            f"of this ConfigMap only data.{ENGAGE_KEY} is yours, the rest is the operator's",
        ),
        Check(
            f"!({WAS_ENGAGED}) || variables.now[?'{ENGAGE_KEY}'].orValue('').trim() != ''\n"
            "|| " + verb("release", "killswitches", "variables.system"),
            f"clearing data.{ENGAGE_KEY} needs verb release on killswitches.ringfence.dev; setting it never does",
        ),
    ),
)

"""A system under an active switch that selects it by label: deleting and making it again without the label, or
relabelling it, would be a way out. Its own switch needs no such rule: that one stays when the system goes."""

from typing import Final

from ringfence_operator.policies.model import DYING, Check, Match, Policy, verb

POLICY: Final = Policy(
    name="covered",
    match=(Match(group="ringfence.dev", resources=("tradingsystems",), operations=("UPDATE", "DELETE")),),
    per="KillSwitch",
    variables=(
        ("active", "params.?spec.?engaged.orValue(false) || params.?spec.?restrict.orValue('None') != 'None'"),
        ("selects", "params.?spec.?selector.?matchLabels.orValue({})"),
        (
            "covered",
            (
                "params.metadata.name != oldObject.metadata.name && variables.selects.size() > 0\n"
                "&& variables.selects.all(k, oldObject.metadata.?labels[?k].orValue('') == variables.selects[k])"
            ),
        ),
        (
            "stays",
            (
                "object != null\n"
                "&& variables.selects.all(k, object.metadata.?labels[?k].orValue('') == variables.selects[k])"
            ),
        ),
        ("dying", DYING),
        ("out", "variables.active && variables.covered && !variables.stays && !variables.dying"),
    ),
    checks=(
        Check(
            "!variables.out || " + verb("release", "killswitches", "params.metadata.name"),
            "an active kill switch selects this system; taking it out of its reach needs verb release",
            "'kill switch ' + params.metadata.name + ' stops ' + oldObject.metadata.name + ' by its labels; '\n"
            "+ (object == null ? 'deleting' : 'relabelling') + ' it needs verb release on killswitches.ringfence.dev'",
        ),
        Check(
            "!variables.out || !params.?spec.?twoPerson.orValue(false)",
            "an active kill switch that takes two persons selects this system; release the switch first",
            "'kill switch ' + params.metadata.name + ' stops ' + oldObject.metadata.name + ' by its labels and '\n"
            "+ 'takes two persons; release the switch first'",
        ),
    ),
)

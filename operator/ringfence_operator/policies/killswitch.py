"""The kill switch. A write that engages is refused for nothing but a forged approval or an unearned Flatten; whatever
lets go of something that is held needs the verb release, the releaser's own name and, with twoPerson, a second person.
"""

from typing import Final, get_args

from ringfence_operator.api import KillSwitchSpec, Scope, Severity
from ringfence_operator.policies.model import DYING, Check, Match, Policy, verb

_RANKS: Final = "{" + ", ".join(f"'{severity.word}': {int(severity)}" for severity in Severity) + "}"
_FLATTEN: Final = int(Severity.FLATTEN)
_ACTION: Final = str(KillSwitchSpec.model_fields["action"].default)
_RESTRICT: Final = str(KillSwitchSpec.model_fields["restrict"].default)
# an unknown word in the old object counts as the severest, in the new one as the mildest
_MILDEST_ACTION: Final = min(
    int(severity)
    for severity in Severity
    if severity.word in get_args(KillSwitchSpec.model_fields["action"].annotation)
)

_WEAKER: Final = """\
oldObject != null && (object == null || variables.releasing
  || (!variables.engaging && variables.newAction < variables.oldAction)
  || ((variables.active || !variables.engaging) && (variables.narrowed || variables.sparing))
  || (variables.old.?twoPerson.orValue(false) && !variables.new.?twoPerson.orValue(false)))"""

_SCOPES: Final = tuple(str(info.alias or name) for name, info in Scope.model_fields.items())
_LESS: Final = (
    "variables.old.?selector.?matchLabels.orValue({}).size() > 0 && variables.new.?selector != variables.old.?selector",
    "variables.old.?systems.orValue([]).exists(s, !(s in variables.new.?systems.orValue([])))",
    "variables.old.?everySystem.orValue(false) && !variables.new.?everySystem.orValue(false)",
    *(
        f"variables.new.?scope.?{kind}.orValue([]).size() > 0\n"
        f"   && (variables.old.?scope.?{kind}.orValue([]).size() == 0 || variables.old.?scope.?{kind}.orValue([])\n"
        f"       .exists(s, !(s in variables.new.?scope.?{kind}.orValue([]))))"
        for kind in _SCOPES
    ),
)
_NARROWED: Final = "\n|| ".join(f"({less})" for less in _LESS)
"""CEL: does the switch cover less than before? An empty list of a scope is everything, so naming anything is less."""

_MINE: Final = "(oldObject == null ? object.metadata.?name.orValue('') : oldObject.metadata.name)"

_VARIABLES: Final = (
    ("rank", _RANKS),
    ("old", "oldObject == null ? {} : oldObject.?spec.orValue({})"),
    ("new", "object == null ? {} : object.?spec.orValue({})"),
    (
        "oldAction",
        f"oldObject == null ? 0 : variables.rank[?variables.old.?action.orValue('{_ACTION}')].orValue({_FLATTEN})",
    ),
    (
        "newAction",
        f"object == null ? 0 : variables.rank[?variables.new.?action.orValue('{_ACTION}')].orValue({_MILDEST_ACTION})",
    ),
    ("oldRestrict", f"variables.rank[?variables.old.?restrict.orValue('{_RESTRICT}')].orValue({_FLATTEN})"),
    ("newRestrict", f"variables.rank[?variables.new.?restrict.orValue('{_RESTRICT}')].orValue(0)"),
    ("oldOn", "oldObject != null && variables.old.?engaged.orValue(false)"),
    ("newOn", "object != null && variables.new.?engaged.orValue(false)"),
    ("active", "variables.oldOn || variables.oldRestrict > 0"),
    ("engaging", "variables.newOn && !variables.oldOn"),
    (
        "releasing",
        (
            "oldObject != null && object != null\n"
            "&& ((variables.oldOn && !variables.newOn)\n"
            "    || (!variables.engaging && variables.newRestrict < variables.oldRestrict))"
        ),
    ),
    ("narrowed", _NARROWED),
    (
        "sparing",
        (
            "variables.old.?protective.orValue('Keep') == 'Cancel'\n"
            "&& variables.new.?protective.orValue('Keep') != 'Cancel'"
        ),
    ),
    ("weaker", _WEAKER),
    ("lettingGo", "variables.releasing || (variables.active && (object == null || variables.narrowed))"),
    ("asker", "variables.new.?releaseRequestedBy.orValue('')"),
    ("askedBefore", "variables.old.?releaseRequestedBy.orValue('')"),
    ("mayRelease", verb("release", "killswitches", _MINE)),
    ("dying", DYING),
)

_CHECKS: Final = (
    Check(
        "!variables.weaker || variables.dying || variables.mayRelease",
        "releasing, softening or deleting a kill switch needs verb release on killswitches.ringfence.dev",
        "(object == null ? 'deleting' : variables.releasing ? 'releasing' : 'softening') + ' kill switch '\n"
        "+ oldObject.metadata.name + ' needs verb release on killswitches.ringfence.dev; engaging it never does'",
    ),
    Check(
        "!variables.releasing || variables.new.?releasedBy.orValue('') == request.userInfo.username",
        "a release names who releases: spec.releasedBy must be the requesting user",
        "'a release names who releases: set spec.releasedBy to \"' + request.userInfo.username + '\"'",
    ),
    Check(
        "object == null || variables.releasing || variables.engaging || variables.new.?releasedBy.orValue('') == ''\n"
        "|| variables.new.?releasedBy == variables.old.?releasedBy\n"
        "|| (variables.new.?releasedBy.orValue('') == request.userInfo.username && variables.mayRelease)",
        "spec.releasedBy is set by the release itself, to the requesting user",
    ),
    Check(
        f"variables.newAction < {_FLATTEN} || variables.oldAction == {_FLATTEN} || "
        + verb("flatten", "killswitches", _MINE),
        "action Flatten needs verb flatten on killswitches.ringfence.dev; engaging a switch that is set to it does not",
    ),
    Check(
        "object == null || variables.asker == '' || variables.asker == variables.askedBefore\n"
        "|| (variables.active && !variables.releasing && variables.asker == request.userInfo.username\n"
        "    && variables.mayRelease)",
        "spec.releaseRequestedBy must be the requesting user, needs verb release, and is set only while it stops",
    ),
    Check(
        "!variables.releasing || variables.asker == ''",
        "a release clears spec.releaseRequestedBy: set it to null",
    ),
    Check(
        "!variables.lettingGo || variables.dying || !variables.old.?twoPerson.orValue(false)\n"
        "|| (variables.askedBefore != '' && variables.askedBefore != request.userInfo.username)",
        "twoPerson: somebody else must first ask, by spec.releaseRequestedBy",
    ),
    Check(
        "object == null || !variables.active || !variables.old.?twoPerson.orValue(false)\n"
        "|| variables.new.?twoPerson.orValue(false)",
        "twoPerson is not switched off while the switch stops anything",
    ),
    Check(
        "object == null || object.metadata.?ownerReferences.orValue([]).size() == 0\n"
        "|| (oldObject != null && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences)",
        "a kill switch has no owner: garbage collection would delete it, engaged or not",
    ),
)

POLICY: Final = Policy(
    name="killswitch",
    match=(Match(group="ringfence.dev", resources=("killswitches",), operations=("CREATE", "UPDATE", "DELETE")),),
    variables=_VARIABLES,
    checks=_CHECKS,
    audit=(
        (
            "kill-switch",
            (
                "variables.oldOn == variables.newOn ? ''\n"
                ": (variables.newOn ? 'engaged by ' : 'released by ') + request.userInfo.username"
            ),
        ),
    ),
)

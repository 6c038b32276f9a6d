"""Limits and all that makes them count for more. Which fields, and in which direction, is what the models say."""

from typing import Final

from ringfence_operator.api import TradingSystemSpec
from ringfence_operator.api.limit_table import Leaf, leaves
from ringfence_operator.api.limits import PRESETS
from ringfence_operator.api.meta import Looser, Share
from ringfence_operator.api.rollout import Rollout
from ringfence_operator.policies.model import Check, Match, Policy, verb

KILL_LABELS: Final = "kill.ringfence.dev/"
"""Labels that kill switches are meant to select by."""


DIRECTED: Final = tuple(leaf for leaf in leaves(TradingSystemSpec) if leaf.looser is not None)


LIMITS: Final = "limits."
"""Where the limits are in the spec."""
_NUMBERS: Final = (Looser.WHEN_HIGHER, Looser.WHEN_LOWER)


def _values(whose: str) -> str:
    """CEL: a map of the directed fields that are there, by path."""
    entries = [
        f"?'{leaf.path}': {whose}.?spec.?{leaf.path.replace('.', '.?')}"
        for leaf in DIRECTED
        if leaf.looser is not Looser.WHEN_LATER
    ]
    return "{" + ",\n".join(entries) + "}"


def _paths(looser: Looser, *, whole: bool) -> str:
    return ", ".join(f"'{leaf.path}'" for leaf in DIRECTED if leaf.looser is looser and leaf.whole is whole)


def _loosened(looser: Looser, *, whole: bool) -> str:
    """CEL: paths of one direction and type that the request loosens. To leave out what was written counts as loosening,
    whatever the preset then says of it."""
    sign, method = (">", "isGreaterThan") if looser is Looser.WHEN_HIGHER else ("<", "isLessThan")
    more = (
        f"variables.now[k] {sign} variables.was[k]"
        if whole
        else f"quantity(variables.now[k]).{method}(quantity(variables.was[k]))"
    )
    return (
        f"[{_paths(looser, whole=whole)}].filter(k,\n"
        f"  k in variables.was && variables.was[?k] != variables.now[?k] && (!(k in variables.now) || {more}))"
    )


def _listed(looser: Looser) -> str:
    """CEL: paths of lists and texts that let something else through than before."""
    changed = {
        Looser.WHEN_MORE: "variables.now[k].exists(x, !(x in variables.was[k]))",
        Looser.WHEN_FEWER: "variables.was[k].exists(x, !(x in variables.now[k]))",
        Looser.WHEN_CHANGED: "variables.now[k] != variables.was[k]",
    }[looser]
    return f"[{_paths(looser, whole=False)}].filter(k, k in variables.was && (!(k in variables.now) || {changed}))"


def _presets() -> str:
    """CEL: of each preset, by path, what it says where nothing is written: a number plus a part of the capital."""
    entries = []
    for number, preset in enumerate(PRESETS):
        parts = []
        for leaf in DIRECTED:
            if leaf.limit is not None and leaf.limit.presets is not None:
                value = leaf.limit.presets[number]
                pair = (0.0, float(value.percent) / 100) if isinstance(value, Share) else (float(value), 0.0)
                parts.append(f"'{leaf.path}': [{pair[0]!r}, {pair[1]!r}]")
        entries.append(f"'{preset}': {{" + ", ".join(parts) + "}")
    return "oldObject == null ? {} : {" + ",\n".join(entries) + "}[oldObject.spec.limits.?preset.orValue('moderate')]"


def _added(looser: Looser, *, whole: bool) -> str:
    """CEL: paths where something looser is written than the preset said while they were left out. In floating point:
    what it cannot tell apart is a part in 10^15 of the capital."""
    sign = ">" if looser is Looser.WHEN_HIGHER else "<"
    now = "double(variables.now[k])" if whole else "quantity(variables.now[k]).asApproximateFloat()"
    return (
        f"[{_paths(looser, whole=whole)}].filter(k,\n"
        f"  k in variables.preset && k in variables.now && !(k in variables.was)\n"
        f"  && {now} {sign} variables.preset[k][0] + variables.preset[k][1] * variables.capital)"
    )


def _later(leaf: Leaf) -> str:
    """CEL: the path, if the new word is later than the old one; a new object counts as having had the first, but may
    begin with any limits."""
    order = "[" + ", ".join(f"'{word}'" for word in leaf.words) + "]"
    path = leaf.path.replace(".", ".?")
    first = leaf.words[0]
    new = f"{order}.indexOf(object.spec.?{path}.orValue('{leaf.default}'))"
    if leaf.path.startswith(LIMITS):
        old = f"{order}.indexOf(oldObject.spec.?{path}.orValue('{leaf.default}'))"
        return f"(oldObject != null && {new}\n  > {old} ? ['{leaf.path}'] : [])"
    old = f"{order}.indexOf(oldObject == null ? '{first}' : oldObject.spec.?{path}.orValue('{leaf.default}'))"
    return f"({new}\n  > {old} ? ['{leaf.path}'] : [])"


_CHANGED_ACCOUNTS: Final = """\
oldObject == null || object.spec.?goal.orValue('Paper') == 'Paper' ? []
: (object.spec.venues.all(v, oldObject.spec.venues.exists(o, o.name == v.name && o.?binance == v.?binance))
   ? [] : ['venues'])"""
"""Another account at a system that trades money is more of it. Its limits are counted for each account."""

CONTROL: Final = frozenset({"paused", "abort", "retry"})
"""Of spec.rollout: who may change the system may use them. None skips a step or an approval."""
_CHANGED_ROLLOUT: Final = (
    "oldObject == null || ("
    + "\n  && ".join(
        f"object.spec.?rollout.?{info.alias or name} == oldObject.spec.?rollout.?{info.alias or name}"
        for name, info in Rollout.model_fields.items()
        if name not in CONTROL
    )
    + ")\n? [] : ['rollout']"
)
"""What a revision has to show before it gets money: fewer orders, or no approval, would be a way around it."""

_LABELS: Final = (
    "oldObject == null || oldObject.metadata.?labels.orValue({}).all(k, !k.startsWith('" + KILL_LABELS + "')\n"
    "  || object.metadata.?labels[?k].orValue('') == oldObject.metadata.labels[k])\n"
    "|| " + verb("release", "killswitches", "object.metadata.?name.orValue('')")
)

_LISTS: Final = (Looser.WHEN_MORE, Looser.WHEN_FEWER, Looser.WHEN_CHANGED)
_NUMBERED: Final = tuple(
    (f"{looser.value}{'Numbers' if whole else 'Amounts'}{suffix}", judge(looser, whole=whole))
    for looser in _NUMBERS
    for whole in (False, True)
    for suffix, judge in (("", _loosened), ("Added", _added))
    if _paths(looser, whole=whole)
)

POLICY: Final = Policy(
    name="limits",
    match=(Match(group="ringfence.dev", resources=("tradingsystems",), operations=("CREATE", "UPDATE")),),
    variables=(
        ("was", f"oldObject == null ? {{}} : {_values('oldObject')}"),
        ("now", _values("object")),
        ("preset", _presets()),
        ("capital", "oldObject == null ? 0.0 : quantity(oldObject.spec.capital).asApproximateFloat()"),
        *((name, expression) for name, expression in _NUMBERED),
        *((looser.value, _listed(looser)) for looser in _LISTS),
        ("words", "\n+ ".join(_later(leaf) for leaf in DIRECTED if leaf.looser is Looser.WHEN_LATER)),
        ("accounts", _CHANGED_ACCOUNTS),
        ("rollout", _CHANGED_ROLLOUT),
        (
            "loosened",
            "\n+ ".join(
                f"variables.{name}"
                for name in (
                    *(name for name, _ in _NUMBERED),
                    *(found.value for found in _LISTS),
                    "words",
                    "accounts",
                    "rollout",
                )
            ),
        ),
    ),
    checks=(
        Check(
            "variables.loosened.size() == 0\n|| "
            + verb("raise-limits", "tradingsystems", "object.metadata.?name.orValue('')"),
            "loosening a limit needs verb raise-limits on tradingsystems.ringfence.dev; tightening never does",
            "'loosening ' + variables.loosened.join(', ') + ' of ' + object.metadata.?name.orValue('a new system')\n"
            "+ ' needs verb raise-limits on tradingsystems.ringfence.dev; tightening never does'",
        ),
        Check(
            _LABELS,
            f"changing or removing a label {KILL_LABELS}* takes the system out of the reach of kill switches that"
            " select by it, and needs verb release on killswitches.ringfence.dev",
        ),
    ),
)

"""Limits and all that makes them count for more. Which fields, and in which direction, is what the models say."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ringfence_operator.api import TradingSystemSpec
from ringfence_operator.api.meta import Looser
from ringfence_operator.policies.model import Check, Match, Policy, verb

KILL_LABELS: Final = "kill.ringfence.dev/"
"""Labels that kill switches are meant to select by."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field of the spec that is not an object."""

    path: str
    """Such as limits.order.valueMax."""
    type: Any
    looser: Looser | None
    words: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """A whole number, and no decimal text."""
        return self.type is int


def leaves(model: type[BaseModel], at: str = "") -> Iterator[Leaf]:
    """Every field below a model, through nested models; not into lists and maps."""
    for name, info in model.model_fields.items():
        path = f"{at}{info.alias or name}"
        bare = _bare(info.annotation)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield from leaves(bare, f"{path}.")
        else:
            words = tuple(str(word) for word in get_args(bare)) if get_origin(bare) is Literal else ()
            yield Leaf(path, bare, _marked(info), words)


def _bare(annotation: Any) -> Any:
    """The type without Annotated and None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (inner,) = (arm for arm in get_args(annotation) if arm is not type(None))
        return _bare(inner)
    return annotation


def _marked(info: FieldInfo) -> Looser | None:
    return next((found for found in info.metadata if isinstance(found, Looser)), None)


DIRECTED: Final = tuple(leaf for leaf in leaves(TradingSystemSpec) if leaf.looser is not None)


def _values(whose: str) -> str:
    """CEL: a map of the directed fields that are there, by path."""
    entries = [
        f"?'{leaf.path}': {whose}.?spec.?{leaf.path.replace('.', '.?')}"
        for leaf in DIRECTED
        if leaf.looser is not Looser.WHEN_LATER
    ]
    return "{" + ",\n".join(entries) + "}"


def _loosened(looser: Looser, *, whole: bool) -> str:
    """CEL: paths of one direction and type that the request loosens. A limit that is left out is no limit."""
    paths = ", ".join(f"'{leaf.path}'" for leaf in DIRECTED if leaf.looser is looser and leaf.whole is whole)
    if not paths:
        return "[]"
    sign, method = (">", "isGreaterThan") if looser is Looser.WHEN_HIGHER else ("<", "isLessThan")
    more = (
        f"variables.now[k] {sign} variables.was[k]"
        if whole
        else f"quantity(variables.now[k]).{method}(quantity(variables.was[k]))"
    )
    return (
        f"[{paths}].filter(k,\n"
        f"  k in variables.was && variables.was[?k] != variables.now[?k] && (!(k in variables.now) || {more}))"
    )


def _later(leaf: Leaf) -> str:
    """CEL: the path, if the new word is later than the old one; a new object counts as having had the first."""
    order = "[" + ", ".join(f"'{word}'" for word in leaf.words) + "]"
    path = leaf.path.replace(".", ".?")
    first = leaf.words[0]
    return (
        f"({order}.indexOf(object.spec.?{path}.orValue('{first}'))\n"
        f"  > {order}.indexOf(oldObject == null ? '{first}' : oldObject.spec.?{path}.orValue('{first}'))"
        f" ? ['{leaf.path}'] : [])"
    )


_CHANGED_ACCOUNTS: Final = """\
oldObject == null || object.spec.?goal.orValue('Paper') == 'Paper' ? []
: (object.spec.venues.all(v, oldObject.spec.venues.exists(o, o.name == v.name && o.?binance == v.?binance))
   ? [] : ['venues'])"""
"""Another account at a system that trades money is more of it. Its limits are counted for each account."""

_LABELS: Final = (
    "oldObject == null || oldObject.metadata.?labels.orValue({}).all(k, !k.startsWith('" + KILL_LABELS + "')\n"
    "  || object.metadata.?labels[?k].orValue('') == oldObject.metadata.labels[k])\n"
    "|| " + verb("release", "killswitches", "object.metadata.?name.orValue('')")
)

POLICY: Final = Policy(
    name="limits",
    match=(Match(group="ringfence.dev", resources=("tradingsystems",), operations=("CREATE", "UPDATE")),),
    variables=(
        ("was", f"oldObject == null ? {{}} : {_values('oldObject')}"),
        ("now", _values("object")),
        *(
            (f"{looser.value}{'Numbers' if whole else 'Amounts'}", _loosened(looser, whole=whole))
            for looser in (Looser.WHEN_HIGHER, Looser.WHEN_LOWER)
            for whole in (False, True)
        ),
        ("words", "\n+ ".join(_later(leaf) for leaf in DIRECTED if leaf.looser is Looser.WHEN_LATER)),
        ("accounts", _CHANGED_ACCOUNTS),
        (
            "loosened",
            (
                "variables.higherAmounts + variables.higherNumbers + variables.lowerAmounts + variables.lowerNumbers\n"
                "+ variables.words + variables.accounts"
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

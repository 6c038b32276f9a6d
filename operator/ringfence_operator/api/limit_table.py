"""The table of limits, read from the models: every field with all that is known of it, and what presets fill in."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ringfence_operator.api.limits import PRESETS, Limits, Preset
from ringfence_operator.api.meta import Limit, Looser, Share

MarkT = TypeVar("MarkT")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One field that is not an object."""

    path: str
    """As people write it, from where the walk began, such as order.valueMax."""
    way: tuple[str, ...]
    """The same with the names of Python."""
    type: Any
    """Without Annotated and None."""
    looser: Looser | None
    limit: Limit | None
    default: Any
    description: str
    words: tuple[str, ...] = ()
    """What may be written, where that is one of a few words."""

    @property
    def whole(self) -> bool:
        """A whole number, and no decimal text."""
        return self.type is int


def leaves(model: type[BaseModel], at: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())) -> Iterator[Leaf]:
    """Every field below a model, through nested models; not into lists and maps."""
    path, way = at
    for name, info in model.model_fields.items():
        here = ((*path, info.alias or name), (*way, name))
        bare = _bare(info.annotation)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield from leaves(bare, here)
        else:
            words = tuple(str(word) for word in get_args(bare)) if get_origin(bare) is Literal else ()
            yield Leaf(
                path=".".join(here[0]),
                way=here[1],
                type=bare,
                looser=_marker(info, Looser),
                limit=_marker(info, Limit),
                default=info.default,
                description=info.description or "",
                words=words,
            )


def _bare(annotation: Any) -> Any:
    """The type without Annotated and None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        (inner,) = (arm for arm in get_args(annotation) if arm is not type(None))
        return _bare(inner)
    return annotation


def _marker(info: FieldInfo, kind: type[MarkT]) -> MarkT | None:
    return next((found for found in info.metadata if isinstance(found, kind)), None)


LEAVES: Final = tuple(leaves(Limits))


def effective(limits: Limits, capital: str) -> Limits:
    """The limits that hold: what is written wins, what is left out is the preset's. This is what is granted."""
    filled: dict[str, Any] = {}
    for leaf in LEAVES:
        found: Any = limits
        target = filled
        for step in leaf.way[:-1]:
            found, target = getattr(found, step), target.setdefault(step, {})
        written = getattr(found, leaf.way[-1])
        target[leaf.way[-1]] = preset_value(leaf, limits.preset, capital) if written is None else written
    return Limits.model_validate(filled, by_name=True)


def preset_value(leaf: Leaf, preset: Preset, capital: str) -> str | int | None:
    """What a preset says of a limit; None = it is not limited. Shares are rounded to the stricter 1e-8."""
    if leaf.limit is None or leaf.limit.presets is None:
        return None
    value = leaf.limit.presets[PRESETS.index(preset)]
    if not isinstance(value, Share):
        return value
    scaled, rest = divmod(Decimal(capital) * Decimal(value.percent) * 10**6, 1)
    if rest and leaf.looser is Looser.WHEN_LOWER:
        scaled += 1
    text = f"{max(scaled, Decimal(1)) / 10**8:.8f}"
    return text.rstrip("0").rstrip(".")

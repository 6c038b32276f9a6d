"""docs/limits.md from the table of limits: what people read of a limit is what the gate was told of it. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from ringfence_operator.api.limit_table import LEAVES, Leaf
from ringfence_operator.api.limits import PRESETS, Limits
from ringfence_operator.api.meta import Limit, Looser, Scales, Share

HEAD: Final = """\
<!-- do not edit: make generate -->
# Limits

What the gate holds every order against, in `spec.limits` of a TradingSystem. Only `preset` has a default, `moderate`:
it fills in whatever is left out, money as percent of `spec.capital`. What is written wins over the preset. The result
is what is granted, hashed (`status.limitsRevision`, and the end of the ConfigMap's name) and enforced.

- **Scope** is what is held against a limit: one order, an instrument, a track's total, the account's total over all
  tracks and foreign orders.
- **Weight**: a track of weight w may use w x limit where it says so; prices, times and ratios are never scaled.
  The account always has all of it.
- While two tracks trade, messages and working orders are divided in fixed shares, whatever the weights: of the messages
  stable has 60 % and the candidate 20 %, of the working orders 80 % and 20 %. Cancels are never held back.
- **Tighter**: a change in that direction acts at once and needs no right. The other direction needs the verb
  `raise-limits` ([rights.md](rights.md)), and so do leaving out what was written and a later preset.
- **Soft**: from `softPercent` of the limit on, the gate exports `ringfence_gate_limit_soft` as 1. It refuses nothing.
- Orders that only **reduce** a position skip all limits of exposure, loss, volume and time; they get three times the
  collars and slippage, and may be as large as the account's order limits allow.
- A refused order is told every limit that it fails, each as `CODE key=value`.

Presets: conservative for the first weeks with real money, moderate for the weeks after, full for a system that has
proven itself. An empty cell means: not limited.
"""
_TIGHTER: Final = {
    Looser.WHEN_HIGHER: "lower",
    Looser.WHEN_LOWER: "higher",
    Looser.WHEN_LATER: "earlier",
    Looser.WHEN_MORE: "fewer items",
    Looser.WHEN_FEWER: "more items",
    Looser.WHEN_CHANGED: "none: every change loosens",
}
_WEIGHT: Final = {Scales.NEVER: "", Scales.BY_WEIGHT: "w x limit", Scales.COUNT: "at least 1"}


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_group(name) for name in dict.fromkeys(leaf.path.split(".")[0] for leaf in LEAVES))


def _group(name: str) -> str:
    leaves = [leaf for leaf in LEAVES if leaf.path.split(".")[0] == name]
    alone = len(leaves) == 1 and leaves[0].path == name
    title = "" if alone else f"{_sentence(name)}\n\n"
    return f"\n## {name}\n\n{title}{_table(leaves)}\n{_descriptions(leaves)}"


def _sentence(name: str) -> str:
    model = Limits.model_fields[name].annotation
    return " ".join((model.__doc__ or "").split())


def _table(leaves: Iterable[Leaf]) -> str:
    rows = ["| field | unit | scope | " + " | ".join(PRESETS) + " | weight | tighter | soft |", "|" + "---|" * 9]
    for leaf in leaves:
        limit, looser = _known(leaf)
        cells = (
            f"`{leaf.path}`",
            limit.unit,
            limit.scope,
            *_presets(limit),
            _WEIGHT[limit.scales],
            _TIGHTER[looser],
            "yes" if limit.soft else "",
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _presets(limit: Limit) -> Iterator[str]:
    for value in limit.presets or ("",) * len(PRESETS):
        yield f"{value.percent} % of capital" if isinstance(value, Share) else str(value)


def _descriptions(leaves: Iterable[Leaf]) -> str:
    lines = []
    for leaf in leaves:
        limit, _ = _known(leaf)
        said = " ".join(leaf.description.split())
        codes = [code for code in limit.refused.split(", ") if code != "-"]
        refused = " Refused as " + ", ".join(f"`{code}`" for code in codes) + "." if codes else ""
        example = f" Such as `{codes[0]} {limit.example}`." if codes and limit.example else ""
        lines.append(f"- **{leaf.path}**: {said}{refused}{example}")
    return "\n" + "\n".join(lines) + "\n"


def _known(leaf: Leaf) -> tuple[Limit, Looser]:
    if leaf.limit is None or leaf.looser is None:
        raise ValueError(f"limits.{leaf.path} does not say what it is: it needs a Limit and a direction")
    return leaf.limit, leaf.looser

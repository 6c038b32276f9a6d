"""What a rollout could never do is refused when it is written, as far as the object and its status tell.

Only where the request writes other stages: tightening a limit is never refused for stages that were accepted before.
"""

from typing import Final

from ringfence_operator.api import TradingSystemSpec
from ringfence_operator.api.limit_table import leaves
from ringfence_operator.api.limits import PRESETS
from ringfence_operator.api.meta import Share
from ringfence_operator.api.rollout import COMPARES
from ringfence_operator.policies.model import Check, Match, Policy
from ringfence_operator.rollout.waiting import LEAST_ORDERS

_EVEN: Final = 1 - 1e-9
"""Amounts are compared in floating point; what is exactly enough is enough."""


def _value_max() -> str:
    """CEL: the largest value of one order at weight 100: what is written, or what the preset says."""
    leaf = next(leaf for leaf in leaves(TradingSystemSpec) if leaf.path == "limits.order.valueMax")
    presets = leaf.limit.presets if leaf.limit is not None and leaf.limit.presets is not None else ()
    shares = [
        f"'{preset}': {float(value.percent) / 100!r}"
        for preset, value in zip(PRESETS, presets, strict=True)
        if isinstance(value, Share)
    ]
    return (
        "object.spec.limits.?order.?valueMax.hasValue()\n"
        "? quantity(object.spec.limits.order.valueMax).asApproximateFloat()\n"
        f": {{{', '.join(shares)}}}[object.spec.limits.?preset.orValue('moderate')]\n"
        "  * quantity(object.spec.capital).asApproximateFloat()"
    )


POLICY: Final = Policy(
    name="rollout",
    match=(Match(group="ringfence.dev", resources=("tradingsystems",), operations=("CREATE", "UPDATE")),),
    variables=(
        ("stages", "object.spec.?rollout.?stages.orValue([])"),
        ("rewritten", "oldObject == null || oldObject.spec.?rollout.?stages.orValue([]) != variables.stages"),
        ("alone", "oldObject == null || oldObject.?status.?stable.?weight.orValue(0) == 0"),
        (
            "compared",
            f"variables.stages.filter(s, s.?analysis.?metrics.orValue([]).exists(m, {COMPARES}))",
        ),
        ("valueMax", _value_max()),
        ("least", "oldObject == null ? '0' : oldObject.?status.?minNotional.orValue('0')"),
        (
            "small",
            (
                "variables.stages.filter(s, has(s.weight) && variables.valueMax * double(s.weight)\n"
                f"  < {100 * LEAST_ORDERS * _EVEN!r} * quantity(variables.least).asApproximateFloat())"
            ),
        ),
    ),
    checks=(
        Check(
            "!variables.rewritten || !variables.alone || variables.compared.size() == 0",
            "a metric is compared with a stable revision, and none trades",
            f"'metric ' + variables.compared[0].analysis.metrics.filter(m, {COMPARES})[0].name + ' of stage '\n"
            "+ variables.compared[0].stage + ' is compared with a stable revision, and none trades: '\n"
            "+ 'leave it out until the first revision is Live; a stage without analysis compares by itself then'",
        ),
        Check(
            "!variables.rewritten || variables.small.size() == 0",
            "a canary step is too small for the venue's smallest order",
            "('stage Canary %d%% allows orders of %s (limits.order.valueMax x %d%%), and the venue takes none below '\n"
            f"+ '%s: at least {LEAST_ORDERS} times that is needed').format([variables.small[0].weight,\n"
            "  variables.valueMax * double(variables.small[0].weight) / 100.0,\n"
            "  variables.small[0].weight, variables.least])",
        ),
    ),
)

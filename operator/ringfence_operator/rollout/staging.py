"""From a TradingSystem's spec to what `decide` is told: all defaults filled in, names of metrics looked up. Pure.

The defaults are a careful team's: a week on paper, then 5 % and 25 % of the capital, then a bake of two days with the
earlier revision kept. Without real money there are no stages unless somebody writes them.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Final

from ringfence_operator.api import rollout as api
from ringfence_operator.api.limit_table import effective
from ringfence_operator.api.tradingsystem import TradingSystemSpec
from ringfence_operator.rollout import library
from ringfence_operator.rollout.evidence import MeanWithin, MetricSpec, NonInferior, Queries, Ratio, Rule, Shown, Within
from ringfence_operator.rollout.health import Problem
from ringfence_operator.rollout.state import Mode, RolloutSpec, Stage, StageSpec

_HOUR: Final = 3600
_SECONDS: Final = {"s": 1, "m": 60, "h": _HOUR}
SCALE: Final = 10**8
# a session of a market that never closes is a day
_CAREFUL: Final = (
    (Stage.PAPER, 0, 7 * 24 * _HOUR, 300, 60),
    (Stage.CANARY, 5, 3 * 24 * _HOUR, 300, 100),
    (Stage.CANARY, 25, 5 * 24 * _HOUR, 300, 150),
    (Stage.LIVE, 100, 48 * _HOUR, 0, 0),
)
_LEAST: Final = {stage: (duration, orders, episodes) for stage, _, duration, orders, episodes in reversed(_CAREFUL)}
"""What a stage takes that is written without its figures; of Canary the first step's."""


def rollout_spec(spec: TradingSystemSpec, *, compared: bool) -> RolloutSpec:
    """``compared``: a stable revision trades beside the one on its way."""
    simulated = all(venue.type == "Simulator" for venue in spec.venues)
    told = spec.rollout
    return RolloutSpec(
        goal=Stage(spec.goal),
        simulated=simulated,
        stages=_stages(told.stages, simulated=simulated, compared=compared),
        handover=Mode(told.handover),
        to_paper=told.on_failure == "Paper",
        rollback_revisions=told.rollback_window.revisions,
        no_data_timeout_s=seconds(told.no_data_timeout),
        paused=told.paused,
        abort=told.abort or "",
        retry=told.retry,
        order_value_max=int(Decimal(effective(spec.limits, spec.capital).order.value_max or 0) * SCALE),
    )


def uncomparable(spec: TradingSystemSpec) -> Problem | None:
    """A comparison that people ask for, with a stable that does not trade."""
    for stage in spec.rollout.stages:
        for metric in stage.analysis.metrics if stage.analysis else ():
            if (made := _metric(metric)).judged and isinstance(made.rule, NonInferior):
                told = (
                    f"metric {metric.name} of stage {stage.stage} is compared with a stable revision, and none trades:"
                    " leave it out until the first revision is Live"
                )
                return Problem("NothingToCompareWith", told, needs_somebody=True)
    return None


def seconds(duration: str) -> int:
    """Of a text such as 90s, 30m or 168h."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def _stages(found: tuple[api.StageSpec, ...], *, simulated: bool, compared: bool) -> tuple[StageSpec, ...]:
    if not found:
        if simulated:
            return ()
        found = tuple(api.StageSpec(stage=s.value, weight=w if s is Stage.CANARY else None) for s, w, *_ in _CAREFUL)
        figures = [entry[2:] for entry in _CAREFUL]
    else:
        figures = [_LEAST[Stage(one.stage)] for one in found]
    made = []
    approved = False
    for one, (duration, orders, episodes) in zip(found, figures, strict=True):
        stage = Stage(one.stage)
        careful = (stage is Stage.CANARY and not approved) or stage is Stage.LIVE
        approved = approved or stage is Stage.CANARY
        made.append(
            StageSpec(
                stage=stage,
                weight=_WEIGHT[stage] if one.weight is None else one.weight,
                duration_s=duration if one.duration is None else seconds(one.duration),
                min_orders=orders if one.min_orders is None else one.min_orders,
                min_episodes=episodes if one.min_episodes is None else one.min_episodes,
                approval=careful if one.approval is None else one.approval == "Required",
                metrics=(
                    library.defaults(stage, compared=compared)
                    if one.analysis is None
                    else tuple(_metric(metric) for metric in one.analysis.metrics)
                ),
            )
        )
    return tuple(made)


_WEIGHT: Final = {Stage.PAPER: 0, Stage.CANARY: 1, Stage.LIVE: 100}


def _metric(found: api.Metric) -> MetricSpec:
    """With what people say; else with what the library says for its name; else plain."""
    known = library.LIBRARY.get(found.name) if found.query is None else None
    base = known or MetricSpec(name=found.name, rule=_rule(found), queries=_queries(found))
    return replace(
        base,
        rule=_narrowed(base.rule, found.threshold_range) if known and found.threshold_range else base.rule,
        min_samples=base.min_samples if found.min_samples is None else found.min_samples,
        freshness_s=seconds(found.freshness),
        interval_s=max(1, seconds(found.interval)),
        initial_delay_s=base.initial_delay_s if found.initial_delay is None else seconds(found.initial_delay),
        count=found.count,
        failure_limit=base.failure_limit if found.failure_limit is None else found.failure_limit,
        inconclusive_limit=found.inconclusive_limit,
        consecutive_error_limit=found.consecutive_error_limit,
        dry_run=base.dry_run or found.dry_run,
        critical=base.critical if found.critical is None else found.critical,
    )


def _queries(found: api.Metric) -> Queries:
    return Queries(
        value=found.query or "",
        negative=found.negative or "",
        total=found.total or "",
        samples=found.samples or "",
        squares=found.squares or "",
    )


def _rule(found: api.Metric) -> Rule:
    low, high = _ends(found.threshold_range)
    if found.compare is not None:
        return NonInferior(float(found.compare.margin), higher_is_worse=found.compare.worse == "Higher")
    if found.squares is not None:
        return MeanWithin(low, high)
    if found.total is not None and high is not None:
        return Ratio(high)
    if low is None and high is None:
        return Shown()
    return Within(low, high)


def _narrowed(rule: Rule, found: api.ThresholdRange) -> Rule:
    """A library rule with other ends; of a share or a comparison only the far end means anything."""
    low, high = _ends(found)
    match rule:
        case Within():
            return Within(low, high)
        case MeanWithin():
            return MeanWithin(low, high)
        case Ratio() if high is not None:
            return Ratio(high)
        case NonInferior(_, worse) if high is not None:
            return NonInferior(high, worse)
        case _:
            return rule


def _ends(found: api.ThresholdRange | None) -> tuple[float | None, float | None]:
    if found is None:
        return None, None
    return (
        None if found.min is None else float(found.min),
        None if found.max is None else float(found.max),
    )

"""The metrics that need no PromQL from anybody: their rules, and in which stages they are judged by default. Pure.

Their queries are in `cluster`, under the same names; a test holds the two sets together.
"""

from collections.abc import Mapping
from typing import Final

from ringfence_operator.rollout.evidence import MeanWithin, MetricSpec, NonInferior, Ratio, Shown, Within
from ringfence_operator.rollout.state import Stage

_ALL: Final = frozenset(Stage)
_MONEY: Final = frozenset({Stage.CANARY, Stage.LIVE})
_CANARY: Final = frozenset({Stage.CANARY})
_ZERO: Final = Within(None, 0.0)


def _count(name: str) -> tuple[MetricSpec, frozenset[Stage]]:
    """A count that must be zero: the first one fails at once, and goes to Paper."""
    return MetricSpec(name=name, rule=_ZERO, critical=True), _ALL


_ENTRIES: Final = (
    # counts that must be zero
    _count("reconciliation-breaks"),
    _count("overfills"),
    _count("self-matches"),
    _count("unknown-orders"),
    # percent of the limit on a day's loss, and below the highest value; of the latter nobody sets a limit yet
    (MetricSpec(name="daily-loss", rule=Within(None, 50.0), critical=True), _ALL),
    (MetricSpec(name="drawdown", rule=Within(None, 10.0), critical=True), frozenset[Stage]()),
    # shares: orders that the venue refused, intents that the gate refused
    (MetricSpec(name="venue-rejects", rule=Ratio(0.01), min_samples=300), _ALL),
    (MetricSpec(name="gate-refusals", rule=Ratio(0.005), min_samples=600), _ALL),
    # seconds; shares of time; starts of the strategy's container after the first
    (MetricSpec(name="tick-to-order-p99", rule=Within(None, 0.1), min_samples=1000, failure_limit=3), _ALL),
    (MetricSpec(name="market-data-age-p99", rule=Within(None, 0.5), failure_limit=3), _ALL),
    (MetricSpec(name="gate-inactive", rule=Within(None, 0.005), initial_delay_s=600, failure_limit=3), _ALL),
    (MetricSpec(name="restarts", rule=_ZERO), _ALL),
    # basis points of the same order, live minus simulated by the twin; share of orders filled
    (MetricSpec(name="live-minus-simulated", rule=MeanWithin(-1.0, 1.0), min_samples=100), _CANARY),
    (MetricSpec(name="live-minus-simulated-fills", rule=MeanWithin(-0.1, 0.1), min_samples=300), _CANARY),
    # basis points by episode, candidate minus stable
    (MetricSpec(name="arrival-slippage", rule=NonInferior(2.0), min_samples=60), _CANARY),
    (MetricSpec(name="markout-10s", rule=NonInferior(1.0, higher_is_worse=False), min_samples=150), _CANARY),
    # money: weeks of it are no evidence
    (MetricSpec(name="profit", rule=Shown(), dry_run=True), _ALL),
)

LIBRARY: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec, _ in _ENTRIES}


def defaults(stage: Stage, *, compared: bool) -> tuple[MetricSpec, ...]:
    """What is measured in a stage where nobody says otherwise. ``compared``: there is a stable to compare with."""
    found = [spec for spec, stages in _ENTRIES if stage in stages]
    return tuple(spec for spec in found if compared or not isinstance(spec.rule, NonInferior))

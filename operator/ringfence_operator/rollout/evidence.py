"""What is measured, and what it says: values only. `analysis` folds measurements into them; Evaluations keep them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """What a measurement, a metric or a stage says. Only Successful lets anything rise."""

    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    """Measured, and not enough to say."""
    NO_DATA = "NoData"
    """Nothing, NaN, too old, or not measured at all."""
    ERROR = "Error"
    """Could not be measured: no answer, or not one number."""
    FAILED = "Failed"


WORST_FIRST = (Verdict.FAILED, Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.SUCCESSFUL)


@dataclass(frozen=True, slots=True)
class Within:
    """A value that must lie within, ends included. Judged at each measurement."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """Events of a total. The upper 95 % bound must not exceed ``high``. Judged at three looks."""

    high: float


@dataclass(frozen=True, slots=True)
class NonInferior:
    """Mean of episodes, not worse than stable's by ``margin`` or more. Judged at three looks."""

    margin: float
    higher_is_worse: bool = True


@dataclass(frozen=True, slots=True)
class MeanWithin:
    """Mean of episodes, whose 95 % bounds must lie within, ends included. Judged at three looks."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Shown:
    """No rule: shown, never judged."""


Rule = Within | Ratio | NonInferior | MeanWithin | Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """PromQL of a metric of one's own, names not yet filled in. A library metric's are the library's."""

    value: str
    """The value, the events of a ratio, or the positive part of a sum over episodes."""
    negative: str = ""
    total: str = ""
    samples: str = ""
    squares: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric, all defaults filled in."""

    name: str
    rule: Rule
    queries: Queries | None = None
    """None: the library's for this name."""
    min_samples: int = 1
    freshness_s: int = 120
    interval_s: int = 60
    initial_delay_s: int = 0
    count: int = 1
    """Good measurements needed; of rules that are judged at each measurement."""
    failure_limit: int = 0
    """Tolerated; one more fails."""
    inconclusive_limit: int = 1000
    """In a row, waited for; one more asks for a person."""
    consecutive_error_limit: int = 10
    """In a row, waited out; one more asks for a person."""
    dry_run: bool = False
    critical: bool = False

    @property
    def judged(self) -> bool:
        return not self.dry_run and not isinstance(self.rule, Shown)

    @property
    def statistical(self) -> bool:
        """Judged at three fixed looks, not at each measurement."""
        return isinstance(self.rule, Ratio | NonInferior | MeanWithin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums over the episodes of one track since its step began."""

    count: float
    positive: float
    negative: float
    """Sum of the values below 0, without the sign: two counters, because counters only grow."""
    squares: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What Prometheus answered for one metric, once. All parts absent = no data."""

    metric: str
    at: datetime
    query: str = ""
    """As it was asked, all names filled in."""
    error: str = ""
    """Why it could not be measured; empty: it was."""
    value: float | None = None
    """Within, Shown: the value. Ratio: events. May be NaN."""
    total: float | None = None
    """Ratio: of how many."""
    samples: float | None = None
    """Within: on how many samples it rests; None = not told, which is not enough where min_samples > 1."""
    candidate: Sums | None = None
    """NonInferior, MeanWithin: of the track that is evaluated."""
    stable: Sums | None = None
    """NonInferior."""
    age_s: float | None = None
    """Age of the newest sample; None = not known, which is stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A reading that was judged: a line of an Evaluation."""

    at: datetime
    verdict: Verdict
    value: str
    samples: str
    query: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One of the three looks at a statistic."""

    number: int
    at: datetime
    lower: float
    upper: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricState:
    """One metric over its stage. Counts go over all measurements; of the measurements only the last are kept."""

    name: str
    verdict: Verdict = Verdict.NO_DATA
    reason: str = "not measured yet"
    dry_run: bool = False
    measured: int = 0
    successful: int = 0
    failed: int = 0
    errors_in_a_row: int = 0
    inconclusive_in_a_row: int = 0
    looks: tuple[Look, ...] = ()
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationState:
    """All metrics of one revision in one stage."""

    started: datetime | None = None
    metrics: tuple[MetricState, ...] = ()

    def metric(self, name: str) -> MetricState:
        """What is known of a metric; nothing, where it was never measured."""
        return next((found for found in self.metrics if found.name == name), MetricState(name=name))

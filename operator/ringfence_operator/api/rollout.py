"""The rollout part of a TradingSystem: stages, what they measure, and what a rollout's status says.

A stage is entered, not left: its `approval` is what entering it takes, its `duration` and `analysis` are what leaving
it takes. Live's duration is the bake, during which the earlier revision is kept to roll back to.
"""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, Strict

from ringfence_operator.api.meta import (
    DECIMAL_LENGTH_MAX,
    Count,
    Flag,
    Instant,
    Spec,
    Status,
    Text,
    Word,
    atomic_list,
    cel,
    list_map,
    rule,
)

Stage = Literal["Paper", "Canary", "Live"]
Approval = Literal["Required", "Automatic"]
Verdict = Literal["Successful", "Failed", "Error", "Inconclusive", "NoData"]
HandoverMode = Literal["Adopt", "Flatten"]

DURATION_PATTERN: Final = "^[0-9]{1,6}(s|m|h)$"
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=8)]
"""A whole number and a unit: 90s, 30m, 168h."""
SIGNED_PATTERN: Final = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?$"
Signed = Annotated[str, Field(pattern=SIGNED_PATTERN, max_length=DECIMAL_LENGTH_MAX + 1)]
"""A decimal text that may be below 0."""
Revision = Annotated[str, Field(pattern="^[0-9a-f]{8,10}$", max_length=10)]
Query = Annotated[str, Field(min_length=1, max_length=2048)]

STAGES_MAX: Final = 8
METRICS_MAX: Final = 24
MEASUREMENTS_MAX: Final = 20
"""Kept of each metric in an Evaluation; counts and looks go on over all."""

LibraryMetric = Literal[
    "reconciliation-breaks",
    "overfills",
    "self-matches",
    "unknown-orders",
    "daily-loss",
    "drawdown",
    "venue-rejects",
    "gate-refusals",
    "tick-to-order-p99",
    "market-data-age-p99",
    "gate-inactive",
    "restarts",
    "live-minus-simulated",
    "live-minus-simulated-fills",
    "arrival-slippage",
    "markout-10s",
    "profit",
]
"""Metrics that need no query: their queries come with the operator, their rules from `rollout.library`."""
_LIBRARY: Final = "[" + ", ".join(f"'{name}'" for name in LibraryMetric.__args__) + "]"  # type: ignore[attr-defined]

COMPARED: Final = ("arrival-slippage", "markout-10s")
"""Of the library: what is judged against stable."""
COMPARES: Final = (
    "(has(m.compare) || (!has(m.query) && m.name in ["
    + ", ".join(f"'{name}'" for name in COMPARED)
    + "])) && !m.?dryRun.orValue(false)"
)
"""CEL: whether a metric ``m`` is judged against stable."""


class ThresholdRange(Spec):
    """What a value must be within, ends included. At least one end."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule("has(self.min) || has(self.max)", "thresholdRange needs min or max: without either all would pass"),
            rule(
                "!has(self.min) || !has(self.max) || quantity(self.min).compareTo(quantity(self.max)) <= 0",
                "thresholdRange.min must not exceed max",
                at=".min",
            ),
        )
    )

    min: Signed | None = None
    """Lowest good value."""
    max: Signed | None = None
    """Highest good value."""


class Comparison(Spec):
    """Not worse than stable by more than a margin: the 95 % bound of the difference, over episodes, is below it."""

    to: Literal["stable"] = "stable"
    """The track that it is compared to."""
    margin: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,8})?$", max_length=DECIMAL_LENGTH_MAX)]
    """How much worse it may be, in the metric's unit."""
    worse: Literal["Higher", "Lower"] = "Higher"
    """Which direction is worse."""


class Metric(Spec):
    """One thing that is measured in a stage. A library name is enough; a metric of one's own says query and rule.

    Queries are PromQL and must give one number each. `$(system)`, `$(namespace)`, `$(track)`, `$(revision)` and
    `$(window)` (time since the stage began, such as 5400s) are filled in.
    """

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                f"has(self.query) || self.name in {_LIBRARY}",
                "a metric that is not in the library needs a query",
                says="'\"' + self.name + '\": a metric that is not in the library needs a query'",
                at=".query",
            ),
            rule(
                "!has(self.query) || has(self.thresholdRange) || has(self.compare) || self.dryRun",
                "a metric with a query needs thresholdRange or compare: without a rule everything would pass",
                at=".thresholdRange",
            ),
            rule(
                "!has(self.compare) || !has(self.thresholdRange)",
                "a metric has thresholdRange or compare, not both",
                at=".compare",
            ),
            rule(
                "!has(self.total) || (has(self.thresholdRange) && has(self.thresholdRange.max)"
                " && !has(self.thresholdRange.min) && has(self.query))",
                "total makes it a ratio query/total: it needs query and thresholdRange.max, and no min",
                at=".total",
            ),
            rule(
                "!(has(self.compare) && has(self.query)) || (has(self.samples) && has(self.squares))",
                "compare needs the number of episodes and their sum of squares: samples and squares",
                at=".compare",
            ),
            rule(
                "!has(self.squares) || (has(self.samples) && !has(self.total)"
                " && (has(self.compare) || has(self.thresholdRange)))",
                "squares makes it a mean over episodes: it needs samples, and thresholdRange or compare, and no total",
                at=".squares",
            ),
            rule(
                "has(self.query) || (!has(self.total) && !has(self.samples) && !has(self.squares)"
                " && !has(self.negative) && !has(self.compare))",
                "total, samples, squares, negative and compare are only for a metric with a query of its own",
                at=".query",
            ),
        )
    )

    name: Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
    """A name of the library, or one of your own with a query."""
    query: Query | None = None
    """PromQL. With total: the events; with compare: the sum over episodes. Counters of this stage, or a gauge."""
    negative: Query | None = None
    """PromQL for the negative part of a signed sum: counters only grow, so such a sum is two; query is the positive."""
    total: Query | None = None
    """PromQL: of how many. Makes it a ratio, whose upper 95 % bound must not exceed thresholdRange.max."""
    samples: Query | None = None
    """PromQL: how many samples it rests on; for compare the number of episodes."""
    squares: Query | None = None
    """PromQL: sum of the squares over episodes. Makes it a mean, whose 95 % bounds are judged."""
    threshold_range: ThresholdRange | None = None
    """What its value must be within. For a library name: instead of the library's own, where it has one."""
    compare: Comparison | None = None
    """Judge it against stable. Needs a stable that trades."""
    min_samples: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    """It says nothing on fewer. Default: the library's, or 1."""
    freshness: Duration = "2m"
    """Older samples are no data."""
    interval: Duration = "1m"
    """Time from one measurement to the next, at least 1s."""
    initial_delay: Duration | None = None
    """Time from the stage's begin to the first measurement. Default: the library's, or 0s."""
    count: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 1
    """At least so many measurements before it can be Successful. It goes on being measured."""
    failure_limit: Annotated[int, Strict(), Field(ge=0, le=1000)] | None = None
    """Number of failed measurements that are tolerated: with 3 the fourth fails. Good ones do not reset it. Default:
    the library's, or 0."""
    inconclusive_limit: Annotated[int, Strict(), Field(ge=0, le=100_000)] = 1000
    """Number of inconclusive measurements in a row that are waited for; one more asks for a person."""
    consecutive_error_limit: Annotated[int, Strict(), Field(ge=0, le=100_000)] = 10
    """Number of errors in a row that are waited out; one more asks for a person. No error ever promotes."""
    dry_run: Flag = False
    """Measured and shown, never judged."""
    critical: Flag | None = None
    """Its failure goes to Paper at once, whatever onFailure says. Default: the library's, or false."""


class Analysis(Spec):
    """What is measured in a stage. The worst verdict counts."""

    metrics: Annotated[
        tuple[Metric, ...], Field(min_length=1, max_length=METRICS_MAX, json_schema_extra=list_map("name"))
    ]
    """1 to 24 metrics."""


class StageSpec(Spec):
    """One step on the way. The order of the list is the order in which they are walked; none is ever skipped."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "(self.stage == 'Canary') == has(self.weight)",
                "weight is for Canary, and needed there: Paper is 0 and Live is 100",
                at=".weight",
            ),
            rule("self.stage != 'Paper' || !has(self.approval)", "nobody approves Paper", at=".approval"),
            rule(
                f"self.stage != 'Live' || !has(self.analysis) || !self.analysis.metrics.exists(m, {COMPARES})",
                "in stage Live nothing is compared with stable: the revision that bakes is stable",
                at=".analysis",
            ),
        )
    )

    stage: Stage
    """Paper, Canary or Live."""
    weight: Annotated[int, Strict(), Field(ge=1, le=99)] | None = None
    """Percent of the capital and limits that the revision may use in this Canary step, 1 to 99."""
    duration: Duration | None = None
    """Session time that it stays at least: with fresh data, the gate Active, and not paused. For Live: the bake."""
    min_orders: Annotated[int, Strict(), Field(ge=0, le=1_000_000)] | None = None
    """Orders that it must have sent in this stage."""
    min_episodes: Annotated[int, Strict(), Field(ge=0, le=1_000_000)] | None = None
    """Episodes that it must have traded in this stage; fills closer than 60 s in one instrument are one."""
    approval: Approval | None = None
    """What entering takes: a Promotion (Required) or nothing (Automatic). Left out: Required for the first Canary and
    for Live."""
    analysis: Analysis | None = None
    """What is measured; left out: the library's metrics for the stage."""


class RollbackWindow(Spec):
    """Going back to a revision that was Live not long ago needs no stages and no approval."""

    revisions: Annotated[int, Strict(), Field(ge=0, le=5)] = 1
    """How many earlier revisions count, of those that finished their bake. 0: none."""


class Rollout(Spec):
    """How a revision earns its capital. Left out where every venue is a Simulator: at once. Else: careful defaults."""

    stages: Annotated[
        tuple[StageSpec, ...],
        Field(
            max_length=STAGES_MAX,
            json_schema_extra=atomic_list()
            | cel(
                rule(
                    "self.size() == 0 || (self[0].stage == 'Paper' && self.exists_one(s, s.stage == 'Paper'))",
                    "stages begin with Paper, once",
                ),
                rule(
                    "self.all(s, s.stage != 'Live' || s == self[self.size() - 1])",
                    "Live is the last stage, once",
                ),
                rule(
                    "self.all(s, s.stage != 'Canary' || !has(s.weight) || self.exists_one(o, o.stage == 'Canary'"
                    " && has(o.weight) && o.weight == s.weight))"
                    " && self.filter(s, has(s.weight)).map(s, s.weight).isSorted()",
                    "each Canary weight must be greater than the one before",
                ),
            ),
        ),
    ] = ()
    """Paper, then Canary steps of growing weight, then Live. Empty: the default."""
    handover: HandoverMode = "Adopt"
    """How positions pass on: Adopt (the other strategy takes them over at the mark; it must have on_adopt), or
    Flatten (they are closed)."""
    on_failure: Literal["Demote", "Paper"] = "Demote"
    """Where a failed revision goes: one step back, or to Paper."""
    rollback_window: RollbackWindow = RollbackWindow()
    no_data_timeout: Duration = "1h"
    """After so long without a usable measurement, it asks for a person. It never moves on by itself."""
    paused: Flag = False
    """Holds where it is. Failures still demote; the kill switch is not affected; the time does not count."""
    abort: Revision | None = None
    """The revision to take back to Paper and keep there. Any other revision is not affected."""
    retry: Annotated[int, Strict(), Field(ge=0, le=2**31 - 1)] = 0
    """Raise it to try a failed or aborted revision again, from where it is."""


# --- status


class MetricStatus(Status):
    """Where one metric stands."""

    name: Word
    """The metric."""
    verdict: Verdict
    """What it says now."""
    value: Annotated[str, Field(max_length=64)] = ""
    """Last value, or bound."""
    reason: Text = ""
    """Why, in one sentence."""


class FailureStatus(Status):
    """Why a revision does not go on."""

    revision: Word
    """Which."""
    reason: Word
    """One word."""
    message: Text = ""
    """One sentence."""
    at: Instant
    """When, RFC 3339."""


class HandoverStatus(Status):
    """Positions on their way from one track to another, or out."""

    id: Word
    """As the allocation names it."""
    purpose: Literal["Promote", "RollBack", "Demote", "Supersede"]
    """What it is for."""
    source: Word
    """Track: stable or candidate."""
    target: Word = ""
    """Track; empty: nobody, positions are closed."""
    mode: HandoverMode
    """Adopt or Flatten."""
    since: Instant
    """When it began, RFC 3339."""


class EarnedStatus(Status):
    """A revision that finished its bake."""

    revision: Word
    """Which."""
    limits_revision: Word
    """The limits that were granted to it."""
    at: Instant
    """When its bake ended, RFC 3339."""


class PlatformStatus(Status):
    """Which image of the platform runs, and how far an upgrade of it is."""

    phase: Literal["Settled", "Proving", "Halting", "Swapping", "PuttingBack", "Failed"]
    """Settled, or a step of an upgrade."""
    image: Annotated[str, Field(max_length=512)]
    """What execution runs."""
    target: Annotated[str, Field(max_length=512)] = ""
    """What it is on the way to; or what failed."""
    since: Instant
    """When the phase began, RFC 3339."""
    proven_seconds: Count = 0
    """How long the target has worked on paper."""
    clock: Instant | None = None
    """When the target was last seen to work on paper; empty: the last look did not see it."""
    message: Text = ""
    """What it waits for, or why it failed."""


class RolloutStatus(Status):
    """How far a revision is, and what it waits for. Everything that the operator needs to go on after a restart."""

    revision: Word = ""
    """The revision on its way, or that bakes; empty: none."""
    next: Annotated[str, Field(max_length=32)] = ""
    """The next step, such as Canary 25%; empty where there is none."""
    waits_for: Text = ""
    """What the next step waits for, in one sentence."""
    approval: Word = ""
    """What the next step takes of a person: Required (nobody has approved it yet), Given, or Automatic; else empty."""
    verdict: Verdict | None = None
    """The worst of the metrics."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=METRICS_MAX, json_schema_extra=list_map("name"))] = ()
    """Where each metric stands."""
    evaluation: Word = ""
    """The Evaluation with all measurements of this stage."""
    evaluation_uid: Annotated[Word, Field(alias="evaluationUID")] = ""
    """Its UID: a Promotion names it."""
    session_milliseconds: Count = 0
    """Session time in this stage."""
    counting: Flag = False
    """Whether session time counts now."""
    attempt: Count = 0
    """Counts entries into stages, retries and demotions too: each has an Evaluation of its own."""
    clock: Instant | None = None
    """Latest time that was seen. Nothing rises while the clock is behind it."""
    silent_since: Instant | None = None
    """Since when no usable measurement came."""
    baking: Flag = False
    """Live, and still watched with the earlier revision kept."""
    returning: Flag = False
    """An earlier revision that comes back without stages."""
    failure: FailureStatus | None = None
    """Why this revision does not go on without a retry or a new revision."""
    retry: Count = 0
    """The last spec.rollout.retry that was honoured."""
    handovers: Annotated[tuple[HandoverStatus, ...], Field(max_length=8, json_schema_extra=atomic_list())] = ()
    """Positions on their way, in this order."""
    earned: Annotated[tuple[EarnedStatus, ...], Field(max_length=6, json_schema_extra=atomic_list())] = ()
    """Revisions that finished their bake, the newest first."""

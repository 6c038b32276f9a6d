"""Evaluation: what was measured of one revision in one stage, and what that says. Written by the operator only."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, Strict

from ringfence_operator.api.meta import (
    AGE,
    Column,
    Conditions,
    Count,
    Flag,
    Instant,
    Kind,
    ObjectName,
    Percent,
    Spec,
    Status,
    Text,
    Whole,
    Word,
    atomic_list,
    cel,
    list_map,
    rule,
)
from ringfence_operator.api.rollout import MEASUREMENTS_MAX, METRICS_MAX, Revision, Stage, Verdict

Number = Annotated[str, Field(max_length=40)]
"""A measured number as text: Prometheus has floats, and NaN is a value that people have to see."""


class EvaluationSpec(Spec):
    """Of what. It never changes."""

    model_config = ConfigDict(json_schema_extra=cel(rule("self == oldSelf", "what an Evaluation is of never changes")))

    system: ObjectName
    """The TradingSystem."""
    revision: Revision
    """The strategy revision."""
    stage: Stage
    """The stage."""
    weight: Percent
    """Percent of the capital in that stage."""
    attempt: Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)] = 1
    """Counts the tries of this revision."""


class Sums(Status):
    """Sums over episodes of one track: enough for a mean and its error."""

    count: Number
    """Episodes."""
    positive: Number
    """Sum of values above 0."""
    negative: Number = "0"
    """Sum of values below 0, without the sign: counters only grow."""
    squares: Number
    """Sum of squares."""


class Measurement(Status):
    """One measurement, whatever came of it."""

    at: Instant
    """When, RFC 3339 with milliseconds."""
    verdict: Verdict
    """What it says alone."""
    value: Number = ""
    """What was found; for ratios and comparisons the bound. Empty: nothing."""
    samples: Number = ""
    """On how many samples it rests."""
    query: Annotated[str, Field(max_length=4096)] = ""
    """As it was asked, all names filled in."""
    reason: Text = ""
    """Why, in one sentence."""


class Look(Status):
    """One of the three fixed looks at a statistic."""

    number: Annotated[int, Strict(), Field(ge=1, le=3)]
    """1, 2 or 3."""
    at: Instant
    """When, RFC 3339."""
    lower: Number
    """Lower bound."""
    upper: Number
    """Upper bound."""
    verdict: Verdict
    """What it says."""


class MetricEvaluation(Status):
    """One metric over the whole stage."""

    name: Word
    """The metric."""
    verdict: Verdict
    """What it says now."""
    reason: Text = ""
    """Why, in one sentence."""
    dry_run: Flag = False
    """Shown, not judged."""
    measured: Count = 0
    """Measurements."""
    successful: Count = 0
    """Good ones."""
    failed: Count = 0
    """Failed ones; never reset."""
    errors_in_a_row: Count = 0
    """Errors since the last that was none."""
    inconclusive_in_a_row: Count = 0
    """Inconclusive ones since the last that was none."""
    looks: Annotated[tuple[Look, ...], Field(max_length=3, json_schema_extra=atomic_list())] = ()
    """Looks taken, of three."""
    measurements: Annotated[
        tuple[Measurement, ...], Field(max_length=MEASUREMENTS_MAX, json_schema_extra=atomic_list())
    ] = ()
    """The last ones, the newest last."""


class EvaluationStatus(Status):
    """What was measured."""

    verdict: Verdict | None = None
    """The worst of all that are judged."""
    message: Text = ""
    """Which metric, and why."""
    started_at: Instant | None = None
    """When the stage began, RFC 3339."""
    metrics: Annotated[
        tuple[MetricEvaluation, ...], Field(max_length=METRICS_MAX, json_schema_extra=list_map("name"))
    ] = ()
    """Each metric."""
    conditions: Conditions = ()
    """Complete."""
    outcome: Literal["", "Promoted", "Failed", "Aborted", "Superseded", "RolledBack"] = ""
    """How the stage ended; empty while it goes on."""


class Evaluation(Whole):
    """The whole object, as read."""

    spec: EvaluationSpec
    status: EvaluationStatus = EvaluationStatus()


KIND: Final = Kind(
    kind="Evaluation",
    plural="evaluations",
    short_names=("eval",),
    description="The measurements and verdicts of one revision in one stage. Written by the operator only.",
    spec=EvaluationSpec,
    status=EvaluationStatus,
    columns=(
        Column("System", ".spec.system", "string", "The trading system."),
        Column("Revision", ".spec.revision", "string", "The strategy revision."),
        Column("Stage", ".spec.stage", "string", "The stage."),
        Column("Weight", ".spec.weight", "integer", "Percent of the capital in that stage."),
        Column("Verdict", ".status.verdict", "string", "The worst of its metrics."),
        Column("Outcome", ".status.outcome", "string", "How the stage ended."),
        AGE,
        Column("Message", ".status.message", "string", "Which metric, and why.", priority=1),
    ),
)

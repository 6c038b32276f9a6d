"""Promotion: a person's approval, of exactly one step of one revision on the evidence of one Evaluation. Immutable."""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from ringfence_operator.api.meta import (
    AGE,
    Column,
    Instant,
    Kind,
    ObjectName,
    Spec,
    Status,
    Text,
    Whole,
    cel,
    rule,
)
from ringfence_operator.api.rollout import Duration, Revision

VALID_FOR_MAX_H: Final = 168


class PromotionSpec(Spec):
    """What is approved, by whom, and why. It never changes, and is good for one step."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule("self == oldSelf", "a Promotion never changes: make another one"),
            rule(
                "self.action != 'Promote' || has(self.evaluation)",
                "a Promotion names the evidence: evaluation is the UID of the Evaluation of the stage that is left",
                at=".evaluation",
            ),
            rule(
                "duration(self.validFor) > duration('0s')"
                f" && duration(self.validFor) <= duration('{VALID_FOR_MAX_H}h')",
                f"validFor is above 0 and at most {VALID_FOR_MAX_H}h",
                at=".validFor",
            ),
        )
    )

    action: Literal["Promote", "Raise"] = "Promote"
    """Promote: into a stage. Raise: only the limits of a revision that is in that stage already."""
    system: ObjectName
    """The TradingSystem; the verb promote is checked on it."""
    revision: Revision
    """The strategy revision, status.revision of the system."""
    stage: Literal["Canary", "Live"]
    """The stage that it may enter; for Raise the stage that it is in."""
    evaluation: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """UID of the Evaluation that was read, status.rollout.evaluationUID of the system. Needed for Promote."""
    limits_revision: Annotated[str, Field(pattern="^[0-9a-f]{8,64}$", max_length=64)]
    """Hash of the limits that are acknowledged, status.limitsRevision of the system."""
    by: Annotated[str, Field(min_length=1, max_length=253)]
    """Who approves: must be the one who makes it."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, for those who read it later."""
    valid_for: Duration = "24h"
    """How long it may be used, from its making: at most 168h."""


class PromotionStatus(Status):
    """What became of it."""

    state: Literal["Waiting", "Used", "Expired", "Refused"] | None = None
    """Waiting: good, and the step waits for something else. Refused: it matches nothing."""
    message: Text = ""
    """Why, in one sentence."""
    at: Instant | None = None
    """When that was found, RFC 3339."""


class Promotion(Whole):
    """The whole object, as read."""

    spec: PromotionSpec
    status: PromotionStatus = PromotionStatus()


KIND: Final = Kind(
    kind="Promotion",
    plural="promotions",
    short_names=("promo",),
    description="A person's approval of one step of one revision, on the evidence of one Evaluation.",
    spec=PromotionSpec,
    status=PromotionStatus,
    columns=(
        Column("System", ".spec.system", "string", "The trading system."),
        Column("Revision", ".spec.revision", "string", "The strategy revision."),
        Column("Stage", ".spec.stage", "string", "The stage that it may enter."),
        Column("By", ".spec.by", "string", "Who approves."),
        Column("State", ".status.state", "string", "What became of it."),
        AGE,
        Column("Message", ".status.message", "string", "Why.", priority=1),
        Column("Reason", ".spec.reason", "string", "Why it was approved.", priority=1),
    ),
)

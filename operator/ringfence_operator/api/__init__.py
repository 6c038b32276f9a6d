"""The kinds of group ringfence.dev as pydantic models: spec, status, descriptions, bounds and rules.

Owns the words and shapes of our API; CRDs are generated from here. Must not import anything but pydantic and the
standard library, read a clock, or know how a system is run: the operator, the command line and tests import it, also
in an environment that has nothing else.
"""

from typing import Final

from ringfence_operator.api import evaluation, killswitch, promotion, tradingsystem
from ringfence_operator.api.evaluation import Evaluation, EvaluationSpec, EvaluationStatus
from ringfence_operator.api.killswitch import KillSwitch, KillSwitchSpec, KillSwitchStatus, Scope, Severity, severity
from ringfence_operator.api.limits import Limits
from ringfence_operator.api.meta import API_VERSION, CATEGORY, GROUP, VERSION, Condition, Kind, Metadata, sentence
from ringfence_operator.api.promotion import Promotion, PromotionSpec, PromotionStatus
from ringfence_operator.api.revision import (
    canonical_json,
    content_hash,
    revision_hash,
    revision_json,
)
from ringfence_operator.api.rollout import Rollout, RolloutStatus, Stage
from ringfence_operator.api.tradingsystem import (
    Service,
    Strategy,
    Track,
    Trading,
    TradingSystem,
    TradingSystemSpec,
    TradingSystemStatus,
    Venue,
)

KINDS: Final[tuple[Kind, ...]] = (tradingsystem.KIND, killswitch.KIND, evaluation.KIND, promotion.KIND)
"""Every kind that a CRD is generated for."""

__all__ = [
    "API_VERSION",
    "CATEGORY",
    "GROUP",
    "KINDS",
    "VERSION",
    "Condition",
    "Evaluation",
    "EvaluationSpec",
    "EvaluationStatus",
    "KillSwitch",
    "KillSwitchSpec",
    "KillSwitchStatus",
    "Kind",
    "Limits",
    "Metadata",
    "Promotion",
    "PromotionSpec",
    "PromotionStatus",
    "Rollout",
    "RolloutStatus",
    "Scope",
    "Service",
    "Severity",
    "Stage",
    "Strategy",
    "Track",
    "Trading",
    "TradingSystem",
    "TradingSystemSpec",
    "TradingSystemStatus",
    "Venue",
    "canonical_json",
    "content_hash",
    "revision_hash",
    "revision_json",
    "sentence",
    "severity",
]

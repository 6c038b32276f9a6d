"""Between the values of `rollout` and what the API server keeps of them: status, Evaluations and Promotions. Pure.

What is written here and read again is all that a pass knows of the passes before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from ringfence.kube.client import Manifest
from ringfence_operator.api import TradingSystem, sentence
from ringfence_operator.api import evaluation as evaluations
from ringfence_operator.api import rollout as api
from ringfence_operator.api import tradingsystem as kinds
from ringfence_operator.api.promotion import Promotion, PromotionStatus
from ringfence_operator.desired.labels import Manifest as Labelled
from ringfence_operator.desired.labels import system_labels
from ringfence_operator.desired.plan import API_VERSION
from ringfence_operator.rollout import staging
from ringfence_operator.rollout.evidence import EvaluationState, Look, Measurement, MetricState, Verdict
from ringfence_operator.rollout.health import Problem
from ringfence_operator.rollout.state import (
    Earned,
    EvaluationSeen,
    Failure,
    Handover,
    Mode,
    Outlook,
    Progress,
    PromotionResult,
    PromotionSeen,
    Purpose,
    Stage,
    State,
    TrackState,
)

EVALUATIONS_KEPT: Final = 20
"""Of a system; the oldest that are over go."""
PROMOTIONS_MAX: Final = 100
"""Looked at, the newest first."""


def instant(text: str | None) -> datetime:
    """A time that we wrote; one that cannot be read is the beginning of time, which is never "just now"."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _precise(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- status

_STATE: Final = frozenset({"stable", "candidate", "shadow", "rollout"})
"""Of status: what `state_of` reads."""


def parsed(found: Manifest) -> TradingSystem | Problem:
    """The object as a model, or why its spec is none. What status only tells people is left out where it cannot be
    read, as when another version wrote it; a state that cannot be read is as good as none: the safest stage follows."""
    try:
        return TradingSystem.parse(found)
    except ValidationError as error:
        places = [one["loc"] for one in error.errors(include_url=False, include_input=False)]
    unread = {str(place[1]) for place in places if place[0] == "status" and len(place) > 1}
    told = (
        {} if unread & _STATE else {key: one for key, one in (found.get("status") or {}).items() if key not in unread}
    )
    try:
        return TradingSystem.parse({**found, "status": told})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Problem("SpecInvalid", f"{where}: {first['msg']}", needs_somebody=True)


def state_of(system: TradingSystem) -> State:
    """Where the last pass ended."""
    status, found = system.status, system.status.rollout
    tracks = State(
        stable=_track_state(status.stable),
        candidate=_track_state(status.candidate),
        shadow=_track_state(status.shadow),
    )
    if found is None:
        return tracks
    return replace(
        tracks,
        progress=_progress(found) if found.revision else None,
        attempt=found.attempt,
        clock=instant(found.clock) if found.clock else None,
        failure=_failure(found.failure),
        retry=found.retry,
        handovers=tuple(_handover(one) for one in found.handovers),
        earned=tuple(
            Earned(revision=one.revision, grant=one.limits_revision, at=instant(one.at)) for one in found.earned
        ),
    )


def _track_state(found: kinds.Track | None) -> TrackState | None:
    if found is None:
        return None
    return TrackState(
        revision=found.revision,
        stage=Stage(found.stage),
        weight=found.weight,
        grant=found.limits_revision,
        since=instant(found.since),
    )


def _progress(found: api.RolloutStatus) -> Progress:
    return Progress(
        session_ms=found.session_milliseconds,
        counting=found.counting,
        silent_since=instant(found.silent_since) if found.silent_since else None,
        baking=found.baking,
        returning=found.returning,
    )


def _failure(found: api.FailureStatus | None) -> Failure | None:
    if found is None:
        return None
    return Failure(revision=found.revision, reason=found.reason, message=found.message, at=instant(found.at))


def _handover(found: api.HandoverStatus) -> Handover:
    return Handover(
        id=found.id,
        purpose=Purpose(found.purpose),
        source=found.source,
        target=found.target,
        mode=Mode(found.mode),
        since=instant(found.since),
    )


def track_status(found: TrackState | None) -> kinds.Track | None:
    if found is None:
        return None
    return kinds.Track(
        revision=found.revision,
        stage=found.stage.value,
        weight=found.weight,
        since=written(found.since),
        limits_revision=found.grant,
    )


def rollout_status(
    state: State, outlook: Outlook, metrics: Iterable[MetricState], evaluation: EvaluationSeen | None
) -> api.RolloutStatus:
    """All of the state that is not a track, and what people want to know."""
    progress, rising, failure = state.progress, state.rising, state.failure
    return api.RolloutStatus(
        revision=rising.revision if rising is not None and progress is not None else "",
        next=outlook.next,
        waits_for=sentence(outlook.waits_for),
        approval=outlook.approval,
        verdict=None if outlook.verdict is None else outlook.verdict.value,
        metrics=tuple(_metric_status(found) for found in metrics),
        evaluation=evaluation.name if evaluation is not None else "",
        evaluation_uid=evaluation.uid if evaluation is not None else "",
        session_milliseconds=progress.session_ms if progress else 0,
        counting=progress.counting if progress else False,
        attempt=state.attempt,
        clock=written(state.clock) if state.clock else None,
        silent_since=written(progress.silent_since) if progress and progress.silent_since else None,
        baking=progress.baking if progress else False,
        returning=progress.returning if progress else False,
        failure=None
        if failure is None
        else api.FailureStatus(
            revision=failure.revision,
            reason=failure.reason,
            message=sentence(failure.message),
            at=written(failure.at),
        ),
        retry=state.retry,
        handovers=tuple(
            api.HandoverStatus(
                id=one.id,
                purpose=one.purpose.value,
                source=one.source,
                target=one.target,
                mode=one.mode.value,
                since=written(one.since),
            )
            for one in state.handovers
        ),
        earned=tuple(
            api.EarnedStatus(revision=one.revision, limits_revision=one.grant, at=written(one.at))
            for one in state.earned
        ),
    )


def _metric_status(found: MetricState) -> api.MetricStatus:
    last = found.measurements[-1] if found.measurements else None
    return api.MetricStatus(
        name=found.name,
        verdict=found.verdict.value,
        value=last.value if last is not None else "",
        reason=sentence(found.reason),
    )


# --- Evaluations


def evaluation_object(system: str, name: str) -> str:
    """Name of the object, for a name as `rollout` gives it."""
    return f"{system}-{name}"


def new_evaluation(system: TradingSystem, name: str, track: TrackState, attempt: int) -> Labelled:
    """One that nothing has been measured into. Owned: it goes with its system."""
    metadata = system.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "Evaluation",
        "metadata": {
            "name": evaluation_object(metadata.name, name),
            "namespace": metadata.namespace,
            "labels": system_labels(metadata.name),
        },
        "spec": {
            "system": metadata.name,
            "revision": track.revision,
            "stage": track.stage.value,
            "weight": track.weight,
            "attempt": max(1, attempt),
        },
    }


def evaluation_seen(system: str, name: str, found: Iterable[Manifest]) -> EvaluationSeen | None:
    """The one of that name, as `rollout` names it; one that cannot be read has nothing measured in it."""
    wanted = evaluation_object(system, name)
    raw = next((one for one in found if one["metadata"]["name"] == wanted), None)
    if raw is None:
        return None
    try:
        state = _evaluation_state(evaluations.EvaluationStatus.parse(raw.get("status") or {}))
    except ValidationError:
        state = EvaluationState()
    return EvaluationSeen(name=name, uid=str(raw["metadata"].get("uid", "")), state=state)


def _evaluation_state(found: evaluations.EvaluationStatus) -> EvaluationState:
    return EvaluationState(
        started=instant(found.started_at) if found.started_at else None,
        metrics=tuple(_metric_state(metric) for metric in found.metrics),
    )


def _metric_state(found: evaluations.MetricEvaluation) -> MetricState:
    return MetricState(
        name=found.name,
        verdict=Verdict(found.verdict),
        reason=found.reason,
        dry_run=found.dry_run,
        measured=found.measured,
        successful=found.successful,
        failed=found.failed,
        errors_in_a_row=found.errors_in_a_row,
        inconclusive_in_a_row=found.inconclusive_in_a_row,
        looks=tuple(
            Look(
                number=look.number,
                at=instant(look.at),
                lower=float(look.lower),
                upper=float(look.upper),
                verdict=Verdict(look.verdict),
            )
            for look in found.looks
        ),
        measurements=tuple(
            Measurement(
                at=instant(one.at),
                verdict=Verdict(one.verdict),
                value=one.value,
                samples=one.samples,
                query=one.query,
                reason=one.reason,
            )
            for one in found.measurements
        ),
    )


def evaluation_status(
    state: EvaluationState, verdict: Verdict | None, message: str, outcome: str = ""
) -> dict[str, Any]:
    """For the wire."""
    return evaluations.EvaluationStatus.model_validate(
        {
            "verdict": None if verdict is None else verdict.value,
            "message": sentence(message),
            "started_at": written(state.started) if state.started else None,
            "metrics": tuple(_metric_evaluation(metric) for metric in state.metrics),
            "outcome": outcome,
        }
    ).dump()


def _metric_evaluation(found: MetricState) -> evaluations.MetricEvaluation:
    return evaluations.MetricEvaluation(
        name=found.name,
        verdict=found.verdict.value,
        reason=sentence(found.reason),
        dry_run=found.dry_run,
        measured=found.measured,
        successful=found.successful,
        failed=found.failed,
        errors_in_a_row=found.errors_in_a_row,
        inconclusive_in_a_row=found.inconclusive_in_a_row,
        looks=tuple(
            evaluations.Look(
                number=look.number,
                at=_precise(look.at),
                lower=repr(look.lower),
                upper=repr(look.upper),
                verdict=look.verdict.value,
            )
            for look in found.looks
        ),
        measurements=tuple(
            evaluations.Measurement(
                at=_precise(one.at),
                verdict=one.verdict.value,
                value=one.value,
                samples=one.samples,
                query=one.query[:4096],
                reason=sentence(one.reason),
            )
            for one in found.measurements
        ),
    )


def over_and_old(found: Iterable[Manifest], keep: str) -> tuple[Manifest, ...]:
    """Evaluations that nobody needs any more: all but the newest, and never the one that is measured into."""
    others = [one for one in found if one["metadata"]["name"] != keep]
    others.sort(key=lambda one: (str(one["metadata"].get("creationTimestamp", "")), str(one["metadata"]["name"])))
    return tuple(others[: max(0, len(others) - EVALUATIONS_KEPT)])


# --- Promotions


def promotions_seen(found: Iterable[Manifest]) -> tuple[PromotionSeen, ...]:
    """Approvals, the newest first. One that cannot be read approves nothing; nor does one made by a service account,
    which admission refuses: `by` must be the one who makes it."""
    newest = sorted(found, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), reverse=True)
    seen = []
    for raw in newest[:PROMOTIONS_MAX]:
        try:
            promotion = Promotion.parse(raw)
        except ValidationError:
            continue
        spec = promotion.spec
        made = instant(raw["metadata"].get("creationTimestamp"))
        seen.append(
            PromotionSeen(
                name=promotion.metadata.name,
                uid=promotion.metadata.uid,
                raises=spec.action == "Raise",
                revision=spec.revision,
                stage=Stage(spec.stage),
                evaluation=spec.evaluation or "",
                grant=spec.limits_revision,
                by=spec.by,
                expires=made + timedelta(seconds=staging.seconds(spec.valid_for)),
                final=promotion.status.state in {"Used", "Expired", "Refused"},
            )
        )
    return tuple(seen)


def promotion_status(found: PromotionResult, before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """For the wire. Its time moves only when what it says does."""
    same = (before.get("state"), before.get("message")) == (found.state, sentence(found.message))
    at = str(before.get("at")) if same and before.get("at") else written(now)
    return PromotionStatus(state=found.state, message=sentence(found.message), at=at).dump()

"""What the next step waits for: each reason as a sentence, in the order in which people can do something about it.

Pure. An empty list is the only way up, and every entry of it is the absence of something that was asked for.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from ringfence_operator.rollout.analysis import Done
from ringfence_operator.rollout.evidence import Verdict
from ringfence_operator.rollout.health import Problem
from ringfence_operator.rollout.state import Mode, PromotionResult, PromotionSeen, StageSpec
from ringfence_operator.rollout.turn import Turn, evaluation_name

LEAST_ORDERS: Final = 3
"""A canary's largest order must be worth so many of the venue's smallest: else its orders have no typical size."""
RETURNING_S: Final = 60
"""Session time on paper of a revision that comes back without stages: it has to run before it can take over."""
SCALE: Final = 10**8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Between a track and its next step."""

    reasons: tuple[str, ...] = ()
    problem: Problem | None = None
    """What will not get well by waiting."""
    asks: bool = False
    """Whether the step takes a person's approval."""
    approval: PromotionSeen | None = None
    """The Promotion that is used if the step is taken."""
    promotions: tuple[PromotionResult, ...] = field(default=())


def leaving(turn: Turn) -> tuple[str, ...]:
    """What the present step still lacks: time, orders, episodes, and a good verdict."""
    step, progress, seen = turn.present, turn.state.progress, turn.seen
    if progress is None:
        return ("nothing is on its way",)
    found = []
    left = step.duration_s - progress.session_ms // 1000
    if left > 0:
        found.append(f"{_span(left)} more of session time in {step.title}")
    for what, has, needs in (("orders", seen.orders, step.min_orders), ("episodes", seen.episodes, step.min_episodes)):
        if needs > 0 and (has is None or has < needs):
            found.append(f"{needs} {what} ({'how many it has is not known' if has is None else f'has {has}'})")
    assessment = turn.assessment
    if assessment.verdict is not Verdict.SUCCESSFUL:
        found.append(f"a good verdict: {assessment.verdict}: {assessment.message}")
    return tuple(found)


def done(turn: Turn) -> Done:
    """How much of the present step is done. Looks follow it."""
    step, progress = turn.present, turn.state.progress
    if progress is None:
        return Done(0.0, 0.0)
    time = _share(progress.session_ms / 1000, step.duration_s)
    orders = _share(turn.seen.orders, step.min_orders)
    return Done(time, min(time, orders, _share(turn.seen.episodes, step.min_episodes)))


def _share(has: float | None, needs: int) -> float:
    return min(1.0, (has or 0) / needs) if needs > 0 else 1.0


def entering(turn: Turn, step: StageSpec) -> Wait:
    """What keeps the rising track from a later step."""
    progress = turn.state.progress
    returning = progress is not None and progress.returning
    if progress is not None and returning:
        left = RETURNING_S - progress.session_ms // 1000
        reasons = [f"{_span(left)} more of session time, in which it runs again"] if left > 0 else []
    else:
        reasons = list(leaving(turn))
    problem = too_small(turn, step) or _unable(turn, step)
    if problem is not None:
        reasons.append(problem.message)
    late = [found.name for found in turn.seen.workloads if not found.ready]
    if late:
        reasons.append(f"{late[0]} to be ready")
    approval, asks = None, step.approval and not returning
    if asks:
        approval = next((p for p in turn.seen.promotions if not _mismatch(turn, p, step)), None)
        if approval is None:
            reasons.append(_ask(turn, step))
    if turn.held:
        reasons.append(turn.held)
    return Wait(reasons=tuple(reasons), problem=problem, asks=asks, approval=approval, promotions=answers(turn, step))


def too_small(turn: Turn, step: StageSpec) -> Problem | None:
    """A step whose largest order is less than three of the venue's smallest."""
    least = turn.seen.min_notional
    if least is None or not turn.spec.order_value_max or not 0 < step.weight < 100:
        return None
    value = turn.spec.order_value_max * step.weight // 100
    if value >= LEAST_ORDERS * least:
        return None
    told = (
        f"{step.title} allows orders of {amount(value)} (limits.order.valueMax x {step.weight}%), and the venue takes"
        f" none below {amount(least)}: at least {LEAST_ORDERS} times that is needed, {amount(LEAST_ORDERS * least)}"
    )
    return Problem("CanaryTooSmall", told, needs_somebody=True)


def _unable(turn: Turn, step: StageSpec) -> Problem | None:
    """A strategy that cannot take positions over is not given any."""
    hands_over = turn.state.candidate is not None and step == turn.top
    if not hands_over or turn.spec.handover is Mode.FLATTEN or turn.stable.weight == 0 or turn.seen.adopts:
        return None
    if turn.seen.adopts is None:
        return Problem("HandoverUnknown", "the strategy has not said yet whether it has on_adopt", needs_somebody=False)
    told = (
        f"revision {turn.rising.revision} has no on_adopt and cannot take over positions: give it one, or set"
        " spec.rollout.handover to Flatten"
    )
    return Problem("HandoverRefused", told, needs_somebody=True)


# --- approvals


def answers(turn: Turn, step: StageSpec | None) -> tuple[PromotionResult, ...]:
    """What to write on each Promotion that was not answered for good. ``step``: the next one, if there is one."""
    found = []
    for promotion in turn.seen.promotions:
        if promotion.final or promotion.raises:
            continue
        if turn.now >= promotion.expires:
            found.append(_answer(promotion, "Expired", f"it was good until {promotion.expires:%Y-%m-%dT%H:%M:%SZ}"))
            continue
        why = "nothing is on its way" if step is None else _mismatch(turn, promotion, step)
        if not why:
            found.append(_answer(promotion, "Waiting", f"good for {step.title if step else ''}"))
        elif _known(turn):
            found.append(_answer(promotion, "Refused", why))
    return tuple(found)


def _known(turn: Turn) -> bool:
    """Whether the evidence was read: without it nothing can be refused for good."""
    found = turn.seen.evaluation
    return turn.state.progress is None or (
        found is not None and bool(found.uid) and found.name == evaluation_name(turn.state)
    )


def _answer(promotion: PromotionSeen, state: str, message: str) -> PromotionResult:
    return PromotionResult(name=promotion.name, state=state, message=message)  # type: ignore[arg-type]


def _mismatch(turn: Turn, found: PromotionSeen, step: StageSpec) -> str:
    """Why an approval is not for this step; empty: it is."""
    evaluation = turn.seen.evaluation
    uid = evaluation.uid if evaluation is not None and evaluation.name == evaluation_name(turn.state) else ""
    for what, says, needs in (
        ("revision", found.revision, turn.rising.revision),
        ("stage", str(found.stage), str(step.stage)),
        ("limits", found.grant, turn.seen.grant),
        ("Evaluation", found.evaluation, uid),
    ):
        if not needs:
            return "the evidence that it should rest on was not read"
        if says != needs:
            return f"it is for {what} {says or '(none)'}, and the next step needs {needs}"
    if found.raises:
        return "it raises limits only"
    if found.final:
        return "it was answered before"
    return "" if turn.now < found.expires else "it has expired"


def _ask(turn: Turn, step: StageSpec) -> str:
    return f"a Promotion into {step.stage} for revision {turn.rising.revision} and limits {turn.seen.grant}"


def _span(left_s: int) -> str:
    return str(timedelta(seconds=left_s))


def amount(scaled: int) -> str:
    """As people write it, of units of 1e-8."""
    whole, part = divmod(scaled, SCALE)
    return f"{whole}.{part:08d}".rstrip("0").rstrip(".")

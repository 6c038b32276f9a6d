"""What must hold of every step of a rollout, judged from outside: by what was so, not by what `decide` says of it."""

from collections.abc import Iterator

from ringfence_operator.rollout.evidence import Verdict
from ringfence_operator.rollout.state import Stage, State
from rolloutsim.world import Step, World

BACK = {"RolledBack", "HandoverRefused"}
"""Events after which a revision has again what it had before."""


def weights(state: State) -> dict[str, int]:
    found = {}
    for track in (state.shadow, state.stable, state.candidate):
        if track is not None:
            found[track.revision] = track.weight
    return found


def broken(world: World) -> tuple[str, ...]:
    return tuple(f"{step.at:%H:%M:%S} {said}" for step in world.steps for said in _broken(world, step))


def _broken(world: World, step: Step) -> Iterator[str]:
    before, after = weights(step.before), weights(step.after)
    reasons = {event.reason for event in step.decided.events}
    for revision, weight in after.items():
        if weight > before.get(revision, 0):
            if not reasons & BACK:
                yield from _unearned(world, step, revision, before.get(revision, 0), weight)
            if step.seen.stop.severity not in {"None", "ReduceOnly"}:
                yield f"{revision} rises to {weight} while {step.seen.stop.severity} holds"
        cap = {Stage.PAPER: 0, Stage.CANARY: 25, Stage.LIVE: 100}[step.spec.goal]
        if weight > cap:
            yield f"{revision} has {weight}, the goal {step.spec.goal} allows {cap}"
    if step.after.stable is None:
        yield "there is no stable track"
    if step.before.clock and step.after.clock and step.after.clock < step.before.clock and "Retried" not in reasons:
        same = step.before.attempt == step.after.attempt
        if same:
            yield "the clock that is kept ran backwards"
    ids = [found.id for found in step.after.handovers]
    if len(ids) != len(set(ids)):
        yield "two handovers have one id"
    total = [track for track in (step.after.stable, step.after.candidate) if track is not None and track.weight == 100]
    if len(total) > 1:
        yield "two revisions have all of the capital"


def _unearned(world: World, step: Step, revision: str, before: int, weight: int) -> Iterator[str]:
    """Why this rise was not earned."""
    if step.seen.stop.severity != "None":
        yield f"{revision} rises to {weight} under {step.seen.stop.severity}"
    if step.spec.paused:
        yield f"{revision} rises to {weight} while paused"
    progress = step.before.progress
    if progress is not None and progress.returning:
        if revision not in {earned.revision for earned in step.before.earned}:
            yield f"{revision} comes back without having earned it"
        return
    failure = step.after.failure
    if failure is not None and failure.revision == revision:
        yield f"{revision} rises to {weight} after it failed"
    step_before = max((s for s in step.spec.stages if s.weight <= before), key=lambda s: s.weight)
    target = next((s for s in step.spec.stages if s.weight == weight), None)
    if target is None:
        yield f"{revision} rises to {weight}, which is no stage"
        return
    if target.weight != min(s.weight for s in step.spec.stages if s.weight > before):
        yield f"{revision} skips from {before} to {weight}"
    entered = world.entered.get(step.seen.evaluation.name) if step.seen.evaluation else None
    if entered is None or (step.at - entered).total_seconds() < step_before.duration_s:
        yield f"{revision} rises to {weight} after too short a time, entered {entered}"
    if step.silent_s > 120:
        yield f"{revision} rises to {weight} after {step.silent_s:.0f} s without Prometheus"
    for metric in step_before.metrics:
        found = step.evaluation.metric(metric.name)
        if metric.judged and found.verdict is not Verdict.SUCCESSFUL:
            yield f"{revision} rises to {weight} on {metric.name}: {found.verdict}"
    if target.approval and not any(
        p.revision == revision
        and p.stage is target.stage
        and not p.raises
        and not p.final
        and p.grant == step.seen.grant
        and step.seen.evaluation is not None
        and p.evaluation == step.seen.evaluation.uid
        and p.expires > step.clock
        for p in step.seen.promotions
    ):
        yield f"{revision} rises to {weight} without a Promotion"
    quality = world.quality(revision)
    if not world.lied and not (quality.good or quality.late) and weight == 100:
        yield f"{revision} is bad, nobody lied, and it is Live"


def ending(world: World) -> str:
    """Where it came to rest."""
    last = world.steps[-1]
    state = last.after
    if state.failure is not None and state.rising is not None and state.failure.revision == state.rising.revision:
        return f"held: {state.failure.reason}"
    if state.progress is not None and state.progress.baking:
        return "baking"
    if state.progress is None and state.stable is not None:
        return f"settled {state.stable.weight}"
    return f"on its way: {last.decided.outlook.waits_for}"


def at_rest(world: World) -> Iterator[str]:
    """Once the faults are over: the wanted revision is Live and good, or held for a reason that a person can read."""
    last = world.steps[-1]
    state, outlook = last.after, last.decided.outlook
    if state.stable is None or state.handovers:
        yield f"not at rest: {state.handovers}"
        return
    if state.progress is None:
        if state.stable.revision != world.revision or state.stable.weight != 100:
            yield f"settled on {state.stable.revision} {state.stable.weight}, wanted {world.revision}"
    elif not outlook.waits_for:
        yield "waits for nothing, and does not move"
    elif world.quality(world.revision).good and not world.lied and state.failure is None:
        yield f"good, and still {state.rising and state.rising.weight}: {outlook.waits_for}"
    elif world.quality(world.revision).refused and not world.lied and state.failure is None:
        yield f"refused throughout, and waited for: {outlook.waits_for}"

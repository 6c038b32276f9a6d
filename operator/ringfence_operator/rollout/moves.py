"""How tracks move: into a step, back, aside, and past one another. Pure; `machine` says when.

Weight goes down at once, and up only through `enter`, `promote`, `put_back` and `restore`. A track is a sub-ledger: a
revision that is made stable takes over what stable holds. Whoever gives up all weight passes its positions on.
"""

from dataclasses import replace
from typing import Final

from ringfence_operator.rollout.state import (
    Earned,
    Failure,
    Handover,
    Mode,
    Progress,
    Purpose,
    Stage,
    StageSpec,
    TrackState,
)
from ringfence_operator.rollout.turn import Turn

EARNED_MAX: Final = 6


def begin(turn: Turn, name: str) -> Turn:
    """The spec's revision, as a new track on paper."""
    track = TrackState(revision=turn.seen.revision, stage=Stage.PAPER, weight=0, grant=turn.seen.grant, since=turn.now)
    progress = Progress(returning=track.revision in turn.within_window)
    turn = turn.kept(**{name: track}, progress=progress, attempt=turn.state.attempt + 1, clock=turn.now)
    what = "comes back within the rollback window" if progress.returning else "starts on paper"
    return turn.told("NewRevision", f"revision {track.revision} {what}")


def enter(turn: Turn, step: StageSpec, why: str) -> Turn:
    """The rising track into a step, the present one included: a new attempt, with nothing measured yet."""
    track = turn.rising
    acknowledged = step.approval or track.weight == 0
    moved = replace(
        track,
        stage=step.stage,
        weight=step.weight,
        grant=turn.seen.grant if step.weight > track.weight and acknowledged else track.grant,
        since=turn.now,
    )
    name = "stable" if turn.state.candidate is None else "candidate"
    progress = Progress(baking=name == "stable" and step == turn.top and step.weight > 0)
    turn = turn.kept(**{name: moved}, progress=progress, attempt=turn.state.attempt + 1, clock=turn.now)
    return turn.told("EnteredStage", f"revision {track.revision}: {step.title}: {why}")


def demote(turn: Turn, index: int, why: str) -> Turn:
    """The rising track back to an earlier step; with all its weight gone, its positions go to whoever takes them."""
    track = turn.rising
    turn = enter(turn, turn.steps[index], why)
    return hand_over(turn, Purpose.DEMOTE) if track.weight > 0 and turn.rising.weight == 0 else turn


def lower(turn: Turn, why: str) -> Turn:
    """Every track to what stages and goal allow now."""
    for name in ("stable", "candidate"):
        track: TrackState | None = getattr(turn.state, name)
        if track is None:
            continue
        step = turn.steps[turn.index(track)]
        if (track.stage, track.weight) == (step.stage, step.weight):
            continue
        if track is turn.rising:
            turn = demote(turn.kept(shadow=None), turn.index(track), why)
            continue
        moved = replace(track, stage=step.stage, weight=step.weight, since=turn.now)
        turn = turn.kept(**{name: moved}).told("EnteredStage", f"revision {track.revision}: {step.title}: {why}")
        if track.weight > 0 and step.weight == 0:
            turn = _pass_on(turn, Purpose.DEMOTE, name)
    return turn


def hand_over(turn: Turn, purpose: Purpose) -> Turn:
    """The rising track's positions to stable; where it is the only one that trades, they are closed."""
    if turn.state.candidate is None:
        return _pass_on(turn, purpose, "stable")
    adopts = turn.stable.weight > 0 and turn.spec.handover is Mode.ADOPT
    return _pass_on(turn, purpose, "candidate", "stable" if adopts else "")


def _pass_on(turn: Turn, purpose: Purpose, source: str, target: str = "") -> Turn:
    count = turn.state.attempt + len(turn.state.handovers)
    found = Handover(
        id=f"{turn.now:%Y%m%d%H%M%S}-{count}-{source}",
        purpose=purpose,
        source=source,
        target=target,
        mode=Mode.ADOPT if target else Mode.FLATTEN,
        since=turn.now,
    )
    # a track that is to be emptied need not also give its positions to somebody
    rest = tuple(h for h in turn.state.handovers if h.source != source)
    return turn.kept(handovers=(*rest, found))


def supersede(turn: Turn) -> Turn:
    """The rising track makes way for the wanted revision: at once, and its positions follow."""
    track = turn.rising
    turn = turn.closed("Superseded").told(
        "Superseded", f"revision {track.revision} at {track.weight}% makes way for {turn.seen.revision}"
    )
    if track.weight > 0:
        turn = hand_over(turn, Purpose.SUPERSEDE)
    failure = turn.state.failure
    turn = turn.kept(
        progress=None,
        clock=None,
        failure=None if failure is None or failure.revision == track.revision else failure,
    )
    return turn.kept(candidate=None) if turn.state.candidate is not None else begin(turn, "stable")


def promote(turn: Turn, why: str) -> Turn:
    """The candidate's revision trades as stable from now on; the one before goes on deciding on paper. Positions of
    both follow before anything new is opened: stable's are taken over with the track, or closed."""
    before, track = turn.stable, turn.rising
    shadow = replace(before, stage=Stage.PAPER, weight=0, since=turn.now)
    turn = turn.closed("Promoted")
    if turn.spec.handover is Mode.FLATTEN and before.weight > 0:
        turn = _pass_on(turn, Purpose.PROMOTE, "stable")
    if track.weight > 0:
        turn = _pass_on(turn, Purpose.PROMOTE, "candidate", "stable")
    turn = turn.kept(stable=track, candidate=None, shadow=shadow)
    return enter(turn, turn.top, f"takes over from {before.revision}, which stays on paper until the bake ends: {why}")


def put_back(turn: Turn, message: str) -> Turn:
    """A promotion whose handover was refused: nothing was moved, so both go back to where they were."""
    stable, shadow = turn.stable, turn.state.shadow
    if shadow is None:
        raise AssertionError("only a promotion is put back, and that has a shadow")
    back = replace(shadow, stage=turn.top.stage, weight=turn.top.weight, since=turn.now)
    step = turn.steps[max(0, len(turn.steps) - 2)]
    candidate = replace(stable, stage=step.stage, weight=step.weight, since=turn.now)
    failure = Failure(revision=stable.revision, reason="HandoverRefused", message=message, at=turn.now)
    turn = turn.kept(stable=back, shadow=None, candidate=candidate, handovers=(), failure=failure)
    turn = turn.kept(progress=Progress(), attempt=turn.state.attempt + 1, clock=turn.now)
    return turn.told("HandoverRefused", f"revision {stable.revision} does not take over: {message}", warning=True)


def close_instead(turn: Turn, found: Handover, message: str) -> Turn:
    """What cannot be adopted is closed."""
    turn = _pass_on(turn, found.purpose, found.source)
    return turn.told("HandoverRefused", f"{message}: positions of {found.source} are closed", warning=True)


def stop_baking(turn: Turn, failure: Failure | None, why: str) -> Turn:
    """The revision that bakes stops at once. The one before comes back by `restore`, as soon as that may be."""
    turn = turn.kept(
        stable=replace(turn.stable, stage=Stage.PAPER, weight=0, since=turn.now),
        failure=failure,
        progress=None,
        clock=None,
    )
    if turn.spec.handover is Mode.FLATTEN:
        turn = _pass_on(turn, Purpose.ROLL_BACK, "stable")
    return turn.told("RollingBack", f"revision {turn.stable.revision} stops: {why}", warning=True)


def restore(turn: Turn) -> Turn:
    """The revision before is stable again, with the limits that it had: execution applies the stricter of those and
    the spec's. What was rolled back waits on paper, if it is still wanted."""
    stopped, shadow = turn.stable, turn.state.shadow
    if shadow is None:
        raise AssertionError("rolling back needs a shadow")
    step = turn.top
    back = replace(shadow, stage=step.stage, weight=step.weight, since=turn.now)
    turn = turn.kept(stable=back, shadow=None, candidate=None, progress=None, clock=None)
    turn = turn.told("RolledBack", f"revision {back.revision} is {step.title} again", warning=True)
    if stopped.revision != turn.seen.revision:
        return turn
    return turn.kept(candidate=stopped, progress=Progress(), attempt=turn.state.attempt + 1, clock=turn.now)


def finish(turn: Turn) -> Turn:
    """The bake is over: the revision has earned its place, and the one before may go."""
    track = turn.rising
    rest = tuple(earned for earned in turn.state.earned if earned.revision != track.revision)
    earned = (Earned(revision=track.revision, grant=track.grant, at=turn.now), *rest)[:EARNED_MAX]
    turn = turn.closed("Promoted").kept(shadow=None, progress=None, clock=None, earned=earned)
    return turn.told("BakeEnded", f"revision {track.revision} is {turn.top.title} and has finished its bake")


def cut_short(turn: Turn) -> Turn:
    """A bake that waiting would not end makes way for a newer revision. What it did not show, it has not earned: no way
    back without stages."""
    track = turn.rising
    turn = turn.closed("Superseded").kept(shadow=None, progress=None, clock=None)
    told = (
        f"revision {track.revision} stays {turn.top.title} without the end of its bake: {turn.seen.revision} is wanted"
    )
    return turn.told("BakeCutShort", told, warning=True)


def unearned(turn: Turn, revision: str) -> Turn:
    """A revision that failed has no way back without stages."""
    return turn.kept(earned=tuple(earned for earned in turn.state.earned if earned.revision != revision))

"""One seeded rollout: an hour or two of simulated time with faults, then a quiet end in which all must come to rest."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from ringfence_operator.rollout.state import HandoverSeen, PromotionSeen, Stage, Stop
from ringfence_operator.rollout.turn import evaluation_name
from rolloutsim import rules
from rolloutsim.world import LIMITS, PASS, World, fresh_world

FAULTY_PASSES: Final = 160
QUIET_PASSES: Final = 200


@dataclass(frozen=True)
class Outcome:
    seed: int
    passes: int
    promoted: int
    failed: int
    rolled_back: int
    end: str
    wrong: tuple[str, ...]


def run(seed: int) -> Outcome:
    world = fresh_world(seed)
    for _ in range(FAULTY_PASSES):
        _happens(world)
        _turn(world)
    _calm(world)
    for _ in range(QUIET_PASSES):
        _turn(world)
    wrong = (*rules.broken(world), *rules.at_rest(world))
    reasons = [event.reason for step in world.steps for event in step.decided.events]
    return Outcome(
        seed=seed,
        passes=len(world.steps),
        promoted=reasons.count("BakeEnded"),
        failed=reasons.count("AnalysisFailed"),
        rolled_back=reasons.count("RolledBack"),
        end=rules.ending(world),
        wrong=wrong,
    )


def _turn(world: World) -> None:
    world.now += PASS
    if not world.faults or world.rng.random() > 0.05:  # an operator that is down does nothing
        world.operate()
    _execution(world)
    _approver(world)


def _execution(world: World) -> None:
    """Books what it is asked to, sometimes late, sometimes not at all. Nothing executes while it is halted."""
    for found in world.state.handovers:
        if found.id in world.handovers and world.handovers[found.id].state == "Done":
            continue
        if world.refuses and found.mode == "Adopt":
            world.handovers[found.id] = HandoverSeen(id=found.id, state="Refused", message="no on_adopt")
        elif world.stop.severity == "None" or found.mode == "Adopt":
            late = world.faults and world.rng.random() < 0.5
            world.handovers[found.id] = HandoverSeen(id=found.id, state="Waiting" if late else "Done")


def _approver(world: World) -> None:
    """A person who reads what the step waits for, and approves it, in the end; others who should not."""
    if world.state.progress is None or (world.state.candidate is None and world.state.stable is None):
        return
    if not world.steps or "a Promotion into" not in world.steps[-1].decided.outlook.waits_for:
        return
    chance = 0.5 if not world.faults else 0.1
    if world.rng.random() < chance:
        _promotion(world, wrong=world.faults and world.rng.random() < 0.5)


def _promotion(world: World, *, wrong: bool) -> None:
    rising = world.state.rising
    if rising is None:
        return
    stage = Stage.LIVE if rising.weight >= 25 else Stage.CANARY
    found = PromotionSeen(
        name=f"p{len(world.promotions)}",
        uid="",
        raises=False,
        revision=rising.revision,
        stage=stage,
        evaluation=f"uid-{evaluation_name(world.state)}",
        grant=world.grant,
        by="bob",
        expires=world.now + timedelta(hours=1),
    )
    if wrong:
        other = Stage.LIVE if stage is Stage.CANARY else Stage.CANARY
        found = world.rng.choice(
            [
                replace(found, revision="rev9"),
                replace(found, stage=other),
                replace(found, evaluation="uid-other"),
                replace(found, grant="cccccccccc"),
                replace(found, expires=world.now),
                replace(found, raises=True),
            ]
        )
    world.promotions[found.name] = found


def _happens(world: World) -> None:
    """Something, or nothing."""
    rng = world.rng
    if rng.random() > 0.12:
        return
    match rng.choice(
        ["prometheus", "prometheus", "prometheus", "clock", "kill", "kill", "revision", "pause", "abort", "retry",
         "goal", "limits", "refuse", "policy"]
    ):  # fmt: skip
        case "prometheus":
            world.prometheus = rng.choice(["up", "up", "up", "down", "empty", "nan", "stale", "lying"])
        case "clock":
            world.skew = timedelta(seconds=rng.choice([0, 0, 0, -30, -600, 40, 3600]))
        case "kill":
            world.stop = Stop(severity=rng.choice(["None", "None", "ReduceOnly", "Halt", "Cancel"]), reason="sim")
        case "revision":
            world.revision = f"rev{rng.choice([0, 1, 2, 3, 4, 5])}"
        case "pause":
            world.spec = replace(world.spec, paused=not world.spec.paused)
        case "abort":
            world.spec = replace(world.spec, abort=rng.choice(["", "", world.revision]))
        case "retry":
            world.spec = replace(world.spec, retry=world.spec.retry + 1)
        case "goal":
            world.spec = replace(world.spec, goal=rng.choice([Stage.LIVE, Stage.LIVE, Stage.CANARY, Stage.PAPER]))
        case "limits":
            world.grant = rng.choice(LIMITS)
        case "refuse":
            world.refuses = not world.refuses
        case "policy":
            world.spec = replace(world.spec, to_paper=not world.spec.to_paper)
    _away(world)


def _away(world: World) -> None:
    gone = world.prometheus not in {"up", "lying"}
    if not gone:
        world.away_since = None
    elif world.away_since is None:
        world.away_since = world.now


def _calm(world: World) -> None:
    """All faults end, and somebody clears what holds."""
    world.faults = False
    world.prometheus, world.skew, world.refuses = "up", timedelta(0), False
    world.stop = Stop()
    world.spec = replace(world.spec, paused=False, abort="", goal=Stage.LIVE, retry=world.spec.retry + 1)
    _away(world)

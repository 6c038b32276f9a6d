"""The imperative shell: observe, decide, build, apply, report. One pass over one system.

Safe to run at any time, from any trigger, and to be cut off at any await: the next pass reads everything anew and
ends in the same place. Writes happen in the order in which a reader may rely on them.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from ringfence.kube import resources
from ringfence.kube.client import Manifest
from ringfence.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, RetryLater
from ringfence_operator import interpret, measuring, records, upgrading
from ringfence_operator.api import Condition as ConditionModel
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.apply import Outcome, Ref, apply_all, create_missing, prune, ref
from ringfence_operator.cluster.observe import OWNED, Seen, observe, read_secret, read_system
from ringfence_operator.cluster.report import write_events, write_status
from ringfence_operator.desired import plan as names
from ringfence_operator.desired.objects import Desired, desired_objects, with_owner
from ringfence_operator.desired.storage import secret
from ringfence_operator.rollout import conditions, platform
from ringfence_operator.rollout.conditions import Why
from ringfence_operator.rollout.evidence import MetricState
from ringfence_operator.rollout.health import Problem, over_quota
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.platform import PlatformDecision
from ringfence_operator.rollout.state import Condition, Decision, Event, State
from ringfence_operator.rollout.turn import Turn
from ringfence_operator.settings import FIELD_MANAGER
from ringfence_operator.world import Key, World

log = structlog.get_logger()

_OWNED_KINDS = frozenset(kind.kind for kind in (*OWNED, resources.POD_MONITOR))
_RUNS_PODS = frozenset({"Deployment", "StatefulSet"})


async def reconcile(world: World, key: Key) -> float | None:
    """Bring one system from observed to desired. Returns in how many seconds to look again; None once it is gone.

    Raises the first error of the API server, after the status tells of it, so that the queue backs off.
    """
    namespace, name = key
    found = await read_system(world.client, namespace, name)
    if found is None or "deletionTimestamp" in found["metadata"]:
        world.metrics.rollouts.gone(key)
        world.alerts.show(f"platform of {namespace}/{name}", ())
        return None  # its children go by their owner references; what outlives it is not ours to remove
    system = records.parsed(found)
    if isinstance(system, Problem):
        await _report_unreadable(world, found, system)
        return world.settings.resync_s
    seen = await _observe(world, found, system)
    seen = await _make_secrets(world, system, seen)
    now = world.now().replace(microsecond=0)  # as status keeps times: what was measured in a pass is not in its future
    spec, state = interpret.rollout_spec(system), records.state_of(system)
    seen, traded = await measuring.measure(world, system, spec, state, seen, now)
    upgrade = _upgraded(world, system, seen, now)
    world.alerts.show(f"platform of {namespace}/{name}", upgrading.alerts(system, upgrade.state, now))
    observation = interpret.observation(system, seen, traded, upgrade)
    decided = decide(spec, state, observation, now)
    seen = await measuring.begin_next(world, system, decided, seen)
    turn = Turn(
        spec=spec, seen=interpret.observed_after(system, seen, observation, decided), now=now, state=decided.state
    )
    metrics = turn.assessment.metrics if spec.stages and decided.state.progress is not None else ()
    untold = (*decided.events, *upgrade.events)
    if _moved(state, decided) or upgrade.events:
        # before it is acted on: a pass that is cut off here is finished by the next one, and not decided anew
        status = interpret.status(system, seen, decided, metrics, upgrade)
        stored = await write_status(world.client, seen.system, status, as_found=True)
        seen = await measuring.end(world, system, decided, replace(seen, system=stored or seen.system))
        await write_events(world.client, seen.system, untold, now)
        untold = ()
    outcome = Outcome()
    if not any(problem.reason == "SecretBroken" for problem in observation.missing):
        await _apply(world, system, seen, decided, upgrade, now, outcome)
    decided = _after(decided, outcome, now)
    untold = (*untold, *conditions.transitions(observation.conditions, decided.conditions))
    await _report(world, system, seen, decided, upgrade, metrics, untold, now)
    await measuring.answer(world, seen, decided, now)
    await measuring.tidy(world, system, decided, seen)
    world.metrics.rollouts.passed(key, state, decided, metrics, upgrade.state.phase, now)
    if outcome.errors:
        raise outcome.errors[0][1]
    soonest = min(decided.requeue_s or math.inf, upgrade.requeue_s or math.inf, measuring.next_s(turn, decided))
    return min(soonest, world.settings.resync_s)


def _upgraded(world: World, system: TradingSystem, seen: Seen, now: datetime) -> PlatformDecision:
    """How far an upgrade of the platform is: beside every rollout, and never behind one."""
    stop, wanted = interpret.observation(system, seen).stop, world.settings.platform_image
    found = upgrading.seen_of(system, seen, wanted, stop.severity)
    return platform.decide(upgrading.state_of(system), found, now, world.settings.platform_proof_s)


def _moved(before: State, decided: Decision) -> bool:
    """Was anything decided that is acted on, or told?"""
    after = decided.state
    same = (before.stable, before.candidate, before.shadow, before.handovers) == (
        after.stable,
        after.candidate,
        after.shadow,
        after.handovers,
    )
    return before.stable is not None and (not same or bool(decided.ended or decided.events))


async def _observe(world: World, found: Manifest, system: TradingSystem) -> Seen:
    name = system.metadata.name
    lasting = [(resources.PERSISTENT_VOLUME_CLAIM, claim) for claim in interpret.recordings(system)]
    for venue, _ in interpret.venues_of(system):
        lasting.append((resources.PERSISTENT_VOLUME_CLAIM, names.journal_claim(name, venue)))
        lasting.append((resources.LEASE, names.account(name, venue)))
    secrets = (*interpret.own_secrets(system), *interpret.given_secrets(system))
    return await observe(world.client, world.http, found, secrets=secrets, lasting=lasting)


async def _make_secrets(world: World, system: TradingSystem, seen: Seen) -> Seen:
    """Make the keys that are missing, once. Whoever was faster wins: their content counts, not ours."""
    made = dict(seen.secrets)
    for name, kind in interpret.own_secrets(system).items():
        if name in made:
            continue
        content = world.entropy.content(kind)
        manifest = secret(system.metadata.name, system.metadata.namespace, name, content)
        try:
            await world.client.create(
                with_owner(manifest, system.metadata.name, system.metadata.uid), field_manager=FIELD_MANAGER
            )
        except AlreadyExists:
            content = dict(await read_secret(world.client, system.metadata.namespace, name))
        made[name] = content
    return replace(seen, secrets=made)


async def _apply(
    world: World,
    system: TradingSystem,
    seen: Seen,
    decided: Decision,
    upgrade: PlatformDecision,
    now: datetime,
    outcome: Outcome,
) -> None:
    """What outlives the system first, then stage after stage, then what is no longer wanted."""
    stop = interpret.observation(system, seen).stop
    wanted = desired_objects(interpret.plan(system, seen, decided.state, stop, world.settings, now, upgrade))
    await create_missing(world.client, wanted.lasting, seen.live, outcome)
    if not outcome.errors:
        await apply_all(world.client, wanted.stages, seen.live, outcome)
    if not outcome.errors:
        owned = [manifest for found, manifest in seen.live.items() if found.kind in _OWNED_KINDS]
        await prune(world.client, owned, _kept(wanted), system.metadata.uid, outcome)
    for changed in outcome.changed:
        world.metrics.changed.labels(changed.kind).inc()
    for changed, error in outcome.errors:
        log.warning("object refused", kind=changed.kind, name=changed.name, error=str(error))


def _kept(wanted: Desired) -> frozenset[Ref]:
    built = {ref(manifest) for stage in (wanted.lasting, *wanted.stages) for manifest in stage}
    return frozenset(built | {Ref(*kept) for kept in wanted.keep})


def _after(decided: Decision, outcome: Outcome, now: datetime) -> Decision:
    changed = [found.name for found in outcome.changed if found.kind in _RUNS_PODS]
    refused = [_problem(found, error) for found, error in outcome.errors]
    told = conditions.after_apply(decided.conditions, changed, refused, now)
    soon = decided.requeue_s if told == decided.conditions else 5.0
    return replace(decided, conditions=told, requeue_s=soon)


def _problem(found: Ref, error: ApiError) -> Problem:
    """A refusal by the API server, in words for a condition."""
    what = f"{found.kind} {found.name}: {error.message}"
    match error:
        case Forbidden() if over_quota(error.message):
            return Problem("QuotaExceeded", f"a ResourceQuota leaves no room for {what}", needs_somebody=True)
        case Forbidden():
            return Problem("OperatorForbidden", f"the operator may not write {what}", needs_somebody=True)
        case Invalid():
            return Problem("ObjectInvalid", f"the API server refuses {what}", needs_somebody=True)
        case RetryLater() | Conflict():
            return Problem("ApiServerBusy", what, needs_somebody=False)
        case _:
            return Problem("ApplyFailed", what, needs_somebody=False)


async def _report(
    world: World,
    system: TradingSystem,
    seen: Seen,
    decided: Decision,
    upgrade: PlatformDecision,
    metrics: tuple[MetricState, ...],
    events: tuple[Event, ...],
    now: datetime,
) -> None:
    """What the pass has come to. Events follow it, so a pass that was cut off tells nothing twice."""
    status = interpret.status(system, seen, decided, metrics, upgrade)
    await write_status(world.client, seen.system, status, as_found=True)
    await write_events(world.client, seen.system, events, now)


async def _report_unreadable(world: World, found: Manifest, problem: Problem) -> None:
    """A spec that this version cannot read. What runs goes on; only the conditions are ours to change."""
    now, generation = world.now(), int(found["metadata"].get("generation", 0))
    old: Mapping[str, Any] = found.get("status") or {}
    before = _readable_conditions(old.get("conditions") or ())
    why = Why(problem.reason, problem.message)
    changed = (
        conditions.settled(before, "Ready", "False", why, generation, now),
        conditions.settled(before, "Reconciling", "False", Why("Stalled", "see Stalled"), generation, now),
        conditions.settled(before, "Stalled", "True", why, generation, now),
    )
    kept = [c for c in before if c.type not in {"Ready", "Reconciling", "Stalled"}]
    models = interpret.condition_models((*changed, *kept))
    await write_status(
        world.client, found, {**old, "observedGeneration": generation, "conditions": [c.dump() for c in models]}
    )
    await write_events(world.client, found, conditions.transitions(before, changed), now)


def _readable_conditions(found: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    models = []
    for item in found:
        try:
            models.append(ConditionModel.parse(item))
        except ValidationError:
            continue
    return interpret.conditions_of(models)

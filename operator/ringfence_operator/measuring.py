"""The imperative shell of an analysis: ask what is due, fold it in, and write it down before it counts.

A measurement counts only once the API server has it: a pass that is cut off in between has measured nothing, and the
pass after it finds what was written and does not measure again.
"""

import math
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from ringfence.kube import resources
from ringfence.kube.client import Manifest
from ringfence.kube.errors import AlreadyExists, ApiError, NotFound
from ringfence_operator import interpret, progress, records
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.measure import Measurer, Subject
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.cluster.prometheus import Prometheus
from ringfence_operator.cluster.report import write_status
from ringfence_operator.desired.objects import with_owner
from ringfence_operator.progress import NOTHING_KNOWN, Traded
from ringfence_operator.rollout import analysis, queries, waiting
from ringfence_operator.rollout.evidence import EvaluationState, Reading
from ringfence_operator.rollout.state import Decision, RolloutSpec, State
from ringfence_operator.rollout.turn import Turn, evaluation_name
from ringfence_operator.settings import FIELD_MANAGER
from ringfence_operator.world import World

log = structlog.get_logger()

SOONEST_S: Final = 1.0
LOOKBACK_S: Final = 120.0
"""For how much was traded: older than this is not known."""


async def measure(
    world: World, system: TradingSystem, spec: RolloutSpec, state: State, seen: Seen, now: datetime
) -> tuple[Seen, Traded]:
    """Everything as seen, with what was due measured and written. Does nothing where nothing is on its way."""
    subject = progress.subject(system, state, now)
    if not spec.stages or state.rising is None or state.progress is None or subject is None:
        return seen, NOTHING_KNOWN
    seen = await _begun(world, system, state, seen)
    found = progress.evaluation(system, state, seen)
    traded = await _traded(world, subject, now)
    if found is None:
        return seen, traded
    turn = Turn(spec=spec, seen=interpret.observation(system, seen, traded), now=now, state=state)
    due = analysis.due(turn.present.metrics, turn.evaluation, now)
    if not due:
        return seen, traded
    if not world.settings.prometheus_url:
        told = "the operator knows no Prometheus: set prometheus.url of its chart"
        readings: tuple[Reading, ...] = tuple(Reading(metric=one.name, at=now, error=told) for one in due)
    else:
        readings = await _measurer(world, now).readings(due, subject)
    state_now = analysis.record(turn.present.metrics, turn.evaluation, readings, waiting.done(turn))
    return await _written(
        world, turn, seen, records.evaluation_object(system.metadata.name, found.name), state_now
    ), traded


def next_s(turn: Turn, decided: Decision) -> float:
    """In how many seconds something is due to be measured; infinite where nothing is."""
    if decided.state.progress is None or not turn.spec.stages:
        return math.inf
    shortest = min((metric.interval_s for metric in turn.present.metrics), default=math.inf)
    return max(SOONEST_S, min(shortest, turn.present.duration_s or shortest))


async def _begun(world: World, system: TradingSystem, state: State, seen: Seen) -> Seen:
    """The Evaluation of the present step, as status has it: made if it is not there, and begun if it was not."""
    seen = await _made(world, system, state, seen)
    wanted, rising = records.evaluation_object(system.metadata.name, evaluation_name(state)), state.rising
    raw = next((one for one in seen.evaluations if one["metadata"]["name"] == wanted), None)
    if raw is not None and rising is not None and not (raw.get("status") or {}).get("startedAt"):
        begun = records.evaluation_status(EvaluationState(started=rising.since), None, "nothing measured yet")
        seen = await _put(world, seen, raw, begun)
    return seen


async def _made(world: World, system: TradingSystem, state: State, seen: Seen) -> Seen:
    """With the Evaluation of the state's step. When that began is not written before the state is: a pass that is cut
    off in between is followed by one that decides the same a little later."""
    name, rising = evaluation_name(state), state.rising
    wanted = records.evaluation_object(system.metadata.name, name)
    raw = next((one for one in seen.evaluations if one["metadata"]["name"] == wanted), None)
    if raw is None and rising is not None:
        manifest = records.new_evaluation(system, name, rising, state.attempt)
        owned = with_owner(manifest, system.metadata.name, system.metadata.uid)
        try:
            raw = await world.client.create(owned, field_manager=FIELD_MANAGER)
        except AlreadyExists:
            raw = await world.client.get(resources.EVALUATION, wanted, system.metadata.namespace)
        seen = replace(seen, evaluations=(*seen.evaluations, raw))
    return seen


async def _written(world: World, turn: Turn, seen: Seen, name: str, state: EvaluationState) -> Seen:
    raw = next(one for one in seen.evaluations if one["metadata"]["name"] == name)
    said = analysis.assess(turn.present.metrics, state, turn.now)
    outcome = str((raw.get("status") or {}).get("outcome", ""))  # a revision that failed on paper is measured on
    return await _put(world, seen, raw, records.evaluation_status(state, said.verdict, said.message, outcome))


async def _put(world: World, seen: Seen, raw: Manifest, status: dict[str, object]) -> Seen:
    """Written first, believed after."""
    stored = await write_status(world.client, raw, status, as_found=True)
    others = tuple(one for one in seen.evaluations if one is not raw)
    return replace(seen, evaluations=(*others, stored or raw))


async def _traded(world: World, subject: Subject, now: datetime) -> Traded:
    if not world.settings.prometheus_url:
        return NOTHING_KNOWN
    measurer = _measurer(world, now)
    orders = await measurer.number(queries.ORDERS, subject, LOOKBACK_S)
    episodes = await measurer.number(queries.EPISODES, subject, LOOKBACK_S)
    return Traded(orders=None if orders is None else int(orders), episodes=None if episodes is None else int(episodes))


def _measurer(world: World, now: datetime) -> Measurer:
    return Measurer(Prometheus(world.http, world.settings.prometheus_url), now)


async def begin_next(world: World, system: TradingSystem, decided: Decision, seen: Seen) -> Seen:
    """The Evaluation that was decided on, so that the status can name it by its UID."""
    if not decided.evaluation:
        return seen
    return await _made(world, system, decided.state, seen)


async def end(world: World, system: TradingSystem, decided: Decision, seen: Seen) -> Seen:
    """Write how a stage ended: once the state says so, and before anything else may cut the pass off."""
    outcomes = {records.evaluation_object(system.metadata.name, one.name): one.outcome for one in decided.ended}
    for raw in seen.evaluations:
        name, status = raw["metadata"]["name"], raw.get("status") or {}
        if name in outcomes and status.get("outcome") != outcomes[name]:
            seen = await _put(world, seen, raw, {**status, "outcome": outcomes[name]})
    return seen


async def tidy(world: World, system: TradingSystem, decided: Decision, seen: Seen) -> None:
    """Drop evidence that nobody needs any more. May wait for the next pass."""
    keep = records.evaluation_object(system.metadata.name, decided.evaluation)
    for raw in records.over_and_old(seen.evaluations, keep):
        metadata = raw["metadata"]
        try:
            await world.client.delete(
                resources.EVALUATION, metadata["name"], metadata["namespace"], uid=metadata["uid"]
            )
        except NotFound:
            continue


async def answer(world: World, seen: Seen, decided: Decision, now: datetime) -> None:
    """Tell people what became of their approvals. A courtesy: what counts is in the system's status."""
    by_name = {raw["metadata"]["name"]: raw for raw in seen.promotions}
    for result in decided.promotions:
        raw = by_name.get(result.name)
        if raw is None:
            continue
        try:
            await write_status(world.client, raw, records.promotion_status(result, raw.get("status") or {}, now))
        except ApiError as error:
            log.warning("promotion not answered", promotion=result.name, error=str(error))

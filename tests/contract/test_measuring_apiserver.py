"""Evidence on a real API server, where a pass may be cut off at any await."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from operatorbench.space import Server, eventually, namespace_of, system
from ringfence.kube import resources
from ringfence.runtime.alerts import Alerts
from ringfence.runtime.config import Alerting
from ringfence_operator import interpret, measuring, records
from ringfence_operator.api import TradingSystem, TradingSystemStatus
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.entropy import SystemEntropy
from ringfence_operator.metrics import Metrics
from ringfence_operator.rollout.state import Decision, Ended, Outlook, Progress, Stage, State, TrackState
from ringfence_operator.rollout.turn import evaluation_name
from ringfence_operator.settings import from_environ
from ringfence_operator.world import World

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio, pytest.mark.timeout(120)]
BEGAN = datetime(2026, 7, 1, 12, tzinfo=UTC)
STAGES = {"stages": [{"stage": "Paper", "analysis": {"metrics": [{"name": "overfills"}]}}]}


def in_paper(since: datetime) -> State:
    track = TrackState(revision="5e4c1a2b", stage=Stage.PAPER, weight=0, grant="0123456789", since=since)
    return State(stable=track, progress=Progress(), attempt=1, clock=since)


@asynccontextmanager
async def staged(api_server: Server, test: str) -> AsyncIterator[tuple[World, TradingSystem, Seen]]:
    """A system with stages, and an operator that knows no Prometheus."""
    async with namespace_of(api_server, test) as (client, name), aiohttp.ClientSession() as session:
        wanted = system(rollout=STAGES)
        wanted["metadata"]["namespace"] = name
        raw = await eventually("the kinds are served", lambda: client.create(wanted))
        settings = from_environ({"RINGFENCE_PLATFORM_IMAGE": "ringfence:1"})
        alerts = Alerts(Alerting(), lambda: 0)
        metrics = Metrics(CollectorRegistry())
        world = World(client, settings, SystemEntropy(), metrics, lambda: BEGAN, alerts, session)
        seen = Seen(system=raw, live={}, pods=(), switches=(), secrets={}, pod_monitors=False)
        yield world, TradingSystem.parse(raw), seen


def kept(owner: TradingSystem, state: State) -> TradingSystem:
    """The system as the next pass reads it, once this state was written."""
    assert state.rising is not None
    rollout = records.rollout_status(state, Outlook(), (), None)
    status = TradingSystemStatus(stable=records.track_status(state.rising), rollout=rollout)
    return owner.model_copy(update={"status": status})


async def status_of(world: World, owner: TradingSystem, state: State) -> dict[str, Any]:
    name = f"{owner.metadata.name}-{evaluation_name(state)}"
    found: dict[str, Any] = (await world.client.get(resources.EVALUATION, name, owner.metadata.namespace))["status"]
    return found


async def test_a_step_that_was_decided_twice_is_measured_from_when_it_was_written(
    api_server: Server, request: pytest.FixtureRequest
) -> None:
    """Cut off, or refused for somebody else's edit, after its Evaluation was made and before the state was written; the
    next pass decides the same two seconds later. What began at another time than the step would never be measured."""
    first, written = in_paper(BEGAN), in_paper(BEGAN + timedelta(seconds=2))
    async with staged(api_server, request.node.name) as (world, made, seen):
        decided = Decision(state=first, conditions=(), trading="Unknown", evaluation=evaluation_name(first))
        begun = await measuring.begin_next(world, made, decided, seen)
        owner = kept(made, written)
        later = BEGAN + timedelta(minutes=2)
        await measuring.measure(world, owner, interpret.rollout_spec(owner), written, begun, later)
        found = await status_of(world, owner, written)
        assert found["startedAt"] == "2026-07-01T12:00:02Z"
        assert [one["measured"] for one in found["metrics"]] == [1]


async def test_how_a_stage_ended_stays_while_it_is_measured_on(
    api_server: Server, request: pytest.FixtureRequest
) -> None:
    """A revision that failed on paper has nowhere to go back to, and its analysis goes on."""
    state = in_paper(BEGAN)
    async with staged(api_server, request.node.name) as (world, made, before):
        owner = kept(made, state)
        spec, minute = interpret.rollout_spec(owner), timedelta(minutes=1)
        seen, _ = await measuring.measure(world, owner, spec, state, before, BEGAN + minute)
        ended = (Ended(name=evaluation_name(state), outcome="Failed"),)
        decided = Decision(state=state, conditions=(), trading="Unknown", ended=ended)
        seen = await measuring.end(world, owner, decided, seen)
        assert (await status_of(world, owner, state))["outcome"] == "Failed"
        await measuring.measure(world, owner, spec, state, seen, BEGAN + 3 * minute)
        found = await status_of(world, owner, state)
        assert (found["outcome"], [one["measured"] for one in found["metrics"]]) == ("Failed", [2])

"""What the operator remembers is written over what it has read, and over nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from operatorbench.space import Server, eventually, namespace_of, system
from ringfence.kube import resources
from ringfence.kube.errors import Conflict
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.report import write_status
from ringfence_operator.records import evaluation_status, new_evaluation
from ringfence_operator.rollout.evidence import EvaluationState
from ringfence_operator.rollout.state import Stage, TrackState

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio, pytest.mark.timeout(120)]
BEGAN = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def test_an_operator_that_was_replaced_and_is_still_at_work_undoes_no_evidence(
    api_server: Server, request: pytest.FixtureRequest
) -> None:
    """Killed without a wait, or cut off with its node: it writes late what it had read before its successor wrote."""
    async with namespace_of(api_server, request.node.name) as (client, name):
        wanted = system()
        wanted["metadata"]["namespace"] = name
        owner = TradingSystem.parse(await eventually("the kinds are served", lambda: client.create(wanted)))
        track = TrackState(revision="5e4c1a2b", stage=Stage.PAPER, weight=0, grant="0123456789", since=BEGAN)
        read = await client.create(dict(new_evaluation(owner, "5e4c1a2b-paper", track, 1)))
        said = [
            evaluation_status(EvaluationState(started=BEGAN + timedelta(seconds=number)), None, f"look {number}")
            for number in range(3)
        ]
        stored = await write_status(client, read, said[1], as_found=True)
        assert stored is not None
        with pytest.raises(Conflict):
            await write_status(client, read, said[0], as_found=True)
        known = await client.get(resources.EVALUATION, read["metadata"]["name"], name)
        assert known["status"] == stored["status"] == said[1]
        assert await write_status(client, stored, said[1], as_found=True) is None
        assert await write_status(client, stored, said[2], as_found=True) is not None

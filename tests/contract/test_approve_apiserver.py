"""Approvals by the command line on a real API server."""

from dataclasses import replace

import pytest

from operatorbench.space import Server, eventually, namespace_of
from ringfence.kube import resources
from ringfence_cli.approve import Offer, approve

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio, pytest.mark.timeout(120)]
OFFER = Offer(
    revision="7f3a9c00",
    step="Live",
    stage="Live",
    evaluation="7f3a9c00-canary25-3",
    evaluation_uid="9d61a322-8359-4832-9bb8-5c217b1d5d8b",
    limits="67e2d55d93",
    waits_for="",
    verdict="Successful",
    metrics=(),
)


async def test_an_approval_that_is_over_does_not_stand_in_the_way_of_the_next(
    api_server: Server, request: pytest.FixtureRequest
) -> None:
    """It has a name of what it approves. Expired behind a kill switch, or refused for limits that changed since, it
    would block the very approval that its message asks for."""
    async with namespace_of(api_server, request.node.name) as (client, name):

        async def approved(offer: Offer = OFFER) -> str:
            return str((await approve(client, "momentum", name, offer, "good"))["metadata"]["name"])

        first = await eventually("the kinds are served", approved)
        assert await approved() == first, "twice is one approval"
        status = {"status": {"state": "Expired", "message": "", "at": "2026-11-21T12:00:00Z"}}
        await client.patch(resources.PROMOTION, first, name, status, subresource="status")
        assert await approved() == f"{first}-2"
        assert await approved(replace(OFFER, limits="0123456789")) == f"{first}-3", "of other limits"
        assert await approved() == f"{first}-2"

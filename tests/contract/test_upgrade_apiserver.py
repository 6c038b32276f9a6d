"""An upgrade of the platform against a real API server. Pods, and what gates say, are the tests'."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from aiohttp import web

from operatorbench.reports import report
from operatorbench.space import Space, eventually, system
from ringfence.kube import resources
from ringfence.kube.errors import NotFound
from ringfence.runtime import config
from ringfence.wire import tracks
from ringfence.wire.tracks import TracksReport

pytestmark = [pytest.mark.apiserver, pytest.mark.asyncio, pytest.mark.timeout(240)]
OLD, NEW = "ringfence.local/platform:test", "ringfence.local/platform:next"
ADDRESSES = {"sim-execution": "127.0.0.11", "sim-paper": "127.0.0.12", "portfolio": "127.0.0.13"}
GATES = ("sim-execution", "sim-paper")


class Cluster:
    """What runs, as kubelet and the gates tell it."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.reports: dict[str, TracksReport] = {}

    async def runs(self, role: str, image: str, *, crashes: bool = False) -> None:
        """The pod of a program is replaced by one of this image."""
        space, name = self.space, f"momentum-{role}-0"
        venue, _, service = role.rpartition("-")
        with suppress(NotFound):
            await space.client.delete(resources.POD, name, space.name)  # never scheduled: it goes at once
        labels = {"ringfence.dev/system": "momentum", "ringfence.dev/service": service, "ringfence.dev/venue": venue}
        spec = {"containers": [{"name": "main", "image": image}], "automountServiceAccountToken": False}
        metadata = {"name": name, "labels": labels}
        await space.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        state = {"waiting": {"reason": "CrashLoopBackOff"}} if crashes else {"running": {"startedAt": None}}
        container = {"name": "main", "ready": not crashes, "restartCount": 0, "image": image, "imageID": ""}
        ready = {"type": "Ready", "status": "False" if crashes else "True"}
        address = ADDRESSES[role]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [ready],
            "containerStatuses": [container | {"state": state}],
        }
        path = resources.POD.path(space.name, name, "status")
        merge = "application/strategic-merge-patch+json"
        await space.client.raw("PATCH", path, body={"status": status}, content_type=merge)
        self.reports.pop(address, None)
        if role in GATES and not crashes:
            self.reports[address] = report(role, image)

    async def says(self, role: str, **changes: Any) -> None:
        address = ADDRESSES[role]
        self.reports[address] = msgspec.structs.replace(self.reports[address], **changes)

    async def tracks(self, request: web.Request) -> web.Response:
        address = request.transport.get_extra_info("sockname")[0] if request.transport is not None else ""
        found = self.reports.get(address)
        return web.Response(body=tracks.encode(found)) if found is not None else web.Response(status=503)


@asynccontextmanager
async def running(space: Space) -> AsyncIterator[Cluster]:
    """A system that trades, all of it on the old image."""
    found = Cluster(space)
    application = web.Application()
    application.router.add_get(tracks.TRACKS_PATH, found.tracks)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        for role in GATES:
            try:
                await web.TCPSite(runner, ADDRESSES[role], config.HTTP_PORT).start()
            except OSError:
                pytest.skip(f"port {config.HTTP_PORT} is taken on this machine")
        await space.create(system())
        await phase(space, "Settled")
        for role in ADDRESSES:
            await found.runs(role, OLD)
        yield found
    finally:
        await runner.cleanup()


async def platform(space: Space) -> dict[str, Any]:
    found: dict[str, Any] = (await space.get(resources.TRADING_SYSTEM, "momentum")).get("status", {})["platform"]
    return found


async def phase(space: Space, *wanted: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        now = await platform(space)
        return now if now["phase"] in wanted else None

    found: dict[str, Any] = await eventually(f"phase {wanted}", look, 60)
    return found


async def image(space: Space, role: str) -> str:
    kind = resources.STATEFUL_SET if role in GATES else resources.DEPLOYMENT
    found = await space.get(kind, f"momentum-{role}")
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


async def images(space: Space, **wanted: str) -> None:
    async def look() -> bool:
        found = {role: await image(space, role.replace("_", "-")) for role in wanted}
        assert found == wanted
        return True

    await eventually("images", look, 20)


async def hold(space: Space) -> str:
    found = await space.get(resources.CONFIG_MAP, "momentum-allocation")
    return msgspec.json.decode(found["data"][config.ALLOCATION_KEY], type=config.Allocation).hold


async def held(space: Space, wanted: str) -> None:
    async def look() -> bool:
        return await hold(space) == wanted

    await eventually(f"hold {wanted!r}", look, 20)


async def ask_for(space: Space, wanted: str) -> None:
    """The operator is upgraded: another process, which asks for another image."""
    await space.stop()
    space.image = wanted
    await space.start()
    await space.ready()


async def proven(space: Space, cluster: Cluster) -> None:
    """Paper and portfolio run the new image until execution is asked to halt."""
    await ask_for(space, NEW)
    await phase(space, "Proving")
    await images(space, sim_paper=NEW, portfolio=NEW, sim_execution=OLD, sim_marketdata=OLD, sim_watchdog=OLD)
    assert await hold(space) == ""
    await asyncio.gather(cluster.runs("sim-paper", NEW), cluster.runs("portfolio", NEW))
    await phase(space, "Halting")
    await held(space, f"the platform is upgraded to {NEW}")
    assert await image(space, "sim-execution") == OLD
    await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="True")
    await cluster.says("sim-execution", state="Halted", held="upgrade")
    await phase(space, "Swapping")
    await images(space, sim_execution=NEW, sim_marketdata=NEW, sim_watchdog=NEW, sim_simulator=OLD)
    assert await hold(space)


async def test_an_image_that_works_is_swapped_in_under_a_hold_that_outlives_the_operator(space: Space) -> None:
    """The operator is killed in the middle, and goes on where it was."""
    async with running(space) as cluster:
        await proven(space, cluster)
        await ask_for(space, NEW)
        assert (await platform(space))["phase"] == "Swapping"
        await cluster.runs("sim-execution", NEW)
        now = await phase(space, "Settled")
        assert (now["image"], now.get("target", "")) == (NEW, "")
        await held(space, "")
        await space.expect(resources.TRADING_SYSTEM, "momentum", TradingHalted="False")
        switch = await space.get(resources.KILL_SWITCH, "momentum")
        assert not switch["spec"].get("engaged"), "people's switch is people's"
        assert switch["spec"].get("restrict", "None") == "None"


async def alerting(space: Space) -> bool:
    return "\nringfence_alerts_holding 1.0" in (await space.http("/metrics"))[1]


async def test_an_image_whose_execution_crashes_is_put_back_and_not_tried_again(
    space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alertmanager is told, also by an operator that was restarted, until that image is not wanted any more."""
    monkeypatch.setenv("RINGFENCE_ALERTMANAGERS", "http://127.0.0.1:9")
    async with running(space) as cluster:
        await proven(space, cluster)
        await cluster.runs("sim-execution", NEW, crashes=True)
        await phase(space, "PuttingBack")
        await images(space, sim_execution=OLD, sim_paper=OLD, sim_marketdata=OLD)
        assert await hold(space), "until the image of before is back"
        for role in ADDRESSES:
            await cluster.runs(role, OLD)
        now = await phase(space, "Failed")
        assert (now["image"], now["target"]) == (OLD, NEW)
        await held(space, "")
        condition = await space.condition(resources.TRADING_SYSTEM, "momentum", "TradingHalted")
        assert condition["status"] == "False"
        await ask_for(space, NEW)
        await eventually("alert", lambda: alerting(space), 20)
        await asyncio.sleep(3)  # longer than a pass
        assert (await platform(space))["phase"] == "Failed"
        await images(space, sim_execution=OLD, sim_paper=OLD)
        await ask_for(space, OLD)
        await phase(space, "Settled")
        assert not await alerting(space)

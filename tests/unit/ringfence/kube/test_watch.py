"""The watch against a server that speaks the protocol and breaks it in every way that servers do."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from ringfence.kube import errors, kubeconfig
from ringfence.kube.client import KubeClient
from ringfence.kube.watch import (
    BACKOFF_FIRST_S,
    BACKOFF_MAX_S,
    BOOKMARK_S,
    Added,
    Bookmark,
    Deleted,
    Initial,
    Listed,
    Modified,
    Watch,
    watch,
)
from ringfence.runtime.serving import serving

PATH = "/api/v1/namespaces/t/configmaps"
Step = dict[str, Any] | str | float
"""An object to send as one event; seconds of silence (a float); ``"hang"``, ``"drop"``, ``"end"``; or an HTTP status
to answer with, 0 = never answer."""


def thing(name: str, version: int) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": thing(name, version)}


def bookmark(version: int, *, initial: bool = False) -> dict[str, Any]:
    annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if initial else {}
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)} | annotations}}


def expired() -> dict[str, Any]:
    return {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


class Script:
    """Answers lists with ``state`` and each watch request with the next of ``sessions``; then it hangs."""

    def __init__(self, state: list[dict[str, Any]], sessions: list[list[Step]]) -> None:
        self.state = state
        self.sessions = sessions
        self.asked: list[dict[str, str]] = []
        self.closing = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"path": request.path} | dict(request.query))
        if "watch" not in request.query:
            return self._read(request)
        steps = self.sessions.pop(0) if self.sessions else ["hang"]
        if steps[0] == 0:
            await self.closing.wait()
        if isinstance(steps[0], int):
            return web.json_response({"kind": "Status", "message": "scripted"}, status=steps[0])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for step in steps:
            if step == "hang":
                await self.closing.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == "end":
                break
            elif step == "drop":
                assert request.transport is not None
                request.transport.abort()
            else:
                await response.write(
                    json.dumps(step).encode() + b"\n" if isinstance(step, dict) else str(step).encode()
                )
        return response

    def _read(self, request: web.Request) -> web.StreamResponse:
        if request.path == PATH:
            body = {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}}
            return web.json_response(body | {"items": self.state})
        found = [item for item in self.state if request.path.endswith("/" + item["metadata"]["name"])]
        return web.json_response(found[0]) if found else web.json_response({"kind": "Status"}, status=404)


@asynccontextmanager
async def scripted(
    script: Script,
    *,
    silence_s: float = 1000.0,
    request_s: float = 15.0,
    name: str = "",
    initial: Initial | None = None,
    rng: random.Random | None = None,
) -> AsyncIterator[Watch]:
    application = web.Application()
    application.router.add_get("/{path:.*}", script.handle)
    rng = rng or random.Random(1)
    async with serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port:
        access = kubeconfig.Access(f"http://127.0.0.1:{port}")
        async with KubeClient(access, request_timeout_s=request_s) as client:
            yield watch(client, PATH, name=name, initial=initial, inactivity_timeout_s=silence_s, rng=rng)
        script.closing.set()


async def first(found: Watch, count: int) -> list[str]:
    """The first events in short words."""
    seen: list[str] = []
    async with asyncio.timeout(10):
        async for item in found:
            match item:
                case Listed(objects):
                    seen.append("listed " + ",".join(o["metadata"]["name"] for o in objects))
                case Bookmark(version):
                    seen.append(f"bookmark {version}")
                case Added(body) | Modified(body) | Deleted(body):
                    seen.append(f"{type(item).__name__.lower()} {body['metadata']['name']}")
            if len(seen) == count:
                break
    return seen


@pytest.mark.asyncio
async def test_list_then_changes_then_bookmarks() -> None:
    """The ordinary life of a watch; it starts from the version of the list."""
    changes: list[Step] = [
        event("ADDED", "b", 11),
        event("MODIFIED", "a", 12),
        bookmark(15),
        event("DELETED", "b", 16),
        "hang",
    ]
    script = Script([thing("a", 5)], [changes])
    async with scripted(script) as found:
        assert found.last_heard == float("-inf")
        assert await first(found, 5) == ["listed a", "added b", "modified a", "bookmark 15", "deleted b"]
        assert found.silent_s() < 5
    assert script.asked[1]["resourceVersion"] == "10"
    assert script.asked[1]["allowWatchBookmarks"] == "true"


@pytest.mark.asyncio
async def test_an_orderly_end_goes_on_from_the_last_version() -> None:
    """The server ends requests after a while; nothing is listed again."""
    script = Script([], [[event("ADDED", "a", 11), bookmark(20)], [event("MODIFIED", "a", 21), "hang"]])
    async with scripted(script) as found:
        assert await first(found, 4) == ["listed ", "added a", "bookmark 20", "modified a"]
    assert [a.get("resourceVersion") for a in script.asked] == [None, "10", "20"]


@pytest.mark.parametrize("breaks", [[expired()], [410]])
@pytest.mark.asyncio
async def test_an_expired_version_lists_again(breaks: list[Step]) -> None:
    """As an event in the stream or as the answer itself."""
    script = Script([thing("a", 5)], [breaks, [event("ADDED", "b", 30), "hang"]])
    async with scripted(script) as found:
        assert await first(found, 3) == ["listed a", "listed a", "added b"]


@pytest.mark.parametrize("breaks", [["drop"], [500], [429], [403], ["not json\n"], [event("HUH", "x", 1)]])
@pytest.mark.asyncio
async def test_it_comes_back_after_anything(breaks: list[Step]) -> None:
    """Connection lost, server broken, rights missing for a while, nonsense on the line."""
    script = Script([], [breaks, list(breaks), [event("ADDED", "b", 30), "hang"]])
    async with scripted(script) as found:
        assert await first(found, 2) == ["listed ", "added b"]
        assert found.last_error is None


class NoDelay(random.Random):
    """Comes back at once, and notes within how many seconds it might have."""

    def __init__(self) -> None:
        super().__init__(1)
        self.ceilings: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.ceilings.append(b)
        return a


@pytest.mark.parametrize("name", ["", "b"])
@pytest.mark.asyncio
async def test_silence_is_a_dead_connection_and_what_was_missed_is_read_anew(name: str) -> None:
    """No bookmark for longer than servers take between two: the next word is a fresh state, not a bookmark's minute
    later; an object that went in the silence is gone from it."""
    begun: list[Step] = [event("ADDED", "b", 11), bookmark(11, initial=True), "hang"]
    script = Script([], [begun, [bookmark(12, initial=True), "hang"]])
    async with scripted(script, silence_s=1.0, name=name) as found:
        assert (await first(found, 2 if name else 4))[-1] == "listed "
        assert found.silent_s() < 1.0
    assert {a.get("resourceVersion") for a in script.asked} <= {None, "10"}, "of a list, or none: never of before"


@pytest.mark.asyncio
async def test_a_short_trouble_goes_on_where_it_was() -> None:
    """Heard of a moment ago: the first bookmark comes before the silence is too long, so nothing is read again."""
    script = Script([], [[event("ADDED", "a", 11), "drop"], [503], [503], [event("ADDED", "b", 12), "hang"]])
    async with scripted(script) as found:
        assert await first(found, 3) == ["listed ", "added a", "added b"]
    assert [a.get("resourceVersion") for a in script.asked] == [None, "10", "11", "11", "11"]


@pytest.mark.parametrize("breaks", ["drop", "end"])
@pytest.mark.asyncio
async def test_where_a_bookmark_would_come_too_late_the_state_is_read_anew(breaks: str) -> None:
    """Whether the last request broke off or ended in order: what counts is how long nothing has been heard."""
    steps: list[Step] = [event("ADDED", "a", 11), 0.2, *(["drop"] if breaks == "drop" else [])]
    script = Script([thing("a", 11)], [steps, ["hang"]])
    async with scripted(script, silence_s=BOOKMARK_S + 0.1) as found:
        assert await first(found, 3) == ["listed a", "added a", "listed a"]


@pytest.mark.asyncio
async def test_a_request_that_is_never_answered_is_given_up() -> None:
    """A connection from before the outage may take the request and lose it: seconds, and not the bound of a silence."""
    script = Script([], [[0], [event("ADDED", "a", 11), "hang"]])
    async with scripted(script, request_s=0.5) as found:
        assert await first(found, 2) == ["listed ", "added a"]


@pytest.mark.parametrize("breaks", [[503], ["end"]])
@pytest.mark.asyncio
async def test_a_server_that_lists_and_does_not_watch_is_asked_ever_more_rarely(breaks: list[Step]) -> None:
    """Each fresh list is trusted, and none of them is a reason to ask again sooner."""
    rng = NoDelay()
    script = Script([thing("a", 5)], [list(breaks) for _ in range(12)])
    async with scripted(script, silence_s=1.0, rng=rng) as found:
        assert await first(found, 10) == ["listed a"] * 10
    assert rng.ceilings[:9] == [min(BACKOFF_FIRST_S * 2**n, BACKOFF_MAX_S) for n in range(9)]
    assert rng.ceilings[8] == BACKOFF_MAX_S


@pytest.mark.asyncio
async def test_one_name_needs_no_list() -> None:
    """State and changes in one watch request, limited by field selector to the one name."""
    script = Script(
        [], [[event("ADDED", "a", 3), bookmark(9), bookmark(10, initial=True), event("MODIFIED", "a", 11), "hang"]]
    )
    async with scripted(script, name="a") as found:
        assert await first(found, 2) == ["listed a", "modified a"]
    assert len(script.asked) == 1
    assert script.asked[0]["fieldSelector"] == "metadata.name=a"
    assert script.asked[0]["sendInitialEvents"] == "true"


@pytest.mark.asyncio
async def test_a_state_that_broke_off_is_never_shown_as_complete() -> None:
    """Half of the initial events are no list: absence of the rest would look like deletion."""
    script = Script([], [[event("ADDED", "a", 3)], [event("ADDED", "a", 3), bookmark(10, initial=True), "hang"]])
    async with scripted(script, name="a") as found:
        assert await first(found, 1) == ["listed a"]
    assert len(script.asked) == 2
    assert "resourceVersion" not in script.asked[1]


@pytest.mark.asyncio
async def test_a_server_without_initial_events_is_asked_by_get() -> None:
    """And the watch starts without a version: the object's own may be older than the server's memory."""
    script = Script([thing("a", 5)], [[422], [event("ADDED", "a", 5), event("MODIFIED", "a", 6), "hang"]])
    async with scripted(script, name="a") as found:
        assert await first(found, 3) == ["listed a", "added a", "modified a"]
    assert script.asked[1]["path"] == f"{PATH}/a"
    assert "resourceVersion" not in script.asked[2]


@pytest.mark.asyncio
async def test_get_of_nothing_is_an_empty_state() -> None:
    """Absence is told, not left open."""
    script = Script([], [["hang"]])
    async with scripted(script, name="a", initial="get") as found:
        assert await first(found, 1) == ["listed "]


@pytest.mark.asyncio
async def test_the_last_error_says_why_it_is_silent() -> None:
    """While it cannot get through, whoever asks sees the reason."""
    async with KubeClient(kubeconfig.Access("http://127.0.0.1:1")) as client:
        found = watch(client, PATH, rng=random.Random(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first(found, 1), 0.2)
    assert isinstance(found.last_error, errors.RetryLater)
    assert found.silent_s() == float("inf")

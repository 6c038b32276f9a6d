"""The client against a real HTTP server: errors by reaction, tokens that change, pages, lines of any length."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ringfence.kube import errors, kubeconfig, resources
from ringfence.kube.client import KubeClient
from ringfence.runtime.serving import serving

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def client_of(handler: Handler, **access: object) -> AsyncIterator[KubeClient]:
    """A client of a real server, which answers every path with ``handler``."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with serving(application, "127.0.0.1", 0) as port:
        access_to = kubeconfig.Access(f"http://127.0.0.1:{port}", **access)  # type: ignore[arg-type]
        async with KubeClient(access_to, request_timeout_s=0.5) as client:
            yield client


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Forbidden),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (405, "MethodNotAllowed", errors.ApiError),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Gone),
        (415, "UnsupportedMediaType", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.RetryLater),
        (500, "InternalError", errors.RetryLater),
        (503, "ServiceUnavailable", errors.RetryLater),
        (504, "Timeout", errors.RetryLater),
    ],
)
@pytest.mark.asyncio
async def test_a_status_becomes_the_error_of_its_reaction(
    status: int, reason: str, expected: type[errors.ApiError]
) -> None:
    """Verb, path, status and the server's words are in the text; the token never is."""

    async def refuse(_request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": status, "reason": reason, "message": "because"}
        return web.json_response(body, status=status, headers={"Retry-After": "3"})

    async with client_of(refuse, token="s3cret") as client:
        with pytest.raises(errors.ApiError) as raised:
            await client.get(resources.SECRET, "x", "t")

    assert type(raised.value) is expected
    assert str(raised.value) == f"GET /api/v1/namespaces/t/secrets/x: {status} because"
    assert "s3cret" not in repr(raised.value) + repr(client._access)
    if isinstance(raised.value, errors.RetryLater):
        assert raised.value.retry_after_s == 3.0


@pytest.mark.asyncio
async def test_an_error_page_of_a_proxy_is_an_error_with_its_text() -> None:
    """Not everything between us and the API server speaks Status."""

    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<html>bad gateway</html>", headers={"Retry-After": "Wed, 21 Oct 2026"})

    async with client_of(page) as client:
        with pytest.raises(errors.RetryLater, match="bad gateway") as raised:
            await client.raw("GET", "/version")
    assert raised.value.retry_after_s is None


@pytest.mark.asyncio
async def test_silence_and_no_server_mean_retry_later() -> None:
    """A server that does not answer in time, and one that is not there."""

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        assert request.transport is not None
        while not request.transport.is_closing():
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async with client_of(hang) as client:
        with pytest.raises(errors.RetryLater, match="timed out"):
            await client.raw("GET", "/version")
    async with KubeClient(kubeconfig.Access("http://127.0.0.1:1")) as client:
        with pytest.raises(errors.RetryLater, match="no answer"):
            await client.raw("GET", "/version")


@pytest.mark.asyncio
async def test_a_renewed_token_is_used_at_once(tmp_path: Path) -> None:
    """Projected tokens are replaced while the process runs."""
    token = tmp_path / "token"
    token.write_text("first\n")

    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response({"seen": request.headers["Authorization"]})

    async with client_of(echo, token_file=token) as client:
        assert await client.raw("GET", "/") == {"seen": "Bearer first"}
        renewed = tmp_path / "renewed"
        renewed.write_text("second\n")
        renewed.rename(token)
        assert await client.raw("GET", "/") == {"seen": "Bearer second"}


@pytest.mark.asyncio
async def test_a_list_follows_all_pages_and_fills_in_the_types() -> None:
    """Items of a list carry neither apiVersion nor kind on the wire."""

    async def pages(request: web.Request) -> web.StreamResponse:
        first = "continue" not in request.query
        metadata = {"resourceVersion": "7"} | ({"continue": "more"} if first else {})
        item = {"metadata": {"name": "a" if first else "b"}}
        return web.json_response({"kind": "ConfigMapList", "metadata": metadata, "items": [item]})

    async with client_of(pages) as client:
        listing = await client.list(resources.CONFIG_MAP, "t")

    assert [(i["kind"], i["metadata"]["name"]) for i in listing.items] == [("ConfigMap", "a"), ("ConfigMap", "b")]
    assert listing.resource_version == "7"


@pytest.mark.asyncio
async def test_lines_may_be_longer_than_any_buffer_and_cut_anywhere() -> None:
    """Objects with many managed fields are longer than aiohttp's line limit."""
    long = b"x" * 300_000

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a\n" + long[:1000])
        await response.write(long[1000:] + b"\nb")
        await response.write(b"b\n\n")
        return response

    async with client_of(stream) as client, client.stream("/", {}, 1.0) as lines:
        assert [line async for line in lines] == [b"a", long, b"bb"]


def test_a_kubeconfig_without_the_context_says_so(tmp_path: Path) -> None:
    """The text names the file and what is missing."""
    path = tmp_path / "config"
    path.write_text("contexts: []\n")
    with pytest.raises(kubeconfig.KubeconfigError, match="no entry 'prod' in contexts"):
        KubeClient.from_kubeconfig(path, "prod")
    with pytest.raises(kubeconfig.KubeconfigError, match="does not run in a pod"):
        kubeconfig.in_cluster(tmp_path, environ={})


def test_paths_of_resources() -> None:
    """Core and named groups, collections, objects, subresources, cluster scope."""
    assert resources.POD.path() == "/api/v1/pods"
    assert resources.DEPLOYMENT.path("t", "x", "status") == "/apis/apps/v1/namespaces/t/deployments/x/status"
    assert resources.NODE.path("ignored", "n") == "/api/v1/nodes/n"
    assert resources.KILL_SWITCH.group == "ringfence.dev"
    with pytest.raises(ValueError, match="namespace is needed"):
        resources.POD.path(None, "x")
    with pytest.raises(ValueError, match="not in the table"):
        resources.lookup("v1", "Unheard")

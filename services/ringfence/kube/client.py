"""One thin client for the API server: verbs in, plain dictionaries out, errors by reaction.

It never retries by itself: whoever calls has a queue or a loop that knows better.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp
import msgspec
from aiohttp.connector import NEEDS_CLEANUP_CLOSED

from ringfence.kube import kubeconfig, resources
from ringfence.kube.errors import RetryLater, from_answer
from ringfence.kube.resources import Resource

Manifest = dict[str, Any]
PatchKind = Literal["merge", "json", "apply"]

PAGE_MAX: Final = 500
"""Objects per page of a list."""
REQUEST_TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 24
"""Each TLS connection holds a quarter of a megabyte of buffers."""

_CONTENT_TYPES: Final[dict[PatchKind, str]] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",  # JSON is YAML
}


@dataclass(frozen=True, slots=True)
class Listing:
    """One consistent answer to a list."""

    items: tuple[Manifest, ...]
    resource_version: str


class KubeClient:
    """Use as ``async with KubeClient.in_cluster() as client``, or call ``close`` at the end.

    Once closed it stays closed, and requests are RetryLater: a task that is still at work opens nothing again.
    """

    def __init__(self, access: kubeconfig.Access, *, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._access = access
        self._timeout_s = request_timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @classmethod
    def in_cluster(cls, *, request_timeout_s: float = REQUEST_TIMEOUT_S) -> Self:
        """With the service account of this pod. Its projected token is read again whenever the file changes."""
        return cls(kubeconfig.in_cluster(), request_timeout_s=request_timeout_s)

    @classmethod
    def from_kubeconfig(
        cls, path: Path | str, context: str | None = None, *, request_timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Self:
        """With a kubeconfig's client certificate or token. Exec plugins are the CLI's business, not ours."""
        return cls(kubeconfig.read(Path(path), context), request_timeout_s=request_timeout_s)

    @property
    def namespace(self) -> str:
        """The namespace of this pod or context."""
        return self._access.namespace

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Manifest:
        """One object. Raises NotFound."""
        return _object(await self.raw("GET", resource.path(namespace, name, subresource)))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing:
        """All objects of a kind, fetched in pages; items carry apiVersion and kind, which a list leaves out."""
        path = resource.path(namespace)
        query = {"limit": str(PAGE_MAX)} | _selectors(label_selector, field_selector)
        items: list[Manifest] = []
        while True:
            page = _object(await self.raw("GET", path, query=query))
            metadata = page.get("metadata") or {}
            items += (
                {"apiVersion": resource.api_version, "kind": resource.kind} | item for item in page.get("items") or ()
            )
            if not metadata.get("continue"):
                return Listing(tuple(items), str(metadata.get("resourceVersion", "")))
            query["continue"] = metadata["continue"]

    async def create(self, manifest: Mapping[str, Any], *, field_manager: str | None = None) -> Manifest:
        """Raises AlreadyExists."""
        resource = resources.of(manifest)
        query = {"fieldManager": field_manager} if field_manager else {}
        path = resource.path(manifest["metadata"].get("namespace"))
        return _object(await self.raw("POST", path, query=query, body=manifest))

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        kind: PatchKind = "merge",
        subresource: str | None = None,
        field_manager: str | None = None,
        force: bool | None = None,
        dry_run: bool = False,
    ) -> Manifest:
        """Patch an object or a subresource of it."""
        query = {"fieldManager": field_manager} if field_manager else {}
        if force is not None:
            query["force"] = str(force).lower()
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(namespace, name, subresource)
        return _object(await self.raw("PATCH", path, query=query, body=patch, content_type=_CONTENT_TYPES[kind]))

    async def apply(
        self,
        manifest: Mapping[str, Any],
        field_manager: str,
        *,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Manifest:
        """Server-side apply: creates or takes the fields that the manifest names, and leaves all others alone."""
        metadata = manifest["metadata"]
        return await self.patch(
            resources.of(manifest),
            metadata["name"],
            metadata.get("namespace"),
            manifest,
            kind="apply",
            subresource=subresource,
            field_manager=field_manager,
            force=force,
            dry_run=dry_run,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete by name; with ``uid`` only if it is still that very object (else Conflict). Raises NotFound."""
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self.raw("DELETE", resource.path(namespace, name), body=options)

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_s: float | None = None,
    ) -> Any:
        """Any request; the decoded JSON answer, or text where the server does not speak JSON."""
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        async with self._request(method, path, query or {}, data, content_type, timeout) as response:
            payload = await response.read()
            if "json" in response.headers.get("Content-Type", ""):
                return msgspec.json.decode(payload)
            return payload.decode("utf-8", "replace")

    async def content(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> bytes:
        """Any request; the answer's bytes as they came, for what is not the API server's own document."""
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        async with self._request(method, path, query or {}, None, "", timeout) as response:
            return await response.read()

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lines of an endless answer. Silence for longer than ``silence_s`` is RetryLater: the peer is gone. The answer
        has to begin within the time of any request."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s)
        async with self._request("GET", path, query, None, "", timeout) as response:
            yield _lines(response.content)

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        data: bytes | None,
        content_type: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._closed:
            raise RetryLater(method, path, 0, "the client has been closed")
        headers = {"Accept": "application/json"} | self._access.headers()
        if data is not None:
            headers["Content-Type"] = content_type
        try:
            async with (
                asyncio.timeout(limits.total or self._timeout_s) as beginning,
                self._opened().request(
                    method, self._access.server + path, params=query, data=data, headers=headers, timeout=limits
                ) as response,
            ):
                if response.status >= 400:
                    after = response.headers.get("Retry-After")
                    raise from_answer(method, path, response.status, await response.read(), after)
                beginning.reschedule(None)
                yield response
        except TimeoutError as error:
            raise RetryLater(method, path, 0, f"timed out: {error}" if str(error) else "timed out") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RetryLater(method, path, 0, str(error) or type(error).__name__) from error

    def _opened(self) -> aiohttp.ClientSession:
        """The session, opened at first use: aiohttp wants a running loop."""
        if self._session is None:
            # TLS is closed in order, which takes the server's own farewell. Where Python waits for it for ever (that of
            # a frozen server never comes) aiohttp ends what it has closed, soon after and at its own end
            connector = aiohttp.TCPConnector(
                ssl=self._access.tls if self._access.tls is not None else True,
                limit=CONNECTIONS_MAX,
                enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
            )
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._session


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length; aiohttp's own readline refuses long ones, and objects may be long."""
    rest = bytearray()
    async for chunk in content.iter_any():
        start = len(rest)
        rest += chunk
        if rest.find(b"\n", start) < 0:
            continue
        *whole, rest = rest.split(b"\n")
        for line in whole:
            if line:
                yield bytes(line)


def _object(document: Any) -> Manifest:
    if not isinstance(document, dict):
        raise TypeError(f"the API server answered {type(document).__name__} where an object was expected")
    return document


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    both = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in both.items() if value}

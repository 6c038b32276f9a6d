"""A watch that never gives up: initial state, changes, bookmarks; reconnects, and reads the state anew where needed.

A watch that goes on from a resource version is silent until something changes or its first bookmark comes, up to a
minute later. So it goes on only where that comes before the silence is too long for whoever relies on it; after any
longer trouble it begins with the state, read from the server's latest version: proof at once that it is fresh.

The initial state comes in one of three ways, because rights differ. A service account that is limited to
resource names may get and watch but not list:

- ``list``: list, then watch from there.
- ``stream``: one request, which sends the state first (``sendInitialEvents``); needs only ``watch``.
- ``get``: read the one object, then watch it; for servers that do not know ``sendInitialEvents``.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from ringfence.kube.client import KubeClient, Manifest
from ringfence.kube.errors import ApiError, Gone, Invalid, NotFound, RetryLater, from_status

Initial = Literal["list", "stream", "get"]

INACTIVITY_TIMEOUT_S: Final = 70.0
"""API servers send a bookmark every 60 s, so a longer silence means a dead connection."""
BOOKMARK_S: Final = 65.0
"""Within this time the first bookmark of a request comes: 60 s, and not to the second."""
SERVER_TIMEOUT_S: Final = 290
"""After this the server ends the request in an orderly way and we go on from where we were."""
BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Listed:
    """The complete state. What was known before and is not in here is gone."""

    objects: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class Added:
    object: Manifest


@dataclass(frozen=True, slots=True)
class Modified:
    object: Manifest


@dataclass(frozen=True, slots=True)
class Deleted:
    object: Manifest


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing changed up to this resource version: the stream is alive."""

    resource_version: str


WatchEvent = Listed | Added | Modified | Deleted | Bookmark
_CHANGES: Final[dict[str, type[Added] | type[Modified] | type[Deleted]]] = {
    "ADDED": Added,
    "MODIFIED": Modified,
    "DELETED": Deleted,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is watched."""

    path: str
    """Path of the collection."""
    name: str = ""
    """Only the object of this name."""
    label_selector: str = ""
    field_selector: str = ""

    def query(self) -> dict[str, str]:
        fields = [f"metadata.name={self.name}"] if self.name else []
        fields += [self.field_selector] if self.field_selector else []
        both = {"labelSelector": self.label_selector, "fieldSelector": ",".join(fields)}
        return {key: value for key, value in both.items() if value}


class Watch:
    """Iterate over it for ever; stop by leaving the loop or cancelling the task."""

    def __init__(
        self,
        client: KubeClient,
        target: Target,
        *,
        initial: Initial,
        inactivity_timeout_s: float,
        rng: random.Random,
    ) -> None:
        self.last_heard = float("-inf")
        """Loop time of the last sign of life: state, change or bookmark. ``-inf`` before the first."""
        self.last_error: ApiError | None = None
        """Why the stream broke last; None while it is fine."""
        self._client = client
        self._target = target
        self._initial = initial
        self._silence_s = inactivity_timeout_s
        self._rng = rng
        self._version: str | None = None
        """Resource version to go on from; None means that the state is to be read anew."""
        self._failures = 0

    def silent_s(self) -> float:
        """Seconds since the last sign of life."""
        return asyncio.get_running_loop().time() - self.last_heard

    async def __aiter__(self) -> AsyncIterator[WatchEvent]:
        while True:
            heard = False
            try:
                async with aclosing(self._session()) as session:
                    async for event in session:
                        self.last_heard = asyncio.get_running_loop().time()
                        self.last_error = None
                        if not isinstance(event, Listed):  # a list may succeed for ever where the watch does not
                            heard = True
                            self._failures = 0
                        yield event
                if not heard:
                    await self._pause(RetryLater("WATCH", self._target.path, 0, "it ended without a word"))
            except Gone as error:
                self._version = None
                await self._pause(error)
            except Invalid as error:
                if self._initial != "stream" or not self._target.name:
                    await self._pause(error)
                else:  # a server that does not know sendInitialEvents
                    self._initial = "get"
            except ApiError as error:
                await self._pause(error)

    async def _pause(self, error: ApiError) -> None:
        """Wait with full jitter: after an outage, everybody comes back, and not at the same moment."""
        self.last_error = error
        ceiling_s = min(BACKOFF_FIRST_S * 2**self._failures, BACKOFF_MAX_S)
        self._failures = min(self._failures + 1, 16)
        asked_s = (error.retry_after_s or 0.0) if isinstance(error, RetryLater) else 0.0
        await asyncio.sleep(min(asked_s, BACKOFF_MAX_S) + self._rng.uniform(0, ceiling_s))

    async def _session(self) -> AsyncGenerator[WatchEvent, None]:
        """From the initial state, or from where we were, to the orderly end of one request."""
        if self.silent_s() + BOOKMARK_S > self._silence_s:
            self._version = None
        if self._version is None and self._initial == "stream":
            async with aclosing(self._streamed()) as events:
                async for event in events:
                    yield event
            return
        if self._version is None:
            listed, self._version = await self._read()
            yield listed
        query = {"resourceVersion": self._version} if self._version else {}
        async with aclosing(self._events(query)) as events:
            async for event in events:
                yield event

    async def _read(self) -> tuple[Listed, str]:
        """State and resource version by list or by get."""
        if self._initial == "list":
            query = self._target.query() | {"limit": "500"}
            objects: list[Manifest] = []
            while True:
                page: dict[str, Any] = await self._client.raw("GET", self._target.path, query=query)
                metadata = page.get("metadata") or {}
                kind = str(page.get("kind", "")).removesuffix("List")
                types = {"apiVersion": str(page.get("apiVersion", "")), "kind": kind}
                objects += (types | item for item in page.get("items") or ())
                if not metadata.get("continue"):
                    return Listed(tuple(objects)), str(metadata.get("resourceVersion", ""))
                query["continue"] = metadata["continue"]
        try:
            found: Manifest = await self._client.raw("GET", f"{self._target.path}/{self._target.name}")
        except NotFound:
            return Listed(()), ""
        # not the object's own version: one that was not written for long is older than the server's memory, and
        # watching from it would be answered 410 for ever. An empty version repeats the object as ADDED.
        return Listed((found,)), ""

    async def _streamed(self) -> AsyncGenerator[WatchEvent, None]:
        """State and changes in one request."""
        query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        objects: list[Manifest] = []
        complete = False
        async with aclosing(self._events(query)) as events:
            async for event in events:
                if complete:
                    yield event
                elif isinstance(event, Bookmark):
                    complete = True
                    yield Listed(tuple(objects))
                elif isinstance(event, Added):
                    objects.append(event.object)

    async def _events(self, query: dict[str, str]) -> AsyncGenerator[WatchEvent, None]:
        query |= self._target.query() | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(SERVER_TIMEOUT_S),
        }
        initial = "sendInitialEvents" in query
        async with self._client.stream(self._target.path, query, self._silence_s) as lines:
            async for line in lines:
                event, version, ends_initial = _decode(line, self._target.path)
                if initial and isinstance(event, Bookmark) and not ends_initial:
                    continue
                if initial and not ends_initial:
                    yield event  # its version is not a place to go on from: the state is not complete yet
                    continue
                initial = False
                self._version = version
                yield event
        if initial:
            raise RetryLater("GET", self._target.path, 0, "the watch ended before the initial state was complete")


def watch(
    client: KubeClient,
    path: str,
    *,
    name: str = "",
    label_selector: str = "",
    field_selector: str = "",
    initial: Initial | None = None,
    inactivity_timeout_s: float = INACTIVITY_TIMEOUT_S,
    rng: random.Random | None = None,
) -> Watch:
    """Watch a collection, or with ``name`` one object in a way that needs only get and watch on that name."""
    if initial is None:
        initial = "stream" if name else "list"
    if initial == "get" and not name:
        raise ValueError("initial='get' needs a name")
    return Watch(
        client,
        Target(path, name, label_selector, field_selector),
        initial=initial,
        inactivity_timeout_s=inactivity_timeout_s,
        rng=rng or random.Random(),  # sim-ok: jitter of reconnects, and callers may pass their own
    )


def _decode(line: bytes, path: str) -> tuple[WatchEvent, str, bool]:
    """One line: the event, its resource version, and whether it ends the initial state."""
    try:
        document = msgspec.json.decode(line)
        kind, body = document["type"], document["object"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise RetryLater("WATCH", path, 0, f"a line that is no event: {error}") from error
    if kind == "ERROR":
        raise from_status("WATCH", path, int(body.get("code") or 500), body)
    metadata = body.get("metadata") or {}
    version = str(metadata.get("resourceVersion", ""))
    if kind == "BOOKMARK":
        return Bookmark(version), version, (metadata.get("annotations") or {}).get(_INITIAL_EVENTS_END) == "true"
    if kind not in _CHANGES:
        raise RetryLater("WATCH", path, 0, f"unknown event type {kind!r}")
    return _CHANGES[kind](body), version, False

"""An API server's protocol in memory: enough of it for a gate, with objects in reach of the test."""

import asyncio
import hashlib
import json
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from aiohttp import web

from ringfence.runtime import serving as http

NAMESPACE: Final = "trading"
SYSTEM: Final = "momentum"
GROUP: Final = f"/apis/ringfence.dev/v1alpha1/namespaces/{NAMESPACE}/killswitches"
MAPS: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
BOOKMARK_S: Final = 5.0
LEASES: Final = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


class FakeApi:
    """Lists, watches with bookmarks and initial events, merge patches with optimistic locking, and apply to status."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.watchers: list[tuple[str, str, asyncio.Queue[dict[str, Any]]]] = []
        self.deleted: list[str] = []
        """Paths of the objects that were asked to be deleted; the objects stay until the test takes them away."""
        self.down = False
        """True: every request is answered 503, and watches are cut."""
        self.expired = False
        """True: every request is answered 401, as for a token that has expired; watches that are open go on."""

    def put(self, path: str, manifest: dict[str, Any], *, spec_changed: bool = True) -> None:
        known = self.objects.get(path)
        self.version += 1
        meta = manifest["metadata"]
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", hashlib.sha256(path.encode()).hexdigest()[:12])
        if spec_changed and "spec" in manifest:
            meta["generation"] = (known or manifest)["metadata"].get("generation", 0) + 1
        self.objects[path] = manifest
        kind = "ADDED" if known is None else "MODIFIED"
        for collection, name, queue in self.watchers:
            if path.startswith(collection + "/") and name in ("", meta["name"]):
                queue.put_nowait({"type": kind, "object": json.loads(json.dumps(manifest))})

    def remove(self, path: str) -> None:
        """Delete an object, as somebody would."""
        gone = self.objects.pop(path)
        for collection, name, queue in self.watchers:
            if path.startswith(collection + "/") and name in ("", gone["metadata"]["name"]):
                queue.put_nowait({"type": "DELETED", "object": gone})

    def outage(self, down: bool) -> None:
        self.down = down
        for _, _, queue in self.watchers:
            queue.put_nowait({})

    def engage(self, name: str, **spec: Any) -> None:
        path = f"{GROUP}/{name}"
        known = json.loads(json.dumps(self.objects[path]))
        known["spec"] |= spec
        self.put(path, known)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if self.down:
            return web.json_response({"kind": "Status", "message": "out of order"}, status=503)
        if self.expired:
            return web.json_response({"kind": "Status", "reason": "Unauthorized", "message": "no"}, status=401)
        if request.method == "PATCH":
            return await self._patch(request, path)
        if request.method == "DELETE" and path in self.objects:
            self.deleted.append(path)
        if request.query.get("watch") == "true":
            return await self._watch(request, path)
        if path in self.objects:
            return web.json_response(self.objects[path])
        if path in (GROUP, MAPS, LEASES):
            items = [o for p, o in self.objects.items() if p.startswith(path + "/")]
            meta = {"resourceVersion": str(self.version)}
            return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items})
        return web.json_response({"kind": "Status", "message": "not found"}, status=404)

    async def _patch(self, request: web.Request, path: str) -> web.StreamResponse:
        body = await request.json()
        if path.endswith("/status"):
            path = path.removesuffix("/status")
            known = json.loads(json.dumps(self.objects[path]))
            lines = {line["pod"]: line for line in known.get("status", {}).get("gates", [])}
            lines |= {line["pod"]: line for line in body["status"]["gates"]}
            known["status"] = {"gates": list(lines.values())}
            self.put(path, known, spec_changed=False)
            return web.json_response(known)
        known = json.loads(json.dumps(self.objects[path]))
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != known["metadata"]["resourceVersion"]:
            return web.json_response({"kind": "Status", "message": "conflict"}, status=409)
        known["spec"] = {k: v for k, v in (known.get("spec", {}) | body["spec"]).items() if v is not None}
        self.put(path, known)
        return web.json_response(known)

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        response = web.StreamResponse()
        await response.prepare(request)
        entry = (path, name, queue)
        self.watchers.append(entry)
        try:
            if request.query.get("sendInitialEvents"):
                for known, found in list(self.objects.items()):
                    if known.startswith(path + "/") and found["metadata"]["name"] == name:
                        queue.put_nowait({"type": "ADDED", "object": found})
                marks = {"k8s.io/initial-events-end": "true"}
                meta = {"resourceVersion": str(self.version), "annotations": marks}
                queue.put_nowait({"type": "BOOKMARK", "object": {"metadata": meta}})
            while True:
                try:
                    async with asyncio.timeout(BOOKMARK_S):
                        told = await queue.get()
                except TimeoutError:  # a watch that says nothing is taken for a dead one, as it should be
                    meta = {"resourceVersion": str(self.version)}
                    told = {"type": "BOOKMARK", "object": {"metadata": meta}}
                if self.down:
                    return response
                await response.write(json.dumps(told).encode() + b"\n")
        finally:
            self.watchers.remove(entry)


def serving(api: FakeApi) -> AbstractAsyncContextManager[int]:
    """Serve it on a port of its own, which is given."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    return http.serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1, cancel_handlers=True)

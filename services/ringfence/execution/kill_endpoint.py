"""The direct kill endpoint: stops this gate without API server and without operator.

``POST /kill`` takes a signed `KillRequest` (see `ringfence.wire.kill`) and answers when the guard has closed; the
cancels are on their way by then. It can only tighten. ``POST /hand`` takes what a person asks by hand in the same way
(see `ringfence.wire.byhand`). ``GET /state`` is one read-only line for people and probes.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from ringfence.execution.status import Proof
from ringfence.runtime.clock import Clock
from ringfence.runtime.guard import Guard
from ringfence.runtime.killwatch import Fold
from ringfence.runtime.lease import micro_time
from ringfence.runtime.serving import serving
from ringfence.wire.byhand import HAND_PATH, HandAnswer, HandRequest, opened_hand
from ringfence.wire.kill import BODY_MAX, KILL_PATH, SIGNATURE_HEADER, STATE_PATH, KillAnswer, Severity, opened

RequestT = TypeVar("RequestT")
Opener = Callable[[bytes, bytes, str, int], RequestT | str]


class Owner(Protocol):
    guard: Guard
    proof: Proof

    def observe(self, fold: Fold) -> None: ...
    def working(self) -> int: ...


class KillEndpoint:
    """Reads the token afresh for each request: it may be rotated, and a kill is rare."""

    def __init__(
        self,
        owner: Owner,
        clock: Clock,
        token_file: Path,
        pod: str,
        hand: Callable[[HandRequest], HandAnswer] | None = None,
    ) -> None:
        self.accepted = 0
        self.refused = 0
        self._owner = owner
        self._clock = clock
        self._token_file = token_file
        self._pod = pod
        self._hand = hand

    async def kill(self, request: web.Request) -> web.Response:
        arrived = self._clock.monotonic_ns()
        found = await self._opened(request, opened)
        if isinstance(found, web.Response):
            return found
        self.accepted += 1
        self._owner.observe(lambda now: self._owner.guard.pushed(found, now))
        answer = self.answer((self._clock.monotonic_ns() - arrived) / 1e6)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _opened(self, request: web.Request, opener: Opener[RequestT]) -> RequestT | web.Response:
        """What was signed with the token that is mounted now, or the refusal."""
        body = await request.read()
        try:
            token = (await asyncio.to_thread(self._token_file.read_bytes)).strip()
        except OSError as error:
            return web.json_response({"error": f"the kill token cannot be read: {error.strerror}"}, status=503)
        found = opener(token, body, request.headers.get(SIGNATURE_HEADER, ""), self._clock.wall_ns())
        if isinstance(found, str):
            self.refused += 1
            return web.json_response({"error": found}, status=403)
        return found

    async def hand(self, request: web.Request) -> web.Response:
        """One order cancelled or one position closed, by a person."""
        found = await self._opened(request, opened_hand)
        if isinstance(found, web.Response):
            return found
        if self._hand is None:
            return web.json_response({"error": "this gate takes no requests by hand"}, status=404)
        self.accepted += 1
        return web.Response(body=msgspec.json.encode(self._hand(found)), content_type="application/json")

    def answer(self, latency_ms: float) -> KillAnswer:
        guard = self._owner.guard
        return KillAnswer(
            state=guard.state,
            epoch=guard.epoch,
            closed_at=micro_time(guard.closed_at) if guard.severity > Severity.NONE else "",
            latency_ms=f"{latency_ms:.3f}",
            working_orders=self._owner.working(),
            pod=self._pod,
            durable=self._owner.proof.durable,
        )

    async def state(self, _request: web.Request) -> web.Response:
        guard = self._owner.guard
        line: dict[str, Any] = {
            "pod": self._pod,
            "state": guard.state,
            "severity": guard.severity.word,
            "epoch": guard.epoch,
            "reason": guard.reason,
            "workingOrders": self._owner.working(),
            "durable": self._owner.proof.durable,
        }
        return web.json_response(line)

    def serve(self, port: int) -> AbstractAsyncContextManager[int]:
        application = web.Application(client_max_size=BODY_MAX)
        application.add_routes(
            [web.post(KILL_PATH, self.kill), web.post(HAND_PATH, self.hand), web.get(STATE_PATH, self.state)]
        )
        return serving(application, "0.0.0.0", port)  # noqa: S104 - a pod's address is not known

"""Stop gates without API server and operator: a signed request to each gate's own endpoint.

Such a stop is latched in the gate until the system's KillSwitch is engaged and then released.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from ringfence.runtime.clock import Clock
from ringfence.runtime.config import KILL_PORT
from ringfence.wire import kill

REQUEST_TIMEOUT_S: Final = 2.0
ASK_AGAIN_S: Final = 0.1
PORT_MAX: Final = 65_535


@dataclass(frozen=True)
class Outcome:
    """What one gate answered, or why there is no answer."""

    gate: str
    answer: kill.KillAnswer | None
    error: str = ""
    final: bool = False
    """Asking again would give the same."""
    part: bool = False
    """Only a part of the gate was to be stopped."""

    @property
    def closed(self) -> bool:
        # a part that is stopped leaves the gate's state as it is: that it answered says that it was heard
        return self.answer is not None and (self.part or self.answer.state in {"Cancel", "Flatten", "Halted"})

    @property
    def proven(self) -> bool:
        return self.closed and self.answer is not None and self.answer.working_orders == 0


class _State(msgspec.Struct, rename="camel"):
    """What we read of ``GET /state``."""

    state: str
    working_orders: int


class _Refusal(msgspec.Struct):
    error: str


def address(text: str) -> str:
    """``host:port`` out of what people type; the port may be left out. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if text.endswith("]") or not colon:
        host, port = text, str(KILL_PORT)
    elif ":" in host and not host.startswith("["):  # an IPv6 address without brackets has no port
        host, port = f"[{text}]", str(KILL_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise ValueError(f"{text!r} is no host:port")
    return f"{host}:{port}"


async def stop(
    gates: Mapping[str, bytes],
    *,
    severity: str,
    scope: kill.Scope = kill.EVERYTHING,
    protective: str = "Keep",
    reason: str,
    by: str,
    clock: Clock,
    timeout_s: float,
    seen: Callable[[Outcome], None],
) -> list[Outcome]:
    """Ask all gates, each with its token, at once, until nothing of ours works any more or time is up."""
    limits = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=limits, trust_env=False) as session:

        async def one(gate: str, token: bytes) -> Outcome:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + timeout_s
            last: Outcome | None = None
            while True:
                if last is not None and last.answer is not None:  # it has closed; what is left to see are its orders
                    outcome = await _look(session, gate, last.answer)
                else:
                    request = kill.KillRequest(
                        severity=severity,
                        reason=reason,
                        by=by,
                        ts=clock.wall_ns(),
                        source="direct",
                        scope=scope,
                        protective=protective,
                    )
                    outcome = await _ask(session, gate, *kill.signed(token, request))
                outcome = dataclasses.replace(outcome, part=scope.partial)
                if last != outcome:
                    seen(outcome)
                last = outcome
                if outcome.proven or outcome.final or loop.time() > deadline:
                    return outcome
                await asyncio.sleep(ASK_AGAIN_S)

        return list(await asyncio.gather(*(one(gate, token) for gate, token in gates.items())))


async def _ask(session: aiohttp.ClientSession, gate: str, body: bytes, headers: dict[str, str]) -> Outcome:
    """The stop itself."""
    found = await _request(session, "POST", gate, kill.KILL_PATH, body, headers)
    if isinstance(found, Outcome):
        return found
    try:
        return Outcome(gate, msgspec.json.decode(found, type=kill.KillAnswer))
    except msgspec.MsgspecError as error:
        return Outcome(gate, None, f"what answers is no gate: {error}", final=True)


async def _look(session: aiohttp.ClientSession, gate: str, answer: kill.KillAnswer) -> Outcome:
    """How it goes on with its orders. A gate that went silent after it had closed has proven no more than before."""
    found = await _request(session, "GET", gate, kill.STATE_PATH, None, {})
    if isinstance(found, Outcome):
        return Outcome(gate, answer)
    try:
        state = msgspec.json.decode(found, type=_State)
    except msgspec.MsgspecError:
        return Outcome(gate, answer)
    return Outcome(gate, msgspec.structs.replace(answer, state=state.state, working_orders=state.working_orders))


async def _request(
    session: aiohttp.ClientSession, method: str, gate: str, path: str, body: bytes | None, headers: dict[str, str]
) -> bytes | Outcome:
    try:
        async with session.request(method, f"http://{gate}{path}", data=body, headers=headers) as response:
            text = await response.read()
            if response.status == 200:
                return text
            # a gate that refuses a signature will refuse it again; one that cannot read its token may yet
            return Outcome(gate, None, f"refused: {_said(text)}", final=response.status < 500)
    except TimeoutError:
        return Outcome(gate, None, f"no answer within {REQUEST_TIMEOUT_S:.0f} s")
    except (aiohttp.ClientError, OSError) as error:
        return Outcome(gate, None, f"cannot be reached: {error}")


def _said(body: bytes) -> str:
    """A gate's own sentence, or whatever came."""
    try:
        return msgspec.json.decode(body, type=_Refusal).error
    except msgspec.MsgspecError:
        return body.decode("utf-8", "replace").strip()[:300]

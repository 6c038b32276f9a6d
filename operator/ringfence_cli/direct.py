"""Stop gates without API server and operator: a signed request to each gate's own endpoint.

Such a stop is latched in the gate until the system's KillSwitch is engaged and then released.
"""

import asyncio
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

    @property
    def closed(self) -> bool:
        return self.answer is not None and self.answer.state in {"Cancel", "Flatten", "Halted"}

    @property
    def proven(self) -> bool:
        return self.closed and self.answer is not None and self.answer.working_orders == 0


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
                request = kill.KillRequest(severity=severity, reason=reason, by=by, ts=clock.wall_ns(), source="direct")
                outcome = await _ask(session, gate, *kill.signed(token, request))
                if last is None or (last.answer, last.error) != (outcome.answer, outcome.error):
                    seen(outcome)
                last = outcome
                # a gate that refuses the signature will refuse it again; one that is out of reach may come back
                if outcome.proven or outcome.error.startswith("refused") or loop.time() > deadline:
                    return outcome
                await asyncio.sleep(ASK_AGAIN_S)

        return list(await asyncio.gather(*(one(gate, token) for gate, token in gates.items())))


async def _ask(session: aiohttp.ClientSession, gate: str, body: bytes, headers: dict[str, str]) -> Outcome:
    try:
        async with session.post(f"http://{gate}{kill.KILL_PATH}", data=body, headers=headers) as response:
            text = await response.read()
            if response.status != 200:
                return Outcome(gate, None, f"refused: {text.decode('utf-8', 'replace').strip()[:300]}")
            return Outcome(gate, msgspec.json.decode(text, type=kill.KillAnswer))
    except TimeoutError:
        return Outcome(gate, None, f"no answer within {REQUEST_TIMEOUT_S:.0f} s")
    except (aiohttp.ClientError, OSError) as error:
        return Outcome(gate, None, f"cannot be reached: {error}")
    except msgspec.MsgspecError as error:
        return Outcome(gate, None, f"refused: what answers is no gate: {error}")

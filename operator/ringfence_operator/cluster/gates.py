"""The operator's way to the gates: a signed push to each one's kill endpoint, all at once.

It is the second way of a kill and never the only one: every gate also watches the switches itself. A push can only
tighten, so pushing twice, late or needlessly does no harm.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from ringfence.runtime.config import KILL_PORT
from ringfence.wire import kill

TIMEOUT_S: Final = 1.0
"""A gate answers within milliseconds; one that does not is asked again by the next pass."""
ANSWER_MAX: Final = 16_384


@dataclass(frozen=True, slots=True)
class Target:
    """One gate's endpoint. Its repr does not show the token."""

    pod: str
    address: str
    """IP of the pod."""
    token: bytes
    port: int = KILL_PORT

    def __repr__(self) -> str:
        return f"Target({self.pod!r}, {self.address!r})"


@dataclass(frozen=True, slots=True)
class Push:
    """What came of one push."""

    pod: str
    at: float
    """Loop time of the answer, or of giving up."""
    answer: kill.KillAnswer | None
    error: str = ""


async def push_all(
    session: aiohttp.ClientSession, targets: Sequence[Target], request: kill.KillRequest
) -> tuple[Push, ...]:
    """Push to every gate at the same time. Never raises: a gate that fails is an answer too."""
    return tuple(await asyncio.gather(*(_push(session, target, request) for target in targets)))


async def _push(session: aiohttp.ClientSession, target: Target, request: kill.KillRequest) -> Push:
    loop = asyncio.get_running_loop()
    body, headers = kill.signed(target.token, request)
    host = f"[{target.address}]" if ":" in target.address else target.address
    url = f"http://{host}:{target.port}{kill.KILL_PATH}"
    try:
        limits = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with session.post(url, data=body, headers=headers, timeout=limits, allow_redirects=False) as response:
            text = await response.content.read(ANSWER_MAX)
        if response.status != 200:
            said = text.decode("utf-8", "replace").strip()[:200]
            return Push(target.pod, loop.time(), None, f"HTTP {response.status} {said}")
        return Push(target.pod, loop.time(), msgspec.json.decode(text, type=kill.KillAnswer))
    except TimeoutError:
        return Push(target.pod, loop.time(), None, f"no answer within {TIMEOUT_S:.0f} s")
    except (aiohttp.ClientError, OSError, msgspec.MsgspecError) as error:
        return Push(target.pod, loop.time(), None, str(error) or type(error).__name__)

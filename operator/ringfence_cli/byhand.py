"""`ringfence cancel` and `ringfence close`: one order or one position, by a person's hand, straight at the gates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from ringfence.wire.byhand import HAND_PATH, HandAnswer, HandRequest
from ringfence.wire.kill import signed

REQUEST_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Told:
    """What one gate answered, or why there is no answer."""

    gate: str
    answer: HandAnswer | None
    error: str = ""

    @property
    def line(self) -> str:
        return f"{self.gate}: {self.error or (self.answer.told if self.answer else '')}"


async def ask(gates: Mapping[str, bytes], request: HandRequest) -> list[Told]:
    """Ask one gate after the other, each with its token, until one has done it: no two may close the same."""
    found: list[Told] = []
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for gate, token in gates.items():
            found.append(await _one(session, gate, token, request))
            if found[-1].answer is not None and found[-1].answer.done:
                break
            if found[-1].error.startswith("no answer"):
                break  # it may have done it
    return found


async def _one(session: aiohttp.ClientSession, gate: str, token: bytes, request: HandRequest) -> Told:
    body, headers = signed(token, request)
    try:
        async with session.post(f"http://{gate}{HAND_PATH}", data=body, headers=headers) as response:
            text = await response.read()
            if response.status != 200:
                return Told(gate, None, f"refused: {text.decode('utf-8', 'replace').strip()[:300]}")
            return Told(gate, msgspec.json.decode(text, type=HandAnswer))
    except TimeoutError:
        return Told(gate, None, f"no answer within {REQUEST_TIMEOUT_S:.0f} s: ask with `ringfence order` what was done")
    except msgspec.MsgspecError as error:
        return Told(gate, None, f"what answers is no gate: {error}")
    except (aiohttp.ClientError, OSError) as error:
        return Told(gate, None, f"cannot be reached: {error}")

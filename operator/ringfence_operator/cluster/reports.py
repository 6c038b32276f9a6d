"""What gates say of their tracks: ``GET /tracks`` of each, all at once. A gate that does not answer says nothing."""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp
import structlog

from ringfence.runtime.config import HTTP_PORT
from ringfence.wire.tracks import TRACKS_PATH, TracksError, TracksReport, decode
from ringfence_operator.rollout.health import Pod

log = structlog.get_logger()

TIMEOUT_S: Final = 1.0
ANSWER_MAX: Final = 1_048_576


async def tracks_reports(session: aiohttp.ClientSession, gates: Sequence[Pod]) -> tuple[TracksReport, ...]:
    """The reports of those that answered in time. Never raises: the absence of a report is what decides."""
    asked = [_report(session, gate) for gate in gates if gate.ip and not gate.deleting and gate.phase == "Running"]
    return tuple(found for found in await asyncio.gather(*asked) if found is not None)


async def _report(session: aiohttp.ClientSession, gate: Pod) -> TracksReport | None:
    host = f"[{gate.ip}]" if ":" in gate.ip else gate.ip
    limits = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with session.get(
            f"http://{host}:{HTTP_PORT}{TRACKS_PATH}", timeout=limits, allow_redirects=False
        ) as response:
            body = await response.content.read(ANSWER_MAX) if response.status == 200 else b""
            while body and len(body) < ANSWER_MAX and (more := await response.content.read(ANSWER_MAX)):
                body += more
        return decode(body)
    except TimeoutError:
        log.info("a gate does not tell of its tracks", pod=gate.name, error=f"no answer within {TIMEOUT_S:g} s")
    except (aiohttp.ClientError, OSError, TracksError) as error:
        log.info("a gate does not tell of its tracks", pod=gate.name, error=str(error) or type(error).__name__)
    return None

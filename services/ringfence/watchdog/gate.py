"""How the watchdog speaks with execution: its state as heartbeat, and a signed kill. No wire to orders."""

import asyncio
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from ringfence.runtime.clock import Clock
from ringfence.wire.kill import KILL_PATH, STATE_PATH, KillAnswer, KillRequest, Severity, signed

TIMEOUT_S: Final = 1.0
ANSWER_MAX: Final = 16_384


class _State(msgspec.Struct):
    severity: str


class GateLine:
    """One execution's kill endpoint."""

    def __init__(self, url: str, token_file: Path, clock: Clock) -> None:
        self.error = ""
        """Why it did not answer last; empty if it did."""
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        # a connection of its own for each beat: a kept one may hang where the gate does not
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def severity(self) -> Severity | None:
        """How strict the gate is now; None if it did not say so. A word that we do not know counts as open."""
        text = await self._ask("GET", STATE_PATH, b"", {})
        if text is None:
            return None
        try:
            return Severity.parse(msgspec.json.decode(text, type=_State).severity, Severity.NONE)
        except msgspec.MsgspecError as error:
            self.error = str(error)
            return None

    async def kill(self, severity: Severity, reason: str, uid: str = "", generation: int = 0) -> bool:
        """Push; whether the gate has taken it. With the ``uid`` of a KillSwitch it is news of that object, which the
        object's own release ends; without, it is latched until somebody cycles the system's switch."""
        try:
            token = (await asyncio.to_thread(self._token_file.read_bytes)).strip()
        except OSError as error:
            self.error = f"the kill token cannot be read: {error.strerror}"
            return False
        request = KillRequest(
            severity=severity.word,
            reason=reason,
            by="the watchdog",
            ts=self._clock.wall_ns(),
            source="operator" if uid else "direct",
            uid=uid,
            generation=generation,
        )
        body, headers = signed(token, request)
        text = await self._ask("POST", KILL_PATH, body, headers)
        try:
            return text is not None and bool(msgspec.json.decode(text, type=KillAnswer).state)
        except msgspec.MsgspecError as error:
            self.error = str(error)
            return False

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes | None:
        if self._http is None:
            raise TypeError("open() comes first")
        try:
            async with self._http.request(
                method, self._url + path, data=body or None, headers=headers, allow_redirects=False
            ) as answer:
                self.error = "" if answer.status == 200 else f"HTTP {answer.status}"
                return await answer.content.read(ANSWER_MAX) if answer.status == 200 else None
        except TimeoutError:
            self.error = f"no answer within {TIMEOUT_S:.0f} s"
        except (aiohttp.ClientError, OSError) as error:
            self.error = str(error) or type(error).__name__
        return None

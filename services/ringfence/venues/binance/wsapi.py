"""Requests over an open connection of the WebSocket API: each is written once, and knows its answer by its number."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from ringfence.venues.binance.stream import Reply

TIMEOUT_S: Final = 10.0
"""The venue's own backend gives up after this long; waiting longer would teach nothing."""

LATE_S: Final = 1.0
"""An answer that takes longer is many times later than any: the connection may be dead, and nobody has noticed yet."""


class WsApi:
    """One connection, from when requests may be sent on it to its end. Its owner reads it and hands in the answers."""

    def __init__(self, write: Callable[[str], Awaitable[None]]) -> None:
        """``write`` hands a message to the socket before it waits for anything."""
        self._write = write
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._late: set[str] = set()
        """Numbers of those that have waited for too long: until the answer, also where nobody waits for it any more."""
        self._asked = 0

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet."""
        return len(self._waiting)

    @property
    def prompt(self) -> bool:
        """No answer is late. Else what is urgent, as the cancels of a stop, should go another way."""
        return not self._late

    async def ask(self, compose: Callable[[str], str], before_write: Callable[[], None]) -> Reply:
        """Send the message that ``compose`` makes for its number, right after ``before_write``; its answer.

        Raises ServerDisconnectedError when the connection ends before the answer, TimeoutError when none comes.
        """
        self._asked += 1
        number = str(self._asked)
        message = compose(number)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._waiting[number] = answer
        late = loop.call_later(LATE_S, self._is_late, number)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                before_write()
                await self._write(message)
                return await answer
        finally:
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also where the write itself has failed before
            late.cancel()
            del self._waiting[number]

    def answered(self, reply: Reply) -> None:
        """An answer that nobody waits for any more is dropped: its request counts as lost. But it is owed no more."""
        self._late.discard(reply.id)
        answer = self._waiting.get(reply.id)
        if answer is not None and not answer.done():
            answer.set_result(reply)

    def _is_late(self, number: str) -> None:
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            self._late.add(number)

    def end(self) -> None:
        """The connection is gone: what was under way may or may not have been done."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(aiohttp.ServerDisconnectedError())

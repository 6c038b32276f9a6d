"""Reads a gate's order events exactly once, in order and without holes. Pure.

The bus is fast and may lose; the gate's journal, behind ``GET /events``, is slow and complete. A live event is
taken only if it is the next one and comes from the process whose journal was read last (its session). Whatever
else happens - a hole, another session, silence - is settled by reading the journal from the last event that we
have: that event comes back as the first of the page, and if it is not the same one, the journal is another one.
"""

from typing import Final

import msgspec

from ringfence.wire.codec import EventsPage
from ringfence.wire.messages import OrderUpdate

HELD_MAX: Final = 20_000
"""Live events kept while a hole before them is fetched. What does not fit is fetched too."""


class PageError(ValueError):
    """A page that does not answer its request."""


class Restart(msgspec.Struct, frozen=True):
    """The gate has another journal now: forget what was folded; the next event is its first."""

    reason: str


class Request(msgspec.Struct, frozen=True):
    """What to ask a gate for: events after a sequence. ``anchor`` is the event expected back as the first."""

    after: int
    anchor: OrderUpdate | None


Delivery = OrderUpdate | Restart


class Reader:
    """The position of one reader in the journal of one gate."""

    def __init__(self, gate: str) -> None:
        self.gate = gate
        self.session: int | None = None
        """Of the process whose journal we are in; None until a page has come."""
        self.last: OrderUpdate | None = None
        """The newest event delivered."""
        self.behind = True
        """Events are known or suspected to be missing: read a page."""
        self.duplicates = 0
        self.holes = 0
        self.restarts = 0
        self._held: dict[tuple[int, int], OrderUpdate] = {}

    @property
    def sequence(self) -> int:
        """Of the newest event delivered; 0 before the first."""
        return 0 if self.last is None else self.last.sequence

    def request(self) -> Request:
        """What to read next."""
        return Request(max(0, self.sequence - 1), self.last)

    def live(self, session: int, update: OrderUpdate) -> list[Delivery]:
        """An event from the bus."""
        if update.gate != self.gate:
            return []
        if session != self.session:
            self._hold(session, update)
            self.behind = True
            return []
        if update.sequence <= self.sequence:
            self.duplicates += 1
            return []
        if update.sequence > self.sequence + 1:
            if not self.behind:
                self.holes += 1
            self._hold(session, update)
            self.behind = True
            return []
        self.last = update
        return [update, *self._drain()]

    def page(self, request: Request, page: EventsPage) -> list[Delivery]:
        """The answer to a request. Raises PageError, having changed nothing."""
        if request.anchor is not self.last:
            # Live events went on meanwhile, so the bus works; if something is still missing, ask again.
            self.behind = self.behind or page.session != self.session
            return []
        _check_page(request, page)
        reason = _other_journal(request, page)
        if reason:
            self._restart()
            return [Restart(reason)]
        self.session = page.session
        fresh = [update for update in page.updates if update.sequence > self.sequence]
        if fresh:
            self.last = fresh[-1]
        delivered = [*fresh, *self._drain()]
        strangers = [key for key in self._held if key[0] != self.session]
        for key in strangers:
            del self._held[key]
        self.behind = bool(self._held or strangers) or self.sequence < page.last
        return delivered

    def _drain(self) -> list[Delivery]:
        """Held events that have become the next ones."""
        delivered: list[Delivery] = []
        if self.session is not None and self._held:
            while (update := self._held.pop((self.session, self.sequence + 1), None)) is not None:
                self.last = update
                delivered.append(update)
            for key in [k for k in self._held if k[0] == self.session and k[1] <= self.sequence]:
                del self._held[key]
                self.duplicates += 1
            if not self._held:
                self.behind = False
        return delivered

    def _hold(self, session: int, update: OrderUpdate) -> None:
        if len(self._held) < HELD_MAX:
            self._held[session, update.sequence] = update

    def _restart(self) -> None:
        self.restarts += 1
        self.session = None
        self.last = None
        self.behind = True


def _check_page(request: Request, page: EventsPage) -> None:
    for expected, update in enumerate(page.updates, request.after + 1):
        if update.sequence != expected:
            raise PageError(f"event {update.sequence} where {expected} was due")
    if not page.updates and page.last > request.after:
        raise PageError(f"no events after {request.after}, though the last is {page.last}")


def _other_journal(request: Request, page: EventsPage) -> str:
    """Why a page is from another journal than what was delivered so far; empty if it is from the same."""
    if request.anchor is None:
        return ""
    if not page.updates:
        return f"the journal ends at {page.last}, before event {request.anchor.sequence} that we have"
    if page.updates[0] != request.anchor:
        return f"event {request.anchor.sequence} is another one than before"
    return ""

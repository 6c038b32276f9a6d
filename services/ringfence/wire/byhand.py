"""What a person asks of a gate by hand: cancel one order, or close one position. Signed like a kill. Pure.

It can only take away: a cancel always passes, and a close is an order that reduces, through the gate like any other.
"""

from typing import Final, Literal

import msgspec

from ringfence.wire.kill import opened_as

HAND_PATH: Final = "/hand"
BY_HAND: Final = "by hand: "
"""What a reason in the journal begins with where a person has asked."""


class HandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /hand``."""

    action: Literal["cancel", "close"]
    reason: str
    """Why; kept in the journal. Never empty."""
    by: str
    """Who; kept in the journal (shown, not proven: the signature proves the token)."""
    ts: int
    """UTC nanoseconds at the sender."""
    order: str = ""
    """Client or venue order id, to cancel."""
    symbol: str = ""
    """Instrument, to close."""
    track: str = ""
    """Whose position; empty where only one track holds any."""
    quantity: int = 0
    """Scaled by 1e-8; 0 = all of it."""

    @property
    def sentence(self) -> str:
        """Who and why, as the life of an order says it."""
        return f"{BY_HAND}{self.by}: {self.reason}"


class HandAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate did. ``done`` False: nothing, and ``told`` says why."""

    done: bool
    told: str
    orders: tuple[str, ...] = ()
    """Client ids of the orders that were cancelled, or sent to close."""


def opened_hand(token: bytes, body: bytes, signature: str, now: int) -> HandRequest | str:
    """The request, or in one sentence why it is refused."""
    request = opened_as(HandRequest, "request by hand", token, body, signature, now)
    if isinstance(request, HandRequest) and not (request.reason.strip() and request.by.strip()):
        return "a request by hand says who asks and why"
    return request

"""The kill path's contract: the mirrored state, and the signed push to a gate's endpoint.

What a stop means is in `wire.stops`; the operator, the command line and the gates all use these two files, so that a
word can never mean two things. Pure: neither opens a socket nor reads a clock.
"""

import hashlib
import hmac
from typing import Final, Literal, Protocol, TypeVar

import msgspec

from ringfence.wire.stops import (
    ALLOWED,
    EVERYTHING,
    Place,
    Scope,
    Severity,
    covers,
    keeps_protective,
    of_switch,
    scope_at,
    switch_scope,
)

__all__ = [
    "ALLOWED",
    "EVERYTHING",
    "KillAnswer",
    "KillRequest",
    "MirroredState",
    "MirroredStop",
    "Place",
    "Scope",
    "Severity",
    "covers",
    "keeps_protective",
    "of_switch",
    "opened",
    "opened_as",
    "scope_at",
    "sign",
    "signed",
    "switch_scope",
    "verify",
]

SIGNATURE_HEADER: Final = "X-Ringfence-Signature"
"""Hex HMAC-SHA256 of the request body, with the token as the key."""
KILL_PATH: Final = "/kill"
STATE_PATH: Final = "/state"
BODY_MAX: Final = 16_384
CLOCK_TOLERANCE_NS: Final = 30_000_000_000
"""A push whose ``ts`` is further than this from the gate's clock is refused: it may be a replay."""
ENGAGE_KEY: Final = "engage"
"""Key of the ``<system>-kill-switch`` ConfigMap that people set: any text engages."""
STATE_KEY: Final = "state"
"""Key of the same ConfigMap that only the operator writes: a `MirroredState` as JSON."""


class MirroredStop(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch asks of a part of the system. JSON."""

    severity: str
    scope: Scope
    reason: str = ""
    protective: str = "Keep"


class MirroredState(msgspec.Struct, frozen=True, kw_only=True):
    """``data.state`` of the kill-switch ConfigMap: what the operator last understood. JSON."""

    epoch: int
    """Increases with each change; an older one is ignored."""
    severity: str
    """Of the switches that cover all of the system."""
    reason: str = ""
    protective: str = "Keep"
    """Cancel: protective orders are cancelled too."""
    scoped: tuple[MirroredStop, ...] = ()
    """Of the switches that cover a part of it."""


class KillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of ``POST /kill``. It can only tighten: a gate never becomes looser by a push."""

    severity: str
    """None, ReduceOnly, Halt, Cancel or Flatten; an unknown word acts as Cancel."""
    reason: str
    by: str
    """Who asked; shown, not proven (the signature proves the token)."""
    ts: int
    """UTC nanoseconds at the sender."""
    source: Literal["direct", "operator"]
    """``direct``: latched until released through the KillSwitch. ``operator``: news of one KillSwitch object,
    superseded as soon as the gate sees that object in this generation or a later one itself."""
    uid: str = ""
    """Of the KillSwitch, from the operator."""
    generation: int = 0
    scope: Scope = EVERYTHING
    """Which part of the gate; a gate of an older version stops all of it."""
    protective: str = "Keep"
    """Cancel: protective orders are cancelled too."""


class KillAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the gate did. JSON with camel-case names: state, epoch, closedAt, latencyMs, workingOrders, pod."""

    state: str
    epoch: int
    closed_at: str
    """RFC 3339 with microseconds: when the guard closed; empty while it is Active."""
    latency_ms: str
    """Decimal: from the request's arrival to the closed guard."""
    working_orders: int
    """Orders that may still execute; they are being cancelled if the state is Cancel."""
    pod: str
    durable: bool = True
    """Whether the latch outlives this process. False: a restart forgets it, so engage the KillSwitch."""


def sign(token: bytes, body: bytes) -> str:
    """Value of the signature header."""
    return hmac.new(token, body, hashlib.sha256).hexdigest()


def verify(token: bytes, body: bytes, signature: str) -> bool:
    """Constant-time; an empty token proves nothing."""
    return bool(token) and hmac.compare_digest(sign(token, body).encode(), signature.encode())


class Stamped(Protocol):
    """A request that says when it was made, so that it cannot be kept and sent again."""

    @property
    def ts(self) -> int: ...


RequestT = TypeVar("RequestT", bound=Stamped)


def signed(token: bytes, request: Stamped) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request. Strip the token file's trailing newline before use."""
    body = msgspec.json.encode(request)
    return body, {SIGNATURE_HEADER: sign(token, body), "Content-Type": "application/json"}


def opened(token: bytes, body: bytes, signature: str, now: int) -> KillRequest | str:
    """The request, or in one sentence why it is refused."""
    return opened_as(KillRequest, "kill request", token, body, signature, now)


def opened_as(kind: type[RequestT], called: str, token: bytes, body: bytes, signature: str, now: int) -> RequestT | str:
    """A signed and fresh request of any kind, or in one sentence why it is refused."""
    if not verify(token, body, signature):
        return f"the {SIGNATURE_HEADER} header does not match the body"
    try:
        request = msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        return f"the body is no {called}: {error}"
    if abs(now - request.ts) > CLOCK_TOLERANCE_NS:
        return f"ts is {abs(now - request.ts) / 1e9:.1f} s away from this gate's clock; at most 30 s are allowed"
    return request

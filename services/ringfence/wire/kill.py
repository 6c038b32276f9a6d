"""The kill path's contract: severities, what a switch asks for, and the signed push to a gate's endpoint.

The operator, the command line and the gates all use this one file, so that a word can never mean two things.
Pure: neither opens a socket nor reads a clock.
"""

import hashlib
import hmac
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Literal

import msgspec

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


class Severity(IntEnum):
    """How hard to stop; the most severe of all sources holds. The guard's table says what each one allows."""

    NONE = 0
    REDUCE_ONLY = 1
    HALT = 2
    CANCEL = 3
    FLATTEN = 4

    @property
    def word(self) -> str:
        return _WORD[self]

    @classmethod
    def parse(cls, word: object, unknown: "Severity") -> "Severity":
        """The severity of a word, or ``unknown`` for anything that is not exactly one of the words."""
        return _SEVERITY.get(word, unknown) if isinstance(word, str) else unknown


_WORD: Final = {
    Severity.NONE: "None",
    Severity.REDUCE_ONLY: "ReduceOnly",
    Severity.HALT: "Halt",
    Severity.CANCEL: "Cancel",
    Severity.FLATTEN: "Flatten",
}
_SEVERITY: Final = {word: severity for severity, word in _WORD.items()}


def of_switch(spec: object) -> tuple[Severity, str]:
    """What a KillSwitch's spec asks for, and the reason that people gave.

    Fails closed: an engaged switch means at least Cancel whatever its action says, an unknown restriction means
    Halt, and a spec that cannot be read means Halt, because nobody knows what it said.
    """
    if not isinstance(spec, Mapping):
        return Severity.HALT, "the switch has no readable spec"
    reason = str(spec.get("reason") or "")
    engaged = spec.get("engaged", False)
    restrict = Severity.parse(spec.get("restrict", "None"), Severity.HALT)
    if not isinstance(engaged, bool):
        return max(restrict, Severity.CANCEL), reason or f"spec.engaged is {engaged!r}"
    if not engaged:
        return restrict, reason
    action = Severity.parse(spec.get("action", "Cancel"), Severity.CANCEL)
    return max(action, Severity.CANCEL), reason


def covers(switch: Mapping[str, Any], system: str, labels: Mapping[str, str]) -> bool:
    """Whether a KillSwitch stops this system: by its own name always, else by its selector's matchLabels.

    An empty or absent selector selects nothing; one that cannot be read selects everything.
    """
    metadata = switch.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("name") == system:
        return True
    spec = switch.get("spec")
    selector = spec.get("selector") if isinstance(spec, Mapping) else None
    if not selector:
        return False
    if not isinstance(selector, Mapping) or set(selector) - {"matchLabels"}:
        return True
    wanted = selector.get("matchLabels")
    if not wanted:
        return False
    if not isinstance(wanted, Mapping):
        return True
    return all(labels.get(str(key)) == value for key, value in wanted.items())


class MirroredState(msgspec.Struct, frozen=True, kw_only=True):
    """``data.state`` of the kill-switch ConfigMap: what the operator last understood. JSON."""

    epoch: int
    """Increases with each change; an older one is ignored."""
    severity: str
    reason: str = ""


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


def sign(token: bytes, body: bytes) -> str:
    """Value of the signature header."""
    return hmac.new(token, body, hashlib.sha256).hexdigest()


def verify(token: bytes, body: bytes, signature: str) -> bool:
    """Constant-time; an empty token proves nothing."""
    return bool(token) and hmac.compare_digest(sign(token, body).encode(), signature.encode())


def signed(token: bytes, request: KillRequest) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a push. Strip the token file's trailing newline before use."""
    body = msgspec.json.encode(request)
    return body, {SIGNATURE_HEADER: sign(token, body), "Content-Type": "application/json"}


def opened(token: bytes, body: bytes, signature: str, now: int) -> KillRequest | str:
    """The request, or in one sentence why it is refused."""
    if not verify(token, body, signature):
        return f"the {SIGNATURE_HEADER} header does not match the body"
    try:
        request = msgspec.json.decode(body, type=KillRequest)
    except msgspec.MsgspecError as error:
        return f"the body is no kill request: {error}"
    if abs(now - request.ts) > CLOCK_TOLERANCE_NS:
        return f"ts is {abs(now - request.ts) / 1e9:.1f} s away from this gate's clock; at most 30 s are allowed"
    return request

"""The whole life of one order or refused intent, as its gate tells it: ``GET /explain?order=ID``. Pure.

Decimal texts for money, nanoseconds for times, camel-case names. A gate writes with `encode`; everybody else reads
with `decode`: an answer that cannot be read, or of another version, is an error and never an empty life.
"""

from typing import Final, Literal

import msgspec

EXPLAIN_PATH: Final = "/explain"
LIFE_VERSION: Final = 2

Decision = Literal["Passed", "Refused", "Unknown"]
"""Unknown: the gate did not decide (an order that the venue told of, or a journal that ends before the decision)."""


class ExplainError(ValueError):
    """An answer that is no life of a version that we speak; the text names field and rule."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Step(_Document, frozen=True, kw_only=True):
    """One entry of the journal."""

    sequence: int
    ts: int
    """When the gate learnt of it, UTC nanoseconds."""
    event: str
    detail: str
    anomaly: str = ""
    """What was irregular about it; empty for what was to be expected."""


class Life(_Document, frozen=True, kw_only=True):
    version: int
    gate: str
    client_order_id: str
    venue_order_id: str
    intent_id: str
    track: str
    intent: str
    """What was asked for, in one line."""
    decision: Decision
    reasons: tuple[str, ...]
    """Every check that failed, with its values."""
    grant: str
    """Under which limits it passed: the name of an immutable ConfigMap, which ends in the hash; empty if it did not."""
    allocation: int
    """Epoch of the allocation that weights and tightened limits came from; 0 = not told."""
    epoch: int
    """Of the guard, when it passed; 0 = not told."""
    state: str
    unknown: bool
    """No proof of what the venue did."""
    filled: str
    average: str
    """Average price of its fills; 0 without any."""
    steps: tuple[Step, ...]
    why: tuple[str, ...] = ()
    """Who asked for it, or for its cancel, by hand and why; which stop closed by it. Empty where only a strategy did.
    """
    truncated: bool = False
    """There are more steps than these."""


def encode(life: Life) -> bytes:
    return msgspec.json.encode(life)


def decode(data: bytes) -> Life:
    """Raises ExplainError."""
    try:
        life = msgspec.json.decode(data, type=Life)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ExplainError(f"not the life of an order: {error}") from error
    if life.version != LIFE_VERSION:
        raise ExplainError(f"version: a life of version {life.version}, this process reads {LIFE_VERSION}")
    return life

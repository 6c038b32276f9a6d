"""Client order ids: unique for ever, and telling whose order it is, by which strategy and which process. Pure.

``rf`` + 8 hex digits of the system + 6 characters of the strategy's revision (or ``x`` and five of them: `CLOSING`)
+ ``-`` + fence + ``-`` + sequence, the last two in base 36: at most 32 characters of ``[A-Za-z0-9_-]``. Fence and
sequence only ever grow.
"""

import hashlib
import re
from typing import Final

import msgspec

LENGTH_MAX: Final = 32
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID: Final = re.compile(r"(rf[0-9a-f]{8})([0-9a-z]{6})-([0-9a-z]{1,6})-([0-9a-z]{1,9})")
_PLAIN: Final = re.compile(r"[0-9a-wyz][0-9a-z]{5}")
CLOSING: Final = "x"
"""First character of the mark of an order by which the platform itself closes a track's position; no revision's mark
begins with it."""
_MARK_AT: Final = 10


class Parts(msgspec.Struct, frozen=True):
    prefix: str
    revision: str
    fence: int
    sequence: int


def prefix(namespace: str, system: str) -> str:
    """Which system an order belongs to."""
    return f"rf{hashlib.sha256(f'{namespace}/{system}'.encode()).hexdigest()[:8]}"


def revision_mark(revision: str) -> str:
    """Six characters that stand for a revision: its own first six if they are plain, else of its hash."""
    if _PLAIN.match(revision):
        return revision[:6]
    return hashlib.sha256(revision.encode()).hexdigest()[:6]


def closing_mark(mark: str) -> str:
    """The mark of orders that close what the track with this mark holds."""
    return CLOSING + mark[:5]


def is_closing(client_order_id: str) -> bool:
    """Whether an order of ours is one that closes under Flatten."""
    return client_order_id[_MARK_AT : _MARK_AT + 1] == CLOSING and client_order_id.startswith("rf")


def make(system_prefix: str, mark: str, fence: int, sequence: int) -> str:
    made = f"{system_prefix}{mark}-{base36(fence)}-{base36(sequence)}"
    if len(made) > LENGTH_MAX:
        raise ValueError(f"client order id {made} is longer than {LENGTH_MAX} characters")
    return made


def parse(client_order_id: str) -> Parts | None:
    """None for an id that is not of our making."""
    found = _ID.fullmatch(client_order_id)
    if found is None:
        return None
    return Parts(found.group(1), found.group(2), int(found.group(3), 36), int(found.group(4), 36))


def base36(number: int) -> str:
    if number < 0:
        raise ValueError(f"{number} is negative")
    digits = ""
    while number >= 36:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return _DIGITS[number] + digits

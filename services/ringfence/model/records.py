"""What a gate's journal holds: its own orders' events, and notes of all else that must survive. Pure."""

import msgspec

from ringfence.model.orders import OrderEvent


class Entry(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """One event of one order. Published as an OrderUpdate under its sequence number."""

    track: str
    event: OrderEvent


class Note(msgspec.Struct, frozen=True, array_like=True, tag="n"):
    """Something that is not an order's event and must survive."""

    kind: str
    ts: int
    """UTC nanoseconds."""
    body: str
    """JSON; the kind says of what."""

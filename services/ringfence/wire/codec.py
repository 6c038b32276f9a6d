"""Bytes to envelopes and back, and the pages of a gate's order events.

One encoder and one decoder per process; both are reusable and stateless.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ringfence.wire.messages import (
    VERSION,
    AnyMessage,
    BookTop,
    Envelope,
    FeedStatus,
    GateState,
    InstrumentRules,
    OrderUpdate,
    Quote,
    Refused,
    Routes,
    Trade,
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)
_line_encoder: Final = msgspec.json.Encoder()
_line_decoder: Final = msgspec.json.Decoder(OrderUpdate)

EVENTS_PATH: Final = "/events"
"""``GET {gate.http}/events?after=N&limit=M``: what the bus may have lost, from the journal."""
EVENTS_LIMIT: Final = 1000
"""Most events in one answer, whatever is asked for."""
EVENTS_TYPE: Final = "application/x-ndjson"
LAST_SEQUENCE_HEADER: Final = "X-Ringfence-Last-Sequence"
SESSION_HEADER: Final = "X-Ringfence-Session"


class WireError(ValueError):
    """Bytes that are no envelope of a version that we speak."""


class OtherVersion(WireError):  # noqa: N818 - a fact about the sender
    """A well-formed envelope of a platform that speaks another version."""

    def __init__(self, version: int) -> None:
        super().__init__(f"wire version {version}, this process speaks {VERSION}")
        self.version = version


def encode(publisher: str, session: int, sequence: int, body: AnyMessage) -> bytes:
    return _encoder.encode(Envelope(VERSION, publisher, session, sequence, body))


def decode(data: bytes) -> Envelope:
    """Raises WireError for anything but a well-formed envelope of our version."""
    try:
        envelope = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        other = _version(data)
        if other not in (None, VERSION):
            raise OtherVersion(other) from error
        raise WireError(f"not a message of ours: {error}") from error
    if envelope.version != VERSION:
        raise OtherVersion(envelope.version)
    return envelope


def _version(data: bytes) -> int | None:
    """What an envelope that we cannot read calls its version: first in the array, in every version."""
    try:
        found = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    first = found[0] if isinstance(found, list) and found else None
    return first if type(first) is int else None


def topic(body: AnyMessage) -> bytes:
    """The subscription key of a message: ``book.BTCUSDT``, ``orders.stable``, ``gate``, ..."""
    match body:
        case BookTop():
            return b"book." + body.symbol.encode()
        case Quote():
            return b"quote." + body.symbol.encode()
        case Trade():
            return b"trade." + body.symbol.encode()
        case FeedStatus():
            return b"status." + body.symbol.encode()
        case InstrumentRules():
            return b"instrument." + body.instrument.symbol.encode()
        case OrderUpdate():
            return b"orders." + body.track.encode()
        case Refused():
            return b"refused." + body.track.encode()
        case GateState():
            return b"gate"
        case Routes():
            return b"routes"
        case _:
            return b"account"


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``GET /events``."""

    session: int
    """Of the bus of the process that answers, as in its envelopes: binds what it publishes to this journal."""
    last: int
    """Sequence of the last entry of its journal now; 0 while it is empty."""
    updates: tuple[OrderUpdate, ...]
    """From ``after + 1`` on, without holes; fewer than asked for only at the end of the journal."""


def encode_line(update: OrderUpdate) -> bytes:
    """One line of an answer to ``GET /events``, with its newline."""
    return _line_encoder.encode(update) + b"\n"


def decode_line(line: bytes) -> OrderUpdate:
    """Raises WireError for anything but an OrderUpdate."""
    try:
        return _line_decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise WireError(f"not an order update: {error}") from error


def encode_page(session: int, last: int, updates: Iterable[OrderUpdate]) -> tuple[dict[str, str], bytes]:
    """Headers and body of an answer to ``GET /events``."""
    headers = {"Content-Type": EVENTS_TYPE, LAST_SEQUENCE_HEADER: str(last), SESSION_HEADER: str(session)}
    return headers, b"".join(map(encode_line, updates))


def decode_page(headers: Mapping[str, str], body: bytes) -> EventsPage:
    """Raises WireError for an answer without its headers, or with a line that is no order update."""
    try:
        session, last = int(headers[SESSION_HEADER]), int(headers[LAST_SEQUENCE_HEADER])
    except (KeyError, ValueError) as error:
        raise WireError(f"an answer without a whole number in {error}") from error
    return EventsPage(session=session, last=last, updates=tuple(map(decode_line, body.splitlines())))

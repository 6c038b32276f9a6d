"""Bytes to envelopes and back. One encoder and one decoder per process; both are reusable and stateless."""

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
    Trade,
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)


class WireError(ValueError):
    """Bytes that are no envelope of a version that we speak."""


def encode(publisher: str, session: int, sequence: int, body: AnyMessage) -> bytes:
    return _encoder.encode(Envelope(VERSION, publisher, session, sequence, body))


def decode(data: bytes) -> Envelope:
    """Raises WireError for anything but a well-formed envelope of our version."""
    try:
        envelope = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a message of ours: {error}") from error
    if envelope.version != VERSION:
        raise WireError(f"wire version {envelope.version}, this process speaks {VERSION}")
    return envelope


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
        case GateState():
            return b"gate"
        case _:
            return b"account"

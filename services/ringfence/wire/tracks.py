"""What a gate says of its tracks: ``GET /tracks``, read by the operator and by people.

Decimal texts for money, nanoseconds for times, camel-case names. A gate writes with `encode`, everybody else reads
with `decode`: a report that cannot be read, or of another version, is an error and never an empty report. Pure.
"""

from typing import Final, Literal

import msgspec

TRACKS_PATH: Final = "/tracks"
REPORT_VERSION: Final = 1

HandoverState = Literal["Waiting", "Done", "Refused"]
"""Waiting: not booked yet, ``reason`` says what for. Done: booked (or closed), for ever. Refused: it needs another
allocation; its tracks stay without new exposure until then."""


class TracksError(ValueError):
    """An answer that is no report of a version that we speak; the text names field and rule."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Position(_Document, frozen=True, kw_only=True):
    symbol: str
    quantity: str
    """Signed, base asset."""
    average: str
    worst: str
    """Largest absolute position that fills of its working orders can lead to, base asset."""


class Capacity(_Document, frozen=True, kw_only=True):
    """How much of one limit a track may still take up: min(weight x limit, limit - worst case of the others)."""

    limit: str
    """Position, Gross, OrderValue, OrderQuantity, WorkingOrders, Messages or LossDay."""
    symbol: str = ""
    """Of Position; empty for limits over all instruments."""
    share: str
    """The track's own part of the limit: weight x limit, or its fixed share."""
    account: str
    """The limit over all tracks and foreign orders."""
    worst: str
    """What the track takes up at worst case."""
    others: str
    """What all others take up at worst case, foreign orders included."""
    free: str
    """What the track may still add; never below 0."""


class Track(_Document, frozen=True, kw_only=True):
    name: str
    """stable, candidate or shadow: the name of its sub-ledger."""
    revision: str
    stage: str
    weight: int
    """Percent, as applied by this gate."""
    grant: str
    """Name of its limits ConfigMap; it ends in the hash."""
    allowed: bool
    """Whether its strategy may send to this gate at all."""
    refusal: str
    """Why all (not allowed) or new (no grant, stale, handover) exposure is refused; empty where nothing is."""
    starved: str
    """Why an allowed track cannot open anything now, with the limit's name; empty while it can."""
    starved_limit: str
    """Name of that limit; empty while it is not starved."""
    working_orders: int
    positions: tuple[Position, ...]
    capacity: tuple[Capacity, ...]
    orders_sent: int
    """Orders sent in the life of this journal; counts of handovers are not in it."""
    orders_filled: int
    """Those that executed at least in part."""
    fills: int
    adopts: bool | None
    """Whether its strategy class declares ``on_adopt``; None = it has not said so to this process yet."""
    strategy_seen_ns: int
    """When its strategy was last heard, UTC nanoseconds; 0 = never by this process."""


class BookEntry(_Document, frozen=True, kw_only=True):
    """One position moved from sub-ledger to sub-ledger. Positive: the target receives it."""

    symbol: str
    quantity: str
    price: str
    """The mark: what closing it would have fetched."""


class Handover(_Document, frozen=True, kw_only=True):
    id: str
    source: str
    target: str
    mode: str
    state: HandoverState
    reason: str
    entries: tuple[BookEntry, ...]
    ts: int
    """When it was booked, UTC nanoseconds; 0 = not yet."""


class TracksReport(_Document, frozen=True, kw_only=True):
    version: int
    gate: str
    paper: bool
    pod: str
    build: str
    """Of the platform: what RINGFENCE_IMAGE says, else a hash of its source."""
    state: str
    """The guard's: Starting, Active, ReduceOnly, Halted, Cancel ..."""
    observed_ns: int
    epoch: int
    """Of the allocation applied; 0 = none yet."""
    confirmed_ns: int
    """When the API server last confirmed that allocation, UTC nanoseconds; 0 = never."""
    stale: str
    """Why the allocation counts as stale; empty while it is fresh."""
    tracks: tuple[Track, ...]
    """Those of the allocation, and those that still hold positions or working orders."""
    handovers: tuple[Handover, ...]
    """Those that the allocation names, and the last ones done."""
    held: str = ""
    """The allocation's ``hold``, as this gate keeps it: it is halted at least; empty while there is none."""
    reconciled: bool = False
    """Books and venue agree, and everything else that start-up takes is so: but for stops it would be Active."""
    in_flight: int | None = None
    """Requests under way, and orders whose outcome at the venue is not known; None = not told."""
    min_notional: str = ""
    """Smallest order value that the venue takes, the largest over the instruments; empty = rules not known yet."""


def encode(report: TracksReport) -> bytes:
    return msgspec.json.encode(report)


def decode(data: bytes) -> TracksReport:
    """Raises TracksError."""
    try:
        report = msgspec.json.decode(data, type=TracksReport)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TracksError(f"not a report of tracks: {error}") from error
    if report.version != REPORT_VERSION:
        raise TracksError(f"version: a report of version {report.version}, this process reads {REPORT_VERSION}")
    return report

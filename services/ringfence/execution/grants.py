"""What each track may do: the allocation document and the granted limits, folded into the gate's numbers. Pure.

A grant is an immutable ConfigMap whose name ends in the first ten hex digits of the SHA-256 of its text. Content
that does not match its name was tampered with, and grants nothing. The stricter of grant and current limits holds;
amounts of money and quantity are then scaled by the track's weight (a paper gate trades all of it): see caps.py.
Counts are not scaled but shared out while a candidate trades beside stable, and only then: a candidate is never the
reason that a stable without one has less.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ringfence.execution import ids
from ringfence.execution.caps import SECOND_NS, UNLIMITED, Caps, caps
from ringfence.execution.state import Track
from ringfence.execution.thresholds import NO_LOSS_CAPS, breaker_caps, loss_caps
from ringfence.runtime.config import (
    ALLOCATION_KEY,
    CANDIDATE,
    LIMITS_KEY,
    SHADOW,
    STABLE,
    Allocation,
    HandoverMode,
    Limits,
)

TRACKS: Final = (STABLE, CANDIDATE, SHADOW)
HASH_DIGITS: Final = 10
_HANDOVER_ID: Final = re.compile(r"[a-z0-9-]{1,40}")


def limits_text(found: Mapping[str, Any]) -> str:
    """The text of a limits ConfigMap as the API server gave it. Raises ValueError with the reason why not."""
    if found.get("immutable") is not True:
        raise ValueError("it is not immutable")
    text = (found.get("data") or {}).get(LIMITS_KEY)
    if not isinstance(text, str):
        raise ValueError(f"it has no {LIMITS_KEY}")  # noqa: TRY004 - of a document, not of a type
    return text


def verified(name: str, text: str) -> Limits:
    """The limits, if text and name agree. Raises ValueError with the reason why not."""
    digits = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
    if not name.endswith(f"-{digits}"):
        raise ValueError(f"its content hashes to {digits}")
    try:
        return msgspec.json.decode(text, type=Limits)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def allocation_of(found: Mapping[str, Any]) -> Allocation:
    """The allocation in its ConfigMap. Raises ValueError with the reason why not."""
    text = (found.get("data") or {}).get(ALLOCATION_KEY)
    if not isinstance(text, str):
        raise ValueError(f"the allocation ConfigMap has no {ALLOCATION_KEY}")  # noqa: TRY004 - as above
    try:
        allocation = msgspec.json.decode(text, type=Allocation)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ValueError(f"the allocation cannot be read: {error}") from error
    _sane(allocation)
    return allocation


def _sane(allocation: Allocation) -> None:
    """What types cannot say. Raises ValueError with field, value and rule."""
    names = [track.name for track in allocation.tracks]
    keys = [track.key for track in allocation.tracks if track.key]
    if len(set(names)) < len(names) or len(set(keys)) < len(keys):
        raise ValueError("tracks: the allocation names a track or a key twice")
    for name in names:
        if name not in TRACKS:
            raise ValueError(f"tracks: {name!r} must be one of {', '.join(TRACKS)}")
    ids_seen = [handover.id for handover in allocation.handovers]
    if len(set(ids_seen)) < len(ids_seen):
        raise ValueError("handovers: an id appears twice")
    for handover in allocation.handovers:
        where = f"handovers: {handover.id!r}"
        if not _HANDOVER_ID.fullmatch(handover.id):
            raise ValueError(f"{where}: an id is 1 to 40 characters of [a-z0-9-]")
        if handover.source not in TRACKS:
            raise ValueError(f"{where}: source {handover.source!r} must be one of {', '.join(TRACKS)}")
        adopts = handover.mode is HandoverMode.ADOPT
        if adopts and (handover.target not in TRACKS or handover.target == handover.source):
            raise ValueError(f"{where}: target {handover.target!r} must be another track than the source")
        if not adopts and handover.target:
            raise ValueError(f"{where}: target {handover.target!r} must be empty where positions are closed")


def unbind(found: Caps) -> None:
    """Tracks on paper share no account: each has all of the limits, and none takes any away from another."""
    found.quantity = found.value = found.working = found.loss = UNLIMITED
    found.position = found.gross = found.net = found.open_positions = UNLIMITED
    found.leverage = found.concentration = found.sector = UNLIMITED
    found.participation = found.volume_day = UNLIMITED
    found.rate, found.message_ns = UNLIMITED, 0
    found.balance_floor = found.fee_token_floor = 0
    found.forget_past()


def share_counts(found: Caps, name: str) -> None:
    """Fixed shares of what is counted, never by weight: a canary of 1 % must still be able to cancel and to quote.

    Of the messages 60 % are stable's and 20 % the candidate's; cancels, which no bucket ever refuses, have the rest.
    Of the working orders the candidate has 20 % and stable the others.
    """
    if name == CANDIDATE:
        found.working = max(1, found.working // 5)
        found.rate = max(1, found.rate // 5) if found.rate > 0 else 0
    else:
        found.working -= max(1, found.working // 5) if found.working > 1 else 0
        found.rate = max(1, found.rate * 3 // 5) if found.rate > 0 else 0
    found.message_ns = SECOND_NS // found.rate if found.rate > 0 else UNLIMITED


def allocate(
    tracks: dict[str, Track],
    account: Track,
    allocation: Allocation,
    granted: Mapping[str, Limits | str],
    paper: bool,
    held: Mapping[str, str] | None = None,
) -> None:
    """Fold an allocation into the gate. ``granted``: limits by ConfigMap name, or why they are not known; ``held``:
    by track, why it may not take new exposure whatever its grant.

    A track that the allocation no longer names is barred and keeps its positions.
    """
    everything = caps(allocation.limits, None, 100)
    if paper:
        unbind(everything)
    _limit(account, everything)
    if paper:
        account.loss_caps = NO_LOSS_CAPS
    stages = {"Paper"} if paper else {"Canary", "Live"}
    named = {track.name for track in allocation.tracks}
    trading = {track.name for track in allocation.tracks if track.stage in stages and track.key}
    shared = not paper and {STABLE, CANDIDATE} <= trading
    for track in tracks.values():
        if track.name not in named:
            track.permit(f"TRACK_NOT_ALLOWED track={track.name}", track.ungranted)
            track.key = ""
    for entry in allocation.tracks:
        track = tracks.setdefault(entry.name, Track(entry.name))
        grant = granted.get(entry.grant, "not fetched yet")
        weight = 100 if paper else max(0, min(100, entry.weight))
        track.grant = entry.grant
        track.allocation = allocation.epoch
        track.key = entry.key
        track.mark = ids.revision_mark(entry.revision)
        track.revision = entry.revision
        track.weight = weight
        share = caps(allocation.limits, grant if isinstance(grant, Limits) else None, weight)
        if shared:
            share_counts(share, entry.name)
        if paper:  # nobody tells it of the last 30 days, and its balances are nobody's
            share.forget_past()
            share.balance_floor = share.fee_token_floor = 0
        _limit(track, share)
        barred = "" if entry.name in trading else f"TRACK_NOT_ALLOWED track={entry.name} stage={entry.stage}"
        ungranted = "" if isinstance(grant, Limits) else f"GRANT_INVALID grant={entry.grant} reason={grant}"
        track.permit(barred, ungranted or (held or {}).get(entry.name, ""))


def _limit(track: Track, found: Caps) -> None:
    track.limit(found)
    track.loss_caps = loss_caps(found.limits)
    track.breaker_caps = breaker_caps(found.limits)

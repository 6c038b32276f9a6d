"""A person's own hand: cancel one order or close one position, recorded with who and why. Pure.

The record is a note in the journal, before anything else happens; the order's own events say it as well. A close is
an intent of the position's own track: a market order that only reduces, checked by the gate like any other, refused
where the gate refuses, with its reasons.
"""

import hashlib
from typing import Final

import msgspec

from ringfence.execution.changes import Changes
from ringfence.execution.outputs import Output
from ringfence.execution.state import FOREIGN, Slot
from ringfence.model.approved import Approved
from ringfence.model.money import text
from ringfence.model.orders import Denied, OrderType, Side, TimeInForce
from ringfence.model.records import Entry
from ringfence.wire.byhand import HandAnswer, HandRequest
from ringfence.wire.messages import Intent

NOTE_HAND: Final = "by hand"


def by_hand(manager: Changes, request: HandRequest, wall: int, mono: int) -> tuple[HandAnswer, list[Output]]:
    """What to answer, and what to do for it."""
    if request.action == "cancel":
        return _cancel(manager, request, wall, mono)
    return _close(manager, request, wall, mono)


def _cancel(manager: Changes, request: HandRequest, wall: int, mono: int) -> tuple[HandAnswer, list[Output]]:
    name = request.order
    if name not in manager.live:
        name = next((key for (_, venue_id), key in manager.venue_ids.items() if venue_id == request.order), "")
    live = manager.live.get(name)
    if live is None or live.order.track == FOREIGN:
        return HandAnswer(done=False, told=f"no order {request.order!r} of this system works here"), []
    outputs = manager.cancel_one(live, request.sentence, wall, mono)
    return HandAnswer(done=True, told=f"{name} is being cancelled until it is closed", orders=(name,)), outputs


def _close(manager: Changes, request: HandRequest, wall: int, mono: int) -> tuple[HandAnswer, list[Output]]:
    held = _held(manager, request)
    if not held:
        whose = f"track {request.track}" if request.track else "no track"
        return HandAnswer(done=False, told=f"{whose} holds nothing in {request.symbol or 'an unnamed instrument'}"), []
    if len(held) > 1:
        names = ", ".join(sorted(held))
        return HandAnswer(done=False, told=f"{names} hold {request.symbol}: name the track to close"), []
    ((track, slot),) = held.items()
    rules = slot.market.instrument
    size = abs(slot.position) if not request.quantity else min(request.quantity, abs(slot.position))
    size -= size % rules.lot if rules is not None else 0
    if not size:
        return HandAnswer(done=False, told=f"{text(slot.position)} is less than one lot"), []
    intent = Intent(
        # the same request a second time is the same intent, and the gate knows it
        f"hand-{hashlib.sha256(msgspec.json.encode(request)).hexdigest()[:24]}",
        track,
        request.symbol,
        Side.SELL if slot.position > 0 else Side.BUY,
        OrderType.MARKET,
        TimeInForce.GTC,
        size,
        0,
        True,
        wall,
    )
    outputs = manager.close_by_hand(intent, request.sentence, wall, mono)
    sent = tuple(o.client_order_id for o in outputs if isinstance(o, Approved))
    if sent:
        return HandAnswer(done=True, told=f"closing {text(size)} {request.symbol} of {track}", orders=sent), outputs
    refused = [r for o in outputs if isinstance(o, Entry) and isinstance(o.event, Denied) for r in o.event.reasons]
    return HandAnswer(done=False, told="refused by the gate: " + ("; ".join(refused) or "asked before")), outputs


def _held(manager: Changes, request: HandRequest) -> dict[str, Slot]:
    """By track, what may be meant."""
    slots = {
        name: track.slots[request.symbol]
        for name, track in manager.gate.tracks.items()
        if name != FOREIGN and request.track in {"", name} and request.symbol in track.slots
    }
    return {name: slot for name, slot in slots.items() if slot.position}

"""One order's life out of the journal: the intent, the decision, and everything that came of it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ringfence.model.money import SCALE, text
from ringfence.model.orders import Accepted, Denied, Initialized, Order, OrderEvent, PendingCancel, Submitted
from ringfence.model.records import Entry
from ringfence.wire.byhand import BY_HAND
from ringfence.wire.explain import LIFE_VERSION, Decision, Life, Step

STEPS_MAX: Final = 1_000
_TOLD: Final = frozenset({"client_order_id", "ts", "reasons"})
_MONEY: Final = frozenset({"quantity", "price", "stop_price", "commission", "display", "trailing_bps"})

Numbered = tuple[int, Entry]


def find(pages: Iterable[Sequence[Numbered]], wanted: str) -> list[Numbered]:
    """The entries of the order with this client order id or intent id, at most one more than a life has steps."""
    found: list[Numbered] = []
    name = ""
    for page in pages:
        for sequence, entry in page:
            event = entry.event
            if not name and (
                event.client_order_id == wanted or (isinstance(event, Initialized) and event.intent_id == wanted)
            ):
                name = event.client_order_id
            if name and event.client_order_id == name:
                found.append((sequence, entry))
                if len(found) > STEPS_MAX:
                    return found
    return found


def pages(read: Callable[[int, int], Sequence[Numbered]], size: int) -> Iterable[Sequence[Numbered]]:
    """The whole journal, so many entries at a time."""
    after = 0
    while page := read(after, size):
        yield page
        after = page[-1][0]


def life(gate: str, entries: Sequence[Numbered]) -> Life:
    """``entries``: what `find` found, not empty."""
    truncated = len(entries) > STEPS_MAX
    entries = entries[:STEPS_MAX]
    first = entries[0][1].event
    order = Order(first) if isinstance(first, Initialized) else None
    decision: Decision = "Unknown"
    reasons: tuple[str, ...] = ()
    passed = Submitted(client_order_id=first.client_order_id, ts=0)
    venue_order_id = ""
    steps = []
    for sequence, entry in entries:
        event = entry.event
        anomaly = order.apply(event) if order is not None and event is not first else None
        steps.append(
            Step(
                sequence=sequence, ts=event.ts, event=type(event).__name__, detail=_detail(event), anomaly=anomaly or ""
            )
        )
        match event:
            case Denied():
                decision, reasons = "Refused", event.reasons
            case Submitted():
                passed = event
                decision = "Passed" if event.grant or decision == "Passed" else decision
            case Accepted():
                venue_order_id = event.venue_order_id
            case _:
                pass
    filled = order.filled if order is not None else 0
    return Life(
        version=LIFE_VERSION,
        gate=gate,
        client_order_id=first.client_order_id,
        venue_order_id=venue_order_id,
        intent_id=first.intent_id if isinstance(first, Initialized) else "",
        track=entries[0][1].track,
        intent=_intent(first) if isinstance(first, Initialized) else "",
        decision=decision,
        reasons=reasons,
        grant=passed.grant,
        allocation=passed.allocation,
        epoch=passed.epoch,
        state=str(order.state) if order is not None else "UNKNOWN",
        unknown=order.unknown if order is not None else True,
        filled=text(filled),
        average=text(order.value * SCALE // filled) if order is not None and filled else "0",
        steps=tuple(steps),
        why=_why([entry.event for _, entry in entries]),
        truncated=truncated,
    )


def _why(events: Sequence[OrderEvent]) -> tuple[str, ...]:
    """What people have asked, in order."""
    made = [event.reason for event in events if isinstance(event, Initialized) and event.reason]
    asked = [event.reason for event in events if isinstance(event, PendingCancel)]
    return (*made, *(f"cancelled {reason}" for reason in asked if reason.startswith(BY_HAND)))


def _intent(event: Initialized) -> str:
    price = f" at {text(event.price)}" if event.price else ""
    flags = " reduce-only" if event.reduce_only else ""
    return f"{event.side} {text(event.quantity)} {event.symbol} {event.type}{price} {event.time_in_force}{flags}"


def _detail(event: OrderEvent) -> str:
    """All fields of an event that say something, as ``key=value``."""
    if isinstance(event, Initialized):
        return _intent(event)
    if isinstance(event, Denied):
        return "; ".join(event.reasons)
    found = []
    for name, value in msgspec.structs.asdict(event).items():
        if name not in _TOLD and value not in ("", 0, None):
            found.append(f"{name}={text(value) if name in _MONEY and isinstance(value, int) else value}")
    return " ".join(found)

"""What this gate says of its tracks: the report behind ``GET /tracks``, and metrics by track. Never writes."""

from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.execution import capacity
from ringfence.execution.accounting import Activity
from ringfence.execution.allocating import AllocationKeeper
from ringfence.execution.app import Execution
from ringfence.execution.capacity import shown
from ringfence.execution.state import FOREIGN, Track
from ringfence.model.money import text
from ringfence.model.positions import Position
from ringfence.model.transfers import Transfer
from ringfence.runtime.build import own
from ringfence.runtime.config import Track as Entry
from ringfence.runtime.service import Host
from ringfence.wire import tracks as wire

BUILD: Final = own().image or own().build
DONE_SHOWN: Final = 8
"""Handovers that are done and no longer named, newest last."""
P: Final = "ringfence_gate_track_"


def install(host: Host, told: Callable[[], wire.TracksReport]) -> None:
    async def tracks(_request: web.Request) -> web.Response:
        return web.Response(body=wire.encode(told()), content_type="application/json")

    host.routes.get(wire.TRACKS_PATH)(tracks)


def report(app: Execution, keeper: AllocationKeeper, pod: str) -> wire.TracksReport:
    named = {track.name: track for track in keeper.allocation.tracks} if keeper.allocation is not None else {}
    return wire.TracksReport(
        version=wire.REPORT_VERSION,
        gate=app.config.service,
        paper=app.config.paper,
        pod=pod,
        build=BUILD,
        state=app.guard.state,
        observed_ns=app.clock.wall_ns(),
        epoch=keeper.epoch,
        confirmed_ns=keeper.confirmed_ns,
        stale=keeper.stale,
        tracks=tuple(
            _track(app, track, named.get(name))
            for name, track in sorted(app.gate.tracks.items())
            if _told(track, named)
        ),
        handovers=tuple(_handovers(app)),
        held=keeper.held,
        reconciled=not app.guard.missing,
        in_flight=len(app.requests.under_way) + sum(len(market.unknown) for market in app.gate.markets.values()),
        min_notional=_min_notional(app),
    )


def _min_notional(app: Execution) -> str:
    """Of the instruments that may be traded here; empty as long as the rules of one are not known."""
    rules = [market.instrument for market in app.gate.markets.values()]
    known = [one.notional_min for one in rules if one is not None]
    return text(max(known)) if known and len(known) == len(rules) else ""


def _told(track: Track, named: dict[str, Entry]) -> bool:
    busy = track.working or any(slot.position for slot in track.slots.values())
    return track.name != FOREIGN and bool(track.name in named or busy)


def _track(app: Execution, track: Track, entry: Entry | None) -> wire.Track:
    book = app.manager.books.get(track.name)
    counts = app.manager.activities.get(track.name, Activity())
    limit, starved = capacity.starved(app.gate, track)
    heard = app.heard.get(track.name)
    positions = book.positions if book is not None else {}
    return wire.Track(
        name=track.name,
        revision=entry.revision if entry is not None else "",
        stage=entry.stage if entry is not None else "",
        weight=track.weight if entry is not None else 0,
        grant=entry.grant if entry is not None else "",
        allowed=not track.barred,
        refusal=track.barred or track.ungranted,
        starved=starved,
        starved_limit=limit,
        working_orders=track.working,
        positions=tuple(
            wire.Position(
                symbol=symbol,
                quantity=text(slot.position),
                average=text(positions.get(symbol, Position()).average),
                worst=text(slot.worst),
            )
            for symbol, slot in sorted(track.slots.items())
            if slot.position or slot.worst
        ),
        capacity=tuple(
            wire.Capacity(
                limit=room.limit,
                symbol=room.symbol,
                share=shown(room, room.share),
                account=shown(room, room.account),
                worst=shown(room, room.worst),
                others=shown(room, room.others),
                free=shown(room, room.free),
            )
            for room in capacity.rooms(app.gate, track)
        ),
        orders_sent=counts.sent,
        orders_filled=counts.executed,
        fills=counts.fills,
        adopts=app.handovers.adopts.get((track.name, track.mark)),
        strategy_seen_ns=heard or 0,
    )


def _handovers(app: Execution) -> Iterable[wire.Handover]:
    found = app.handovers
    wanted = {handover.id for handover in found.wanted}
    old = [transfer for name, transfer in found.done.items() if name not in wanted]
    for transfer in old[-DONE_SHOWN:]:
        yield _done(transfer, "Adopt")
    for handover in found.wanted:
        transfer_or_none = found.done.get(handover.id)
        if transfer_or_none is not None:
            yield _done(transfer_or_none, handover.mode)
            continue
        refused = found.refused.get(handover.id, "")
        yield wire.Handover(
            id=handover.id,
            source=handover.source,
            target=handover.target,
            mode=handover.mode,
            state="Refused" if refused else "Waiting",
            reason=refused or found.waiting.get(handover.id, "") or "an earlier handover is not done",
            entries=(),
            ts=0,
        )


def _done(transfer: Transfer, mode: str) -> wire.Handover:
    return wire.Handover(
        id=transfer.id,
        source=transfer.source,
        target=transfer.target,
        mode=mode,
        state="Done",
        reason="",
        entries=tuple(
            wire.BookEntry(symbol=leg.symbol, quantity=text(leg.quantity), price=text(leg.price))
            for leg in transfer.legs
        ),
        ts=transfer.ts,
    )


def families(app: Execution, keeper: AllocationKeeper) -> Iterable[Metric]:
    """By track and revision: after a promotion the same track goes on under another revision."""
    labels = ["track", "revision"]
    weight = GaugeMetricFamily(P + "weight", "Percent of the limits that the track may use", labels=labels)
    allowed = GaugeMetricFamily(P + "allowed", "1 while its strategy may send to this gate", labels=labels)
    starved = GaugeMetricFamily(
        P + "starved", "1 while an allowed track cannot open anything, by limit", labels=[*labels, "limit"]
    )
    for entry in keeper.allocation.tracks if keeper.allocation is not None else ():
        track = app.gate.tracks[entry.name]
        where = [entry.name, entry.revision]
        weight.add_metric(where, track.weight)
        allowed.add_metric(where, float(not track.barred))
        limit, _ = capacity.starved(app.gate, track)
        if limit:
            starved.add_metric([*where, limit], 1)
    yield from (weight, allowed, starved)
    yield GaugeMetricFamily(
        "ringfence_gate_allocation_epoch", "Of the allocation applied; 0 = none", value=keeper.epoch
    )
    stale = float(bool(keeper.stale))
    yield GaugeMetricFamily("ringfence_gate_allocation_stale", "1 while it is not confirmed in time", value=stale)
    waiting = sum(handover.id not in app.handovers.done for handover in app.handovers.wanted)
    yield GaugeMetricFamily("ringfence_gate_handovers_pending", "Handovers that are not done", value=waiting)
    yield CounterMetricFamily("ringfence_gate_handovers", "Handovers done", value=len(app.handovers.done))

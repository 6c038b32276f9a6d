"""Read-only documents over HTTP: for gap filling, for people, for the command line.

GET /events?after=N&limit=M   order events after sequence N from the journal, as JSON lines (`wire.codec`)
GET /explain?order=ID         the whole life of one order or refused intent, by client order id or intent id
GET /orders                   orders that may still execute
GET /positions                each track's positions, cash and fees, decimal texts
GET /state                    guard, epoch, reason, sources, what start-up waits for, losses, breaks
"""

import asyncio
from typing import Any, Final

from aiohttp import web

from ringfence.execution import explain, protection, versions
from ringfence.execution.app import Execution
from ringfence.execution.losses import PERIODS
from ringfence.execution.reconciling import ReconcileLoop
from ringfence.execution.valuation import percent
from ringfence.model.money import text
from ringfence.runtime.lease import micro_time
from ringfence.runtime.service import Host
from ringfence.wire.codec import EVENTS_LIMIT, EVENTS_PATH, encode_page
from ringfence.wire.explain import EXPLAIN_PATH, encode
from ringfence.wire.messages import OrderUpdate

SECOND_NS: Final = 1_000_000_000


def install(host: Host, app: Execution, loop: ReconcileLoop, session: int) -> None:
    async def events(request: web.Request) -> web.Response:
        try:
            after = int(request.query.get("after", "0"))
            limit = min(int(request.query.get("limit", str(EVENTS_LIMIT))), EVENTS_LIMIT)
        except ValueError:
            return web.Response(status=400, text="after and limit are whole numbers\n")
        last = app.journal.sequence
        found = await asyncio.to_thread(app.journal.read, max(0, after), max(0, limit))
        updates = [OrderUpdate(app.config.service, number, entry.track, entry.event) for number, entry in found]
        headers, body = encode_page(session, last, updates)
        return web.Response(body=body, headers=headers)

    async def explained(request: web.Request) -> web.Response:
        wanted = request.query.get("order", "")
        found = await asyncio.to_thread(lambda: explain.find(explain.pages(app.journal.read, EVENTS_LIMIT), wanted))
        if not found:
            return web.Response(status=404, text=f"the journal of {app.config.service} has no order {wanted[:80]!r}\n")
        return web.Response(body=encode(explain.life(app.config.service, found)), content_type="application/json")

    async def orders(_request: web.Request) -> web.Response:
        return web.json_response([_order(live.order) for live in app.manager.live.values()])

    async def positions(_request: web.Request) -> web.Response:
        return web.json_response({name: _book(book) for name, book in sorted(app.manager.books.items())})

    async def state(_request: web.Request) -> web.Response:
        return web.json_response(_state(app, loop))

    host.routes.get(EVENTS_PATH)(events)
    host.routes.get(EXPLAIN_PATH)(explained)
    host.routes.get("/orders")(orders)
    host.routes.get("/positions")(positions)
    host.routes.get("/state")(state)


def _order(order: Any) -> dict[str, Any]:
    return {
        "clientOrderId": order.client_order_id,
        "venueOrderId": order.venue_order_id,
        "intentId": order.intent_id,
        "track": order.track,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "timeInForce": order.time_in_force,
        "quantity": text(order.quantity),
        "price": text(order.price),
        "filled": text(order.filled),
        "state": order.state,
        "unknown": order.unknown,
    }


def _book(book: Any) -> dict[str, Any]:
    positions = {
        symbol: {"quantity": text(p.quantity), "cost": text(p.cost), "realised": text(p.realised)}
        for symbol, p in sorted(book.positions.items())
    }
    return {
        "positions": positions,
        "cash": {asset: text(amount) for asset, amount in sorted(book.cash.items())},
        "fees": {asset: text(amount) for asset, amount in sorted(book.fees.items())},
    }


def _state(app: Execution, loop: ReconcileLoop) -> dict[str, Any]:
    guard = app.guard
    sources = {name: {"severity": s.severity.word, "reason": s.reason} for name, s in sorted(guard.sources.items())}
    latches = {name: {"severity": x.severity, "reason": x.reason} for name, x in sorted(guard.latches.items())}
    return {
        "gate": app.config.service,
        "state": guard.state,
        "severity": guard.severity.word,
        "epoch": guard.epoch,
        "closedAt": micro_time(guard.closed_at) if guard.worst else "",
        "cycle": guard.cycle,
        "reason": guard.reason,
        "missing": dict(sorted(guard.missing.items())),
        "sources": sources,
        "latches": latches,
        "fence": app.manager.fence,
        "sequence": app.journal.sequence,
        "workingOrders": app.working(),
        "versions": versions.document(app.versions, app.gate.tracks.values()),
        "breakers": protection.document(app.protection),
        "losses": _losses(app),
        "lossToday": text(app.gate.account.loss),
        "breaks": {asset: text(amount) for asset, amount in sorted(app.reconciler.breaks.items())},
        "reconciledSecondsAgo": (app.clock.wall_ns() - loop.last_sound) / SECOND_NS if loop.last_sound else None,
        "tornBytes": app.journal.torn_bytes,
        "anomalies": dict(sorted(app.manager.anomalies.items())),
    }


def _losses(app: Execution) -> dict[str, Any]:
    """Each owner's standing; shares in percent."""
    return {
        name or "account": {
            **{period: text(owner.loss(period)) for period in PERIODS},
            "rolling24h": text(owner.rolling),
            "equity": text(owner.equity),
            "highWaterMark": text(owner.peak),
            "drawdownPercent": percent(owner.drawdown),
            "latched": [period for period, found in owner.periods.items() if found.latched],
            "lossesInARow": app.manager.trips.streak(name),
        }
        for name, owner in sorted(app.manager.ledger.owners.items())
    }

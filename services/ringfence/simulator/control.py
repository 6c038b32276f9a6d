"""The control port: what the venue knows, for proofs and tests, and faults on demand.

Not part of any venue's protocol, and never reachable by what trades: a NetworkPolicy keeps it to the people.
"""

from typing import Any, Final

import msgspec
from aiohttp import web

from ringfence.model.money import text
from ringfence.simulator.faults import Fault
from ringfence.simulator.gateway import Gateway

PAGE_MAX: Final = 10_000


def ledger(gateway: Gateway) -> dict[str, Any]:
    """All accounts: balances, change since the start by asset, fills and commissions. Exact decimal texts."""
    venue = gateway.venue
    accounts: dict[str, Any] = {}
    for account in venue.ledger.clients:
        executions = venue.executions(account)
        commissions: dict[str, int] = {}
        for e in executions:
            commissions[e.commission_asset] = commissions.get(e.commission_asset, 0) + e.commission
        accounts[account] = {
            "balances": {
                asset: {"free": text(b.free), "locked": text(b.locked)}
                for asset, b in sorted(venue.ledger.balances(account).items())
            },
            "delta": {asset: text(change) for asset, change in sorted(venue.ledger.delta(account).items())},
            "open_orders": len(venue.open_orders(account)),
            "fills": len(executions),
            "commissions": {asset: text(amount) for asset, amount in sorted(commissions.items())},
        }
    return {"now_ns": venue.now_ns, "accounts": accounts}


def state(gateway: Gateway) -> dict[str, Any]:
    """The market's clock and what has been counted."""
    venue = gateway.venue
    return {
        "now_ns": venue.now_ns,
        "start_ns": venue.start_ns,
        "latency_ms": gateway.latency_ms,
        "connections": len(gateway.hub.connections),
        "counts": msgspec.to_builtins(venue.counts),
        "recorded_requests": gateway.api.record.total,
        "instruments": {
            symbol: {
                "halted": one.halted,
                "silent": symbol in gateway.faults.silent,
                "update_id": one.publisher.update_id,
                "bid": text(one.publisher.best.bid),
                "ask": text(one.publisher.best.ask),
                "next_event_ns": one.feed.next_ns,
                "impact_modelled": one.impact.modelled,
                "own_volume_percent_max": one.impact.own_percent_max,
                "passive": {
                    "orders": one.engine.bounds.orders,
                    "quantity": text(one.engine.bounds.quantity),
                    "filled_risk_averse": text(one.engine.bounds.filled),
                    "filled_optimistic": text(one.engine.bounds.filled_optimistic),
                },
            }
            for symbol, one in venue.instruments.items()
        },
    }


class ControlServer:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/ledger", self.ledger),
            web.get("/orders", self.orders),
            web.get("/state", self.state),
            web.post("/faults", self.faults),
        ]

    async def ledger(self, _request: web.Request) -> web.Response:
        self._gateway.advance()
        return _json(ledger(self._gateway))

    async def state(self, _request: web.Request) -> web.Response:
        self._gateway.advance()
        return _json(state(self._gateway))

    async def orders(self, request: web.Request) -> web.Response:
        """Requests after ?since=<sequence>, oldest first, at most ?limit= of them (10,000)."""
        try:
            since, limit = int(request.query.get("since", "0")), int(request.query.get("limit", str(PAGE_MAX)))
        except ValueError:
            return _json({"error": "since and limit are whole numbers"}, 400)
        record = self._gateway.api.record
        page = record.since(since, max(0, min(limit, PAGE_MAX)))
        first = page[0].sequence if page else record.total + 1
        # a gap between what was asked for and what is kept is said, never hidden
        lost = max(0, first - since - 1)
        return _json({"total": record.total, "lost": lost, "requests": msgspec.to_builtins(page)})

    async def faults(self, request: web.Request) -> web.Response:
        try:
            fault = msgspec.json.decode(await request.read(), type=Fault)
        except msgspec.MsgspecError as error:
            return _json({"error": str(error)}, 400)
        refusal = self._gateway.fault(fault)
        return _json({"error": refusal}, 400) if refusal else _json({"done": fault.kind})


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")

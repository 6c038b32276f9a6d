"""The host of the portfolio: a feed per gate, marketdata, and three read-only documents."""

import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from ringfence.model.calendar import Calendar
from ringfence.portfolio.documents import Accounts, fills_document, pnl_document, positions_document
from ringfence.portfolio.ledger import Ledger
from ringfence.portfolio.marks import Marks
from ringfence.portfolio.metrics import families
from ringfence.runtime import feed
from ringfence.runtime.bus import Bus, KeyPair
from ringfence.runtime.config import PortfolioConfig
from ringfence.runtime.service import Host
from ringfence.wire.messages import Envelope, FeedStatus, InstrumentRules, OrderUpdate, Quote


class PortfolioHost:
    """Moves messages into the books and answers questions about them."""

    def __init__(self, host: Host, config: PortfolioConfig, bus: Bus) -> None:
        calendars = {gate.name: Calendar(config.time_zones.get(gate.venue, "UTC")) for gate in config.gates}
        self.accounts = Accounts(Ledger(calendars), Marks(calendars.values()), config.currency, config.capital)
        self._host = host
        self._venues = {gate.name: gate.venue for gate in config.gates}
        topics = [f"{kind}." for kind in ("quote", "status", "instrument")]
        bus.subscriber(config.marketdata, topics, self._receive)
        self.feeds = [feed.EventFeed(bus, gate, self, host.clock) for gate in config.gates]
        for gate in config.gates:
            host.health.not_ready(gate.name, "its journal has not been read yet")

    def on_update(self, update: OrderUpdate) -> None:
        self.accounts.ledger.update(update)

    def on_restart(self, gate: str, reason: str) -> None:
        self.accounts.ledger.restart(gate)
        self._host.health.not_ready(gate, reason)

    def on_current(self, gate: str) -> None:
        self._host.health.ready(gate)

    def on_behind(self, gate: str, reason: str) -> None:
        """The documents say that they are not complete; the pod is as ready as it was to say so."""

    def _receive(self, envelope: Envelope) -> None:
        match envelope.body:
            case Quote() as quote:
                self.accounts.marks.quote(quote)
            case FeedStatus() as status:
                self.accounts.marks.status(status)
            case InstrumentRules(instrument=instrument):
                self.accounts.ledger.rules(instrument)
            case _:
                pass

    # --- documents

    def _complete(self) -> dict[str, bool]:
        return {one.gate.name: one.current for one in self.feeds}

    async def positions(self, _request: web.Request) -> web.Response:
        return _json(positions_document(self.accounts, self._complete(), self._host.clock.wall_ns()))

    async def pnl(self, _request: web.Request) -> web.Response:
        return _json(pnl_document(self.accounts, self._venues, self._complete(), self._host.clock.wall_ns()))

    async def fills(self, request: web.Request) -> web.Response:
        after, gate = request.query.get("after", "0"), request.query.get("gate")
        if not after.isdecimal():
            raise web.HTTPBadRequest(text=f"after is {after!r}: must be a whole number, a gate's sequence\n")
        if gate is not None and gate not in self._venues:
            raise web.HTTPBadRequest(text=f"gate is {gate!r}: must be one of {', '.join(self._venues)}\n")
        return _json(fills_document(self.accounts.ledger.fills(int(after), gate)))


@contextlib.asynccontextmanager
async def portfolio(host: Host) -> AsyncIterator[None]:
    """Connect, replay every gate's journal, and run until told to stop."""
    config = host.config
    if not isinstance(config, PortfolioConfig):
        raise TypeError(f"{type(config).__name__} is not a portfolio's configuration")
    bus = Bus(config.service, host.clock.wall_ns(), KeyPair.read())
    try:
        serving = PortfolioHost(host, config, bus)
        host.routes.get("/positions")(serving.positions)
        host.routes.get("/pnl")(serving.pnl)
        host.routes.get("/fills")(serving.fills)
        host.collect(lambda: families(serving.accounts, host.clock.wall_ns()))
        host.collect(lambda: feed.families(serving.feeds))
        for one in serving.feeds:
            host.spawn(one.run(), f"events of {one.gate.name}")
        yield
    finally:
        bus.close()


def _json(document: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")

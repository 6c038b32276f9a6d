"""The real adapter at a simulated venue whose book stands still, in virtual time: what it sends and what it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from matrix import Run, Seen, Wire, in_virtual_time
from venuerig import Listener

from chaos.life import Life
from chaos.process import ADDRESS, SYMBOL, furnish
from chaos.virtual import START_NS, Skewed
from chaos.wire import Network, WireTrading
from ringfence.model.approved import Approved
from ringfence.model.money import parse, text
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.clock import ManualClock
from ringfence.simulator.catalog import LISTED, Listing
from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.api import Answer, Api, Call
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.dialect.rest import PATHS
from ringfence.simulator.dialect.streams import Hub
from ringfence.simulator.faults import Fault, Faults
from ringfence.simulator.gateway import Gateway
from ringfence.simulator.market import BookChange
from ringfence.simulator.orders import Request, VenueOrder
from ringfence.simulator.record import Record
from ringfence.simulator.server import TEST_CREDENTIAL
from ringfence.simulator.venue import Fees, Venue
from ringfence.venues.api import Accepted, NotSent, Refused, SubmitOutcome, Unknown

ME: Final = TEST_CREDENTIAL.account
OTHER: Final = "other"
BID, ASK, STEP = parse("60000"), parse("60010"), parse("10")
"""The touch, and how far the levels lie apart: twenty a side with half a coin each."""
LEVEL: Final = parse("0.5")
FUNDS: Final = {"USDT": parse("10000000"), "BTC": parse("100")}
FAR_S: Final = 1_000.0


class Desk:
    def __init__(
        self, directory: Path, clock: ManualClock, wire: Wire, limits: Limits, rules: dict[str, Any], skew_ms: int
    ) -> None:
        furnish(directory, TEST_CREDENTIAL.api_key, TEST_CREDENTIAL.api_secret)
        self.clock = clock
        self.directory = directory
        bids = tuple((BID - n * STEP, LEVEL) for n in range(20))
        asks = tuple((ASK + n * STEP, LEVEL) for n in range(20))
        market = iter([BookChange(START_NS, bids, asks, reset=True)])
        listing: Listing = msgspec.structs.replace(LISTED[SYMBOL], **rules)
        self.venue = Venue({SYMBOL: listing}, {SYMBOL: market}, Fees(parse("7.5"), parse("10")), START_NS)
        for account in (ME, OTHER):
            self.venue.open_account(account, FUNDS)
        faults = Faults()
        self.api = Api(self.venue, {TEST_CREDENTIAL.api_key: TEST_CREDENTIAL}, limits, Record(), faults)
        self.gateway = Gateway(self.venue, self.api, Hub(faults), faults, clock, 1)
        self.network = Network(self.gateway, Random(1))
        self.network.messages = wire is Wire.MESSAGE
        machine = Skewed(clock, skew_ms * 1_000_000)
        self.adapter = WireTrading(ADDRESS, machine, Random(1), directory, self.network, Life())
        self.machine = machine
        self.listener = Listener()
        self._number = 0

    async def open(self) -> None:
        self.gateway.advance()
        await self.adapter.start(self.listener)
        await self.listener.until(lambda: (True, "") in self.listener.streams)

    # --- orders

    def order(
        self,
        kind: OrderType = OrderType.LIMIT,
        side: Side = Side.BUY,
        quantity: str = "0.01",
        price: int | None = None,
        force: TimeInForce = TimeInForce.GTC,
        patience_s: float = FAR_S,
        **more: Any,
    ) -> Approved:
        """By default a bid that rests, ten levels from the touch."""
        self._number += 1
        rests = BID - 10 * STEP if side is Side.BUY else ASK + 10 * STEP
        fields: dict[str, Any] = {
            "client_order_id": f"rf-{self._number}",
            "symbol": SYMBOL,
            "side": side,
            "type": kind,
            "time_in_force": force,
            "quantity": parse(quantity),
            "price": rests if price is None else price,
            "epoch": 1,
            "deadline_ns": self.machine.monotonic_ns() + int(patience_s * 1e9),
        }
        return Approved(**(fields | more))

    async def submit(self, order: Approved) -> SubmitOutcome:
        return await self.adapter.submit(order, lambda _order: None)

    async def tried(self, order: Approved) -> str:
        """The outcome and where the order then stands."""
        outcome = word(await self.submit(order))
        return f"{outcome}: {await self.stands(order)}" if outcome == "Accepted" else outcome

    async def stands(self, *orders: Approved) -> str:
        """State, filled quantity and anomalies by the events, once no more come; and that the venue says the same."""
        await asyncio.sleep(1)
        told = []
        for order in orders:
            anomalies: list[str] = []
            folded = self.listener.folded(order, anomalies)
            told.append(" ".join((folded.state, text(folded.filled), *anomalies)))
            report = await self.adapter.order(SYMBOL, order.client_order_id)
            if report is None or report.filled != folded.filled:
                told.append(f"VENUE SAYS {report}")
        return ", ".join(told)

    def trade(self, price: int) -> None:
        """Somebody else takes all down or up to this price, so that it is the last one."""
        side = Side.SELL if price <= BID else Side.BUY
        for number in range(40):
            last = self.venue.instruments[SYMBOL].last_price
            if last and (last <= price if side is Side.SELL else last >= price):
                return
            self.other(side, OrderType.MARKET, quantity=LEVEL, name=f"o{self._number}-{number}")
        raise ValueError(f"the price did not come to {text(price)}")

    def other(self, side: Side, kind: OrderType, quantity: int, price: int = 0, name: str = "o") -> None:
        """An order of the other account."""
        request = Request(symbol=SYMBOL, client_order_id=name, side=side, type=kind, time_in_force=TimeInForce.GTC,
                          price=price, quantity=quantity)  # fmt: skip
        placed = self.venue.place(OTHER, request, self.clock.wall_ns())
        if not isinstance(placed, VenueOrder):
            raise TypeError(str(placed))
        self.gateway.advance()

    def shown(self, price: int) -> str:
        """What the public book shows at a price."""
        engine = self.venue.instruments[SYMBOL].engine
        return text(engine.bids.displayed(price) + engine.asks.displayed(price))

    async def asked(
        self, method: str, path: str, params: dict[str, str], offset_ms: int = 0, key: str = "", signature: str = ""
    ) -> Answer:
        """A request that our adapter would not make."""
        sent = params | {"timestamp": str(self.clock.wall_ns() // 1_000_000 + offset_ms)}
        payload = urlencode(sent)
        signed = {"signature": signature or auth.sign(TEST_CREDENTIAL.api_secret, payload)}
        call = Call(
            name=PATHS[method, path],
            params=sent | signed,
            payload=payload,
            api_key=key or TEST_CREDENTIAL.api_key,
            address="127.0.0.1",
            arrived_ns=self.clock.wall_ns(),
        )
        return await self.gateway.call(call)

    async def raw(self, method: str, path: str, params: dict[str, str], **signing: str) -> str:
        """What the venue complains of; empty if it does not."""
        return complaint(await self.asked(method, path, params, **signing))  # type: ignore[arg-type]

    async def stamped(self, offset_ms: int) -> str:
        """A query whose time is off by so much when it arrives, one millisecond later."""
        return complaint(await self.asked("GET", "/api/v3/account", {}, offset_ms + 1))

    @property
    def credentials(self) -> tuple[str, str]:
        return TEST_CREDENTIAL.api_key, TEST_CREDENTIAL.api_secret

    def rotate(self, key: str, secret: str) -> None:
        """New files, seen by the adapter as soon as it looks."""
        furnish(self.directory, key, secret)
        self.clock.advance(2_000_000_000)

    def fault(self, kind: str, **more: Any) -> None:
        refusal = self.gateway.fault(Fault(kind=kind, **more))
        if refusal:
            raise ValueError(refusal)


def complaint(answer: Answer) -> str:
    if answer.status == 200:
        return ""
    found = answer.document["msg"].partition("Filter failure: ")[2]
    return f"{answer.status} {answer.document['code']}{' ' if found else ''}{found}"


def word(outcome: object) -> str:
    """An outcome without its sentence."""
    match outcome:
        case Accepted():
            return "Accepted"
        case Refused(code, reason):
            found = reason.partition("Filter failure: ")[2]
            return f"Refused {code}{' ' if found else ''}{found}"
        case Unknown():
            return "Unknown"
        case NotSent():
            return "NotSent"
        case _:
            return repr(outcome)


Script = Callable[[Desk], Awaitable[str]]


def at_desk(
    script: Script,
    limits: Limits | None = None,
    skew_ms: int = 0,
    wires: tuple[Wire, ...] = tuple(Wire),
    **rules: Any,
) -> Run:
    """``rules``: what the venue lists differently. ``skew_ms``: how wrong our machine's clock is."""

    def over(wire: Wire) -> Seen:
        async def run(directory: Path, clock: ManualClock) -> Seen:
            desk = Desk(directory, clock, wire, limits or Limits(), rules, skew_ms)
            try:
                await desk.open()
                return Seen(await script(desk), desk.network.messages_sent)
            finally:
                desk.adapter.stop()
                await asyncio.gather(*desk.adapter._tasks, return_exceptions=True)
                desk.gateway.close()

        return in_virtual_time(run)

    return Run(over, wires)

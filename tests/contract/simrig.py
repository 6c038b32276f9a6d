"""A simulated venue on real sockets and a raw client that knows only the protocol."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp

from ringfence.model.money import parse, text
from ringfence.runtime.clock import Clock, ManualClock
from ringfence.runtime.config import GeneratedMarket, SimulatorConfig
from ringfence.simulator.dialect import auth
from ringfence.simulator.dialect.auth import Credential
from ringfence.simulator.dialect.limits import Limits
from ringfence.simulator.server import TEST_CREDENTIAL, Simulator, serve_simulator

SECOND = Credential("second-key", "second-secret", "second")
BALANCES = {"BTC": parse("5"), "ETH": parse("50"), "USDT": parse("1000000")}


def config(**changes: Any) -> SimulatorConfig:
    """A generated market of one instrument, with fees and without latency, on free ports."""
    fields: dict[str, Any] = {
        "system": "test",
        "namespace": "test",
        "service": "simulator",
        "symbols": ("BTCUSDT",),
        "market": GeneratedMarket(seed=7),
        "maker_fee_bps": parse("7.5"),
        "taker_fee_bps": parse("10"),
        "latency_ms": 0,
        "balances": BALANCES,
        "port": 0,
        "control_port": 0,
    }
    return SimulatorConfig(**(fields | changes))


class Client:
    """Speaks the protocol as its documentation tells it, and nothing more."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession, credential: Credential) -> None:
        self.sim = sim
        self.session = session
        self.credential = credential
        self.headers: dict[str, str] = {}
        self._ids = itertools.count(1)

    async def call(
        self, method: str, path: str, params: dict[str, Any] | None = None, *, signed: bool = True, **signing: Any
    ) -> tuple[int, Any]:
        """Status and document."""
        sent = {name: str(value) for name, value in (params or {}).items()}
        headers = {}
        if signed:
            sent["timestamp"] = str(signing.get("timestamp", self.now_ms()))
            sent["signature"] = signing.get("signature", auth.sign(self.credential.api_secret, urlencode(sent)))
            headers["X-MBX-APIKEY"] = signing.get("key", self.credential.api_key)
        url = f"{self.sim.rest_url}/api/v3/{path}?{urlencode(sent)}"
        async with self.session.request(method, url, headers=headers) as response:
            self.headers = dict(response.headers)
            return response.status, await response.json()

    def now_ms(self) -> int:
        return self.sim.gateway.clock.wall_ns() // 1_000_000

    def advance(self, ms: int) -> None:
        """Let the market run; it stands still otherwise."""
        clock = self.sim.gateway.clock
        assert isinstance(clock, ManualClock)
        clock.advance(ms * 1_000_000)
        self.sim.gateway.advance()

    async def order(self, side: str, price: str | None, quantity: str, **more: Any) -> tuple[int, Any]:
        """A limit order, or a market order without a price."""
        fields: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "side": side,
            "quantity": quantity,
            "newClientOrderId": f"t-{next(self._ids)}",
        }
        fields |= {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": "GTC", "price": price}
        return await self.call("POST", "order", fields | more)

    async def best(self) -> tuple[int, int]:
        """Best bid and ask, scaled."""
        _, ticker = await self.call("GET", "ticker/bookTicker", {"symbol": "BTCUSDT"}, signed=False)
        return parse(ticker["bidPrice"]), parse(ticker["askPrice"])

    async def away(self, side: str) -> str:
        """A price 1 % from the market that will not trade soon."""
        bid, ask = await self.best()
        price = bid * 99 // 100 if side == "BUY" else ask * 101 // 100
        return text(price - price % parse("0.01"))

    async def control(self, path: str, fault: dict[str, Any] | None = None) -> Any:
        method = "GET" if fault is None else "POST"
        async with self.session.request(method, f"{self.sim.control_url}/{path}", json=fault) as response:
            return await response.json()


@contextlib.asynccontextmanager
async def trading(clock: Clock | None = None, limits: Limits | None = None, **changes: Any) -> AsyncIterator[Client]:
    """A venue whose market stands still unless a test lets it run."""
    clock = clock or ManualClock()
    async with (
        serve_simulator(config(**changes), clock=clock, credentials=(TEST_CREDENTIAL, SECOND), limits=limits) as sim,
        aiohttp.ClientSession() as session,
    ):
        yield Client(sim, session, TEST_CREDENTIAL)


class UserStream:
    """The private stream over the WebSocket API."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next event that is wanted; all that come are kept."""
        while True:
            message = await self.socket.receive_json(timeout=10)
            assert message["subscriptionId"] == 0
            self.events.append(message["event"])
            if wanted(message["event"]):
                return self.events[-1]

    def balances(self) -> dict[str, tuple[int, int]]:
        """Free and locked as the events told them last."""
        told: dict[str, tuple[int, int]] = {}
        for event in self.events:
            if event["e"] == "outboundAccountPosition":
                told |= {b["a"]: (parse(b["f"]), parse(b["l"])) for b in event["B"]}
        return told


@contextlib.asynccontextmanager
async def user_stream(client: Client, credential: Credential | None = None) -> AsyncIterator[UserStream]:
    credential = credential or client.credential
    async with client.session.ws_connect(client.sim.ws_api_url) as socket:
        params = {"apiKey": credential.api_key, "timestamp": client.now_ms()}
        params["signature"] = auth.sign(credential.api_secret, auth.ws_payload({k: str(v) for k, v in params.items()}))
        await socket.send_json({"id": 1, "method": "userDataStream.subscribe.signature", "params": params})
        answer = await socket.receive_json(timeout=10)
        assert (answer["status"], answer["result"]) == (200, {"subscriptionId": 0}), answer
        yield UserStream(socket)


def is_report(kind: str, client_id: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["e"] == "executionReport" and event["x"] == kind and event["c"] == client_id


def is_position(event: dict[str, Any]) -> bool:
    return bool(event["e"] == "outboundAccountPosition")

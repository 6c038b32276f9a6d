"""The Binance adapter and an order for it, where the test itself is the venue."""

import random
from pathlib import Path
from typing import Generic, TypeVar

from venuerig import Listener

from ringfence.model.approved import Approved
from ringfence.model.money import parse
from ringfence.model.orders import OrderType, Side, TimeInForce
from ringfence.runtime.clock import SystemClock
from ringfence.runtime.config import Venue
from ringfence.venues.binance.trading import BinanceTrading

ServerT = TypeVar("ServerT")
KEY, SECRET = "KEYVALUE-3f9a", "SECRETVALUE-77d1"


class Streams(Listener):
    """What the adapter says of its private stream."""

    async def until_it_is(self, connected: bool) -> None:
        await self.until(lambda: self.streams and self.streams[-1][0] is connected)


class Connected(Generic[ServerT]):
    """An adapter, and the test's own server that stands for its venue."""

    def __init__(self, server: ServerT, venue: BinanceTrading, credentials: Path) -> None:
        self.server = server
        self.venue = venue
        self.credentials = credentials
        self.listener = Streams()


def write_credentials(directory: Path, key: str = KEY, secret: str = SECRET) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "api-key").write_text(key)
    (directory / "api-secret").write_text(secret)


def adapter(address: str, credentials: Path) -> BinanceTrading:
    """``address``: host and port of the server that stands for all of the venue."""
    where = Venue(
        name="b", rest_url=f"http://{address}", stream_url=f"ws://{address}", ws_api_url=f"ws://{address}/ws-api/v3"
    )
    return BinanceTrading(where, SystemClock(), random.Random(1), credentials)


def order(name: str = "rf-1-a", lifetime_s: float = 30) -> Approved:
    return Approved(
        client_order_id=name,
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=parse("0.001"),
        price=parse("50000"),
        epoch=1,
        deadline_ns=SystemClock().monotonic_ns() + int(lifetime_s * 1e9),
    )


def yes(_: Approved) -> None:
    """The gate's last word."""

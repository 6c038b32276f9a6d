"""Book entries between two sub-ledgers of one account, as pairs of internal trades at one price. Pure.

Whoever folds order events gets a transfer right without knowing of it: the source sells and the target buys (or the
other way round) the same quantity at the same price without fees, so the account as a whole does not move by a
digit. Whoever counts orders or fills must leave them out: `is_transfer`.
"""

from typing import Final

import msgspec

from ringfence.model.orders import Filled, Initialized, OrderType, Side, Submitted, TimeInForce

PREFIX: Final = "book-"
OUT: Final = "out"
IN: Final = "in"


class Leg(msgspec.Struct, frozen=True):
    """One instrument of a transfer."""

    symbol: str
    quantity: int
    """Signed: what the target receives. Any digit: a book entry has no lot."""
    price: int


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Noted in the journal before its legs: what it says is carried out, once, whatever happens in between."""

    id: str
    source: str
    target: str
    ts: int
    """UTC nanoseconds."""
    legs: tuple[Leg, ...]

    def leg_ids(self) -> list[str]:
        """Client order ids of both sides of all legs, in the order in which they are booked."""
        numbers = range(1, len(self.legs) + 1)
        return [_leg_id(self, number, way) for way in (OUT, IN) for number in numbers]


def events(transfer: Transfer, leg_id: str) -> tuple[Initialized, Submitted, Filled]:
    """One side of one leg, on its track."""
    number, _, way = _parts(leg_id)
    leg = transfer.legs[number - 1]
    track = transfer.target if way == IN else transfer.source
    received = leg.quantity if way == IN else -leg.quantity
    quantity, ts = abs(leg.quantity), transfer.ts
    initialized = Initialized(
        client_order_id=leg_id,
        ts=ts,
        intent_id=leg_id,
        track=track,
        symbol=leg.symbol,
        side=Side.BUY if received > 0 else Side.SELL,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        quantity=quantity,
        price=leg.price,
    )
    filled = Filled(
        client_order_id=leg_id,
        ts=ts,
        trade_id=leg_id,
        price=leg.price,
        quantity=quantity,
        commission=0,
        commission_asset="",
        maker=True,
        ts_venue=ts,
    )
    return initialized, Submitted(client_order_id=leg_id, ts=ts), filled


def is_transfer(client_order_id: str) -> bool:
    """Whether an order (or a trade id) is one side of a book entry."""
    return client_order_id.startswith(PREFIX)


def completes_adoption(leg_id: str) -> bool:
    """Whether it is the last leg that a target receives."""
    number, count, way = _parts(leg_id)
    return way == IN and number == count


def _leg_id(transfer: Transfer, number: int, way: str) -> str:
    return f"{PREFIX}{transfer.id}-{number}-{len(transfer.legs)}-{way}"


def _parts(leg_id: str) -> tuple[int, int, str]:
    number, count, way = leg_id.rsplit("-", 3)[1:]
    return int(number), int(count), way

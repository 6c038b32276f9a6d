"""How much of each limit a track may take up: min(weight x limit, limit - worst case of the others). Pure.

The gate checks exactly this, order by order (a track against its share, and all tracks with foreign orders against
the account); here it is computed to be shown, and to tell a candidate that is starved from one that is idle.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ringfence.execution.caps import UNLIMITED
from ringfence.execution.gate import Gate
from ringfence.execution.state import FOREIGN, Market, Track
from ringfence.model.money import notional, text

POSITION: Final = "Position"
GROSS: Final = "Gross"
ORDER_VALUE: Final = "OrderValue"
ORDER_QUANTITY: Final = "OrderQuantity"
WORKING: Final = "WorkingOrders"
MESSAGES: Final = "Messages"
LOSS: Final = "LossDay"
COUNTS: Final = frozenset({WORKING, MESSAGES})
"""Plain numbers; all others are scaled by 1e-8."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One limit as one track sees it."""

    limit: str
    symbol: str = ""
    share: int
    account: int
    worst: int
    others: int

    @property
    def entitled(self) -> int:
        """What the track may take up in all, others being what they are."""
        return max(0, min(self.share, self.account - self.others))

    @property
    def free(self) -> int:
        return max(0, self.entitled - self.worst)


def rooms(gate: Gate, track: Track) -> list[Room]:
    """All limits of a track. An instrument without a price has no row: its room is not known."""
    return [*_positions(gate, track), _gross(gate, track), *_orders(gate, track)]


def starved(gate: Gate, track: Track) -> tuple[str, str]:
    """The limit that leaves an allowed track nothing, and a sentence; empty texts while it can open something.

    What the track itself has taken up does not starve it. Nothing is what is smaller than the smallest order that
    the venue takes, in every instrument whose price is known.
    """
    if track.barred or track.ungranted:
        return "", ""
    found = ("", "")
    for market in gate.markets.values():
        need = _smallest(market)
        if not need:
            continue
        limits = [*_positions(gate, track, market), _gross(gate, track), *_orders(gate, track)]
        short = next(
            (room for room in limits if room.limit != LOSS and room.entitled < _needed(room, market, need)), None
        )
        if short is None:
            return "", ""
        found = (short.limit, _sentence(short, market.symbol))
    return found


def _positions(gate: Gate, track: Track, only: Market | None = None) -> Iterator[Room]:
    for market in [only] if only is not None else gate.markets.values():
        if market.last_ask:
            slot = track.slots.get(market.symbol)
            worst = slot.worst if slot is not None else 0
            yield Room(
                limit=POSITION,
                symbol=market.symbol,
                share=track.caps.position,
                account=gate.account.caps.position,
                worst=notional(market.last_ask, worst),
                others=notional(market.last_ask, market.worst - worst),
            )


def _gross(gate: Gate, track: Track) -> Room:
    own = track.gross()
    everything = sum(notional(market.last_ask, market.worst) for market in gate.markets.values())
    return Room(
        limit=GROSS, share=track.caps.gross, account=gate.account.caps.gross, worst=own, others=everything - own
    )


def _orders(gate: Gate, track: Track) -> list[Room]:
    account = gate.account
    lost = sum(max(0, other.loss) for other in gate.tracks.values() if other is not track and other.name != FOREIGN)
    return [
        _alone(ORDER_VALUE, track.caps.value, account.caps.value),
        _alone(ORDER_QUANTITY, track.caps.quantity, account.caps.quantity),
        Room(
            limit=WORKING,
            share=track.caps.working,
            account=account.caps.working,
            worst=track.working,
            others=account.working - track.working,
        ),
        _alone(MESSAGES, track.caps.rate, account.caps.rate),
        Room(limit=LOSS, share=track.caps.loss, account=account.caps.loss, worst=max(0, track.loss), others=lost),
    ]


def _alone(limit: str, share: int, account: int) -> Room:
    """A limit of each single order: others do not take it up."""
    return Room(limit=limit, share=share, account=account, worst=0, others=0)


def _smallest(market: Market) -> int:
    """Value of the smallest order that the venue takes; 0 = not known."""
    rules = market.instrument
    if rules is None or not market.last_ask:
        return 0
    return max(rules.notional_min, notional(market.last_ask, max(rules.quantity_min, rules.lot)))


def _needed(room: Room, market: Market, value: int) -> int:
    if room.limit in COUNTS:
        return 1
    rules = market.instrument
    if room.limit == ORDER_QUANTITY and rules is not None:
        return max(rules.quantity_min, rules.lot)
    return value


def _sentence(room: Room, symbol: str) -> str:
    where = f" in {room.symbol or symbol}"
    if room.account - room.others < room.share:
        return f"{room.limit}{where}: the others take up {shown(room, room.others)} of {shown(room, room.account)}"
    return f"{room.limit}{where}: its share of {shown(room, room.account)} is {shown(room, room.share)}, too small"


def shown(room: Room, amount: int) -> str:
    """A number of a room as people read it."""
    if amount >= UNLIMITED:
        return "unlimited"
    return str(amount) if room.limit in COUNTS else text(amount)

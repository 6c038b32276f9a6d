"""Limits of positions at worst case: in value, gross, net, number, leverage, concentration and sectors, and of the cash
that is left. Pure; for orders that make a worst case larger.

Each is held against the track's share and against the account, which counts all tracks and foreign orders and nets
none of them. Values are at the last ask; a product of two scaled numbers is divided once, so amounts round down.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from ringfence.execution.caps import UNLIMITED, Caps
from ringfence.execution.state import Market, Slot, Track
from ringfence.model.money import BPS, SCALE, text

_HUNDRED: Final = 100 * SCALE
_BPS_SCALE: Final = SCALE * BPS


class Totals(NamedTuple):
    """Of one owner, after the order. Quote value."""

    gross: int
    net: int
    """On the order's side."""
    positions: int
    """Instruments in which there is or may be a position."""
    sector: int
    """Of the instruments in the order's sector, as this owner's limits say it."""


def exposure(
    market: Market, track: Track, account: Track, markets: Iterable[Market], slot: Slot, signed: int, found: list[str]
) -> None:
    """``signed``: the order's quantity, negative for a sell."""
    price = market.last_ask
    long = slot.long + signed if signed > 0 else slot.long
    short = slot.short if signed > 0 else slot.short - signed
    after = max(long, short, slot.worst)
    value, before = after * price // SCALE, slot.worst * price // SCALE
    held = [(one.market, one) for one in track.slots.values()]
    mine = _totals(track.caps, held, market, signed, value - before, opens=not slot.worst)
    _owner(f"track={track.name} ", track.caps, track.equity, market.symbol, value, mine, found)
    total = (market.worst + after - slot.worst) * price // SCALE
    everyone = [(one, one) for one in markets]
    everything = _totals(account.caps, everyone, market, signed, value - before, opens=not market.worst)
    _owner("", account.caps, account.equity, market.symbol, total, everything, found)


def _totals(
    caps: Caps, held: Iterable[tuple[Market, Market | Slot]], market: Market, signed: int, grown: int, *, opens: bool
) -> Totals:
    """Of what one owner holds before the order, and what the order adds to it."""
    among = caps.sector_of(market.symbol)
    gross, net, positions, sector = grown, abs(signed) * market.last_ask // SCALE, int(opens), grown
    for other, one in held:
        if one.worst:
            value = one.worst * other.last_ask // SCALE
            positions += 1
            gross += value
            net += (one.long if signed > 0 else one.short) * other.last_ask // SCALE
            if caps.sector_of(other.symbol) == among:
                sector += value
    return Totals(gross, net, positions if opens else 0, sector)


def _owner(who: str, caps: Caps, equity: int, symbol: str, value: int, totals: Totals, found: list[str]) -> None:
    """One owner's limits. ``who`` is empty for the account."""
    where = who or f"symbol={symbol} "
    if value > caps.position:
        found.append(f"POSITION_EXCEEDED {where}worst={text(value)} limit={text(caps.position)}")
    if totals.gross > caps.gross:
        found.append(f"GROSS_EXCEEDED {who}worst={text(totals.gross)} limit={text(caps.gross)}")
    if totals.net > caps.net:
        found.append(f"NET_EXCEEDED {who}worst={text(totals.net)} limit={text(caps.net)}")
    if totals.positions > caps.open_positions:
        found.append(f"OPEN_POSITIONS_EXCEEDED {who}open={totals.positions} limit={caps.open_positions}")
    if caps.leverage != UNLIMITED and totals.gross * SCALE > caps.leverage * equity:
        limit = text(max(0, caps.leverage * equity // SCALE))
        found.append(f"LEVERAGE_EXCEEDED {who}worst={text(totals.gross)} limit={limit} equity={text(equity)}")
    if caps.concentration != UNLIMITED and value * _HUNDRED > caps.concentration * equity:
        limit = text(max(0, caps.concentration * equity // _HUNDRED))
        found.append(f"CONCENTRATION_EXCEEDED {where}worst={text(value)} limit={limit} equity={text(equity)}")
    if caps.sector != UNLIMITED and totals.sector * _HUNDRED > caps.sector * equity:
        limit = text(max(0, caps.sector * equity // _HUNDRED))
        told = f"sector={caps.sector_of(symbol)} worst={text(totals.sector)} limit={limit} equity={text(equity)}"
        found.append(f"SECTOR_EXCEEDED {who}{told}")


def fits(market: Market, track: Track, account: Track, markets: Iterable[Market], slot: Slot, signed: int) -> int:
    """The account's gross value after the order if it is obviously within every limit here; -1 = look closely.

    No value or net position is larger than the gross of all, so a gross below the tightest limit is below each.
    """
    long, short = (slot.long + signed, slot.short) if signed > 0 else (slot.long, slot.short - signed)
    grown = ((long if long > short else short) - slot.worst) * market.last_ask
    gross = grown
    for one in track.slots.values():
        gross += one.worst * one.market.last_ask
    if gross // SCALE > track.tightest() or len(track.slots) > track.caps.open_positions:
        return -1
    number = 0
    for other in markets:
        grown += other.worst * other.last_ask
        number += 1
    grown //= SCALE
    return grown if grown <= account.tightest() and number <= account.caps.open_positions else -1


def cash(
    markets: Iterable[Market], held: int | None, asset: str, spent: int, floor: int, fee_bps: int, found: list[str]
) -> None:
    """What is left of the asset if all buys execute at the ask, fees counted, must not lie below its floor.

    ``held``: free and locked, as the venue last said; None = it has not. ``spent``: value of the order.
    """
    if held is None:
        found.append(f"BALANCE_UNKNOWN asset={asset}")
        return
    for market in markets:
        if market.buys:
            spent += market.buys * market.last_ask // SCALE
    left = held - spent - spent * fee_bps // _BPS_SCALE
    if left < floor:
        found.append(f"BALANCE_BELOW_FLOOR asset={asset} worst={text(left)} floor={text(floor)}")

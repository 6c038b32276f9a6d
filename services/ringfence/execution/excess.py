"""Which working orders lie above limits that became tighter: those that the gate would refuse now. Pure.

Newest first, each order is held against the position limits as if it came now, after all others that stay. So as few
go as must, and whatever limit of positions the gate has holds here too. What is being cancelled already counts as
gone, else one order too many would cancel all; what only reduces, or takes up nothing more, stays.
"""

from collections.abc import Mapping
from contextlib import ExitStack, nullcontext

from ringfence.execution.accounting import Live
from ringfence.execution.exposure import exposure
from ringfence.execution.gate import Gate
from ringfence.execution.portfolio import UNKNOWN, portfolio
from ringfence.execution.state import FOREIGN, Track
from ringfence.model.money import notional
from ringfence.model.orders import Side


def excess(gate: Gate, lives: Mapping[str, Live]) -> tuple[list[Live], bool]:
    """The orders to cancel, newest first, and whether all could be judged. ``lives``: all that may still execute by
    client id, oldest first.

    After a start neither prices, nor equities, nor the past are known at once: a limit that nobody can compute cancels
    nothing, and keeps no other from cancelling.
    """
    found: list[Live] = []
    complete = True
    newest_first = list(lives.values())[::-1]
    with ExitStack() as gone:
        for live in newest_first:
            if live.cancel_wanted:
                gone.enter_context(live.aside())
        for live in newest_first:
            track = gate.tracks.get(live.order.track)
            if track is None or track.name == FOREIGN or live.cancel_wanted:
                continue
            if not live.slot.market.last_ask or not _measured(track) or not _measured(gate.account):
                complete = False
                continue
            rival = lives.get(live.rival)
            instead = nullcontext() if rival is None or rival.cancel_wanted else rival.aside()
            with ExitStack() as alone:
                alone.enter_context(live.aside())
                with instead:
                    reasons = _refused(gate, track, live)
                if reasons - UNKNOWN:
                    found.append(live)
                    gone.push(alone.pop_all())
                elif reasons:
                    complete = False
    return found, complete


def _measured(owner: Track) -> bool:
    """Is its equity known, if a limit is a part of it?"""
    return bool(owner.equity) or not owner.caps.of_equity


def _refused(gate: Gate, track: Track, live: Live) -> set[str]:
    """Why it would be, in codes, if it were not there yet."""
    order, slot, caps = live.order, live.slot, track.caps
    buying, leaves = order.side is Side.BUY, order.leaves
    taken, opposite = (slot.buys, -slot.position) if buying else (slot.sells, slot.position)
    if taken + leaves <= opposite:
        return set()
    if leaves > caps.quantity or notional(order.price or slot.market.last_ask, leaves) > caps.value:
        return {"ORDER_TOO_LARGE"}
    broken: list[str] = []
    signed = leaves if buying else -leaves
    markets = gate.markets.values()
    exposure(slot.market, track, gate.account, markets, slot, signed, broken)
    if caps.of_past:
        portfolio(slot.market, track, gate.account, markets, signed, broken)
    return {reason.partition(" ")[0] for reason in broken}

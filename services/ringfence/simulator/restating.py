"""Trades that a venue takes back (busts) or restates (corrections), after they were made: what changes for whom. Pure.

How it shows is chosen as venues of this kind have done it, whose protocol knows no message of it: the private stream
tells new balances, and nothing of the trade. The account's trade history no longer has a busted trade, and has a
corrected one under its old id and time with its new price, quantity and commission. The order has executed so much
less; one that was full then counts as canceled, and one that is open is canceled, since what an execution has taken
off the book does not come back to it. The public tape and the candles stay as they were told.
"""

from collections.abc import Iterable

import msgspec

from ringfence.model.money import bps_of, notional
from ringfence.model.orders import Side
from ringfence.simulator.accounts import FEES, MARKET
from ringfence.simulator.catalog import Listing
from ringfence.simulator.orders import Execution

Moves = dict[str, dict[str, int]]
"""What each account gains of each asset. Sums to nothing over all accounts."""


def restated(one: Execution, price: int, quantity: int, fee_bps: int) -> Execution:
    """The execution as if it had been so from the first."""
    amount = notional(price, quantity)
    fee = bps_of(quantity if one.side is Side.BUY else amount, fee_bps)
    return msgspec.structs.replace(one, price=price, quantity=quantity, amount=amount, commission=fee)


def moves(changes: Iterable[tuple[Execution, Execution]], listing: Listing) -> Moves:
    """What changes hands when executions are restated: each as it was, and as it is now."""
    rules = listing.instrument
    found: Moves = {MARKET: {}, FEES: {}}

    def move(account: str, asset: str, amount: int) -> None:
        for who, gains in ((account, amount), (MARKET, -amount)):
            held = found.setdefault(who, {})
            held[asset] = held.get(asset, 0) + gains

    for was, now in changes:
        move(was.account, rules.base, was.side.sign * (now.quantity - was.quantity))
        move(was.account, rules.quote, -was.side.sign * (now.amount - was.amount))
        fee = now.commission - was.commission
        move(was.account, was.commission_asset, -fee)
        move(FEES, was.commission_asset, fee)
    return found

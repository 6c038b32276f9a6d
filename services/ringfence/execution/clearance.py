"""Bounds within which an order passes every check, computed before it comes. Pure.

An order inside is cleared by a few comparisons (`Gate.check`); one outside is not refused but judged by each check.
So a bound may be stricter than the limits it stands for, never looser: whatever a bound cannot express well (orders
that take, a rule about sessions) is left out by making the bound empty.

It is computed from what changes seldom: the terms of the track and of the account (limits, grant, equity, losses), the
rules of the instrument, the reference of the static collar, the ceiling of the price, balances, when a quote was
crossed. Whoever writes one of them voids the bounds (`Track.changed`). What changes often is read by the check itself:
the quote, ages, counts, stops, unknown outcomes, the worst case of positions. An ask lies between the ceiling and the
next lower one (`Market.quote`), and a bid of a sound quote below it, so the check compares neither.
"""

from typing import Final

from ringfence.execution.state import CEILING_SHIFT, Market, Track
from ringfence.execution.tape import SECOND_NS
from ringfence.model.money import BPS, SCALE

_BPS_SCALE: Final = SCALE * BPS
PARTS: Final = 8
"""An order is small if it takes no more than this part of the room that limits leave an empty book."""
_SMALLEST: Final = 2
"""Of prices and quantities, in units of 1e-8. A truth value is smaller."""


class Clearance:
    """Of passive limit orders of one track in one instrument. Money is scaled by 1e-8."""

    __slots__ = (
        "account_room",
        "account_working",
        "buy_most",
        "ceiling",
        "instrument",
        "least",
        "lot",
        "most",
        "price_least",
        "price_most",
        "room",
        "sell_least",
        "settled_mono",
        "stale_ns",
        "tick",
        "volatility_bps",
        "working",
    )

    def __init__(
        self, market: Market, track: Track, account: Track, balances: dict[str, int], instruments: int
    ) -> None:
        """``market`` must have an instrument. ``instruments``: how many the gate knows."""
        caps, whole, rules = track.caps, account.caps, market.instrument
        assert rules is not None  # noqa: S101 - what the caller promises; assertions stay on
        self.instrument = rules
        reference = market.tape.reference
        self.ceiling = ceiling = market.ceiling

        self.tick, self.lot = rules.tick, rules.lot
        low = max(1, ceiling - (ceiling >> CEILING_SHIFT))
        """No ask below. Together with the ceiling it bounds everything that is measured from the quote."""
        static, far = caps.static_bps, caps.far_bps
        self.price_least = max(_SMALLEST, rules.price_min, low >> 1, ceiling - far * ceiling // _BPS_SCALE)
        """Of any order: the far side of a buy, at the highest bid."""
        self.price_most = min(rules.price_max, ceiling, low + far * low // _BPS_SCALE)
        """Of any order: the far side of a sell, at the lowest ask."""
        self.buy_most, self.sell_least = self.price_most, self.price_least
        """The static collar, beside the bounds of any order."""
        if reference > 0:
            self.buy_most = min(self.buy_most, reference + static * reference // _BPS_SCALE)
            self.sell_least = max(self.sell_least, reference - static * reference // _BPS_SCALE)

        self.least = max(_SMALLEST, rules.quantity_min, -(-rules.notional_min * SCALE // self.price_least))
        self.most = min(rules.quantity_max, caps.quantity)
        if ceiling > 0:
            self.most = min(self.most, min(rules.notional_max, caps.value) * SCALE // ceiling)
        self.room = track.tightest() * SCALE
        """What may be taken up before the order, at worst case and at ceilings, scaled twice: by all positions of the
        track, and (``account_room``) of everybody."""
        self.account_room = account.tightest() * SCALE
        floor = whole.balance_floor and caps.balance_floor
        if floor:  # no buys cost more than twice the gross, and fees
            self.account_room = min(self.account_room, (balances.get(rules.quote, 0) - floor) * SCALE // 4)
        if ceiling > 0:
            self.most = min(self.most, min(self.room, self.account_room) // (PARTS * ceiling))
        if caps.ruled or ceiling <= 0 or _closed(track) or _closed(account) or _crowded(track, account, instruments):
            self.most = 0
        self.room -= self.most * ceiling
        self.account_room -= self.most * ceiling

        self.working, self.account_working = caps.working, whole.working
        self.stale_ns = caps.quote_stale_ns
        self.volatility_bps = caps.volatility_bps
        self.settled_mono = market.tape.crossed_mono + caps.settle_ns
        """Until then a crossed quote was too recent."""


def _closed(owner: Track) -> bool:
    """Is it refused, or refused new exposure? And has it a rate at all?"""
    caps = owner.caps
    refused = owner.barred or owner.ungranted or owner.losses or owner.loss_latched or owner.loss >= caps.loss
    return bool(refused) or caps.message_ns > SECOND_NS


def _crowded(track: Track, account: Track, instruments: int) -> bool:
    """Might one more position be one too many? What is counted here may be more than what is open."""
    return len(track.slots) > track.caps.open_positions or instruments > account.caps.open_positions

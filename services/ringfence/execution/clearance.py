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

from ringfence.execution.caps import UNLIMITED
from ringfence.execution.conditions import participation
from ringfence.execution.state import CEILING_SHIFT, Market, Slot, Track
from ringfence.model.money import BPS, SCALE
from ringfence.model.orders import Side
from ringfence.wire.messages import Intent

_BPS_SCALE: Final = SCALE * BPS
_BUY = Side.BUY
PARTS: Final = 8
"""An order is small if it takes no more than this part of the room that limits leave an empty book. With that part
kept free, what is taken up is compared, and nothing has to be multiplied."""


class Clearance:
    """Of one track's plain orders in one instrument: limit, maker and market. Money is scaled by 1e-8."""

    __slots__ = (
        "account_easy",
        "account_room",
        "account_working",
        "buy_least",
        "buy_most",
        "caps",
        "cash",
        "ceiling",
        "easy",
        "instrument",
        "least",
        "lot",
        "most",
        "room",
        "sell_least",
        "sell_most",
        "settled_mono",
        "small",
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
        self.caps = caps
        reference = market.tape.reference
        self.ceiling = ceiling = max(1, market.ceiling)  # without a quote nothing is cleared anyway

        self.tick, self.lot = rules.tick, rules.lot
        low = ceiling - (ceiling >> CEILING_SHIFT)
        """No ask below. Together with the ceiling it bounds everything that is measured from the quote."""
        static, far = caps.static_bps, caps.far_bps
        least = max(1, rules.price_min, low >> 1)
        most = min(rules.price_max, ceiling)
        self.buy_least = max(least, ceiling - far * ceiling // _BPS_SCALE)
        self.buy_most = min(most, reference + static * reference // _BPS_SCALE)
        self.sell_least = max(least, reference - static * reference // _BPS_SCALE)
        self.sell_most = min(most, low + far * low // _BPS_SCALE)

        self.least = max(1, rules.quantity_min, -(-rules.notional_min * SCALE // least))
        self.room = track.tightest() * SCALE
        """What may be taken up, at worst case and at ceilings, scaled twice: by all positions of the track, and
        (``account_room``) of everybody."""
        self.account_room = account.tightest() * SCALE
        self.cash = UNLIMITED
        """What all buys may cost at ceilings, scaled twice. Fees never take more than the buys themselves."""
        if caps.balance_floor:
            self.cash = (balances.get(rules.quote, 0) - caps.balance_floor) * SCALE // 2
        value = min(rules.notional_max, caps.value) * SCALE
        self.most = min(rules.quantity_max, rules.market_quantity_max, caps.quantity, value // ceiling)
        if caps.ruled or _closed(track) or _closed(account) or _crowded(track, account, instruments):
            self.most = 0
        shared = min(self.account_room, self.cash // 2)  # no buys cost more than twice the gross
        self.small = min(self.room, shared) // (PARTS * ceiling)
        self.easy = self.room - self.small * ceiling
        """What may be taken up before a small order."""
        self.account_easy = shared - self.small * ceiling

        self.working, self.account_working = caps.working, whole.working
        self.stale_ns = caps.quote_stale_ns
        self.volatility_bps = caps.volatility_bps
        self.settled_mono = market.tape.crossed_mono + caps.settle_ns
        """Until then a crossed quote was too recent."""

    def has_room(self, quantity: int, track: Track, account: Track) -> bool:
        """Is there room for an order that is not small, or comes when little is left?"""
        value = quantity * self.ceiling
        return (
            track.valued + value <= self.room
            and account.valued + value <= self.account_room
            and account.buying + value <= self.cash
        )

    def takes_little(self, intent: Intent, price: int, slot: Slot, mono: int) -> bool:
        """Is an order that takes filled by the best level of a fresh book, inside the collar, for what it may cost, and
        small beside what is traded? ``price``: its own, or of a market order the level's."""
        market, caps = slot.market, self.caps
        bid, ask = market.bid, market.ask
        buying = intent.side is _BUY
        levels = market.asks if buying else market.bids
        if not levels or mono - market.book_mono > caps.book_stale_ns:
            return False
        level, visible = levels[0]
        middle = bid + ask  # twice the mid
        if buying:
            sane = ask <= level <= price <= ask + ask * caps.collar_bps // _BPS_SCALE
            lost = 2 * level - middle
        else:
            sane = bid - bid * caps.collar_bps // _BPS_SCALE <= price <= level <= bid
            lost = middle - 2 * level
        if not sane or intent.quantity > visible or lost * _BPS_SCALE > caps.slippage_bps * middle:
            return False
        refused: list[str] = []
        participation(intent, market, slot, caps, mono, refused)
        return not refused


def taking_price(market: Market, side: Side) -> int:
    """What an order for any price pays at the best level, and not less than the quote says; 0 = nobody offers."""
    if side is _BUY:
        return max(market.ask, market.asks[0][0]) if market.asks else 0
    return min(market.bid, market.bids[0][0]) if market.bids else 0


def _closed(owner: Track) -> bool:
    """Is it refused, or refused new exposure?"""
    return bool(owner.barred or owner.ungranted or owner.losses or owner.loss >= owner.caps.loss)


def _crowded(track: Track, account: Track, instruments: int) -> bool:
    """Might one more position be one too many? What is counted here may be more than what is open."""
    return len(track.slots) > track.caps.open_positions or instruments > account.caps.open_positions

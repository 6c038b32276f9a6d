"""The gate: the last check before the wire. Pure; the only module that constructs `Approved`.

Checks run from cheap to dear and all failed ones are returned, each as ``CATEGORY_CONDITION key=value``. The
worst case of a position counts every order that may still execute: working, in flight, being cancelled, unknown.

An order is *reducing* if it only takes from what its track holds, all other orders of that side counted: it can
never open a position. It passes ReduceOnly, a missing grant, a reached loss limit and an unknown outcome, is held to
the account's order limits instead of the track's share of them, and gets three times the collar. Any other is held to
every limit by the worst case after it, also where that is no larger than before: above a limit, which a price or a
tighter limit may lead to, only reducing orders pass.
"""

from collections.abc import Mapping
from typing import Final

from ringfence.execution import conditional
from ringfence.execution.caps import UNLIMITED, Caps
from ringfence.execution.clearance import Clearance, taking_price
from ringfence.execution.collars import collars, triggers
from ringfence.execution.conditions import allowed, calm, daily, fees, participation
from ringfence.execution.exposure import cash, exposure, fits
from ringfence.execution.portfolio import portfolio
from ringfence.execution.slippage import slippage, walk
from ringfence.execution.state import Market, Slot, Track
from ringfence.model.approved import Approved
from ringfence.model.money import BPS, SCALE, text
from ringfence.model.orders import UNPRICED, OrderType, Side, TimeInForce
from ringfence.runtime.guard import Guard
from ringfence.venues.api import VenueBalance
from ringfence.wire.messages import Intent, Level
from ringfence.wire.stops import Severity

SECOND_NS: Final = 1_000_000_000
FUTURE_NS: Final = SECOND_NS
"""An intent decided further in the future than this comes from a broken clock."""
REDUCING_COLLAR: Final = 3
_AHEAD_NS: Final = -FUTURE_NS
_BPS_SCALE: Final = SCALE * BPS
_NONE = Severity.NONE
_REDUCE_ONLY = Severity.REDUCE_ONLY
_FLATTEN = Severity.FLATTEN
_BUY = Side.BUY
_SELL = Side.SELL
_GTC = TimeInForce.GTC
_ZERO: Final = 0
"""Compared by identity: there is one small zero, and another kind of zero is no number."""
_LIMIT = OrderType.LIMIT
_MAKER = OrderType.LIMIT_MAKER
_MARKET = OrderType.MARKET


class Gate:
    """All that a check reads. ``account`` holds the limits over all tracks and foreign orders."""

    def __init__(self, guard: Guard, symbols: tuple[str, ...]) -> None:
        self.guard = guard
        self.tracks: dict[str, Track] = {}
        self.account = Track("account")
        self.markets = {symbol: Market(symbol, self.account) for symbol in symbols}
        self.account.permit("", "")
        self.balances: dict[str, int] = {}
        """Free and locked by asset, as the venue last said; what it has not told is not there."""
        self.fee_bps = 0
        """What a taking order costs at most, scaled."""
        self.loss_unknown = ""
        """Why today's loss cannot be computed; empty while it can."""

    def check(self, intent: Intent, wall: int, mono: int) -> list[str]:
        """All reasons to refuse; empty = it may become an order now.

        Most orders are plain and far inside all limits: one condition clears them. What it does not is judged.
        """
        try:
            track = self.tracks[intent.track]
            slot = track.slots[intent.symbol]
        except KeyError:
            return self.judge(intent, wall, mono)
        bounds, market, account = slot.clearance, slot.market, self.account
        if bounds is None or bounds.instrument is not market.instrument:
            bounds = self._clearance(slot)
            if bounds is None:
                return self.judge(intent, wall, mono)
        kind = intent.type
        quantity = intent.quantity
        price = intent.price
        if kind is _MARKET and price is _ZERO:
            kind, price = _LIMIT, taking_price(market, intent.side)
        if (
            # exact numbers and known words, and nothing that a plain order does not have
            type(quantity) is int
            and type(price) is int
            and type(intent.ts_decided) is int
            and (kind is _LIMIT or (kind is _MAKER and intent.time_in_force is _GTC))
            and type(intent.time_in_force) is TimeInForce
            and intent.stop_price is _ZERO
            and intent.trailing_bps is _ZERO
            and intent.display is _ZERO
            and not intent.reduce_only
            # stops, permission, losses, unknowns
            and self.guard.worst is _NONE
            and not market.unknown
            and not self.loss_unknown
            and intent.intent_id not in track.seen
            # counts and rates
            and track.working < bounds.working
            and account.working < bounds.account_working
            and track.ready_mono <= mono
            and account.ready_mono <= mono
            # the market
            and mono <= market.usable_until
            and mono - market.sound_mono <= bounds.stale_ns
            and _AHEAD_NS <= wall - intent.ts_decided <= bounds.stale_ns
            and market.tape.range_bps <= bounds.volatility_bps
            and bounds.settled_mono <= mono
            and bounds.least <= quantity <= bounds.most
            and not quantity % bounds.lot
            and not price % bounds.tick
            and (
                bounds.buy_least <= price <= bounds.buy_most
                and (price < market.ask or bounds.takes_little(intent, price, slot, mono))
                and not (slot.resting_sells and price >= min(slot.resting_sells.values()))
                if intent.side is _BUY
                else intent.side is _SELL
                and bounds.sell_least <= price <= bounds.sell_most
                and (price > market.bid or bounds.takes_little(intent, price, slot, mono))
                and not (slot.resting_buys and price <= max(slot.resting_buys.values()))
            )
            # positions at worst case, and the cash that is left
            and (
                (quantity <= bounds.small and track.valued <= bounds.easy and account.valued <= bounds.account_easy)
                or bounds.has_room(quantity, track, account)
            )
        ):
            return []
        return self.judge(intent, wall, mono)

    def judge(self, intent: Intent, wall: int, mono: int, *, closing: bool = False) -> list[str]:
        """Every check for itself. A track's limits are never looser than the account's (`grants.caps`), so most are
        read from the track alone.

        ``closing``: an intent of the platform's own, which closes a position under Flatten.
        """
        market = self.markets.get(intent.symbol)
        track = self.tracks.get(intent.track)
        if market is None or track is None or market.instrument is None or not _readable(intent):
            return self._strange(intent, market)
        slot = track.slots.get(intent.symbol)
        if slot is None:
            slot = track.slot(market)
        signed = intent.quantity if intent.side is _BUY else -intent.quantity
        reducing = slot.position + slot.buys + signed <= 0 if signed > 0 else slot.sells - signed <= slot.position
        found: list[str] = []
        self._form(intent, market, found)
        self._market(market, track, mono, found)
        if closing:
            self._closing(intent, track, reducing, found)
        elif self.guard.worst is not _NONE:
            self._stopped(intent, track, reducing, found)
        self._permission(intent, track, closing, wall, mono, found)
        taking = self._order(intent, market, track, reducing, mono, found)
        self._standing(intent, market, track, reducing, found)
        if not reducing:
            self._conditions(intent, market, track, slot, taking, wall, mono, found)
            # also where the other side's worst case is larger: net positions and cash are of this side alone
            self._exposure(intent, market, track, slot, signed, found)
            if track.caps.of_past:
                portfolio(market, track, self.account, self.markets.values(), signed, found)
        return found

    def approve(self, client_order_id: str, intent: Intent, mono: int) -> Approved:
        """Make what ``check`` has just passed sendable. Takes a message from the track's bucket."""
        track = self.tracks[intent.track]
        track.take_message(mono)
        self.account.take_message(mono)
        if track.caps.measured:
            market = self.markets[intent.symbol]
            if takes(intent, market.bid, market.ask):
                track.slots[intent.symbol].taken.add(mono, intent.quantity)
        return Approved(
            client_order_id=client_order_id,
            symbol=intent.symbol,
            side=intent.side,
            type=intent.type,
            time_in_force=intent.time_in_force,
            quantity=intent.quantity,
            price=intent.price,
            stop_price=intent.stop_price,
            trailing_bps=intent.trailing_bps,
            display=intent.display,
            reduce_only=intent.reduce_only,
            track=intent.track,
            epoch=self.guard.epoch,
            deadline_ns=mono + track.caps.lifetime_ns,
        )

    def market(self, symbol: str) -> Market:
        """The instrument's state; one that the configuration no longer names has no data and cannot be traded."""
        found = self.markets.get(symbol)
        if found is None:
            found = self.markets[symbol] = Market(symbol, self.account)
            self.account.changed()
        return found

    def hold(self, balances: Mapping[str, VenueBalance]) -> None:
        """All that the account holds, as the venue has just said; floors are kept by it."""
        self.balances = {asset: found.free + found.locked for asset, found in balances.items()}
        self.account.changed()

    def _clearance(self, slot: Slot) -> Clearance | None:
        """Compute its bounds; an instrument whose rules are not known has none."""
        market = slot.market
        if market.instrument is None:
            return None
        slot.clearance = Clearance(market, slot.track, self.account, self.balances, len(self.markets))
        return slot.clearance

    # --- the checks

    def _strange(self, intent: Intent, market: Market | None) -> list[str]:
        """An instrument, a track or a value that we do not know: nothing further can be checked."""
        found = []
        if market is None:
            found.append(f"INSTRUMENT_UNKNOWN symbol={intent.symbol[:40]}")
        elif market.instrument is None:
            found.append(f"INSTRUMENT_NO_RULES symbol={intent.symbol}")
        if intent.track not in self.tracks:
            found.append(f"TRACK_UNKNOWN track={intent.track[:40]}")
        found += _unreadable(intent)
        if self.guard.severity >= Severity.HALT:
            found.append(f"TRADING_HALTED state={self.guard.state}")
        return found

    def _form(self, intent: Intent, market: Market, found: list[str]) -> None:
        """Does it obey the venue's rules for the instrument?"""
        rules = market.instrument
        assert rules is not None  # noqa: S101 - checked by the caller; assertions stay on
        quantity, price = intent.quantity, intent.price
        if quantity <= 0 or quantity % rules.lot or not rules.quantity_min <= quantity <= rules.quantity_max:
            found.append(rules.quantity_error(quantity) or "QUANTITY_INVALID")
        kind = intent.type
        if kind is not _LIMIT or intent.display or intent.stop_price or intent.trailing_bps:
            conditional.form(intent, rules, found)
        if kind is not _LIMIT and kind in UNPRICED:  # the hash of an enum is a call of its own
            if price:
                found.append(f"PRICE_ON_MARKET_ORDER price={text(price)}")
            if quantity > rules.market_quantity_max:
                told = f"quantity={text(quantity)} maximum={text(rules.market_quantity_max)}"
                found.append(f"MARKET_QUANTITY_ABOVE_VENUE_MAXIMUM {told}")
            return
        if not rules.price_min <= price <= rules.price_max or price % rules.tick:
            found.append(rules.price_error(price) or "PRICE_INVALID")
        elif not rules.notional_min <= price * quantity // SCALE <= rules.notional_max:
            value = price * quantity // SCALE
            code, name, limit = (
                ("VALUE_BELOW_VENUE_MINIMUM", "minimum", rules.notional_min)
                if value < rules.notional_min
                else ("VALUE_ABOVE_VENUE_MAXIMUM", "maximum", rules.notional_max)
            )
            found.append(f"{code} value={text(value)} {name}={text(limit)}")

    def _market(self, market: Market, track: Track, mono: int, found: list[str]) -> None:
        """May its market be traded on?"""
        if mono > market.usable_until:
            reason = market.unusable or "status is stale"
            found.append(f"MARKET_UNUSABLE symbol={market.symbol} reason={reason}")
        stale = track.caps.quote_stale_ns
        if not market.quote_mono or mono - market.quote_mono > stale:
            age_ms = (mono - market.quote_mono) // 1_000_000 if market.quote_mono else "never"
            found.append(f"QUOTE_STALE symbol={market.symbol} age_ms={age_ms} limit_ms={stale // 1_000_000}")
        elif not 0 < market.bid < market.ask:
            found.append(f"QUOTE_CROSSED bid={text(market.bid)} ask={text(market.ask)}")

    def _stopped(self, intent: Intent, track: Track, reducing: bool, found: list[str]) -> None:
        """Does a stop hold for this track in this instrument?"""
        severity = self.guard.severity_of(track.name, intent.symbol)
        if severity is not _NONE and (severity is not _REDUCE_ONLY or not reducing):
            code = "TRADING_REDUCE_ONLY" if severity is _REDUCE_ONLY else "TRADING_HALTED"
            found.append(f"{code} state={self.guard.state} reason={self.guard.reason}")

    def _closing(self, intent: Intent, track: Track, reducing: bool, found: list[str]) -> None:
        """May the platform close this now? Only where Flatten holds, and only what can open nothing."""
        severity = self.guard.severity_of(track.name, intent.symbol)
        if severity is not _FLATTEN:
            found.append(f"FLATTEN_NOT_ASKED severity={severity.word}")
        if not reducing:
            position = track.slots[intent.symbol].position
            found.append(f"FLATTEN_WOULD_OPEN quantity={text(intent.quantity)} position={text(position)}")

    def _permission(self, intent: Intent, track: Track, closing: bool, wall: int, mono: int, found: list[str]) -> None:
        """May this track send this now? What it holds may be closed for it also when it may not trade."""
        if track.barred and not closing:
            found.append(track.barred)
        if intent.intent_id in track.seen:
            found.append(f"INTENT_DUPLICATE intent_id={intent.intent_id}")
        age = wall - intent.ts_decided
        if age > track.caps.quote_stale_ns:
            # a decision is as old as the data it was made on, so the same limit holds for both
            found.append(f"INTENT_STALE age_ms={age // 1_000_000} limit_ms={track.caps.quote_stale_ns // 1_000_000}")
        elif age < -FUTURE_NS:
            found.append(f"INTENT_FROM_THE_FUTURE ahead_ms={-age // 1_000_000}")
        if track.ready_mono > mono:
            found.append(f"RATE_TRACK_EXCEEDED track={track.name} limit_per_s={track.caps.rate}")
        if self.account.ready_mono > mono:
            found.append(f"RATE_ACCOUNT_EXCEEDED limit_per_s={self.account.caps.rate}")

    def _order(self, intent: Intent, market: Market, track: Track, reducing: bool, mono: int, found: list[str]) -> bool:
        """Is the order sane in itself: price, cost, quantity, value? Returns whether it would take from the book."""
        caps = self.account.caps if reducing else track.caps
        slack = REDUCING_COLLAR if reducing else 1
        buying = intent.side is _BUY
        best = market.ask if buying else market.bid
        price = intent.price
        taking = takes(intent, market.bid, market.ask)
        if taking and (intent.type is _MARKET or track.caps.slippage_bps != UNLIMITED):
            last = self._cost(intent, market, track.caps, slack, mono, found)
            if intent.type is _MARKET:
                price = last
        if intent.stop_price or intent.trailing_bps:
            trigger = conditional.trigger(intent, market, found)
            triggers(price, trigger, best, buying, track.caps, slack, found)
            best = trigger
            price = price or best
        elif price > 0:  # else there is none, and that is refused already
            collars(price, best, buying, market, track.caps, slack, found)
        if intent.quantity > caps.quantity:
            found.append(f"ORDER_QUANTITY_EXCEEDED quantity={text(intent.quantity)} limit={text(caps.quantity)}")
        value = intent.quantity * (price if buying or price > best else best) // SCALE
        if value > caps.value:
            found.append(f"ORDER_VALUE_EXCEEDED value={text(value)} limit={text(caps.value)}")
        slot = track.slots[market.symbol]
        resting = slot.resting_sells if buying else slot.resting_buys
        if resting and intent.type is not OrderType.LIMIT_MAKER and not (intent.stop_price or intent.trailing_bps):
            other = min(resting.values()) if buying else max(resting.values())
            if price >= other if buying else price <= other:
                found.append(f"SELF_MATCH price={text(price)} own_resting={text(other)}")
        return taking

    def _cost(self, intent: Intent, market: Market, caps: Caps, slack: int, mono: int, found: list[str]) -> int:
        """What taking would cost by our own book; returns the last price that it reaches."""
        if not market.book_mono or mono - market.book_mono > caps.book_stale_ns:
            age_ms = (mono - market.book_mono) // 1_000_000 if market.book_mono else "never"
            limit_ms = caps.book_stale_ns // 1_000_000
            found.append(f"BOOK_STALE symbol={market.symbol} age_ms={age_ms} limit_ms={limit_ms}")
        buying = intent.side is _BUY
        levels = market.asks if buying else market.bids
        walked = walk(levels, intent.quantity, buying=buying, limit=intent.price)
        if walked.unfilled and (not intent.price or _reaches_past(levels, intent.price, buying)):
            quantity, visible = text(intent.quantity), text(walked.filled)
            found.append(f"BOOK_DEPTH_INSUFFICIENT quantity={quantity} visible={visible}")
        elif walked.filled and 0 < market.bid < market.ask:
            cost = slippage(walked, market.bid, market.ask, buying=buying)
            if cost > caps.slippage_bps * slack:
                told = f"bps={text(cost)} limit={text(caps.slippage_bps * slack)} filled={text(walked.filled)}"
                found.append(f"SLIPPAGE_EXCEEDED {told}")
        return 0 if walked.unfilled else walked.last

    def _standing(self, intent: Intent, market: Market, track: Track, reducing: bool, found: list[str]) -> None:
        """Counts, losses and unknowns; all but the counts let reducing orders pass."""
        limit = track.caps.working
        if track.working >= limit:
            found.append(f"WORKING_ORDERS_EXCEEDED track={track.name} working={track.working} limit={limit}")
        if self.account.working >= self.account.caps.working:
            found.append(f"WORKING_ORDERS_EXCEEDED working={self.account.working} limit={self.account.caps.working}")
        if reducing:
            return
        if intent.reduce_only:
            position = track.slots[market.symbol].position
            found.append(f"REDUCE_ONLY_WOULD_OPEN quantity={text(intent.quantity)} position={text(position)}")
        if track.ungranted:
            found.append(track.ungranted)
        if market.unknown:
            found.append(f"OUTCOME_UNKNOWN symbol={market.symbol} client_order_id={min(market.unknown)}")
        if self.loss_unknown:
            found.append(f"LOSS_UNKNOWN reason={self.loss_unknown}")
        if track.loss >= track.caps.loss:
            found.append(f"LOSS_DAY_REACHED track={track.name} loss={text(track.loss)} limit={text(track.caps.loss)}")
        found += track.losses
        account = self.account
        found += account.losses
        if account.loss >= account.caps.loss:
            found.append(f"LOSS_DAY_REACHED loss={text(account.loss)} limit={text(account.caps.loss)}")

    def _conditions(
        self,
        intent: Intent,
        market: Market,
        track: Track,
        slot: Slot,
        taking: bool,
        wall: int,
        mono: int,
        found: list[str],
    ) -> None:
        """What must hold for a position to be opened, beside all amounts."""
        caps, tape = track.caps, market.tape
        if tape.range_bps > caps.volatility_bps or mono - tape.crossed_mono < caps.settle_ns:
            calm(market, caps, mono, found)
        if caps.ruled:
            allowed(intent, caps, wall, found)
            daily(intent, market, caps, mono, found)
            fees(caps, self.balances, found)
        if taking and caps.measured:
            participation(intent, market, slot, caps, mono, found)

    def _exposure(
        self, intent: Intent, market: Market, track: Track, slot: Slot, signed: int, found: list[str]
    ) -> None:
        """All positions at worst case, and the cash that is left."""
        markets = self.markets.values()
        floor = track.caps.balance_floor
        gross = fits(market, track, self.account, markets, slot, signed)
        if gross < 0:
            exposure(market, track, self.account, markets, slot, signed, found)
        if floor and signed > 0:
            assert market.instrument is not None  # noqa: S101 - checked by the caller
            asset = market.instrument.quote
            held = self.balances.get(asset)
            if (
                gross < 0 or held is None or held - floor < 4 * gross
            ):  # no buys cost more than twice the gross, and fees
                value = signed * max(intent.price, market.ask) // SCALE
                cash(markets, held, asset, value, floor, self.fee_bps, found)


def takes(intent: Intent, bid: int, ask: int) -> bool:
    """Would it execute against what rests in the book now? A maker order is refused by the venue instead."""
    if intent.type is _LIMIT:
        return intent.price >= ask if intent.side is _BUY else intent.price <= bid
    return intent.type is _MARKET


def _reaches_past(levels: tuple[Level, ...], price: int, buying: bool) -> bool:
    """Does the price allow more than the levels that we see? What lies there is unknown."""
    return not levels or (price > levels[-1][0] if buying else price < levels[-1][0])


def _readable(intent: Intent) -> bool:
    """Exact numbers and known words. A decoder lets nothing else in; a host that shares our process might."""
    return (
        type(intent.quantity) is int
        and type(intent.price) is int
        and type(intent.side) is Side
        and type(intent.type) is OrderType
        and type(intent.time_in_force) is TimeInForce
        and type(intent.ts_decided) is int
        and type(intent.stop_price) is int
        and type(intent.trailing_bps) is int
        and type(intent.display) is int
    )


def _unreadable(intent: Intent) -> list[str]:
    found = []
    for name, code, kind in (
        ("quantity", "QUANTITY_INVALID", int),
        ("price", "PRICE_INVALID", int),
        ("side", "SIDE_UNKNOWN", Side),
        ("type", "ORDER_TYPE_UNKNOWN", OrderType),
        ("time_in_force", "TIME_IN_FORCE_UNKNOWN", TimeInForce),
        ("ts_decided", "TIME_INVALID", int),
        ("stop_price", "TRIGGER_INVALID", int),
        ("trailing_bps", "TRAILING_INVALID", int),
        ("display", "ICEBERG_INVALID", int),
    ):
        value = getattr(intent, name)
        if type(value) is not kind:
            found.append(f"{code} {name}={str(value)[:40]}")
    return found

"""Matching of our own orders against a market that we only watch. Pure.

- Taking walks the displayed book; what we took stays taken until the market itself changes that level.
- Resting at a price waits behind all that was displayed there at arrival. Trades at the price consume the queue,
  and a queue is never longer than what is displayed. A trade beyond the price, or an opposite quote at it or
  beyond, fills the order whole.
- A conditional order waits off the book until its trigger is reached (`triggers`), and then takes or rests.
- An iceberg goes behind the queue with each part. Of a pair, the first that executes or triggers ends the other.
- The fee is taken from what is received, as on Binance without a fee token.
"""

from typing import Final

from ringfence.model.approved import Approved
from ringfence.model.instrument import Instrument
from ringfence.model.money import BPS, SCALE, notional
from ringfence.model.orders import (
    CONDITIONAL,
    UNPRICED,
    Accepted,
    Canceled,
    Expired,
    Filled,
    OrderEvent,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
    Triggered,
    Updated,
)
from ringfence.model.triggers import Trigger
from ringfence.venues import api
from ringfence.wire.messages import BookTop, Level, Quote, Trade

TRADES_KEPT: Final = 50_000
CLOSED_KEPT: Final = 20_000
INSUFFICIENT: Final = api.Refused(-2010, "Account has insufficient balance for requested action.")
WOULD_TAKE: Final = api.Refused(-2010, "Order would immediately match and take.")
UNKNOWN_ORDER: Final = api.Refused(-2011, "Unknown order sent.")
NO_MARKET: Final = api.Refused(-2010, "Market is closed.")
TRIGGERED_ALREADY: Final = api.Refused(-2010, "Stop price would trigger immediately.")
NOT_NEW: Final = api.Refused(-2011, "Order was not canceled due to cancel restrictions.")
NOT_SMALLER: Final = api.Refused(-2038, "The requested quantity is not smaller than the order's.")
DUPLICATE: Final = api.Refused(-2010, "Duplicate order sent.")


class Resting:
    """One of our orders and its place in the queue."""

    __slots__ = (
        "ahead",
        "filled",
        "locked",
        "order",
        "partner",
        "quantity",
        "shown",
        "state",
        "trigger",
        "ts",
        "venue_order_id",
    )

    def __init__(self, order: Approved, venue_order_id: str, ts: int) -> None:
        self.order = order
        self.venue_order_id = venue_order_id
        self.ts = ts
        self.filled = 0
        self.quantity = order.quantity
        self.shown = order.display or order.quantity
        """What of it the market sees."""
        self.trigger = _trigger(order) if order.type in CONDITIONAL else None
        """None once it is on the book, or from the start."""
        self.partner = ""
        """Client id of the other order of its pair."""
        self.locked = True
        """False for the second of a pair: what the first has locked is enough for both."""
        self.ahead: int | None = None
        """Displayed quantity before us; None while its level is deeper than what we are shown."""
        self.state = OrderState.ACCEPTED

    @property
    def leaves(self) -> int:
        return self.quantity - self.filled


class Book:
    """The market of one instrument as last shown, less what we took."""

    def __init__(self) -> None:
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.taken: dict[tuple[Side, int], tuple[int, int]] = {}
        """By side of the book and price: what was displayed when we took, and how much we have taken."""

    def levels(self, side: Side) -> tuple[Level, ...]:
        return self.bids if side is Side.BUY else self.asks

    def show(self, bids: tuple[Level, ...], asks: tuple[Level, ...]) -> None:
        self.bids, self.asks = bids, asks
        for key, (displayed, _) in list(self.taken.items()):
            if dict(self.levels(key[0])).get(key[1]) != displayed:
                del self.taken[key]

    def available(self, side: Side, price: int, displayed: int) -> int:
        return displayed - self.taken.get((side, price), (0, 0))[1]

    def take(self, side: Side, price: int, displayed: int, quantity: int) -> None:
        self.taken[side, price] = (displayed, self.taken.get((side, price), (0, 0))[1] + quantity)


class PaperEngine:
    """One account. Events are returned with their symbol, in order."""

    def __init__(
        self, instruments: dict[str, Instrument], balances: dict[str, int], maker_bps: int, taker_bps: int, session: str
    ) -> None:
        self.instruments = instruments
        self.free = dict(balances)
        self.locked: dict[str, int] = {}
        self.open: dict[str, Resting] = {}
        self.closed: dict[str, Resting] = {}
        self.trades: dict[str, list[api.TradeReport]] = {}
        self._books: dict[str, Book] = {}
        self._maker_bps = maker_bps
        self._taker_bps = taker_bps
        self._session = session
        self._number = 0

    # --- market

    def book(self, book: BookTop, now: int) -> list[tuple[str, OrderEvent]]:
        self._books.setdefault(book.symbol, Book()).show(book.bids, book.asks)
        for resting in self._of(book.symbol):
            self._place(resting, dict(book.bids if resting.order.side is Side.BUY else book.asks))
        bid, ask = book.bids[0][0] if book.bids else 0, book.asks[0][0] if book.asks else 0
        return self._crossed(book.symbol, bid, ask, now) + self._set_off(book.symbol, bid, ask, now)

    def quote(self, quote: Quote, now: int) -> list[tuple[str, OrderEvent]]:
        events = self._crossed(quote.symbol, quote.bid, quote.ask, now)
        return events + self._set_off(quote.symbol, quote.bid, quote.ask, now)

    def trade(self, trade: Trade, now: int) -> list[tuple[str, OrderEvent]]:
        """A public trade consumes the queue at its price, and fills what rests beyond it."""
        events: list[tuple[str, OrderEvent]] = []
        quantity = trade.quantity
        for resting in self._of(trade.symbol):
            order = resting.order
            if order.side is trade.aggressor:
                continue
            if trade.price < order.price if order.side is Side.BUY else trade.price > order.price:
                events += self._fill(resting, order.price, resting.leaves, now, maker=True)
            elif trade.price == order.price and quantity > 0:
                if resting.ahead is None:
                    resting.ahead = (
                        0  # a trade at the price: whatever was before us and unseen is not known to be there
                    )
                through = max(0, quantity - resting.ahead)
                resting.ahead = max(0, resting.ahead - quantity)
                filled = min(through, resting.leaves, resting.shown)
                quantity -= filled
                if filled:
                    events += self._fill(resting, order.price, filled, now, maker=True)
                    self._show_more(resting, filled)
        return events + self._set_off(trade.symbol, trade.price, trade.price, now)

    def _show_more(self, resting: Resting, filled: int) -> None:
        """The next part of an iceberg, behind all that is displayed."""
        resting.shown -= filled
        if not resting.shown and resting.leaves:
            resting.shown = min(resting.order.display, resting.leaves)
            book = self._books[resting.order.symbol]
            resting.ahead = dict(book.levels(resting.order.side)).get(resting.order.price)

    def _set_off(self, symbol: str, bid: int, ask: int, now: int) -> list[tuple[str, OrderEvent]]:
        """Waiting orders whose trigger the market has reached."""
        events: list[tuple[str, OrderEvent]] = []
        for resting in [r for r in self.open.values() if r.order.symbol == symbol and r.trigger is not None]:
            selling, trigger = resting.order.side is Side.SELL, resting.trigger
            if resting.order.client_order_id not in self.open:
                continue  # its pair's other leg was set off just before
            if trigger is None or not trigger.reached(bid if selling else ask):
                continue
            resting.trigger = None
            resting.state = OrderState.TRIGGERED
            events.append((symbol, Triggered(client_order_id=resting.order.client_order_id, ts=now, ts_venue=now)))
            events += self._end_partner(resting, now)
            events += self._execute(resting, now)
        return events

    def _end_partner(self, resting: Resting, now: int) -> list[tuple[str, OrderEvent]]:
        """One of a pair executes: the other ends, and hands over what it had locked."""
        other = self.open.get(resting.partner)
        resting.partner = ""
        if other is None:
            return []
        other.partner = ""
        self._close(other, OrderState.EXPIRED)
        if not resting.locked:
            resting.locked = True
            self._lock(resting, self.instruments[resting.order.symbol], resting.leaves)
        name = other.order.client_order_id
        return [(other.order.symbol, Expired(client_order_id=name, ts=now, reason="OCO", ts_venue=now))]

    def _crossed(self, symbol: str, bid: int, ask: int, now: int) -> list[tuple[str, OrderEvent]]:
        events: list[tuple[str, OrderEvent]] = []
        for resting in self._of(symbol):
            order = resting.order
            if (0 < ask <= order.price) if order.side is Side.BUY else (bid >= order.price and bid > 0):
                events += self._fill(resting, order.price, resting.leaves, now, maker=True)
        return events

    def _place(self, resting: Resting, shown: dict[int, int]) -> None:
        displayed = shown.get(resting.order.price)
        if displayed is not None:
            resting.ahead = displayed if resting.ahead is None else min(resting.ahead, displayed)

    def _of(self, symbol: str) -> list[Resting]:
        return [r for r in self.open.values() if r.order.symbol == symbol and r.trigger is None]

    # --- orders

    def submit(
        self, order: Approved, now: int, *, lock: bool = True
    ) -> tuple[api.Accepted | api.Refused, list[tuple[str, OrderEvent]]]:
        """``lock``: False for the second of a pair, which needs no funds of its own."""
        refused = self._refused(order, lock=lock)
        if refused is not None:
            return refused, []
        self._number += 1
        resting = Resting(order, f"p{self._session}-{self._number}", now)
        resting.locked = lock
        self.open[order.client_order_id] = resting
        if lock:
            self._lock(resting, self.instruments[order.symbol], order.quantity)
        accepted = Accepted(client_order_id=order.client_order_id, ts=now, venue_order_id=resting.venue_order_id)
        events: list[tuple[str, OrderEvent]] = [(order.symbol, accepted)]
        if resting.trigger is None:
            events += self._execute(resting, now)
        return api.Accepted(resting.venue_order_id), events

    def _refused(self, order: Approved, *, lock: bool) -> api.Refused | None:
        rules, book = self.instruments.get(order.symbol), self._books.get(order.symbol)
        if rules is None or book is None:
            return NO_MARKET
        if order.client_order_id in self.open or order.client_order_id in self.closed:
            return DUPLICATE
        error = rules.quantity_error(order.quantity) or (rules.price_error(order.price) if order.price else None)
        if error:
            return api.Refused(-1013, error)
        fills: list[tuple[int, int, int]] = []
        if order.type in CONDITIONAL:
            touch = next(iter(book.levels(order.side.opposite)), (0, 0))[0]
            if order.stop_price and not order.trailing_bps and _trigger(order).reached(touch):
                return TRIGGERED_ALREADY
        else:
            fills = self._walk(order, book, order.side.opposite, order.quantity)
        if order.type is OrderType.LIMIT_MAKER and fills:
            return WOULD_TAKE
        return None if not lock or self._affordable(order, rules, fills) else INSUFFICIENT

    def _execute(self, resting: Resting, now: int) -> list[tuple[str, OrderEvent]]:
        """Take what may be taken, and rest or expire with what is left."""
        order, book = resting.order, self._books[resting.order.symbol]
        other = order.side.opposite
        fills = self._walk(order, book, other, resting.leaves)
        if order.time_in_force is TimeInForce.FOK and sum(quantity for _, quantity, _ in fills) < resting.leaves:
            fills = []
        events: list[tuple[str, OrderEvent]] = []
        for price, quantity, displayed in fills:
            book.take(other, price, displayed, quantity)
            events += self._fill(resting, price, quantity, now, maker=False)
        if not resting.leaves:
            return events
        if order.type in UNPRICED or order.time_in_force is not TimeInForce.GTC:
            self._close(resting, OrderState.EXPIRED)
            expired = Expired(client_order_id=order.client_order_id, ts=now, ts_venue=now)
            return [*events, (order.symbol, expired)]
        resting.shown = min(order.display or resting.leaves, resting.leaves)
        shown = dict(book.levels(order.side))
        best = next(iter(shown), 0)
        inside = not best or (order.price > best if order.side is Side.BUY else order.price < best)
        resting.ahead = 0 if inside else shown.get(order.price)
        return events

    def submit_pair(
        self, first: Approved, second: Approved, now: int
    ) -> tuple[api.Accepted | api.Refused, api.Accepted | api.Refused, list[tuple[str, OrderEvent]]]:
        """Both or none."""
        refused = self._refused(first, lock=True) or self._refused(second, lock=False)
        if refused is not None:
            return refused, refused, []
        one, events = self.submit(first, now)
        two, more = self.submit(second, now, lock=False)
        for order, other in ((first, second), (second, first)):
            if (resting := self.open.get(order.client_order_id)) is not None:
                resting.partner = other.client_order_id
        return one, two, events + more

    def replace(
        self, replaced: str, order: Approved, now: int, *, untouched: bool
    ) -> tuple[api.Accepted | api.Refused, api.SubmitOutcome, list[tuple[str, OrderEvent]]]:
        """Cancel, and place only if that succeeded."""
        old = self.open.get(replaced)
        if old is None or (untouched and old.filled):
            refused = UNKNOWN_ORDER if old is None else NOT_NEW
            return refused, api.NotSent("not attempted: the cancel had failed"), []
        canceled, events = self.cancel(replaced, now)
        placed, more = self.submit(order, now)
        return canceled, placed, events + more

    def amend(
        self, client_order_id: str, quantity: int, now: int
    ) -> tuple[api.Accepted | api.Refused, list[tuple[str, OrderEvent]]]:
        """Lower the quantity; the place in the queue stays."""
        resting = self.open.get(client_order_id)
        if resting is None:
            return UNKNOWN_ORDER, []
        if not resting.filled < quantity < resting.quantity:
            return NOT_SMALLER, []
        order = resting.order
        if resting.locked:
            self._lock(resting, self.instruments[order.symbol], quantity - resting.quantity)
        resting.quantity = quantity
        resting.shown = min(resting.shown, resting.leaves)
        event = Updated(client_order_id=client_order_id, ts=now, quantity=quantity, price=order.price, ts_venue=now)
        return api.Accepted(resting.venue_order_id), [(order.symbol, event)]

    def cancel(self, client_order_id: str, now: int) -> tuple[api.Accepted | api.Refused, list[tuple[str, OrderEvent]]]:
        resting = self.open.get(client_order_id)
        if resting is None:
            return UNKNOWN_ORDER, []
        events: list[tuple[str, OrderEvent]] = []
        for name in (client_order_id, resting.partner):  # of a pair, both go
            one = self.open.get(name)
            if one is not None:
                self._close(one, OrderState.CANCELED)
                events.append((one.order.symbol, Canceled(client_order_id=name, ts=now, ts_venue=now)))
        return api.Accepted(resting.venue_order_id), events

    def report(self, resting: Resting) -> api.OrderReport:
        order = resting.order
        return api.OrderReport(
            client_order_id=order.client_order_id,
            venue_order_id=resting.venue_order_id,
            symbol=order.symbol,
            side=order.side,
            type=order.type,
            time_in_force=order.time_in_force,
            price=order.price,
            quantity=resting.quantity,
            filled=resting.filled,
            state=resting.state,
            ts_venue=resting.ts,
            stop_price=order.stop_price,
            trailing_bps=order.trailing_bps,
            display=order.display,
        )

    def balances(self) -> dict[str, api.VenueBalance]:
        assets = sorted(self.free.keys() | self.locked.keys())
        return {a: api.VenueBalance(self.free.get(a, 0), self.locked.get(a, 0)) for a in assets}

    def _walk(self, order: Approved, book: Book, other: Side, rest: int) -> list[tuple[int, int, int]]:
        """Price, quantity and displayed quantity of each level that the order takes from, ``rest`` in all."""
        found = []
        for price, displayed in book.levels(other):
            if order.price and (price > order.price if order.side is Side.BUY else price < order.price):
                break
            quantity = min(rest, book.available(other, price, displayed))
            if quantity > 0:
                found.append((price, quantity, displayed))
                rest -= quantity
            if not rest:
                break
        return found

    def _affordable(self, order: Approved, rules: Instrument, fills: list[tuple[int, int, int]]) -> bool:
        if order.side is Side.SELL:
            return self.free.get(rules.base, 0) >= order.quantity
        if order.price:
            return self.free.get(rules.quote, 0) >= notional(order.price, order.quantity)
        return self.free.get(rules.quote, 0) >= sum(notional(price, quantity) for price, quantity, _ in fills)

    def _lock(self, resting: Resting, rules: Instrument, quantity: int) -> None:
        """Move from free to locked what ``quantity`` more of the order may need; negative gives it back."""
        order = resting.order
        buying = order.side is Side.BUY
        asset = rules.quote if buying else rules.base
        amount = notional(order.price, abs(quantity)) if buying else abs(quantity)
        amount = amount if quantity >= 0 else -amount
        self.free[asset] = self.free.get(asset, 0) - amount
        self.locked[asset] = self.locked.get(asset, 0) + amount

    def _fill(
        self, resting: Resting, price: int, quantity: int, now: int, *, maker: bool
    ) -> list[tuple[str, OrderEvent]]:
        order, rules = resting.order, self.instruments[resting.order.symbol]
        ended = self._end_partner(resting, now)
        self._lock(resting, rules, -quantity)
        resting.filled += quantity
        amount = notional(price, quantity)
        buying = order.side is Side.BUY
        received, asset = (quantity, rules.base) if buying else (amount, rules.quote)
        commission = received * (self._maker_bps if maker else self._taker_bps) // (SCALE * BPS)
        self.free[rules.base] = self.free.get(rules.base, 0) + (quantity if buying else -quantity)
        self.free[rules.quote] = self.free.get(rules.quote, 0) + (-amount if buying else amount)
        self.free[asset] -= commission
        if not resting.leaves:
            self._close(resting, OrderState.FILLED)
        else:
            resting.state = OrderState.PARTIALLY_FILLED
        self._number += 1
        trade_id = f"p{self._session}-{self._number}"
        self._told(
            api.TradeReport(
                trade_id=trade_id,
                venue_order_id=resting.venue_order_id,
                symbol=order.symbol,
                side=order.side,
                price=price,
                quantity=quantity,
                commission=commission,
                commission_asset=asset,
                maker=maker,
                ts_venue=now,
            )
        )
        filled = Filled(
            client_order_id=order.client_order_id,
            ts=now,
            trade_id=trade_id,
            price=price,
            quantity=quantity,
            commission=commission,
            commission_asset=asset,
            maker=maker,
            ts_venue=now,
        )
        return [(order.symbol, filled), *ended]

    def _told(self, report: api.TradeReport) -> None:
        kept = self.trades.setdefault(report.symbol, [])
        kept.append(report)
        if len(kept) > 2 * TRADES_KEPT:
            del kept[:TRADES_KEPT]

    def _close(self, resting: Resting, state: OrderState) -> None:
        rules = self.instruments[resting.order.symbol]
        if resting.leaves and resting.locked:
            self._lock(resting, rules, -resting.leaves)
        resting.state = state
        self.open.pop(resting.order.client_order_id, None)
        self.closed[resting.order.client_order_id] = resting
        if len(self.closed) > CLOSED_KEPT:
            del self.closed[next(iter(self.closed))]


def _trigger(order: Approved) -> Trigger:
    return Trigger(order.side, order.type, order.stop_price, order.trailing_bps)

"""The venue: joins market, matching and accounts. Time is an argument. Pure.

A request is answered with a value, what happens to others comes out as events (`take_events`). Everything is
numbered here: orders, trades and updates of the published book, from a base that grows with the start time, so
that the ids of a restarted venue are new ones.
"""

import copy

import msgspec

from ringfence.model.money import bps_of, notional
from ringfence.model.orders import CONDITIONAL, UNPRICED, Side
from ringfence.model.triggers import Trigger
from ringfence.simulator.accounts import MARKET, Ledger, Leg
from ringfence.simulator.admission import locked, ordered, refusal
from ringfence.simulator.catalog import Listing
from ringfence.simulator.market import Market
from ringfence.simulator.matching import (
    MARKET_ID,
    Cancel,
    Canceled,
    Event,
    Expired,
    Matched,
    Prevented,
    Reduce,
    Rested,
    WouldTake,
    placing,
)
from ringfence.simulator.orders import (
    AccountChange,
    Execution,
    PreventedMatch,
    PublicTrade,
    Reason,
    Refusal,
    Report,
    Request,
    Status,
    VenueEvent,
    VenueOrder,
)
from ringfence.simulator.register import Register
from ringfence.simulator.restating import moves, restated
from ringfence.simulator.traded import Instrument


class Fees(msgspec.Struct, frozen=True):
    """In basis points scaled by 1e-8, charged in the asset that is received."""

    maker_bps: int
    taker_bps: int


class Counts(msgspec.Struct):
    """Plain integers for metrics and for the state document."""

    accepted: int = 0
    refused: int = 0
    canceled: int = 0
    fills: int = 0
    market_events: int = 0


class Venue(Register):
    def __init__(self, listings: dict[str, Listing], markets: dict[str, Market], fees: Fees, start_ns: int) -> None:
        base = start_ns // 1_000_000 * 1_000
        super().__init__(base)
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.fees = fees
        self.ledger = Ledger()
        self.counts = Counts()
        self.instruments = {s: Instrument(listing, markets[s], base, start_ns) for s, listing in listings.items()}
        self.updated: dict[str, int] = {}
        """When each account's balances last changed."""
        self._execution_id = base
        self._events: list[VenueEvent] = []

    def open_account(self, account: str, balances: dict[str, int]) -> None:
        self.ledger.open(account, balances)
        self._enroll(account)
        self.updated[account] = self.now_ns

    def take_events(self) -> list[VenueEvent]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def advance(self, now_ns: int) -> None:
        """Run the market up to a moment. Time never goes back."""
        self.now_ns = max(self.now_ns, now_ns)
        for instrument in self.instruments.values():
            feed = instrument.feed
            while (next_ns := feed.next_ns) is not None and next_ns <= self.now_ns:
                instrument.publisher.flush(next_ns, self._events)
                event = feed.pop()
                self.counts.market_events += 1
                self._run(instrument, instrument.engine.handle(event, next_ns), next_ns)
                self._set_off(instrument, next_ns)
            instrument.publisher.flush(self.now_ns, self._events)

    def place(self, account: str, request: Request, now_ns: int) -> VenueOrder | Refusal:
        """Enter an order; its executions so far are `executions_of`."""
        self.advance(now_ns)
        instrument = self.instruments.get(request.symbol)
        if instrument is None:
            return self._refused(Refusal(Reason.UNKNOWN_SYMBOL, request.symbol))
        quantity = ordered(instrument, account, request)
        refused = self._check(instrument, account, request, quantity)
        if refused is not None:
            return self._refused(refused)
        asset, amount = locked(instrument, account, request, quantity)
        if not self.ledger.reserve(account, asset, amount):
            return self._refused(Refusal(Reason.INSUFFICIENT_BALANCE, asset))
        order = self._record(account, request, quantity, amount, self.now_ns)
        self._enter(instrument, order, {account: {asset}})
        self._set_off(instrument, self.now_ns)
        return order

    def place_pair(
        self, account: str, first: Request, second: Request, now_ns: int
    ) -> tuple[VenueOrder, VenueOrder] | Refusal:
        """Two orders of which one at most executes; what the first has locked is enough for both."""
        self.advance(now_ns)
        instrument = self.instruments.get(first.symbol)
        if instrument is None:
            return self._refused(Refusal(Reason.UNKNOWN_SYMBOL, first.symbol))
        for request in (first, second):
            refused = self._check(instrument, account, request, request.quantity)
            if refused is not None:
                return self._refused(refused)
        asset, amount = locked(instrument, account, first, first.quantity)
        if not self.ledger.reserve(account, asset, amount):
            return self._refused(Refusal(Reason.INSUFFICIENT_BALANCE, asset))
        one, two = (
            self._record(account, first, first.quantity, amount, self.now_ns),
            self._record(account, second, second.quantity, 0, self.now_ns),
        )
        for order, other in ((one, two), (two, one)):
            order.list_id, order.partner = one.order_id, other.order_id
        for order in (one, two):
            self._enter(instrument, order, {account: {asset}})
        return one, two

    def amend(self, order: VenueOrder, quantity: int, now_ns: int) -> VenueOrder | Refusal:
        """Lower an order's quantity; its place in the queue stays."""
        self.advance(now_ns)
        if not order.open:
            return self._refused(Refusal(Reason.UNKNOWN_ORDER))
        instrument = self.instruments[order.symbol]
        broken = instrument.listing.quantity_filter(quantity)
        if broken is not None:
            return self._refused(Refusal(Reason.FILTER, broken))
        if not order.quantity - order.left < quantity < order.quantity:
            return self._refused(Refusal(Reason.NOT_SMALLER))
        events = instrument.engine.handle(Reduce(order.order_id, order.quantity - quantity), self.now_ns)
        order.quantity, order.updated = quantity, self.now_ns
        asset = instrument.given(order.side)
        if order.reserved:
            self._release(order, asset, self._still_needs(order))
        self._report("REPLACED", order)
        self._run(instrument, events, self.now_ns, {order.account: {asset}})
        return order

    def _enter(self, instrument: Instrument, order: VenueOrder, touched: dict[str, set[str]]) -> None:
        """On the book, or to where it waits for its trigger."""
        self.counts.accepted += 1
        events: list[Event] = []
        if order.type in CONDITIONAL:
            order.working = False
            trigger = Trigger(order.side, order.type, order.stop_price, order.trailing_bps)
            instrument.waiting[order.order_id] = (order, trigger)
        else:
            events = instrument.engine.handle(placing(order), self.now_ns)
        self._report("NEW", order)
        self._run(instrument, events, self.now_ns, touched)

    def _set_off(self, instrument: Instrument, ts: int) -> None:
        """Orders whose trigger the last price has reached, and those that their own trades set off."""
        if not instrument.waiting:
            return
        reached = [order for order, trigger in instrument.waiting.values() if trigger.reached(instrument.last_price)]
        for order in reached:
            if instrument.waiting.pop(order.order_id, None) is None:
                continue  # its pair's other leg was set off just before
            order.working, order.updated = True, ts
            touched: dict[str, set[str]] = {}
            self._end_partner(instrument, order, touched)
            asset, needed = locked(instrument, order.account, order.released(), order.quantity)
            missing = needed - order.reserved
            if missing > 0 and not self.ledger.reserve(order.account, asset, missing):
                self._close(instrument, order.order_id, Status.EXPIRED, "EXPIRED", touched)
                self._run(instrument, [], ts, touched)
                continue
            order.reserved += max(0, missing)
            touched.setdefault(order.account, set()).add(asset)
            events = instrument.engine.handle(placing(order), ts)
            self._report("NEW", order)
            self._run(instrument, events, ts, touched)
        if reached:
            self._set_off(instrument, ts)

    def _end_partner(self, instrument: Instrument, order: VenueOrder, touched: dict[str, set[str]]) -> None:
        """One of a pair executes: the other ends."""
        other = self._orders.get(order.partner)
        order.partner = 0
        if other is not None and other.open:
            other.partner = 0
            instrument.waiting.pop(other.order_id, None)
            instrument.engine.handle(Cancel(other.order_id), self.now_ns)
            self._close(instrument, other.order_id, Status.EXPIRED, "EXPIRED", touched)

    def check(self, account: str, request: Request, now_ns: int) -> Refusal | None:
        """Whether an order would be taken, without entering it."""
        self.advance(now_ns)
        instrument = self.instruments.get(request.symbol)
        if instrument is None:
            return Refusal(Reason.UNKNOWN_SYMBOL, request.symbol)
        return self._check(instrument, account, request, ordered(instrument, account, request))

    def cancel(self, order: VenueOrder, now_ns: int, cancel_id: str) -> VenueOrder | Refusal:
        self.advance(now_ns)
        if not order.open:
            return Refusal(Reason.UNKNOWN_ORDER)
        instrument = self.instruments[order.symbol]
        touched: dict[str, set[str]] = {}
        for one in (order, self._orders.get(order.partner)):  # of a pair, both go
            if one is not None and one.open:
                waiting = instrument.waiting.pop(one.order_id, None) is not None
                events: list[Event] = [Canceled(one.order_id)]
                if not waiting:
                    events = instrument.engine.handle(Cancel(one.order_id), self.now_ns)
                self._run(instrument, events, self.now_ns, touched, cancel_id)
        return order

    def restate(self, symbol: str, trade_id: int, price: int | None, quantity: int | None) -> str | None:
        """Bust a past trade (quantity 0), or correct it; returns why that cannot be. 0 is the latest trade.

        None leaves price or quantity as it is; more than was traded is never made of it.
        """
        found = [e for held in self._executions.values() for e in held if e.symbol == symbol]
        trade_id = trade_id or max((e.trade_id for e in found), default=0)
        old = [e for e in found if e.trade_id == trade_id]
        if not old:
            return f"no account has a trade {trade_id} of {symbol}"
        price = old[0].price if price is None else price
        quantity = old[0].quantity if quantity is None else quantity
        if price <= 0 or not 0 <= quantity <= old[0].quantity:
            return "a trade is restated to a price, and to no more than its quantity"
        bps = {True: self.fees.maker_bps, False: self.fees.taker_bps}
        changes = [(was, restated(was, price, quantity, bps[was.maker])) for was in old]
        if not self.ledger.restate(moves(changes, self.instruments[symbol].listing)):
            return f"what trade {trade_id} has brought is spent or locked"
        for was, now in changes:
            self._rewrite(was, now)
        return None

    def _rewrite(self, was: Execution, now: Execution) -> None:
        """One end of a restated trade, in its account's history and its order."""
        kept = self._executions[was.account]
        place = kept.index(was)
        if now.quantity:
            kept[place] = now
        else:
            del kept[place]
        order = self._orders.get(was.order_id)
        if order is not None:
            if order.open and now.quantity < was.quantity:
                self.cancel(order, self.now_ns, "")
            order.filled += now.quantity - was.quantity
            order.amount += now.amount - was.amount
            if order.status is Status.FILLED and order.left:
                order.status = Status.CANCELED
        rules = self.instruments[was.symbol].listing.instrument
        self.updated[was.account] = self.now_ns
        balances = {asset: copy.copy(self.ledger.balance(was.account, asset)) for asset in (rules.base, rules.quote)}
        self._events.append(AccountChange(account=was.account, balances=balances, ts=self.now_ns))

    def _check(self, instrument: Instrument, account: str, request: Request, quantity: int) -> Refusal | None:
        holds = self.ledger.balance(account, instrument.listing.instrument.base).total
        return refusal(instrument, request, quantity, self.open_orders(account, request.symbol), holds)

    def _refused(self, told: Refusal) -> Refusal:
        self.counts.refused += 1
        return told

    def _run(
        self,
        instrument: Instrument,
        events: list[Event],
        ts: int,
        touched: dict[str, set[str]] | None = None,
        cancel_id: str = "",
    ) -> None:
        """Book what the engine did, and publish it: trades, reports, balances, and the best quote."""
        touched = {} if touched is None else touched
        for event in events:
            match event:
                case Matched():
                    self._matched(instrument, event, ts, touched)
                case Canceled():
                    self.counts.canceled += 1
                    self._close(instrument, event.order_id, Status.CANCELED, "CANCELED", touched, cancel_id)
                case Expired():
                    self._close(instrument, event.order_id, Status.EXPIRED, "EXPIRED", touched)
                case Prevented():
                    self._prevented(instrument, event, touched)
                case Rested() | WouldTake():
                    pass  # `_check` refuses a maker that would take, so here nothing is left to do
        for account, assets in touched.items():
            self.updated[account] = ts
            balances = {asset: copy.copy(self.ledger.balance(account, asset)) for asset in sorted(assets)}
            self._events.append(AccountChange(account=account, balances=balances, ts=ts))
        instrument.publisher.publish(self._events)

    def _matched(self, instrument: Instrument, match: Matched, ts: int, touched: dict[str, set[str]]) -> None:
        instrument.trade_id += 1
        instrument.last_price = match.price
        trade = PublicTrade(
            symbol=instrument.listing.instrument.symbol,
            trade_id=instrument.trade_id,
            price=match.price,
            quantity=match.quantity,
            aggressor=match.aggressor,
            ts=ts,
        )
        instrument.history.add(trade, order_id=match.taker_id)
        self._events.append(trade)
        instrument.impact.add(ts, match.quantity, own=match.maker_id != match.taker_id)
        if match.maker_id == match.taker_id == MARKET_ID:
            return
        opposite = Side.SELL if match.aggressor is Side.BUY else Side.BUY
        self._fill(instrument, trade, match.taker_id, match.aggressor, self.fees.taker_bps, touched, maker=False)
        self._fill(instrument, trade, match.maker_id, opposite, self.fees.maker_bps, touched, maker=True)

    def _fill(
        self,
        instrument: Instrument,
        trade: PublicTrade,
        order_id: int,
        side: Side,
        fee_bps: int,
        touched: dict[str, set[str]],
        *,
        maker: bool,
    ) -> None:
        """Book one end of a trade."""
        rules = instrument.listing.instrument
        amount = notional(trade.price, trade.quantity)
        gives, given = (rules.quote, amount) if side is Side.BUY else (rules.base, trade.quantity)
        gets, got = (rules.base, trade.quantity) if side is Side.BUY else (rules.quote, amount)
        if order_id == MARKET_ID:
            self.ledger.settle(Leg(MARKET, gives, given, gets, got, 0))
            return
        order = self._orders[order_id]
        self._end_partner(instrument, order, touched)
        fee = bps_of(got, fee_bps)
        self.ledger.settle(Leg(order.account, gives, given, gets, got, fee))
        order.reserved -= given
        order.filled += trade.quantity
        order.amount += amount
        order.updated = trade.ts
        order.status = Status.PARTIALLY_FILLED if order.left else Status.FILLED
        self._release(order, gives, self._still_needs(order))
        if not order.open:
            self._shelve(order)
        touched.setdefault(order.account, set()).update((gives, gets))
        execution = Execution(
            trade_id=trade.trade_id,
            order_id=order_id,
            account=order.account,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=side,
            price=trade.price,
            quantity=trade.quantity,
            amount=amount,
            commission=fee,
            commission_asset=gets,
            maker=maker,
            ts=trade.ts,
        )
        self._executions[order.account].append(execution)
        self.counts.fills += 1
        self._report("TRADE", order, execution)

    def _prevented(self, instrument: Instrument, event: Prevented, touched: dict[str, set[str]]) -> None:
        instrument.prevented_id += 1
        maker, taker = event.maker_id, event.taker_id
        for order_id, counter_id, lost in ((maker, taker, event.maker_loses), (taker, maker, event.taker_loses)):
            if lost:
                match = PreventedMatch(
                    match_id=instrument.prevented_id,
                    counter_id=counter_id,
                    price=event.price,
                    quantity=event.quantity,
                    lost=lost,
                )
                self._take_off(instrument, self._orders[order_id], match, touched)

    def _take_off(
        self, instrument: Instrument, order: VenueOrder, match: PreventedMatch, touched: dict[str, set[str]]
    ) -> None:
        """So much of an order will not execute; without a rest it ends."""
        order.prevented += match.lost
        order.prevented_match = match.match_id
        if not order.left:
            status = Status.EXPIRED_IN_MATCH
            self._close(instrument, order.order_id, status, "TRADE_PREVENTION", touched, prevented=match)
            return
        order.updated = self.now_ns
        asset = instrument.given(order.side)
        self._release(order, asset, self._still_needs(order))
        touched.setdefault(order.account, set()).add(asset)
        self._report("TRADE_PREVENTION", order, prevented=match)

    def _still_needs(self, order: VenueOrder) -> int:
        left = order.left
        if not left or order.side is Side.SELL:
            return left
        # a market buy keeps what was set aside for its walk until it ends
        if order.type in UNPRICED and (order.working or not order.stop_price):
            return order.reserved
        return notional(order.price or order.stop_price, left)

    def _release(self, order: VenueOrder, asset: str, needed: int) -> None:
        """Unlock what a better price or the order's end has left over."""
        self.ledger.release(order.account, asset, order.reserved - needed)
        order.reserved = needed

    def _close(
        self,
        instrument: Instrument,
        order_id: int,
        status: Status,
        kind: str,
        touched: dict[str, set[str]],
        cancel_id: str = "",
        prevented: PreventedMatch | None = None,
    ) -> None:
        order = self._orders[order_id]
        asset = instrument.given(order.side)
        order.status = status
        order.updated = self.now_ns
        self._release(order, asset, 0)
        self._shelve(order)
        touched.setdefault(order.account, set()).add(asset)
        self._report(kind, order, cancel_id=cancel_id, prevented=prevented)

    def _report(
        self,
        kind: str,
        order: VenueOrder,
        execution: Execution | None = None,
        cancel_id: str = "",
        prevented: PreventedMatch | None = None,
    ) -> None:
        self._execution_id += 1
        self._events.append(
            Report(
                kind=kind,
                order=copy.copy(order),
                execution=execution,
                cancel_id=cancel_id,
                prevented=prevented,
                execution_id=self._execution_id,
                ts=order.updated,
            )
        )

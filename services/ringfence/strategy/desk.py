"""What a strategy can know and do, as a fold of messages: the `Context` that the author is given. Pure."""

from typing import Final

from ringfence.model.instrument import Instrument
from ringfence.model.order_table import OrderTable
from ringfence.model.orders import (
    Canceled,
    CancelRejected,
    Denied,
    Expired,
    Filled,
    ModifyRejected,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    Rejected,
    Side,
    TimeInForce,
)
from ringfence.model.positions import Position
from ringfence.sdk.context import Fill, OrderChange, Working
from ringfence.wire.messages import (
    CancelIntent,
    FeedStatus,
    InstrumentRules,
    Intent,
    MassCancelIntent,
    PairIntent,
    Quote,
    ReduceIntent,
    ReplaceIntent,
    Request,
    intents_of,
)

STATUS_STALE_NS: Final = 5_000_000_000
"""Marketdata says once a second that an instrument is usable; after five missed times we no longer believe it."""
UNANSWERED_NS: Final = 10_000_000_000
"""A gate answers in milliseconds. An intent without an answer for so long was lost on the way."""
CANCEL_AGAIN_NS: Final = 1_000_000_000
INTENTS_PER_EVENT_MAX: Final = 100
"""A hook that asks for more in one event is a loop that does not end."""


class Desk:
    """Rules, data, position and orders of one track. Implements `ringfence.sdk.Context`."""

    def __init__(self, track: str, symbols: tuple[str, ...], id_prefix: str) -> None:
        self.track = track
        self.symbols = symbols
        self.now = 0
        self.decided_ns = 0
        """The host's time of the event in hand; stamped on intents, never shown to the author."""
        self.outbox: list[Request] = []
        self.notices: list[OrderChange] = []
        """Refusals of our own, told before the next event so that a hook never re-enters itself."""
        self.behind = "the gate's record of orders has not been read yet"
        """Why position and orders are not known; empty while they are."""
        self.intents = 0
        self.cancels = 0
        self.refused = 0
        self.denied = 0
        self.unanswered = 0
        self._prefix = id_prefix
        self._rules: dict[str, Instrument] = {}
        self._status: dict[str, FeedStatus] = {}
        self._quotes: dict[str, Quote] = {}
        self._open_orders()

    def _open_orders(self) -> None:
        self._table = OrderTable()
        self._by_intent: dict[str, Order] = {}
        self._sent: dict[str, tuple[int, Intent]] = {}
        self._cancel_asked: dict[str, int] = {}
        self._positions = {symbol: Position() for symbol in self.symbols}
        self._held: dict[str, list[tuple[Side, Filled, bool]]] = {}
        self._broken = ""

    # --- Context: what the author may ask

    def instrument(self, symbol: str) -> Instrument:
        self._known(symbol)
        return self._rules[symbol]

    def quote(self, symbol: str) -> Quote | None:
        self._known(symbol)
        return None if self.data_refusal(symbol) else self._quotes.get(symbol)

    def position(self, symbol: str) -> int:
        self._known(symbol)
        return self._positions[symbol].quantity

    def average(self, symbol: str) -> int:
        self._known(symbol)
        return self._positions[symbol].average

    def working(self, symbol: str | None = None) -> tuple[Working, ...]:
        orders = [
            Working(o.intent_id, o.symbol, o.side, o.price, o.quantity, o.leaves, o.state)
            for o in self._table.open.values()
            if o.leaves and (symbol is None or o.symbol == symbol)
        ]
        unanswered = [
            Working(i.intent_id, i.symbol, i.side, i.price, i.quantity, i.quantity, OrderState.INITIALIZED)
            for _, i in self._sent.values()
            if symbol is None or i.symbol == symbol
        ]
        return tuple(orders + unanswered)

    def buy(
        self,
        symbol: str,
        quantity: int,
        price: int | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        display: int = 0,
    ) -> str:
        return self._ask(Side.BUY, symbol, quantity, price, time_in_force, post_only, reduce_only, display)

    def sell(
        self,
        symbol: str,
        quantity: int,
        price: int | None = None,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
        display: int = 0,
    ) -> str:
        return self._ask(Side.SELL, symbol, quantity, price, time_in_force, post_only, reduce_only, display)

    def stop_loss(
        self,
        symbol: str,
        trigger: int | None = None,
        *,
        trailing_bps: int = 0,
        limit: int | None = None,
        quantity: int | None = None,
    ) -> str:
        if trigger is None and not trailing_bps:
            raise ValueError("a stop needs a trigger, a trailing distance, or both")
        kind = OrderType.STOP_LOSS if limit is None else OrderType.STOP_LOSS_LIMIT
        return self._submit(self._exit(symbol, kind, quantity, limit, trigger, trailing_bps))

    def take_profit(self, symbol: str, trigger: int, *, limit: int | None = None, quantity: int | None = None) -> str:
        kind = OrderType.TAKE_PROFIT if limit is None else OrderType.TAKE_PROFIT_LIMIT
        return self._submit(self._exit(symbol, kind, quantity, limit, trigger, 0))

    def protect(
        self, symbol: str, *, target: int, stop: int, stop_limit: int | None = None, quantity: int | None = None
    ) -> tuple[str, str]:
        stop_kind = OrderType.STOP_LOSS if stop_limit is None else OrderType.STOP_LOSS_LIMIT
        first = self._exit(symbol, OrderType.LIMIT_MAKER, quantity, target, None, 0)
        second = self._exit(symbol, stop_kind, quantity, stop_limit, stop, 0)
        self._submit(first, PairIntent(first, second), (first, second))
        return first.intent_id, second.intent_id

    def replace(self, intent_id: str, *, quantity: int, price: int | None = None, trigger: int | None = None) -> str:
        _positive("quantity", quantity)
        old = self._by_intent.get(intent_id)
        if old is None:
            return ""
        wanted = self._intent(old.symbol, old.side, old.type, quantity, price or 0, old.reduce_only, trigger or 0)
        name = wanted.intent_id
        asked = ReplaceIntent(name, intent_id, self.track, quantity, price or 0, trigger or 0, self.decided_ns)
        return self._submit(wanted, asked)

    def reduce(self, intent_id: str, quantity: int) -> bool:
        _positive("quantity", quantity)
        if intent_id not in self._by_intent:
            return False
        self.outbox.append(ReduceIntent(intent_id, self.track, quantity, self.decided_ns))
        return True

    def cancel_all(self, symbol: str | None = None) -> None:
        if symbol is not None:
            self._known(symbol)
        self.cancels += 1
        self.outbox.append(MassCancelIntent(self.track, symbol or "", self.decided_ns))

    def cancel(self, intent_id: str) -> bool:
        if intent_id not in self._by_intent and intent_id not in self._sent:
            return False
        asked = self._cancel_asked.get(intent_id)
        if asked is None or self.now - asked >= CANCEL_AGAIN_NS:
            self._cancel_asked[intent_id] = self.now
            self.cancels += 1
            self.outbox.append(CancelIntent(intent_id, self.track, self.decided_ns))
        return True

    # --- what the engine asks and tells

    def refusal(self, symbol: str) -> str:
        """Why nothing may be decided on this instrument now; empty if it may."""
        return self.behind or self._broken or self.data_refusal(symbol)

    def data_refusal(self, symbol: str) -> str:
        """Why this instrument's data may not be traded on; empty if it may."""
        if symbol not in self._rules:
            return "the venue's rules for it are not known yet"
        status = self._status.get(symbol)
        if status is None:
            return "marketdata has not said whether its data is usable"
        if not status.usable:
            return status.reason or "its data is not usable"
        if self.now - status.ts > STATUS_STALE_NS:
            return "marketdata has stopped saying that its data is usable"
        return ""

    @property
    def unknown_rules(self) -> list[str]:
        return [symbol for symbol in self.symbols if symbol not in self._rules]

    def saw_rules(self, message: InstrumentRules) -> None:
        instrument = message.instrument
        if instrument.symbol not in self._positions:
            return
        self._rules[instrument.symbol] = instrument
        for side, fill, undone in self._held.pop(instrument.symbol, ()):
            self._move(instrument.symbol, side, fill, undone)

    def saw_status(self, status: FeedStatus) -> None:
        self._status[status.symbol] = status
        if not status.usable:
            self._quotes.pop(status.symbol, None)

    def saw_quote(self, quote: Quote) -> None:
        self._quotes[quote.symbol] = quote

    def saw_event(self, event: OrderEvent) -> tuple[Fill | None, OrderChange | None]:
        """Fold one event of this track; returns what to tell the author."""
        applied = self._table.apply(event)
        order = applied.order
        if order is None:
            if isinstance(event, Filled):
                self._broken = f"position unknown: a fill of order {event.client_order_id}, of which nothing is known"
            return None, None
        self._sent.pop(order.intent_id, None)
        if order.closed:
            self._by_intent.pop(order.intent_id, None)
            self._cancel_asked.pop(order.intent_id, None)
        else:
            self._by_intent[order.intent_id] = order
        if isinstance(event, CancelRejected):
            self._cancel_asked.pop(order.intent_id, None)
        if applied.undone is not None:
            self._booked(order, applied.undone, undone=True)
        fill = None if applied.fill is None else self._filled(order, applied.fill)
        changed = order.state is not applied.before or isinstance(event, ModifyRejected)
        return fill, _change(order, event) if changed else None

    def restart(self) -> None:
        """Forget orders and positions: the gate has begun a new journal, and what it says next begins at its first."""
        self._open_orders()
        self.notices.clear()
        self.outbox.clear()
        self.behind = "the gate has begun a new journal, which has not been read yet"

    def move(self, track: str, id_prefix: str) -> None:
        """Another track, or another gate: orders and positions are those of that one. Data and rules are kept."""
        self.track, self._prefix = track, id_prefix
        self.restart()
        self.behind = "it was moved to another gate or track, whose record has not been read yet"

    def held(self) -> dict[str, int]:
        """Positions that are not flat."""
        return {symbol: position.quantity for symbol, position in self._positions.items() if position.quantity}

    def expire_unanswered(self) -> None:
        """Give up on intents that the gate never answered."""
        while self._sent:
            intent_id, (sent_at, intent) = next(iter(self._sent.items()))
            if self.now - sent_at < UNANSWERED_NS:
                return
            del self._sent[intent_id]
            self.unanswered += 1
            self._notify(intent, OrderState.EXPIRED, "UNANSWERED the gate has not answered")

    def not_sent(self, intent_id: str) -> None:
        """The host could not hand an intent or a cancel over: the gate is away."""
        self._cancel_asked.pop(intent_id, None)
        sent = self._sent.pop(intent_id, None)
        if sent is not None:
            self.refused += 1
            self._notify(sent[1], OrderState.DENIED, "GATE_AWAY the gate takes no intents now")

    def refused_by(self, intent_id: str, reasons: tuple[str, ...]) -> None:
        """The gate has refused an intent without a record of it."""
        sent = self._sent.pop(intent_id, None)
        if sent is not None:
            self._cancel_asked.pop(intent_id, None)
            self.denied += 1
            self._notify(sent[1], OrderState.DENIED, "; ".join(reasons))

    def give_up(self) -> None:
        """Drop what was asked for and not handed over yet, and ask to cancel everything that may still execute."""
        for asked in self.outbox:
            for intent_id in intents_of(asked):
                self._sent.pop(intent_id, None)
        self.outbox = [CancelIntent(w.intent_id, self.track, self.decided_ns) for w in self.working()]

    # --- inside

    def _ask(
        self,
        side: Side,
        symbol: str,
        quantity: int,
        price: int | None,
        time_in_force: TimeInForce,
        post_only: bool,
        reduce_only: bool,
        display: int,
    ) -> str:
        self._known(symbol)
        _positive("quantity", quantity)
        if price is not None:
            _positive("price", price)
        if post_only and (price is None or time_in_force is not TimeInForce.GTC):
            raise ValueError("a post-only order needs a limit price and GTC")
        order_type = OrderType.MARKET if price is None else OrderType.LIMIT_MAKER if post_only else OrderType.LIMIT
        return self._submit(
            self._intent(symbol, side, order_type, quantity, price or 0, reduce_only, 0, time_in_force, display=display)
        )

    def _exit(
        self,
        symbol: str,
        kind: OrderType,
        quantity: int | None,
        price: int | None,
        trigger: int | None,
        trailing_bps: int,
    ) -> Intent:
        """An order that closes the position, or part of it, on a condition."""
        held = self.position(symbol)
        if not held:
            raise ValueError(f"there is no position in {symbol} to protect")
        for what, value in (("quantity", quantity), ("price", price), ("trigger", trigger)):
            if value is not None:
                _positive(what, value)
        side = Side.SELL if held > 0 else Side.BUY
        size = floor_lots(abs(held), self._rules[symbol].lot) if quantity is None else quantity
        return self._intent(symbol, side, kind, size, price or 0, True, trigger or 0, trailing_bps=trailing_bps)

    def _intent(
        self,
        symbol: str,
        side: Side,
        kind: OrderType,
        quantity: int,
        price: int,
        reduce_only: bool,
        trigger: int,
        time_in_force: TimeInForce = TimeInForce.GTC,
        *,
        trailing_bps: int = 0,
        display: int = 0,
    ) -> Intent:
        self.intents += 1
        return Intent(
            f"{self._prefix}{self.intents}",
            self.track,
            symbol,
            side,
            kind,
            time_in_force,
            quantity,
            price,
            reduce_only,
            self.decided_ns,
            trigger,
            trailing_bps,
            display,
        )

    def _submit(self, intent: Intent, asked: Request | None = None, legs: tuple[Intent, ...] = ()) -> str:
        """Hand over to the gate what was asked for, or say at once why it cannot be."""
        refusal = self.refusal(intent.symbol)
        if refusal:
            self.refused += 1
            for leg in legs or (intent,):
                self._notify(leg, OrderState.DENIED, f"NOT_READY {refusal}")
            return intent.intent_id
        if len(self.outbox) >= INTENTS_PER_EVENT_MAX:
            raise ValueError(f"more than {INTENTS_PER_EVENT_MAX} intents in one event: is this a loop?")
        for leg in legs or (intent,):
            self._sent[leg.intent_id] = (self.now, leg)
        self.outbox.append(asked or intent)
        return intent.intent_id

    def _known(self, symbol: str) -> None:
        if symbol not in self._positions:
            raise ValueError(f"{symbol!r} is not an instrument of this system: it has {', '.join(self.symbols)}")

    def _notify(self, intent: Intent, state: OrderState, reason: str) -> None:
        self.notices.append(OrderChange(intent.intent_id, intent.symbol, intent.side, state, reason, 0))

    def _filled(self, order: Order, fill: Filled) -> Fill:
        self._booked(order, fill)
        return Fill(
            order.intent_id,
            order.symbol,
            order.side,
            fill.price,
            fill.quantity,
            fill.commission,
            fill.commission_asset,
            fill.maker,
            fill.ts,
        )

    def _booked(self, order: Order, fill: Filled, *, undone: bool = False) -> None:
        if order.symbol in self._rules:
            self._move(order.symbol, order.side, fill, undone)
        elif order.symbol in self._positions:
            self._held.setdefault(order.symbol, []).append((order.side, fill, undone))

    def _move(self, symbol: str, side: Side, fill: Filled, undone: bool) -> None:
        position = self._positions[symbol]
        fee = fill.commission if fill.commission_asset == self._rules[symbol].base else 0
        if undone:
            if fee:
                position.take_fee(-fee)
            position.trade(side.opposite, fill.quantity, fill.price)
            return
        position.trade(side, fill.quantity, fill.price)
        if fee:
            position.take_fee(fee)


def _change(order: Order, event: OrderEvent) -> OrderChange:
    match event:
        case Denied(reasons=reasons):
            reason = "; ".join(reasons)
        case ModifyRejected(reason=reason) | Rejected(reason=reason) | Canceled(reason=reason) | Expired(reason=reason):
            pass
        case _:
            reason = ""
    return OrderChange(order.intent_id, order.symbol, order.side, order.state, reason, order.filled)


def _positive(what: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} {value!r} is not a scaled integer: write units('0.01') for an exact number")
    if value <= 0:
        raise ValueError(f"{what} must be positive")


def floor_lots(quantity: int, lot: int) -> int:
    """What of a quantity can be ordered: after a fee in the base asset a position is no whole number of lots."""
    return quantity - quantity % lot


def id_prefix(track: str, revision: str, session: int) -> str:
    """Makes intent ids unique for ever: ``<track>-<revision>-<session>-<n>``, with the host's start as session."""
    return f"{track}-{revision}-{base36(session)}-"


def base36(number: int) -> str:
    """Lower-case base 36 of a number that is not negative."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits

"""The gate in any history: orders, fills, cancels, late fills, busts, replacements, pairs, foreign orders, two tracks,
and limits, weights, prices and days that change. Judged by a second account, kept in this file from what the venue did.

No approval leads beyond a limit at worst case; a reducing order is never refused for exposure; the loss of the day,
equity and drawdown equal a fold over the fills.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gatebench import ordinary
from ringfence.execution.changes import Changes
from ringfence.execution.gate import Gate
from ringfence.execution.grants import allocate
from ringfence.execution.ids import prefix
from ringfence.execution.losses import DAY_NS, SECOND_NS
from ringfence.execution.outputs import Output, Pair, Refuse, Replace
from ringfence.execution.reconcile import Reconciler
from ringfence.execution.state import FOREIGN
from ringfence.model.approved import Approved
from ringfence.model.money import SCALE, notional
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Expired,
    FillBusted,
    Filled,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
)
from ringfence.model.records import Entry
from ringfence.runtime.config import Allocation, Limits, Track
from ringfence.runtime.guard import Guard
from ringfence.venues import api
from ringfence.wire.messages import BookTop, FeedStatus, Intent, PairIntent, Quote, ReplaceIntent

MIDNIGHT = 19_676 * DAY_NS
TICK, LOT = SCALE, SCALE // 10
SYMBOLS = ("AUSD", "BUSD", "CUSD")
TRACKS = ("stable", "candidate")
CAPITAL = 10_000 * SCALE
EXPOSURE = ("POSITION_", "GROSS_", "LOSS_", "DRAWDOWN_", "OUTCOME_UNKNOWN", "GRANT_", "TRADING_REDUCE_ONLY")
DUST = 8
"""Each valued amount is rounded once: sums of them may differ by a few 1e-8."""

limits = st.builds(
    Limits,
    order_value_max=st.sampled_from([300, 2_000, 20_000]).map(lambda n: n * SCALE),
    order_collar_bps=st.just(2_000 * SCALE),
    order_messages_per_second=st.just(10**6),
    order_working_orders=st.just(50),
    order_approved_lifetime_ms=st.just(50),
    position_per_instrument=st.sampled_from([0, 400, 1_500, 5_000]).map(lambda n: n * SCALE),
    position_gross=st.sampled_from([0, 900, 3_000, 9_000]).map(lambda n: n * SCALE),
    loss_day=st.sampled_from([5, 50, 5_000]).map(lambda n: n * SCALE),
    loss_week=st.one_of(st.none(), st.integers(1, 2000).map(lambda n: n * SCALE)),
    loss_drawdown_reduce_percent=st.one_of(st.none(), st.integers(1, 20).map(lambda n: n * SCALE)),
    market_quote_stale_ms=st.just(2000),
    market_book_stale_ms=st.just(1000),
)
tracks = st.sampled_from(TRACKS)
symbols = st.sampled_from(SYMBOLS)
lots = st.integers(1, 30)
prices = st.integers(90, 110)
picks = st.integers(0, 100)


@dataclass
class Fill:
    """An execution as the venue made it."""

    track: str
    symbol: str
    side: Side
    quantity: int
    price: int
    fee: int
    fee_in_base: bool


@dataclass
class Placed:
    """An order as the venue has it."""

    track: str
    symbol: str
    side: Side
    quantity: int
    open: bool = True
    acknowledged: bool = False
    filled: int = 0
    fills: list[str] = field(default_factory=list)
    instead_of: str = ""
    """The order that it takes the place of, while only one of the two can execute."""
    partner: str = ""
    """The other leg of its pair."""
    ended: bool = False
    """The venue has ended it with its partner, and not told yet."""

    @property
    def leaves(self) -> int:
        return max(0, self.quantity - self.filled) if self.open else 0


@dataclass
class Account:
    """One owner's losses by the second account."""

    seen: int = 0
    day: int = 0
    opening: int = 0
    allocated: int = 0
    equity: Fraction = Fraction(0)
    peak: Fraction = Fraction(0)


def refused(outputs: list[Output]) -> list[str]:
    """Why something was; also of refusals so many that they are not journaled."""
    events = [out.event for out in outputs if isinstance(out, Entry)]
    denied = [reason for event in events if isinstance(event, Denied) for reason in event.reasons]
    return [*denied, *(reason for out in outputs if isinstance(out, Refuse) for reason in out.reasons)]


class AskedTwice(Gate):
    """What is cleared without a closer look must pass each check for itself."""

    def check(self, intent: Intent, wall: int, mono: int) -> list[str]:
        found = super().check(intent, wall, mono)
        assert found == self.judge(intent, wall, mono)
        return found


class Trading(RuleBasedStateMachine):
    """Rules are what strategies, people, the market and the venue may do; the venue itself is truthful."""

    @initialize(current=limits, granted=limits)
    def start(self, current: Limits, granted: Limits) -> None:
        self.wall, self.mono, self.numbers, self.epoch = MIDNIGHT, 5_000 * SECOND_NS, 0, 0
        guard = ordinary.active_guard(self.wall)
        self.gate = self.make_gate(guard)
        self.manager = Changes(self.gate, prefix("n", "s"), "USD", 0)
        self.manager.fence, self.manager.capital = 1, CAPITAL
        self.reconciler = Reconciler(self.manager, guard)
        self.orders: dict[str, Placed] = {}
        self.fills: dict[str, Fill] = {}
        self.foreign: dict[tuple[str, Side], int] = {}
        self.accounts: dict[str, Account] = {}
        self.current, self.granted, self.weights = current, granted, {"stable": 100, "candidate": 25}
        self.giving_way = ""
        """The order that the one being judged would take the place of."""
        for symbol in SYMBOLS:
            self.gate.markets[symbol].instrument = ordinary.coarse_rules(symbol)
            self.quote(symbol, 100)
        self.allocate()

    def make_gate(self, guard: Guard) -> Gate:
        return AskedTwice(guard, SYMBOLS)

    def allocate(self) -> None:
        self.epoch += 1
        named = tuple(
            Track(name=name, revision=name, stage="Live", weight=weight, grant="g", key=name)
            for name, weight in self.weights.items()
        )
        allocation = Allocation(epoch=self.epoch, tracks=named, limits=self.current)
        allocate(self.gate.tracks, self.gate.account, allocation, {"g": self.granted}, paper=False)

    def quote(self, symbol: str, price: int) -> None:
        market, bid, ask = self.gate.markets[symbol], price * SCALE, (price + 1) * SCALE
        market.quote(Quote(symbol, 1, self.wall, bid, SCALE, ask, SCALE), self.mono)
        market.book(BookTop(symbol, 1, self.wall, self.wall, ((bid, 1000 * SCALE),), ((ask, 1000 * SCALE),)), self.mono)
        market.status(FeedStatus(symbol, self.wall, True, ""), self.mono)

    # --- the second account

    def position(self, track: str, symbol: str) -> int:
        total = 0
        for fill in self.fills.values():
            if (fill.track, fill.symbol) == (track, symbol):
                total += fill.side.sign * fill.quantity - (fill.fee if fill.fee_in_base else 0)
        return total

    def leaves(self, track: str, symbol: str, side: Side) -> int:
        """What may still execute; of two orders of which only one can, the larger."""
        if track == FOREIGN:
            return self.foreign.get((symbol, side), 0)
        mine = {
            name: one for name, one in self.orders.items() if (one.track, one.symbol, one.side) == (track, symbol, side)
        }
        total = sum(one.leaves for one in mine.values())
        for name, one in mine.items():
            if one.instead_of and self.orders[one.instead_of].open:
                total -= min(one.leaves, self.orders[one.instead_of].leaves)
            elif one.partner and one.partner < name:
                total -= min(one.leaves, self.orders[one.partner].leaves)
        return total

    def worst(self, track: str, symbol: str) -> int:
        held = self.position(track, symbol)
        return max(abs(held + self.leaves(track, symbol, Side.BUY)), abs(held - self.leaves(track, symbol, Side.SELL)))

    def value(self, owners: tuple[str, ...], symbol: str) -> int:
        return notional(self.gate.markets[symbol].ask, sum(self.worst(owner, symbol) for owner in owners))

    def profit(self, track: str) -> int:
        cash, held = 0, dict.fromkeys(SYMBOLS, 0)
        for fill in self.fills.values():
            if fill.track == track:
                cash -= fill.side.sign * notional(fill.price, fill.quantity)
                held[fill.symbol] += fill.side.sign * fill.quantity
                if fill.fee_in_base:
                    held[fill.symbol] -= fill.fee
                else:
                    cash -= fill.fee
        for symbol, quantity in held.items():
            market = self.gate.markets[symbol]
            cash += quantity * (market.bid if quantity >= 0 else market.ask) // SCALE
        return cash

    # --- strategies

    def judged(self, outputs: list[Output], track: str, symbol: str, side: Side, quantity: int) -> str:
        """Take the gate's answer into the second account; the new order's client id, if there is one."""
        sent = [
            out.order if isinstance(out, Replace) else out for out in outputs if isinstance(out, Approved | Replace)
        ]
        if not sent:
            reasons = refused(outputs)
            opposite = self.position(track, symbol) * -side.sign
            if self.leaves(track, symbol, side) + quantity <= opposite:
                assert not [reason for reason in reasons if reason.startswith(EXPOSURE)], reasons
            return ""
        name = sent[0].client_order_id
        self.orders[name] = Placed(track, symbol, side, quantity)
        return name

    def within(self, track: str, symbol: str, before: int) -> None:
        """What has just been approved: if it made the worst case larger, no limit is breached by it."""
        if self.worst(track, symbol) <= before:
            return
        weight = self.weights[track]
        both = (self.current, self.granted)
        everybody = (*TRACKS, FOREIGN)
        own = min(one.position_per_instrument for one in both) * weight // 100
        assert self.value((track,), symbol) <= own + DUST
        assert self.value(everybody, symbol) <= self.current.position_per_instrument + DUST
        own = min(one.position_gross for one in both) * weight // 100
        assert sum(self.value((track,), one) for one in SYMBOLS) <= own + DUST
        assert sum(self.value(everybody, one) for one in SYMBOLS) <= self.current.position_gross + DUST

    @rule(
        wanted=st.lists(st.tuples(tracks, symbols, st.sampled_from(Side), lots, prices), min_size=1, max_size=4),
        at_once=st.booleans(),
    )
    def orders_of_a_moment(self, wanted: list[tuple[str, str, Side, int, int]], at_once: bool) -> None:
        """Some are filled before anything else happens, so that histories have positions in them."""
        for track, symbol, side, quantity, price in wanted:
            name = self.order(track, symbol, side, quantity, price)
            if name and at_once:
                self.execute(name, quantity * LOT, price * SCALE, 0, fee_in_base=False)

    def order(self, track: str, symbol: str, side: Side, quantity: int, price: int) -> str:
        self.numbers += 1
        wanted = Intent(
            f"i{self.numbers}",
            track,
            symbol,
            side,
            OrderType.LIMIT,
            TimeInForce.GTC,
            quantity * LOT,
            price * SCALE,
            False,
            self.wall,
        )
        before = self.worst(track, symbol)
        outputs = self.manager.intent(wanted, track, self.wall, self.mono)
        name = self.judged(outputs, track, symbol, side, quantity * LOT)
        if name:
            self.within(track, symbol, before)
        return name

    @rule(pick=picks, quantity=lots, price=prices)
    def replace(self, pick: int, quantity: int, price: int) -> None:
        """The larger of old and new counts until the venue has answered."""
        name = self.some(pick, acknowledged=True)
        if not name:
            return
        old = self.orders[name]
        busy = any(one.instead_of == name and one.open for one in self.orders.values())
        if busy or old.filled or old.instead_of or old.ended:
            return
        self.numbers += 1
        intent = self.manager.orders[name].intent_id
        wanted = ReplaceIntent(f"i{self.numbers}", intent, old.track, quantity * LOT, price * SCALE, 0, self.wall)
        before = self.worst(old.track, old.symbol)
        self.giving_way = name
        outputs = self.manager.replace_intent(wanted, old.track, self.wall, self.mono)
        self.giving_way = ""
        sent = [out for out in outputs if isinstance(out, Replace)]
        assert not (sent and old.partner), "a leg cannot be replaced without its pair"
        if sent:
            new = sent[0].order.client_order_id
            self.orders[new] = Placed(old.track, old.symbol, old.side, quantity * LOT, instead_of=name)
            self.within(old.track, old.symbol, before)

    @rule(pick=picks, share=st.sampled_from([1, 1, 2, 3]), away=st.integers(1, 8))
    def pair(self, pick: int, share: int, away: int) -> None:
        """A target and a stop for what is held, or for a part of it: together they count as one."""
        positions = {(t, s): held for t in TRACKS for s in SYMBOLS if (held := self.position(t, s))}
        if not positions:
            return
        track, symbol = list(positions)[pick % len(positions)]
        held = positions[track, symbol]
        side, market = (Side.SELL if held > 0 else Side.BUY), self.gate.markets[symbol]
        amount = max(LOT, abs(held) // share // LOT * LOT)
        target = market.ask + away * TICK if side is Side.SELL else market.bid - away * TICK
        stop = market.bid - away * TICK if side is Side.SELL else market.ask + away * TICK
        self.numbers += 1
        legs = [
            Intent(
                f"i{self.numbers}{leg}", track, symbol, side, kind, TimeInForce.GTC, amount, price, True, self.wall, at
            )
            for leg, kind, price, at in (("t", OrderType.LIMIT_MAKER, target, 0), ("s", OrderType.STOP_LOSS, 0, stop))
        ]
        before, reducing = self.worst(track, symbol), self.leaves(track, symbol, side) + amount <= abs(held)
        outputs = self.manager.pair_intent(PairIntent(*legs), track, self.wall, self.mono)
        reasons = refused(outputs)
        assert not (reducing and [reason for reason in reasons if reason.startswith(EXPOSURE)]), reasons
        sent = [out for out in outputs if isinstance(out, Pair)]
        assert bool(sent) is not bool(reasons)
        assert reducing or not sent, "a pair that could open a position"
        for made in sent:
            first, second = made.first.client_order_id, made.second.client_order_id
            self.orders[first] = Placed(track, symbol, side, amount, partner=second)
            self.orders[second] = Placed(track, symbol, side, amount, partner=first)
            self.within(track, symbol, before)

    # --- the venue

    def some(self, pick: int, *, acknowledged: bool | None = None) -> str:
        """An open order that the venue may answer. A replacement is answered by `replaced` first."""
        found = [
            name
            for name, one in self.orders.items()
            if one.open
            and not one.ended
            and (acknowledged is None or one.acknowledged is acknowledged)
            and not (one.instead_of and self.orders[one.instead_of].open)
        ]
        return found[pick % len(found)] if found else ""

    def base(self, name: str) -> dict[str, Any]:
        return {"client_order_id": name, "ts": self.wall}

    @rule(pick=picks)
    def accept(self, pick: int) -> None:
        name = self.some(pick, acknowledged=False)
        if name:
            self.acknowledge(name)

    def acknowledge(self, name: str) -> None:
        one = self.orders[name]
        if not one.acknowledged:
            one.acknowledged = True
            self.manager.event(one.symbol, Accepted(**self.base(name), venue_order_id=f"v{name}"))

    @rule(pick=picks)
    def replaced(self, pick: int) -> None:
        """The venue takes the old one away and places the new one, if nothing of the old one was filled meanwhile."""
        waiting = [
            name
            for name, one in self.orders.items()
            if one.open and one.instead_of and self.orders[one.instead_of].open
        ]
        if not waiting:
            return
        name = waiting[pick % len(waiting)]
        old = self.orders[self.orders[name].instead_of]
        replaced = self.orders[name].instead_of
        if old.filled:
            refused = api.Refused(-2011, "partially filled")
            self.orders[name].open = False
            self.manager.replaced(replaced, name, (refused, api.Refused(-2021, "not placed")), self.wall, self.mono)
            return
        old.open = False
        self.orders[name].acknowledged = True
        answered = (api.Accepted(f"v{replaced}"), api.Accepted(f"v{name}"))
        self.manager.replaced(replaced, name, answered, self.wall, self.mono)
        self.manager.event(old.symbol, Canceled(**self.base(replaced)))

    def end_partner(self, name: str) -> None:
        partner = self.orders.get(self.orders[name].partner)
        if partner is not None and partner.open:
            partner.ended = True

    @rule(pick=picks, expired=st.booleans())
    def partner_ends(self, pick: int, expired: bool) -> None:
        """The venue tells that a leg is gone since the other has executed, or was cancelled."""
        gone = [name for name, one in self.orders.items() if one.open and one.ended]
        if not gone:
            return
        name = gone[pick % len(gone)]
        self.acknowledge(name)
        self.orders[name].open = False
        self.manager.event(self.orders[name].symbol, (Expired if expired else Canceled)(**self.base(name)))

    def execute(self, name: str, quantity: int, price: int, fee: int, fee_in_base: bool) -> None:
        one = self.orders[name]
        self.end_partner(name)
        self.numbers += 1
        trade = str(self.numbers)
        self.fills[trade] = Fill(one.track, one.symbol, one.side, quantity, price, fee, fee_in_base)
        one.filled += quantity
        one.fills.append(trade)
        if one.filled >= one.quantity:
            one.open = False
        self.manager.event(one.symbol, self.told(trade, name))

    def told(self, trade: str, name: str) -> Filled:
        fill = self.fills[trade]
        return Filled(
            **self.base(name),
            trade_id=trade,
            price=fill.price,
            quantity=fill.quantity,
            commission=fill.fee,
            commission_asset=fill.symbol[0] if fill.fee_in_base else "USD",
            maker=True,
        )

    @rule(pick=picks, part=lots, price=prices, fee=st.integers(0, SCALE // 100), fee_in_base=st.booleans())
    def fill(self, pick: int, part: int, price: int, fee: int, fee_in_base: bool) -> None:
        """In part or in full, acknowledged before or not."""
        name = self.some(pick)
        if name:
            self.execute(name, min(part * LOT, self.orders[name].leaves), price * SCALE, fee, fee_in_base)

    @rule(pick=picks)
    def the_same_fill_again(self, pick: int) -> None:
        if not self.fills:
            return
        trade = list(self.fills)[pick % len(self.fills)]
        name = next(name for name, one in self.orders.items() if trade in one.fills)
        self.manager.event(self.fills[trade].symbol, self.told(trade, name))

    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        name = self.some(pick)
        if not name:
            return
        self.acknowledge(name)
        self.end_partner(name)
        self.orders[name].open = False
        self.manager.event(self.orders[name].symbol, Canceled(**self.base(name)))

    @rule(pick=picks, part=lots, price=prices)
    def late_fill(self, pick: int, part: int, price: int) -> None:
        """Of an order that was cancelled: the venue's matching had already happened."""
        gone = [
            name
            for name, one in self.orders.items()
            if not one.open and one.filled < one.quantity and self.manager.orders[name].state is OrderState.CANCELED
        ]
        if not gone:
            return
        name = gone[pick % len(gone)]
        one = self.orders[name]
        self.execute(name, min(part * LOT, one.quantity - one.filled), price * SCALE, 0, False)

    @rule(pick=picks)
    def bust(self, pick: int) -> None:
        """An execution never happened. What was full stays off the book."""
        if not self.fills:
            return
        trade = list(self.fills)[pick % len(self.fills)]
        name = next(name for name, one in self.orders.items() if trade in one.fills)
        one = self.orders[name]
        one.filled -= self.fills.pop(trade).quantity
        one.fills.remove(trade)
        self.manager.event(one.symbol, FillBusted(**self.base(name), trade_id=trade))

    @rule(symbol=symbols, side=st.sampled_from(Side), quantity=st.integers(0, 40))
    def foreign_order(self, symbol: str, side: Side, quantity: int) -> None:
        """The owner's own order rests in the account, or has gone."""
        self.foreign[symbol, side] = quantity * LOT
        reports = tuple(
            api.OrderReport(
                client_order_id=f"web-{symbol}-{side}",
                venue_order_id=f"w-{symbol}-{side}",
                symbol=symbol,
                side=side,
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                price=100 * SCALE,
                quantity=amount,
                filled=0,
                state=OrderState.ACCEPTED,
                ts_venue=self.wall,
            )
            for (symbol, side), amount in self.foreign.items()
            if amount
        )
        self.reconciler.open_orders(reports, self.mono, self.wall, self.mono)

    # --- people and the world

    @rule(current=limits)
    def change_limits(self, current: Limits) -> None:
        self.current = current
        self.allocate()

    @rule(stable=st.sampled_from([0, 50, 95, 100]), candidate=st.sampled_from([0, 5, 50, 100]))
    def change_weights(self, stable: int, candidate: int) -> None:
        self.weights = {"stable": stable, "candidate": candidate}
        self.allocate()

    @rule(symbol=symbols, price=prices)
    def move_price(self, symbol: str, price: int) -> None:
        self.quote(symbol, price)

    @rule(hours=st.sampled_from([-30, 0, 1, 7, 24, 50]))
    def evaluate(self, hours: int) -> None:
        """Losses are looked at, perhaps after a night, perhaps by a clock that was set back."""
        self.wall += hours * 3_600 * SECOND_NS
        for symbol, market in self.gate.markets.items():
            self.quote(symbol, market.bid // SCALE)
        self.manager.evaluate(self.wall)
        profits = {name: self.profit(name) for name in TRACKS}
        self.fold("", sum(profits.values()), CAPITAL)
        for name, profit in profits.items():
            self.fold(name, profit, CAPITAL * self.weights[name] // 100)

    def fold(self, name: str, profit: int, allocated: int) -> None:
        one = self.accounts.setdefault(name, Account())
        if allocated and allocated != one.allocated:
            if one.allocated and one.equity > 0:
                one.peak, one.equity = one.peak * allocated / one.equity, Fraction(allocated)
            else:
                one.peak += allocated - one.allocated
                one.equity += allocated - one.allocated
            one.allocated = allocated
        if self.wall // DAY_NS > one.day:
            one.day, one.opening = self.wall // DAY_NS, one.seen
        one.equity += profit - one.seen
        one.peak = max(one.peak, one.equity)
        one.seen = profit
        owner = self.manager.ledger.owners[name]
        track = self.gate.tracks[name] if name else self.gate.account
        assert track.loss == owner.loss("day") == one.opening - profit
        assert abs(owner.equity - one.equity) <= DUST
        assert abs(owner.peak - one.peak) <= DUST + len(self.accounts) * self.epoch
        if one.peak > SCALE:
            assert abs(Fraction(owner.drawdown, SCALE) - (one.peak - one.equity) / one.peak) < Fraction(1, 10**5)

    @invariant()
    def the_books_agree(self) -> None:
        """Positions and worst cases of the gate are those of the second account, to the last digit."""
        if not hasattr(self, "gate"):
            return
        for name in (*TRACKS, FOREIGN):
            for symbol in SYMBOLS:
                slot = self.gate.tracks[name].slots.get(symbol)
                assert (slot.position if slot else 0) == self.position(name, symbol)
                assert (slot.worst if slot else 0) == self.worst(name, symbol), (name, symbol)


Trading.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTrading = Trading.TestCase

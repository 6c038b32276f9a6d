"""May this order be sent? A second answer, slow and from nothing but what the venue did, against the gate's.

The gate keeps sums, bounds and worst cases as it goes; this adds everything up anew for each order: all fills, all
orders that may still execute, each owner's share of each limit, each corner of what may be held. The gate never passes
what this refuses, and refuses nothing for an amount that this finds within its limit.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import sqrt
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from test_gate_machine import CAPITAL, DUST, LOT, SYMBOLS, TRACKS, AskedTwice, Trading, lots, picks, prices, symbols

from ringfence.execution.losses import DAY_NS, LATCH_AFTER
from ringfence.execution.outputs import Amend, Cancel
from ringfence.execution.portfolio import UNKNOWN
from ringfence.execution.state import FOREIGN
from ringfence.model.money import SCALE
from ringfence.model.orders import Canceled, FillCorrected, OrderType, Side, TimeInForce
from ringfence.runtime.config import COUNTED_LIMITS, FLOORS, SCALED_LIMITS, Limits
from ringfence.runtime.guard import Guard
from ringfence.venues import api
from ringfence.wire.messages import Intent, ReduceIntent

Z, SHORTFALL = 2.3263478740408408, 2.665214220345806
"""Standard deviations: not lost on 99 days of 100, and lost on the mean of the others."""
NEAR = 1e-6
ROOM = Limits(
    order_value_max=20_000 * SCALE,
    order_collar_bps=5_000 * SCALE,
    order_messages_per_second=10**6,
    order_working_orders=500,
    order_approved_lifetime_ms=50,
    position_per_instrument=8_000 * SCALE,
    position_gross=15_000 * SCALE,
    loss_day=5_000 * SCALE,
    market_quote_stale_ms=2000,
    market_book_stale_ms=1000,
)
TIGHT: list[tuple[str, list[Any]]] = [
    ("order_value_max", [300, 1_500]),
    ("order_quantity_max", [1, 2]),
    ("position_per_instrument", [0, 400, 900, 1_500]),
    ("position_gross", [0, 700, 2_000]),
    ("position_net", [0, 300, 1_000]),
    ("position_open_positions", [1, 2]),
    ("position_leverage", [0, Fraction(1, 20), Fraction(1, 8)]),
    ("position_concentration_percent", [2, 5, 10]),
    ("position_sector_percent", [3, 6, 12]),
    ("position_correlation", [0, Fraction(1, 2), Fraction(7, 10)]),
    ("position_value_at_risk", [5, 20, 60]),
    ("position_value_at_risk_percent", [Fraction(1, 10), 1]),
    ("position_expected_shortfall", [5, 30]),
    ("position_expected_shortfall_percent", [Fraction(1, 5)]),
    ("account_balance_floor", [100, 9_000]),
    ("loss_day", [5, 20]),
    ("loss_day_percent", [Fraction(1, 20), 1]),
    ("loss_week", [5, 40]),
    ("loss_week_percent", [Fraction(1, 10)]),
]
COUNTS = {"position_open_positions"}
SECTORS: list[dict[str, str]] = [{}, {"AUSD": "one", "BUSD": "one", "CUSD": "two"}, {"AUSD": "one"}]
tight = st.lists(st.sampled_from([(name, value) for name, values in TIGHT for value in values]), min_size=1, max_size=3)


@st.composite
def limits(draw: Callable[[Any], Any]) -> Limits:
    """Wide, but for one to three that orders reach."""
    found = {name: value if name in COUNTS else int(value * SCALE) for name, value in draw(tight)}
    return msgspec.structs.replace(ROOM, **found, position_sectors=draw(st.sampled_from(SECTORS)))


class Both(AskedTwice):
    """Asks the naive answer for each order that the gate is asked for, and compares."""

    def __init__(self, guard: Guard, naive: "Naive") -> None:
        super().__init__(guard, SYMBOLS)
        self.naive = naive

    def check(self, intent: Intent, wall: int, mono: int) -> list[str]:
        found = super().check(intent, wall, mono)
        self.naive.compare(intent, {reason.partition(" ")[0] for reason in found})
        return found


class Look:
    """What one owner has lost, at each look: by the day and by the week, in currency and in percent."""

    def __init__(self) -> None:
        self.profits: list[tuple[int, int]] = []
        """Day and profit. A day never comes back, whatever the clock says."""
        self.in_a_row = {"day": (0, 0), "week": (0, 0)}
        """Period, and looks in a row that found a limit reached in it."""
        self.latched = {"day": -1, "week": -1}
        self.codes: set[str] = set()

    def lost(self, period: str) -> int:
        turn = self.number(period, self.profits[-1][0])
        before = [profit for day, profit in self.profits if self.number(period, day) < turn]
        return (before[-1] if before else 0) - self.profits[-1][1]

    @staticmethod
    def number(period: str, day: int) -> int:
        """1970-01-01 was a Thursday."""
        return day if period == "day" else (day + 3) // 7


class Naive(Trading):
    """The machine of histories with a second opinion on every order."""

    @initialize(current=limits(), granted=limits(), sigmas=st.lists(st.sampled_from([1, 3, 8]), min_size=3, max_size=3))
    def start(self, current: Limits, granted: Limits, sigmas: list[int] | None = None) -> None:
        self.looks = {name: Look() for name in ("", *TRACKS)}
        self.held: int | None = None
        self.turn = 0
        super().start(current, granted)
        self.gate.hold({"USD": api.VenueBalance(CAPITAL, 0)})
        self.held = CAPITAL
        for symbol, sigma in zip(SYMBOLS, sigmas or [1, 3, 8], strict=True):
            self.gate.markets[symbol].volatility = sigma * SCALE // 100
        self.past(SYMBOLS[0], SYMBOLS[1], 90)
        self.past(SYMBOLS[0], SYMBOLS[2], 60)
        self.past(SYMBOLS[1], SYMBOLS[2], -30)
        for name in TRACKS:
            for symbol in SYMBOLS:
                self.gate.tracks[name].slot(self.gate.markets[symbol])
        self.evaluate(0)

    def make_gate(self, guard: Guard) -> Both:
        return Both(guard, self)

    @rule(one=symbols, other=symbols, percent=st.sampled_from([-90, -50, 0, 50, 71, 90]))
    def past(self, one: str, other: str, percent: int) -> None:
        """What is known of how they move together has changed."""
        if one != other:
            for symbol, peer in ((one, other), (other, one)):
                market = self.gate.markets[symbol]
                market.correlations = {**market.correlations, peer: percent * SCALE // 100}

    @rule(symbol=symbols)
    def past_forgotten(self, symbol: str) -> None:
        """The venue has not told for a day."""
        self.gate.markets[symbol].correlations = {}
        self.gate.markets[symbol].volatility = 0

    @rule(percent=st.sampled_from([10, 60, 100]))
    def balance(self, percent: int) -> None:
        self.held = CAPITAL * percent // 100
        self.gate.hold({"USD": api.VenueBalance(self.held // 2, self.held - self.held // 2)})

    @rule(current=limits())
    def change_limits(self, current: Limits) -> None:
        self.current = current
        self.allocate()

    @rule(symbol=symbols, price=st.one_of(prices, st.sampled_from([20, 60, 180, 400])))
    def move_price(self, symbol: str, price: int) -> None:
        """Also so far that positions are beyond limits by it alone."""
        self.quote(symbol, price)

    @rule(pick=picks, quantity=lots, price=prices)
    def correct(self, pick: int, quantity: int, price: int) -> None:
        """An execution was of another quantity and at another price than told."""
        names = [name for name, one in self.orders.items() if one.fills]
        if not names:
            return
        name = names[pick % len(names)]
        one = self.orders[name]
        trade = one.fills[0]
        was = self.fills[trade]
        amount = min(quantity * LOT, one.quantity - one.filled + was.quantity)
        self.fills[trade] = replace(was, quantity=amount, price=price * SCALE)
        one.filled += amount - was.quantity
        one.open = one.open and one.filled < one.quantity
        told = {
            name: value for name, value in msgspec.structs.asdict(self.told(trade, name)).items() if name != "maker"
        }
        self.manager.event(one.symbol, FillCorrected(**told))

    @rule(pick=picks, lots_left=st.integers(1, 10), taken=st.booleans())
    def make_smaller(self, pick: int, lots_left: int, taken: bool) -> None:
        """Whether the venue takes it or not: until it has said so, all of the order counts."""
        name = self.some(pick, acknowledged=True)
        if not name:
            return
        one = self.orders[name]
        wanted = ReduceIntent(self.manager.orders[name].intent_id, one.track, one.filled + lots_left * LOT, self.wall)
        if any(isinstance(out, Amend) for out in self.manager.reduce_intent(wanted, one.track, self.wall, self.mono)):
            self.the_books_agree()
            answer = api.Accepted("v") if taken else api.Refused(-2038, "not amended")
            self.manager.amended(name, answer, self.wall, self.mono)
            one.quantity = wanted.quantity if taken else one.quantity

    @rule(current=limits())
    def tighten(self, current: Limits) -> None:
        """What is above the new limits is cancelled: each order that stays would be approved if it came now."""
        self.change_limits(current)
        for out in self.manager.cancel_excess(self.wall, self.mono):
            if isinstance(out, Cancel):
                self.acknowledge(out.client_order_id)
                self.end_partner(out.client_order_id)
                self.orders[out.client_order_id].open = False
                self.manager.event(out.symbol, Canceled(**self.base(out.client_order_id)))
        for name, one in self.orders.items():
            alone = (
                not one.partner and not one.instead_of and not any(o.instead_of == name for o in self.orders.values())
            )
            if one.open and alone and one.leaves:
                self.giving_way = name
                order = self.manager.orders[name]
                again = Intent(
                    "again", one.track, one.symbol, one.side, order.type, order.time_in_force, one.leaves, order.price,
                    False, self.wall,
                )  # fmt: skip
                reducing = self.reducing(again)
                left = {code for code, excess in self.refusals(again) if excess > 1 and not code.startswith("LOSS_")}
                self.giving_way = ""
                assert reducing or left <= UNKNOWN | KEPT, (left, again)

    @invariant()
    def asked_after_everything(self) -> None:
        """Of each track, instrument and side in turn: a plain order, as the gate clears at once where it can."""
        if not hasattr(self, "gate"):
            return
        self.turn += 1
        track, symbol = TRACKS[self.turn % 2], SYMBOLS[self.turn // 2 % len(SYMBOLS)]
        side, market = list(Side)[self.turn // 6 % 2], self.gate.markets[symbol]
        price = market.bid if side is Side.BUY else market.ask
        quantity = (1, 4, 15)[self.turn // 12 % 3] * LOT
        plain = OrderType.LIMIT, TimeInForce.GTC
        self.gate.check(
            Intent("asked", track, symbol, side, *plain, quantity, price, False, self.wall), self.wall, self.mono
        )

    # --- what was lost

    def fold(self, name: str, profit: int, allocated: int) -> None:
        super().fold(name, profit, allocated)
        look, equity = self.looks[name], self.gate_equity(name)
        day = max(self.wall // DAY_NS, look.profits[-1][0] if look.profits else 0)
        look.profits.append((day, profit))
        look.codes = set()
        owner = self.manager.ledger.owners[name]
        for period in ("day", "week"):
            turn = look.number(period, day)
            lost, opening = look.lost(period), owner.periods[period].equity
            most, percent = self.limit(name, f"loss_{period}"), self.limit(name, f"loss_{period}_percent")
            share = max(0, opening - equity)
            reached = bool(most and lost >= most) or (
                percent is not None and share > 0 and share * 100 * SCALE >= percent * opening > 0
            )
            before, row = look.in_a_row[period]
            row = (row if before == turn else 0) + 1 if reached else 0
            look.in_a_row[period] = (turn, row)
            if row >= LATCH_AFTER:
                look.latched[period] = turn
            if reached or look.latched[period] == turn:
                look.codes.add(f"LOSS_{period.upper()}_REACHED")

    def gate_equity(self, name: str) -> int:
        """As the machine has just found it equal to a fold over the fills."""
        return self.manager.ledger.owners[name].equity

    # --- limits and exposure, added up anew

    def limit(self, owner: str, field: str) -> Any:
        """Of a track: the stricter of both documents, its weight's share of it. Of the account: all of the present
        one. None: not limited."""
        both = [getattr(one, field) for one in ((self.current, self.granted) if owner else (self.current,))]
        known = [one for one in both if one is not None]
        if not known:
            return None
        found = max(known) if field in FLOORS else min(known)
        if owner and field in SCALED_LIMITS:
            return found * self.weights[owner] // 100
        return max(1, found * self.weights[owner] // 100) if owner and field in COUNTED_LIMITS else found

    def sector(self, owner: str, symbol: str) -> str:
        """Where documents differ, what either puts together is together, and what one does not know nobody does."""
        documents = (self.current, self.granted) if owner else (self.current,)
        group, grown = {symbol}, True
        while grown:
            more = {
                other
                for other in SYMBOLS
                for one in documents
                for member in group
                if one.position_sectors.get(other, "?") == one.position_sectors.get(member, "?")
            }
            grown = not more <= group
            group |= more
        return ",".join(sorted(group))

    def leaves(self, track: str, symbol: str, side: Side) -> int:
        giving_way = self.orders.get(self.giving_way)
        if giving_way is None:
            return super().leaves(track, symbol, side)
        giving_way.open = False
        try:
            return super().leaves(track, symbol, side)
        finally:
            giving_way.open = True

    def ends(self, track: str, symbol: str, intent: Intent | None = None) -> tuple[int, int]:
        """The lowest and the highest position that there may be, after an order."""
        held, buys, sells = self.position(track, symbol), *(self.leaves(track, symbol, side) for side in Side)
        if intent is not None and (intent.track, intent.symbol) == (track, symbol):
            buys += intent.quantity if intent.side is Side.BUY else 0
            sells += intent.quantity if intent.side is Side.SELL else 0
        return held - sells, held + buys

    def compare(self, intent: Intent, told: set[str]) -> None:
        if not hasattr(self, "gate") or intent.reduce_only:
            return
        must, may = set(), set()
        for code, excess in self.refusals(intent):
            if excess > 0:
                may.add(code)
            if excess > 1:
                must.add(code)
        assert must <= told, (must - told, intent)
        assert told & JUDGED <= may, (told & JUDGED - may, intent)

    def reducing(self, intent: Intent) -> bool:
        """With all that works on its side, does it only take from what its track holds?"""
        opposite = -intent.side.sign * self.position(intent.track, intent.symbol)
        return self.leaves(intent.track, intent.symbol, intent.side) + intent.quantity <= opposite

    def refusals(self, intent: Intent) -> Iterator[tuple[str, int]]:
        """Codes with 2: beyond the limit; with 1: too near to it for rounding to be told apart; with 0: within."""
        track, symbol, side, quantity = intent.track, intent.symbol, intent.side, intent.quantity
        reducing = self.reducing(intent)
        ask = {one: self.gate.markets[one].ask for one in SYMBOLS}
        paid = intent.price if side is Side.BUY else max(intent.price, self.gate.markets[symbol].bid)
        sizes = "" if reducing else track
        yield "ORDER_VALUE_EXCEEDED", beyond(Fraction(quantity * paid, SCALE), self.limit(sizes, "order_value_max"))
        yield "ORDER_QUANTITY_EXCEEDED", beyond(quantity, self.limit(sizes, "order_quantity_max"))
        if reducing:
            return
        for owner, members in ((track, (track,)), ("", (*TRACKS, FOREIGN))):
            yield from self.of_losses(owner)
            ranges = {one: [self.ends(member, one, intent) for member in members] for one in SYMBOLS}
            worst = {one: sum(max(-low, high) for low, high in found) for one, found in ranges.items()}
            value = {one: Fraction(worst[one] * ask[one], SCALE) for one in SYMBOLS}
            yield from self.of_value(owner, symbol, value)
            sign = side.sign
            net = sum(sum(max(sign * low, sign * high) for low, high in ranges[one]) * ask[one] for one in SYMBOLS)
            yield "NET_EXCEEDED", beyond(Fraction(net, SCALE), self.limit(owner, "position_net"))
            opens = not any(max(-low, high) for low, high in (self.ends(member, symbol) for member in members))
            count = sum(1 for one in SYMBOLS if worst[one]) if opens else 0
            most = self.limit(owner, "position_open_positions")
            yield "OPEN_POSITIONS_EXCEEDED", 2 * (most is not None and count > most)
            yield from self.of_past(owner, intent, ranges, ask)
        floor = self.limit(track, "account_balance_floor")
        if floor and side is Side.BUY and self.held is not None:
            spent = quantity * max(intent.price, ask[symbol]) + sum(
                self.leaves(member, one, Side.BUY) * ask[one] for one in SYMBOLS for member in (*TRACKS, FOREIGN)
            )
            yield "BALANCE_BELOW_FLOOR", beyond(Fraction(spent, SCALE), self.held - floor)

    def of_losses(self, owner: str) -> Iterator[tuple[str, int]]:
        look = self.looks[owner]
        for code in look.codes:
            yield code, 2
        if look.profits:
            yield "LOSS_DAY_REACHED", 2 * (look.lost("day") >= self.limit(owner, "loss_day"))

    def of_value(self, owner: str, symbol: str, value: dict[str, Fraction]) -> Iterator[tuple[str, int]]:
        equity, gross = self.gate_equity(owner), sum(value.values())
        together = [one for one in SYMBOLS if self.sector(owner, one) == self.sector(owner, symbol)]
        sector = sum(value[one] for one in together)
        yield "POSITION_EXCEEDED", beyond(value[symbol], self.limit(owner, "position_per_instrument"))
        yield "GROSS_EXCEEDED", beyond(gross, self.limit(owner, "position_gross"))
        for code, worth, field, whole in (
            ("LEVERAGE_EXCEEDED", gross, "position_leverage", 1),
            ("CONCENTRATION_EXCEEDED", value[symbol], "position_concentration_percent", 100),
            ("SECTOR_EXCEEDED", sector, "position_sector_percent", 100),
        ):
            share = self.limit(owner, field)
            yield code, beyond(worth, None if share is None else Fraction(share * equity, whole * SCALE))

    def of_past(
        self, owner: str, intent: Intent, ranges: dict[str, list[tuple[int, int]]], ask: dict[str, int]
    ) -> Iterator[tuple[str, int]]:
        markets, most = self.gate.markets, self.limit(owner, "position_correlation")
        if most is not None:
            known = markets[intent.symbol].correlations
            for other, found in ranges.items():
                for low, high in found:
                    if other == intent.symbol or max(-low, high) < LOT:
                        continue
                    yield "CORRELATION_UNKNOWN", 2 * (other not in known)
                    alike = known.get(other, 0) * intent.side.sign
                    yield "CORRELATION_EXCEEDED", 2 * ((high > 0 and alike > most) or (low < 0 and -alike > most))
        fields = ("position_value_at_risk", "position_expected_shortfall")
        limits = {name: self.limit(owner, name) for field in fields for name in (field, f"{field}_percent")}
        if all(one is None for one in limits.values()):
            return
        lowest = {one: sum(low for low, _ in found) for one, found in ranges.items()}
        highest = {one: sum(high for _, high in found) for one, found in ranges.items()}
        held = [
            one for one in SYMBOLS if one == intent.symbol or sum(max(-low, high) for low, high in ranges[one]) >= LOT
        ]
        unknown = any(not markets[one].volatility for one in held) or any(
            other not in markets[one].correlations for one in held for other in held if other != one
        )
        yield "VALUE_AT_RISK_UNKNOWN", 2 * unknown
        if unknown:
            return
        risk = 0.0
        for corner in product(*((lowest[one], highest[one]) for one in held)):
            moves = [
                amount * ask[one] / SCALE * markets[one].volatility / SCALE
                for one, amount in zip(held, corner, strict=True)
            ]
            variance = sum(
                x * y * (1 if one == other else markets[one].correlations[other] / SCALE)
                for x, one in zip(moves, held, strict=True)
                for y, other in zip(moves, held, strict=True)
            )
            risk = max(risk, Z * sqrt(max(0.0, variance)))
        equity = self.gate_equity(owner)
        for code, lost, field in (
            ("VALUE_AT_RISK_EXCEEDED", risk, fields[0]),
            ("EXPECTED_SHORTFALL_EXCEEDED", risk * SHORTFALL / Z, fields[1]),
        ):
            percent = limits[f"{field}_percent"]
            for limit in (limits[field], None if percent is None else percent * equity / (100 * SCALE)):
                exceeded = limit is not None and lost > limit * (1 + NEAR) + DUST
                # the gate's is a bound from above: it may refuse what this does not
                yield code, 2 if exceeded else 1 if limit is not None else 0


JUDGED = {
    "ORDER_VALUE_EXCEEDED", "ORDER_QUANTITY_EXCEEDED", "POSITION_EXCEEDED", "GROSS_EXCEEDED", "NET_EXCEEDED",
    "OPEN_POSITIONS_EXCEEDED", "LEVERAGE_EXCEEDED", "CONCENTRATION_EXCEEDED", "SECTOR_EXCEEDED", "CORRELATION_EXCEEDED",
    "CORRELATION_UNKNOWN", "VALUE_AT_RISK_EXCEEDED", "VALUE_AT_RISK_UNKNOWN", "EXPECTED_SHORTFALL_EXCEEDED",
    "BALANCE_BELOW_FLOOR", "LOSS_DAY_REACHED", "LOSS_WEEK_REACHED",
}  # fmt: skip
"""What there is a second opinion of."""


KEPT = {"BALANCE_BELOW_FLOOR", "ORDER_VALUE_EXCEEDED"}
"""What is left to a working order: its cash is locked at the venue, and prices move its value."""


def beyond(amount: Fraction | int, limit: Fraction | int | None) -> int:
    if limit is None:
        return 0
    return 2 if amount > limit + DUST else 1 if amount > limit - DUST else 0


Naive.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestNaive = Naive.TestCase

"""The books as people and programs read them: JSON with exact decimal texts. Pure.

A number that is not known is null and says why: a missing mark makes a value null and ``stale`` true, never 0.
"""

from collections.abc import Iterable, Mapping

import msgspec

from ringfence.model.money import notional, text
from ringfence.portfolio.ledger import FOREIGN, FillRow, GateLedger, Ledger, TrackLedger, positions
from ringfence.portfolio.marks import Marks


class _Document(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class Value(msgspec.Struct, frozen=True):
    """A sum in the system's currency, and what is wrong with it."""

    amount: int | None
    """None if something cannot be valued."""
    stale: bool = False
    exact: bool = True
    unvalued: tuple[str, ...] = ()
    """Assets without a price in the currency."""


class PositionRow(_Document, frozen=True):
    gate: str
    track: str
    symbol: str
    quantity: str
    average: str
    mark: str | None
    stale: bool
    value: str | None
    realised: str
    unrealised: str | None


class CashRow(_Document, frozen=True):
    """What a track's fills and fees have changed of one asset since the start of its gate's journal."""

    gate: str
    track: str
    asset: str
    change: str


class Positions(_Document, frozen=True):
    positions: list[PositionRow]
    cash: list[CashRow]
    complete: bool
    """False while events are missing, being fetched, or cannot be attributed."""


class Day(_Document, frozen=True):
    """Since midnight, in the time zone of the gate's venue."""

    profit: str | None
    exact: bool
    """False where an opening price is the first one that this process saw of the day."""


class TrackPnl(_Document, frozen=True):
    track: str
    realised: str
    unrealised: str | None
    fees: dict[str, str]
    profit: str | None
    """All that the track has won or lost, fees taken off: the change of every asset, valued now."""
    stale: bool
    unvalued: list[str]
    day: Day
    fills: int


class GatePnl(_Document, frozen=True):
    gate: str
    venue: str
    complete: bool
    equity: str | None
    """Capital and profit of all tracks but foreign ones, as if this gate alone had the capital."""
    profit: str | None
    day: Day
    stale: bool
    tracks: list[TrackPnl]


class Pnl(_Document, frozen=True):
    currency: str
    capital: str
    gates: list[GatePnl]


class Fill(_Document, frozen=True):
    gate: str
    sequence: int
    track: str
    client_order_id: str
    intent_id: str
    symbol: str
    side: str
    price: str
    quantity: str
    commission: str
    commission_asset: str
    maker: bool
    trade_id: str
    ts: int


class Fills(_Document, frozen=True):
    fills: list[Fill]


class Accounts:
    """Ledger, marks and what the system is: everything that the documents are computed from."""

    def __init__(self, ledger: Ledger, marks: Marks, currency: str, capital: int) -> None:
        self.ledger = ledger
        self.marks = marks
        self.currency = currency
        self.capital = capital

    def unrealised(self, track: TrackLedger) -> int | None:
        """In the currency, at the middle price; None if one mark is missing."""
        total = 0
        for symbol, position in track.book.positions.items():
            mark = self.marks.mark(symbol)
            if position.quantity == 0 and position.cost == 0:
                continue
            if mark is None or self.ledger.instruments[symbol].quote != self.currency:
                return None
            total += position.unrealised(mark)
        return total

    def realised(self, track: TrackLedger) -> int:
        return sum(
            position.realised
            for symbol, position in track.book.positions.items()
            if self.ledger.instruments[symbol].quote == self.currency
        )

    def profit(self, track: TrackLedger, now_ns: int) -> Value:
        """The change of every asset since the start of the ledger, valued now."""
        return self._worth(track, track.book.cash, now_ns, opening=False)

    def day(self, track: TrackLedger, now_ns: int) -> Value:
        """The same since midnight, where the gate's venue is."""
        then = self._worth(track, track.opening_cash(now_ns), now_ns, opening=True)
        now = self.profit(track, now_ns)
        if now.amount is None or then.amount is None:
            return Value(None, stale=now.stale, exact=False)
        return Value(now.amount - then.amount, stale=now.stale, exact=then.exact)

    def _worth(self, track: TrackLedger, cash: Mapping[str, int], now_ns: int, *, opening: bool) -> Value:
        total, stale, exact = 0, False, True
        unvalued = []
        for asset, amount in cash.items():
            if asset == self.currency:
                total += amount
            elif amount:
                symbol = self._symbol(asset)
                start = self.marks.opening(symbol, track.calendar, now_ns)
                price = (None if start is None else start.price) if opening else self.marks.mark(symbol)
                if price is None:
                    unvalued.append(asset)
                    continue
                total += notional(price, amount)
                stale = stale or self.marks.stale(symbol, now_ns)
                exact = exact and start is not None and start.exact
        amount_known = None if unvalued else total
        return Value(amount_known, stale or bool(unvalued), exact or not opening, tuple(unvalued))

    def _symbol(self, asset: str) -> str:
        """The instrument that prices an asset in the currency; empty if there is none."""
        for instrument in self.ledger.instruments.values():
            if (instrument.base, instrument.quote) == (asset, self.currency):
                return instrument.symbol
        return ""


def positions_document(accounts: Accounts, complete: Mapping[str, bool], now_ns: int) -> Positions:
    """``GET /positions``; ``complete`` says of each gate whether its feed misses nothing."""
    rows = [
        _position_row(accounts, gate.name, name, track, symbol, now_ns)
        for gate in accounts.ledger.gates.values()
        for name, track in sorted(gate.tracks.items())
        for symbol in positions(track)
    ]
    cash = [
        CashRow(gate=gate.name, track=name, asset=asset, change=text(change))
        for gate in accounts.ledger.gates.values()
        for name, track in sorted(gate.tracks.items())
        for asset, change in sorted(track.book.cash.items())
    ]
    return Positions(
        positions=rows, cash=cash, complete=all(_complete(g, complete) for g in accounts.ledger.gates.values())
    )


def _position_row(
    accounts: Accounts, gate: str, track_name: str, track: TrackLedger, symbol: str, now_ns: int
) -> PositionRow:
    position, mark = track.book.positions[symbol], accounts.marks.mark(symbol)
    return PositionRow(
        gate=gate,
        track=track_name,
        symbol=symbol,
        quantity=text(position.quantity),
        average=text(position.average),
        mark=_text(mark),
        stale=accounts.marks.stale(symbol, now_ns),
        value=None if mark is None else text(notional(mark, position.quantity)),
        realised=text(position.realised),
        unrealised=None if mark is None else text(position.unrealised(mark)),
    )


def pnl_document(accounts: Accounts, venues: Mapping[str, str], complete: Mapping[str, bool], now_ns: int) -> Pnl:
    """``GET /pnl``; ``venues`` names each gate's venue."""
    gates = []
    for gate in accounts.ledger.gates.values():
        own = [track for name, track in gate.tracks.items() if name != FOREIGN]
        profit = _sum(accounts.profit(track, now_ns) for track in own)
        day = _sum(accounts.day(track, now_ns) for track in own)
        gates.append(
            GatePnl(
                gate=gate.name,
                venue=venues.get(gate.name, ""),
                complete=_complete(gate, complete),
                equity=None if profit.amount is None else text(accounts.capital + profit.amount),
                profit=_text(profit.amount),
                day=Day(profit=_text(day.amount), exact=day.exact),
                stale=profit.stale,
                tracks=[_track_pnl(accounts, name, track, now_ns) for name, track in sorted(gate.tracks.items())],
            )
        )
    return Pnl(currency=accounts.currency, capital=text(accounts.capital), gates=gates)


def _track_pnl(accounts: Accounts, name: str, track: TrackLedger, now_ns: int) -> TrackPnl:
    profit, day = accounts.profit(track, now_ns), accounts.day(track, now_ns)
    return TrackPnl(
        track=name,
        realised=text(accounts.realised(track)),
        unrealised=_text(accounts.unrealised(track)),
        fees={asset: text(amount) for asset, amount in sorted(track.book.fees.items())},
        profit=_text(profit.amount),
        stale=profit.stale,
        unvalued=list(profit.unvalued),
        day=Day(profit=_text(day.amount), exact=day.exact),
        fills=track.fills,
    )


def fills_document(rows: Iterable[FillRow]) -> Fills:
    """``GET /fills``"""
    return Fills(
        fills=[
            Fill(
                gate=row.gate,
                sequence=row.sequence,
                track=row.track,
                client_order_id=row.client_order_id,
                intent_id=row.intent_id,
                symbol=row.symbol,
                side=row.side.value,
                price=text(row.price),
                quantity=text(row.quantity),
                commission=text(row.commission),
                commission_asset=row.commission_asset,
                maker=row.maker,
                trade_id=row.trade_id,
                ts=row.ts,
            )
            for row in rows
        ]
    )


def _complete(gate: GateLedger, feeds: Mapping[str, bool]) -> bool:
    return gate.complete and feeds.get(gate.name, False)


def _sum(values: Iterable[Value]) -> Value:
    parts = list(values)
    amounts = [part.amount for part in parts]
    known = [amount for amount in amounts if amount is not None]
    return Value(
        sum(known) if len(known) == len(amounts) else None,
        stale=any(part.stale for part in parts),
        exact=all(part.exact for part in parts),
    )


def _text(amount: int | None) -> str | None:
    return None if amount is None else text(amount)

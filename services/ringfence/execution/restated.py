"""Executions that the venue has since taken back (busts) or restated (corrections). Pure.

No message need tell of one. It shows as a balance that no order explains, and then in the venue's own history: the
execution is no longer there, or has other figures. Absence from a list proves little, so one is only believed where
two witnesses agree: what the history has changed must explain the balances' difference to the last digit, and all of
it. It must also concern nothing young, as a list may lag behind the stream, and the list must still know others of our
executions. Anything else stays a break.
"""

from typing import Final

from ringfence.execution.accounting import Accounting
from ringfence.model.orders import FillBusted, FillCorrected, Filled
from ringfence.model.positions import Book
from ringfence.model.transfers import is_transfer
from ringfence.venues.api import TradeReport

AUDITED: Final = 1_000
"""Latest executions of an instrument that are compared: what is older is no longer restated without a person."""
OVERLAP: Final = 100
"""Executions are taken in nearly in the order of their ids: so many more are asked for than are compared."""
SETTLED_NS: Final = 10_000_000_000
"""An execution this old is in every list of the venue, if it is anywhere."""
REASON: Final = "RESTATED the venue's history and balances agree"

Restatement = FillBusted | FillCorrected


def known(books: Accounting, symbol: str) -> tuple[dict[str, Filled], str | None]:
    """The latest executions as we have them, by trade id, and the trade id after which the venue is to list them.

    None = there are too few for one to begin after.
    """
    orders = (one for name, one in books.orders.items() if one.symbol == symbol and not is_transfer(name))
    fills = {trade_id: fill for order in orders for trade_id, fill in order.fills.items()}
    taken = [trade_id for trade_id in books.trades.get(symbol, ()) if trade_id in fills]
    after = taken[-AUDITED - OVERLAP - 1] if len(taken) > AUDITED + OVERLAP else None
    return {trade_id: fills[trade_id] for trade_id in taken[-AUDITED:]}, after


def compared(fills: dict[str, Filled], reports: tuple[TradeReport, ...], wall: int) -> list[Restatement]:
    """What would make our executions those that the venue lists now; nothing where it lists none of them: that is a
    venue that has lost the account, or the list of another."""
    there = {report.trade_id: report for report in reports}
    if not fills.keys() & there.keys():
        return []
    found: list[Restatement] = []
    for trade_id, fill in fills.items():
        report, name = there.get(trade_id), fill.client_order_id
        if report is None:
            found.append(FillBusted(client_order_id=name, ts=wall, trade_id=trade_id, reason=REASON))
        elif _figures(report) != _figures(fill):
            found.append(
                FillCorrected(
                    client_order_id=name,
                    ts=wall,
                    trade_id=trade_id,
                    price=report.price,
                    quantity=report.quantity,
                    commission=report.commission,
                    commission_asset=report.commission_asset,
                    reason=REASON,
                    ts_venue=report.ts_venue,
                )
            )
    return found


def gained(books: Accounting, restatements: list[Restatement]) -> dict[str, int]:
    """What the account has gained of each asset by all of them; what comes to nothing is left out."""
    held = Book(cash={}, positions={}, fees={})
    for event in restatements:
        order = books.orders[event.client_order_id]
        rules = books.gate.market(order.symbol).instrument
        assert rules is not None  # noqa: S101 - rules are journaled before the first order of an instrument
        held.undo(rules, order.side, *_figures(order.fills[event.trade_id]))
        if isinstance(event, FillCorrected):
            held.fill(rules, order.side, *_figures(event))
    return {asset: amount for asset, amount in held.cash.items() if amount}


def young(books: Accounting, restatements: list[Restatement], wall: int) -> list[str]:
    """Trade ids that are too young to be believed gone."""
    fills = ((event.trade_id, books.orders[event.client_order_id].fills[event.trade_id]) for event in restatements)
    return [trade_id for trade_id, fill in fills if wall - fill.ts < SETTLED_NS]


def _figures(one: Filled | FillCorrected | TradeReport) -> tuple[int, int, int, str]:
    return one.quantity, one.price, one.commission, one.commission_asset

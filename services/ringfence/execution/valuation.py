"""Today's loss of each track and of the account, at prices that closing now would fetch. Pure."""

from ringfence.execution import losses
from ringfence.execution.gate import Gate
from ringfence.execution.state import FOREIGN
from ringfence.model.money import SCALE
from ringfence.model.positions import Book


def evaluate(gate: Gate, books: dict[str, Book], ledger: losses.LossLedger, currency: str, wall: int) -> None:
    """Value every sub-ledger and bring the gate's losses up to date."""
    account = gate.account
    total = 0
    gate.loss_unknown = ""
    for name, book in books.items():
        worth = losses.value(book.cash, _prices(gate, book, currency), currency, SCALE)
        if isinstance(worth, str):
            gate.loss_unknown = f"{worth} has no price in {currency}"
            return
        total += worth
        track = gate.tracks.get(name)
        if track is not None and name != FOREIGN:
            day = ledger.update(name, worth, track.caps.loss, wall)
            track.loss, track.loss_latched = ledger.loss(name), day.latched
    day = ledger.update("", total, account.caps.loss, wall)
    account.loss, account.loss_latched = ledger.loss(""), day.latched


def _prices(gate: Gate, book: Book, currency: str) -> dict[str, int]:
    """By base asset: the bid for what is held, the ask for what is owed."""
    prices = {}
    for market in gate.markets.values():
        rules = market.instrument
        if rules is not None and rules.quote == currency:
            prices[rules.base] = market.bid if book.cash.get(rules.base, 0) >= 0 else market.ask
    return prices

"""None lost, none doubled: the strategy's intents, the gate's decisions, the journal's orders, the venue's record.

Four parties counted the same orders, each for itself. Every disagreement is a sentence; an empty list is the proof.
Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.money import text
from ringfence.model.orders import (
    Accepted,
    Canceled,
    Denied,
    Filled,
    Initialized,
    Order,
    OutcomeUnknown,
    Rejected,
    Submitted,
)
from ringfence.model.positions import Book
from ringfence.wire.messages import OrderUpdate

NEVER_SENT: Final = ("NOT_SENT", "NEVER_ARRIVED")
SHOWN: Final = 5
"""Sentences of one sort; more of the same say nothing new."""


class Told(msgspec.Struct, kw_only=True):
    """What strategy and gate say that they counted, over all their processes."""

    asked: int = 0
    """Intents that left the strategies."""
    received: int = 0
    """Intents that the gate has checked."""
    heard: int = 0
    """Refusals beside the journal that the strategies have heard of."""
    unjournaled: int = 0
    """Refusals that the gate did not journal."""


class Journal:
    """A fold of the gate's events, by nothing but the model."""

    def __init__(self, instrument: Instrument) -> None:
        self.orders: dict[str, Order] = {}
        self.intents: Counter[str] = Counter()
        self.submitted: dict[str, int] = {}
        """When, by client order id."""
        self.accepted: set[str] = set()
        self.unsent: dict[str, str] = {}
        """Orders that did not leave, and why."""
        self.denied: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.unknown = 0
        self.fills: set[tuple[str, str]] = set()
        self.acknowledged_ns: list[int] = []
        """From an order's entry in the journal to that of the venue's word."""
        self.book = Book(cash={}, positions={}, fees={})
        self.wrong: list[str] = []
        self.entries = 0
        self._instrument = instrument

    def fold(self, updates: Iterable[OrderUpdate]) -> None:
        for update in updates:
            self.entries += 1
            event = update.event
            name = event.client_order_id
            if isinstance(event, Initialized):
                if name in self.orders:
                    self.wrong.append(f"client order id {name} was used twice")
                self.orders[name] = Order(event)
                self.intents[event.intent_id] += 1
                continue
            order = self.orders.get(name)
            if order is None:
                self.wrong.append(f"{type(event).__name__} of {name}, which was never initialized")
                continue
            known = isinstance(event, Filled) and event.trade_id in order.fills
            order.apply(event)
            match event:
                case Submitted():
                    self.submitted[name] = event.ts
                case Accepted():
                    if name not in self.accepted:
                        self.acknowledged_ns.append(event.ts - self.submitted[name])
                    self.accepted.add(name)
                case Denied(reasons=reasons):
                    self.denied.update(reason.partition(" ")[0] for reason in reasons)
                case Rejected(reason=reason):
                    self.rejected[reason] += 1
                case Canceled(reason=reason) if reason.startswith(NEVER_SENT):
                    self.unsent[name] = reason
                case OutcomeUnknown():
                    self.unknown += 1
                case Filled() if not known:
                    self.fills.add((name, event.trade_id))
                    self.book.fill(
                        self._instrument,
                        order.side,
                        event.quantity,
                        event.price,
                        event.commission,
                        event.commission_asset,
                    )
                case _:
                    pass


def differences(
    told: Told,
    journal: Journal,
    requests: Sequence[Mapping[str, Any]],
    ledger: Mapping[str, Any],
    others: Mapping[str, str],
) -> list[str]:
    """``requests``: the venue's whole record; ``ledger``: its account; ``others``: cash by the portfolio."""
    wrong = list(journal.wrong[:SHOWN])
    denied = len(journal.orders) - len(journal.submitted)
    if told.asked != told.received:
        wrong.append(f"the strategy sent {told.asked} intents, the gate checked {told.received}")
    if told.received != len(journal.submitted) + denied + told.unjournaled:
        decided = (
            f"{len(journal.submitted)} passed, {denied} refused in the journal, {told.unjournaled} refused beside it"
        )
        wrong.append(f"the gate checked {told.received} intents: {decided}")
    twice = [name for name, count in journal.intents.items() if count > 1]
    wrong += [f"intent {name} became {journal.intents[name]} orders" for name in twice[:SHOWN]]
    wrong += _at_the_venue(journal, [r for r in requests if r["kind"] == "order"])
    if ledger["fills"] != len(journal.fills):
        wrong.append(f"the venue executed {ledger['fills']} times, the journal has {len(journal.fills)} fills")
    cash = {asset: text(amount) for asset, amount in journal.book.cash.items() if amount}
    venue = {asset: amount for asset, amount in ledger["delta"].items() if amount != "0"}
    if cash != venue:
        wrong.append(f"the venue's ledger moved by {venue}, the journal's by {cash}")
    if others != venue:
        wrong.append(f"the venue's ledger moved by {venue}, the portfolio's by {dict(others)}")
    return wrong


def _at_the_venue(journal: Journal, placed: Sequence[Mapping[str, Any]]) -> list[str]:
    wrong = []
    times = Counter(request["client_order_id"] for request in placed)
    wrong += [f"the venue was asked for {name} {count} times" for name, count in times.items() if count > 1][:SHOWN]
    sent = journal.submitted.keys() - journal.unsent.keys()
    wrong += [f"{name} was sent, and the venue has no record of it" for name in sent - times.keys()][:SHOWN]
    taken = {request["client_order_id"] for request in placed if request["accepted"]}
    # a refusal whose answer was lost, or that came after the order had lost its validity: no order, as the journal says
    refused = {name for name, why in journal.unsent.items() if why.startswith("NEVER_ARRIVED") and name not in taken}
    unsent = times.keys() - sent - refused
    wrong += [f"the venue has {name}, which was not sent by the journal" for name in unsent][:SHOWN]
    if taken != journal.accepted:
        odd = sorted(taken ^ journal.accepted)
        wrong.append(f"accepted by the venue {len(taken)}, by the journal {len(journal.accepted)}: {odd[:SHOWN]}")
    return wrong


def quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def histogram_quantile(page: str, name: str, share: float) -> float:
    """Upper bound, in seconds, of the bucket that holds this quantile; 0 of nothing."""
    buckets = []
    for line in page.splitlines():
        if line.startswith(f"{name}_bucket"):
            bound = line.partition('le="')[2].partition('"')[0]
            buckets.append((float(bound), float(line.rpartition(" ")[2])))
    total = max((count for _, count in buckets), default=0.0)
    return next((bound for bound, count in sorted(buckets) if total and count >= share * total), 0.0)


def total(page: str, name: str) -> float:
    """Sum of a counter's or gauge's samples on a metrics page; 0 of nothing."""
    samples = (line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rpartition(" ")[2]) for line in samples)


def counter(page: str, name: str) -> int:
    """`total` of what is counted in whole numbers."""
    return round(total(page, name))

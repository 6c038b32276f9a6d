"""The messages of the bus. Money is scaled by 1e-8, times are UTC nanoseconds."""

import msgspec

from ringfence.model.instrument import Instrument
from ringfence.model.orders import OrderEvent, OrderType, Side, TimeInForce

VERSION = 2

Level = tuple[int, int]
"""Price and quantity."""


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, tag_field="message", gc=False):
    """Base of all that travels on the bus."""


class BookTop(Message, frozen=True):
    """The best levels of a book that is in sync; self-contained, so a late subscriber needs no history."""

    symbol: str
    update_id: int
    ts_venue: int
    ts_recv: int
    bids: tuple[Level, ...]
    """Best (highest) first, at most 20."""
    asks: tuple[Level, ...]
    """Best (lowest) first, at most 20."""


class Quote(Message, frozen=True):
    """Best bid and ask."""

    symbol: str
    update_id: int
    ts_recv: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class Trade(Message, frozen=True):
    """One public trade."""

    symbol: str
    trade_id: int
    ts_venue: int
    ts_recv: int
    price: int
    quantity: int
    aggressor: Side


class FeedStatus(Message, frozen=True):
    """Whether an instrument's data may be traded on. Sent on change and once a second."""

    symbol: str
    ts: int
    usable: bool
    reason: str
    """Empty while usable; else a sentence such as ``gap: resyncing``."""


class InstrumentRules(Message, frozen=True):
    """What the venue says of an instrument. Sent by marketdata on change and once a second."""

    venue: str
    instrument: Instrument


class Intent(Message, frozen=True):
    """What a strategy wants. It becomes an order only by passing the gate."""

    intent_id: str
    """Unique for ever within the track, made by the strategy's host: the key that dedups."""
    track: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    price: int
    """Limit price; 0 for an order without one."""
    reduce_only: bool
    ts_decided: int
    stop_price: int = 0
    """Trigger of a conditional order; of a trailing one, where it begins to trail (0 = at once)."""
    trailing_bps: int = 0
    """Distance at which the trigger follows the market, hundredths of a percent (not scaled); 0 = it does not."""
    display: int = 0
    """Quantity that an iceberg shows; 0 = all of it."""


class PairIntent(Message, frozen=True):
    """Two orders of which one at most executes: as soon as one does, the venue cancels the other.

    A protective pair: both only reduce, on the same side of the same instrument, with the same quantity.
    """

    first: Intent
    """The one with a limit price: a LIMIT_MAKER or a take-profit."""
    second: Intent
    """The stop."""


class ReplaceIntent(Message, frozen=True):
    """Put another order in the place of a working one, in one step; it takes a new place in the queue."""

    intent_id: str
    """Of the new order; it becomes one only by passing the gate, and only if the old one could be cancelled."""
    replaces: str
    """Intent id of the order that gives way."""
    track: str
    quantity: int
    """Still to execute."""
    price: int
    stop_price: int
    ts_decided: int


class ReduceIntent(Message, frozen=True):
    """Make a working order smaller; it keeps its id and its place in the queue."""

    intent_id: str
    track: str
    quantity: int
    """New total, what is filled already included."""
    ts_decided: int


class MassCancelIntent(Message, frozen=True):
    """Ask for the cancel of all that the track has working."""

    track: str
    symbol: str
    """Empty: in every instrument."""
    ts_decided: int


class CancelIntent(Message, frozen=True):
    """Ask for the cancel of what an earlier intent became."""

    intent_id: str
    track: str
    ts_decided: int


Request = Intent | PairIntent | ReplaceIntent | ReduceIntent | CancelIntent | MassCancelIntent
"""All that a strategy may ask of a gate."""


def intents_of(request: Request) -> tuple[str, ...]:
    """Intent ids that an answer to it will carry; none where it names no order."""
    match request:
        case PairIntent(first, second):
            return first.intent_id, second.intent_id
        case MassCancelIntent():
            return ()
        case _:
            return (request.intent_id,)


class OrderUpdate(Message, frozen=True):
    """One event of one order, as journaled by the gate that owns it. The journal's sequence has no holes."""

    gate: str
    """Name of the gate's service, such as ``sim-execution`` or ``sim-paper``."""
    sequence: int
    track: str
    event: OrderEvent


class Refused(Message, frozen=True):
    """A refusal that a gate does not journal, because there are too many of them in this second.

    It changes nothing that a restart must know, so it has no number: one that is lost is an intent without an answer.
    """

    gate: str
    ts: int
    track: str
    intent_id: str
    reasons: tuple[str, ...]


class Balance(Message, frozen=True):
    asset: str
    free: int
    locked: int


class AccountState(Message, frozen=True):
    """What the venue says the account holds, as last reconciled."""

    gate: str
    ts: int
    balances: tuple[Balance, ...]


class GateState(Message, frozen=True):
    """What a gate allows now, and why in one sentence. Sent on change and once a second."""

    gate: str
    ts: int
    state: str
    """Starting, Active, ReduceOnly, Halted, Cancel or Flatten."""
    reason: str
    epoch: int


class Hello(Message, frozen=True):
    """A strategy to its gate, once a second: who decides on this track, and what its class can do."""

    track: str
    revision: str
    adopts: bool
    """Whether it declares ``on_adopt``."""
    ts: int
    build: str = ""
    """Of the platform that its image was built from (`runtime.build`); may differ from the gate's, and is shown."""


class Route(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which track a strategy's key is, as one gate has it from the allocation."""

    key: str
    track: str
    revision: str
    open: bool
    """Whether this gate takes its intents: execution in Canary and Live, paper in Paper."""


class Routes(Message, frozen=True):
    """Sent by each gate on change and once a second. The gate that is open to a key in the newest epoch is its own."""

    gate: str
    ts: int
    epoch: int
    routes: tuple[Route, ...]


AnyMessage = (
    BookTop
    | Quote
    | Trade
    | FeedStatus
    | InstrumentRules
    | Intent
    | PairIntent
    | ReplaceIntent
    | ReduceIntent
    | CancelIntent
    | MassCancelIntent
    | OrderUpdate
    | Refused
    | AccountState
    | GateState
    | Hello
    | Routes
)


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Around every message: who sent it, in which life of the sender, and its place in the stream."""

    version: int
    publisher: str
    session: int
    """Start time of the publisher; a new one means that sequences start again."""
    sequence: int
    body: AnyMessage

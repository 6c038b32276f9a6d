"""What the engines of this package ask their host to do. Values; the host carries them out in order."""

import msgspec

from ringfence.model.approved import Approved
from ringfence.model.records import Entry


class Cancel(msgspec.Struct, frozen=True):
    symbol: str
    client_order_id: str


class Query(msgspec.Struct, frozen=True):
    """Ask the venue for one order."""

    symbol: str
    client_order_id: str


class Replace(msgspec.Struct, frozen=True):
    """Cancel one order and, only if that succeeded, place another."""

    replaced: str
    """Client order id."""
    order: Approved
    untouched: bool
    """Only if nothing of the old one has filled: then no more than the larger of both can execute."""


class Amend(msgspec.Struct, frozen=True):
    """Make an order smaller in its place."""

    symbol: str
    client_order_id: str
    quantity: int
    """New total."""


class Pair(msgspec.Struct, frozen=True):
    """Place two orders of which the venue cancels one when the other executes."""

    first: Approved
    second: Approved


class Reconcile(msgspec.Struct, frozen=True):
    """Something happened that only the venue's own lists explain."""

    reason: str


class Refuse(msgspec.Struct, frozen=True):
    """Tell a strategy of a refusal that is not journaled."""

    track: str
    intent_id: str
    reasons: tuple[str, ...]


Request = Approved | Replace | Amend | Pair | Cancel | Query
"""What goes to the venue."""
Output = Entry | Request | Reconcile | Refuse

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


class Reconcile(msgspec.Struct, frozen=True):
    """Something happened that only the venue's own lists explain."""

    reason: str


Output = Entry | Approved | Cancel | Query | Reconcile

"""When reconciliation looks at what: on start, on reconnect, after what happened, and by the clock. Pure.

Looks are taken apart by what they cost and what they find. Open orders of the instruments that we trade are cheap
and find an order that is gone, or that has filled more than we know: often. Balances find whatever moved money
without our knowledge: less often. The list of executions is what explains a difference, so it is read when there is
one, and by itself only rarely. The list of all open orders is dear, and finds only foreign orders in instruments
that we do not trade, and orders of ours in instruments that the configuration no longer names.

| what | peers | here |
|---|---|---|
| order whose outcome is unknown | every 2 s | after 0.2 s, doubling to every 2 s (`outcomes`), by its own id |
| open orders | 5 to 10 s | `EVERY_S`, and after each stop and release |
| executions | on start | `EVERY_S`, on start, on reconnect, where a balance or an order says that one is missing |
| balances, and so positions | 30 to 60 s | `EVERY_S`, and after each release |
| what is not explained | 3 retries | a second look after the executions were read again, then a break (`reconcile`) |
| executions taken back or restated | never | while balances are not explained: the latest ones once more (`restated`) |
"""

from enum import IntFlag
from typing import Final


class Look(IntFlag):
    """What a reconciliation asks the venue for."""

    NOTHING = 0
    ORDERS = 1
    """Open orders of the instruments that we trade."""
    ACCOUNT = 2
    """All open orders of the account."""
    FILLS = 4
    BALANCES = 8


ALL: Final = Look.ORDERS | Look.ACCOUNT | Look.FILLS | Look.BALANCES
OURS: Final = Look.ORDERS | Look.FILLS | Look.BALANCES
"""All that concerns the instruments that we trade."""
STANDING: Final = Look.ORDERS | Look.BALANCES
EVERY_S: Final = {Look.ORDERS: 10.0, Look.BALANCES: 30.0, Look.FILLS: 60.0, Look.ACCOUNT: 300.0}
SECOND_NS: Final = 1_000_000_000


class Agenda:
    """``mono``: monotonic nanoseconds. A new one asks for everything."""

    def __init__(self) -> None:
        self.asked = ALL
        self.done: dict[Look, int] = {}
        """When each last succeeded."""

    def ask(self, look: Look) -> None:
        """Do it at the next occasion, whatever the clock says."""
        self.asked |= look

    def take(self, mono: int, among: Look = ALL) -> Look:
        """What to do now; the caller asks again for what did not succeed."""
        found = self.asked & among
        self.asked &= ~among
        for look, every_s in EVERY_S.items():
            if look & among and mono >= self._due(look, every_s):
                found |= look
        return found

    def succeeded(self, look: Look, mono: int) -> None:
        """``mono``: from before the question left."""
        for one in EVERY_S:
            if one & look:
                self.done[one] = mono

    def wait_s(self, mono: int) -> float:
        """Until something is due; 0 where it is already."""
        if self.asked:
            return 0.0
        return max(0, min(self._due(look, every_s) for look, every_s in EVERY_S.items()) - mono) / SECOND_NS

    def _due(self, look: Look, every_s: float) -> int:
        done = self.done.get(look)
        return 0 if done is None else done + int(every_s * SECOND_NS)

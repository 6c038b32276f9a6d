"""The venue's own record of what it was asked: the proof that nothing arrived after a kill. Bounded. Pure."""

from collections import deque
from typing import Final

import msgspec

RECORD_MAX: Final = 100_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One request to enter or cancel orders, whatever became of it. Numbers as the client wrote them."""

    sequence: int
    kind: str
    """order, cancel or cancel_all."""
    arrived_ns: int
    """When its bytes reached the venue's socket, UTC."""
    received_ns: int
    """When the venue acted on it: one latency later."""
    account: str
    """Empty when the request proved no account."""
    symbol: str
    client_order_id: str
    """Of the order; for a cancel, of the order to be cancelled (or its number)."""
    side: str
    type: str
    price: str
    quantity: str
    timestamp: str
    """When it was signed, by its client's clock: milliseconds, UTC."""
    accepted: bool
    code: int
    """The refusal's code, 0 when accepted."""
    reason: str


class Record:
    def __init__(self, limit: int = RECORD_MAX) -> None:
        self.total = 0
        """All that were ever recorded; what is no longer kept is the difference to the length."""
        self._asked: deque[Asked] = deque(maxlen=limit)

    def add(
        self,
        kind: str,
        params: dict[str, str],
        account: str,
        arrived_ns: int,
        received_ns: int,
        code: int = 0,
        reason: str = "",
    ) -> None:
        self.total += 1
        named = ("newClientOrderId",) if kind == "order" else ("origClientOrderId", "orderId")
        self._asked.append(
            Asked(
                sequence=self.total,
                kind=kind,
                arrived_ns=arrived_ns,
                received_ns=received_ns,
                account=account,
                symbol=params.get("symbol", ""),
                client_order_id=next((params[name] for name in named if name in params), ""),
                side=params.get("side", ""),
                type=params.get("type", ""),
                price=params.get("price", ""),
                quantity=params.get("quantity", ""),
                timestamp=params.get("timestamp", ""),
                accepted=not code,
                code=code,
                reason=reason,
            )
        )

    def since(self, sequence: int, limit: int) -> list[Asked]:
        """What came after this sequence number, oldest first, at most ``limit``."""
        first = self.total - len(self._asked)
        skip = max(0, sequence - first)
        return [self._asked[i] for i in range(skip, min(len(self._asked), skip + limit))]

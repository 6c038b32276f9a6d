"""Request weight by address and order counts by account, in fixed windows. Pure."""

from typing import Final

import msgspec

from ringfence.simulator.dialect import errors
from ringfence.simulator.dialect.errors import ApiError

BAN_S: Final = 120
ADDRESSES_MAX: Final = 10_000
OFFENCES_MAX: Final = 50
"""Requests over the limit within one minute that turn a warning (429) into a ban (418)."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue allows."""

    weight_1m: int = 6_000
    orders_10s: int = 100
    orders_1d: int = 200_000


class _Window(msgspec.Struct):
    length_s: int
    number: int = -1
    used: int = 0
    refused: int = 0

    def at(self, now_s: float) -> "_Window":
        """This window, emptied if its time has passed."""
        number = int(now_s // self.length_s)
        if number != self.number:
            self.number, self.used, self.refused = number, 0, 0
        return self

    def left_s(self, now_s: float) -> int:
        """Whole seconds until it starts again, at least 1."""
        return int((self.number + 1) * self.length_s - now_s) + 1


class RateLimiter:
    """Counts what was asked; raises ApiError for what is too much."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._weights: dict[str, _Window] = {}
        self._orders: dict[str, tuple[_Window, _Window]] = {}
        self._banned_until_s: dict[str, float] = {}

    def weigh(self, address: str, weight: int, now_s: float) -> int:
        """Count a request; returns the weight used in this minute."""
        until_s = self._banned_until_s.get(address, 0.0)
        if now_s < until_s:
            raise self._banned(until_s, now_s)
        if len(self._weights) > ADDRESSES_MAX:
            self._weights.clear()
        window = self._weights.setdefault(address, _Window(60)).at(now_s)
        if window.used + weight > self.limits.weight_1m:
            window.refused += 1
            if window.refused > OFFENCES_MAX:
                self._banned_until_s[address] = now_s + BAN_S
                raise self._banned(now_s + BAN_S, now_s)
            code, message = errors.TOO_MUCH_WEIGHT
            raise ApiError(code, message.format(limit=self.limits.weight_1m), 429, window.left_s(now_s))
        window.used += weight
        return window.used

    def refund(self, address: str, weight: int, now_s: float) -> int:
        """Orders and cancels that succeed weigh nothing."""
        window = self._weights.setdefault(address, _Window(60)).at(now_s)
        window.used = max(0, window.used - weight)
        return window.used

    def count_order(self, account: str, now_s: float) -> None:
        """Count a new order against its account."""
        for window, limit, interval in self._limits_of(account, now_s):
            if window.used >= limit:
                code, message = errors.TOO_MANY_ORDERS
                raise ApiError(code, message.format(limit=limit, interval=interval), 429, window.left_s(now_s))
        for window, _, _ in self._limits_of(account, now_s):
            window.used += 1

    def give_back(self, account: str, now_s: float) -> None:
        """An order that has traded does not count as unfilled."""
        for window, _, _ in self._limits_of(account, now_s):
            window.used = max(0, window.used - 1)

    def order_counts(self, account: str, now_s: float) -> tuple[int, int]:
        """Orders in the current 10 seconds and in the current day."""
        ten_s, day = self._limits_of(account, now_s)
        return ten_s[0].used, day[0].used

    def _limits_of(self, account: str, now_s: float) -> tuple[tuple[_Window, int, str], tuple[_Window, int, str]]:
        ten_s, day = self._orders.setdefault(account, (_Window(10), _Window(86_400)))
        return (
            (ten_s.at(now_s), self.limits.orders_10s, "10 SECOND"),
            (day.at(now_s), self.limits.orders_1d, "1 DAY"),
        )

    def _banned(self, until_s: float, now_s: float) -> ApiError:
        code, message = errors.BANNED
        return ApiError(code, message.format(until_ms=int(until_s * 1_000)), 418, int(until_s - now_s) + 1)

"""Whether our clients trade so much that a market which does not react to them says nothing any more. Pure."""

from typing import Final

WINDOW_NS: Final = 10_000_000_000
SHARE_MAX_PERCENT: Final = 10


class Impact:
    """Own volume against all volume, in windows of ten seconds; what was exceeded once stays on record."""

    __slots__ = ("_all", "_own", "_window", "own_percent_max", "windows_exceeded")

    def __init__(self) -> None:
        self.own_percent_max = 0
        self.windows_exceeded = 0
        self._window = 0
        self._own = 0
        self._all = 0

    def add(self, ts: int, quantity: int, *, own: bool) -> None:
        """Count one trade."""
        window = ts // WINDOW_NS
        if window != self._window:
            self.close()
            self._window = window
        self._all += quantity
        if own:
            self._own += quantity

    def close(self) -> None:
        """End the current window."""
        if self._all:
            percent = self._own * 100 // self._all
            self.own_percent_max = max(self.own_percent_max, percent)
            self.windows_exceeded += percent > SHARE_MAX_PERCENT
        self._own = self._all = 0

    @property
    def modelled(self) -> bool:
        """False once a window has passed in which our own share was too large to leave the market unmoved."""
        return not self.windows_exceeded

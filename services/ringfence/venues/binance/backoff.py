"""How long to wait before the next attempt. Pure: the randomness is handed in."""

from random import Random  # sim-ok: the type of what is handed in
from typing import Final

FIRST_S: Final = 0.1
MOST_S: Final = 15.0


class Backoff:
    """Doubling waits with full jitter, so that a crowd of clients does not come back at once."""

    def __init__(self, rng: Random, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self._ceiling_s = first_s

    def next_s(self) -> float:
        """Seconds to wait now: never 0 (a server that refuses at once must not be hammered), never above the most."""
        ceiling_s = self._ceiling_s
        self._ceiling_s = min(self._most_s, ceiling_s * 2)
        return self._rng.uniform(ceiling_s / 4, ceiling_s)

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self._ceiling_s = self._first_s

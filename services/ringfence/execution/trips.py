"""Streaks and storms: losing round trips in a row, and executions repeated without a person. A fold over fills; pure.

A round trip is a position from flat to flat (less than a lot) or through it; its result is what was realised less
fees. A win ends the streak. Executions repeat when orders of one track, in one instrument, on one side, are filled
again and again (RTS 6 Article 15(3)). Both are rebuilt from the journal, so that no restart and no midnight forgets
them; a person's acknowledgement of the track's breaker starts its count anew, and another revision on the track, which
has lost nothing yet, starts both. Both are in the journal too. A revision that is promoted keeps its counts.
"""

from collections import deque
from typing import Final

import msgspec

from ringfence.model.orders import Side

EXECUTIONS_KEPT: Final = 1_000
"""Most repeated executions that a limit can ask for."""


class Trip(msgspec.Struct):
    """A round trip that is open. Quote currency scaled by 1e-8."""

    realised: int
    """The position's sum when it began."""
    fees: int = 0


class Trips:
    """Of all tracks. ``Manager._fill`` feeds it, live and in a replay alike."""

    def __init__(self) -> None:
        self.streaks: dict[str, int] = {}
        """Losing round trips in a row by track."""
        self.revisions: dict[str, str] = {}
        """Whose counts these are, by track."""
        self.completed = 0
        self._open: dict[tuple[str, str], Trip] = {}
        self._times: dict[tuple[str, str, Side], deque[int]] = {}
        self._last: dict[tuple[str, str, Side], str] = {}

    def position(self, track: str, symbol: str, before: int, after: int, realised: int, fee: int, lot: int) -> None:
        """One fill moved a position; ``realised``: the position's sum after it, ``fee`` paid outside the base asset."""
        key = (track, symbol)
        trip = self._open.get(key)
        if trip is None or abs(before) < lot:
            # what the opening fill realised is what a fee in the base asset took: at most a rest of the last trip
            trip = self._open[key] = Trip(realised)
        trip.fees += fee
        flat = abs(after) < lot
        if not flat and (abs(before) < lot or (before > 0) == (after > 0)):
            return
        del self._open[key]
        if not flat:
            self._open[key] = Trip(realised)
        if abs(before) < lot:
            return  # dust that came and went is no trip
        self.completed += 1
        result = realised - trip.realised - trip.fees
        if result < 0:
            self.streaks[track] = self.streaks.get(track, 0) + 1
        elif result > 0:
            self.streaks[track] = 0

    def handed_over(self, track: str, symbol: str, after: int, realised: int, lot: int) -> None:
        """A book entry moved a position: neither a win nor a loss, as a cash flow is none. What is held begins anew."""
        self._open.pop((track, symbol), None)
        if abs(after) >= lot:
            self._open[track, symbol] = Trip(realised)

    def execution(self, track: str, symbol: str, side: Side, client_order_id: str, ts: int) -> None:
        """An order was executed; further fills of the same order are the same execution. ``ts``: UTC nanoseconds."""
        key = (track, symbol, side)
        if self._last.get(key) == client_order_id:
            return
        self._last[key] = client_order_id
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = deque(maxlen=EXECUTIONS_KEPT)
        times.append(ts)

    def streak(self, track: str) -> int:
        return self.streaks.get(track, 0)

    def repeated(self, track: str, count: int, window_ns: int) -> str:
        """What was last executed ``count`` times within the window, as ``symbol side``; empty if nothing was."""
        for (name, symbol, side), times in self._times.items():
            if name == track and 0 < count <= len(times) and times[-1] - times[-count] <= window_ns:
                return f"{symbol} {side}"
        return ""

    def begins(self, track: str, revision: str) -> bool:
        """A revision trades on this track. Returns whether that is news; the first one is taken to have done all that
        the journal tells of its track. What it has done on another track, from which it is promoted, comes with it."""
        before = self.revisions.get(track)
        if before == revision:
            return False
        former = next((name for name, found in self.revisions.items() if found == revision), "")
        self.revisions[track] = revision
        if before is not None:
            self.forget_losses(track)
            self.forget_executions(track)
        if former:
            self._move(former, track)
        return True

    def _move(self, former: str, track: str) -> None:
        self.streaks[track] = self.streaks.pop(former, 0)
        for key in [key for key in self._times if key[0] == former]:
            self._times[track, key[1], key[2]], self._last[track, key[1], key[2]] = self._times[key], self._last[key]
        self.forget_executions(former)

    def tracks_of(self, whose: str) -> list[str]:
        """Where a revision trades; what is no revision that trades names a track."""
        return [track for track, revision in self.revisions.items() if revision == whose] or [whose]

    def forget_losses(self, track: str) -> None:
        """They are not counted again: a person has looked, or they were another revision's."""
        self.streaks.pop(track, None)

    def forget_executions(self, track: str) -> None:
        """As with losses."""
        for key in [key for key in self._times if key[0] == track]:
            del self._times[key], self._last[key]

"""Where a day begins: at midnight in one time zone, also across a change of clocks. Pure."""

from datetime import UTC, datetime, time, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SECOND_NS: Final = 1_000_000_000


class Keys(NamedTuple):
    """Which day, week and month a moment belongs to; each only ever grows."""

    day: int
    week: int
    month: int


class Calendar:
    """Boundaries of days, weeks (Monday) and months in one time zone: UTC for crypto, an exchange's own elsewhere."""

    def __init__(self, zone: str = "UTC") -> None:
        """Raises ValueError for a zone that nobody knows."""
        self.zone: tzinfo = UTC
        if zone != "UTC":
            try:
                self.zone = ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f"time zone {zone!r} is not known: {error}") from error
        self._second, self._keys = -1, Keys(0, 0, 0)

    def keys(self, wall: int) -> Keys:
        """``wall``: UTC nanoseconds."""
        second = wall // SECOND_NS
        if second != self._second:
            date = datetime.fromtimestamp(second, self.zone).date()
            self._second = second
            self._keys = Keys(date.toordinal(), (date.toordinal() - 1) // 7, date.year * 12 + date.month)
        return self._keys

    def began(self, wall: int) -> int:
        """When the day of a moment began. Both are UTC nanoseconds."""
        date = datetime.fromtimestamp(wall // SECOND_NS, self.zone).date()
        return int(datetime.combine(date, time(), self.zone).timestamp()) * SECOND_NS

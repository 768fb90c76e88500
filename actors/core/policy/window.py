"""Times of the week, by the clock on the wall of some place.

Where that clock is put back, an hour that it shows twice counts twice; where it is put forward, one that it leaves out
does not count.
"""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from actors.core.permission_settings import DAYS, WindowSettings

_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY
"""Minutes."""


class Window:
    """One window, as minutes of a week that begins on Monday."""

    def __init__(self, settings: WindowSettings) -> None:
        self._zone = ZoneInfo(settings.zone)
        length = settings.until_minute - settings.start_minute
        if length <= 0:
            length += _DAY
        starts = sorted({DAYS.index(day) * _DAY + settings.start_minute for day in settings.days})
        self._spans = tuple((start % _WEEK, length) for start in starts)

    def holds(self, now: float) -> bool:
        """Whether the moment `now`, in Unix seconds, is within."""
        at = datetime.fromtimestamp(now, self._zone)
        minute = at.weekday() * _DAY + at.hour * 60 + at.minute
        return any((minute - start) % _WEEK < length for start, length in self._spans)

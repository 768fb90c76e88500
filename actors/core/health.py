"""What the checks of one server come to: it takes several in a row to change what is thought of it."""

from typing import Final

from actors.core.traffic_settings import HealthSettings

SPREAD: Final = 0.1
"""The share by which the time between two checks varies, so that many servers are not all asked at once."""


class Health:
    """Healthy at first: it has just answered the questions that opened its conversation."""

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._against = 0
        """Checks in a row that went against what is thought of it."""
        self.healthy = True
        """What is thought of it."""

    def record(self, *, passed: bool) -> bool:
        """Account for one check; gives whether it changed `healthy`."""
        if passed is self.healthy:
            self._against = 0
            return False
        self._against += 1
        if self._against < (self._settings.unhealthy_after if self.healthy else self._settings.healthy_after):
            return False
        self.healthy = passed
        self._against = 0
        return True


def check_pause(settings: HealthSettings, dice: float) -> float:
    """Seconds from the beginning of one check to that of the next; `dice` is evenly distributed over [0, 1)."""
    return settings.interval * (1 + SPREAD * (2 * dice - 1))

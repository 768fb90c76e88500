"""Whether somebody can be reached whom one asks again and again: a line in the log each time that changes, no more."""

import structlog

log = structlog.get_logger()


class Reachability:
    """Of one who is asked. Who has never been asked is taken to be there."""

    def __init__(self, reached: str, missed: str, **named: str) -> None:
        """The log's events for either change, and what both say of who it is."""
        self.reachable = True
        self._events = reached, missed
        self._named = named

    def reached(self) -> None:
        """There was an answer."""
        if not self.reachable:
            log.info(self._events[0], **self._named)
        self.reachable = True

    def missed(self, reason: str) -> None:
        """There was none; `reason` is for the log, so nothing secret is in it."""
        if self.reachable:
            log.warning(self._events[1], **self._named, reason=reason)
        self.reachable = False

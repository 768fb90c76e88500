"""The Router's desk for definitions: remembers which its owner agreed to, and what of a server's lists is offered."""

from dataclasses import dataclass

import structlog

from actors.core.listing import Facts, Listing
from actors.core.screening import Pin, Screened, digests_of, screen
from actors.core.settings import BackendSettings
from actors.diary import ACCEPTED, PINNED, Diary
from actors.memory import Memory

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Look:
    """The last look at one server, and what it was a look at."""

    settings: BackendSettings
    listing: Listing
    facts: Facts | None
    screened: Screened


class DefinitionDesk:
    """Belongs to the Router. The definitions that a server has when it is first seen with a `pin` are agreed to."""

    def __init__(self, memory: Memory, diary: Diary) -> None:
        """`diary` is told what is found anew since this Router began, and what is agreed to."""
        self._memory = memory
        self._diary = diary
        self._looks: dict[str, _Look] = {}

    def screen(self, settings: BackendSettings, listing: Listing, facts: Facts | None) -> Screened:
        """What of a server is offered. What is found anew is a warning in the log."""
        before = self._looks.get(settings.name)
        if before and (before.settings, before.facts) == (settings, facts) and before.listing is listing:
            return before.screened
        accepted = self._memory.definitions(settings.name)
        if settings.pin is not Pin.OFF and accepted is None and listing.tools:
            accepted = digests_of(listing.tools)
            self._memory.keep_definitions(settings.name, accepted)
            log.info("definitions_pinned", server=settings.name, tools=len(accepted))
            self._diary.definitions_agreed(settings.name, PINNED, len(accepted))
        screened = screen(listing, facts, settings.pin, settings.hidden_characters, accepted)
        self._looks[settings.name] = _Look(settings, listing, facts, screened)
        known = () if before is None else before.screened.findings
        for finding in screened.findings:
            if finding not in known:
                told = {"kind": finding.kind, "name": finding.name, "finding": finding.what, "held": finding.held}
                log.warning("definition_found", server=settings.name, **told)
                self._diary.definition_found(settings.name, finding)
        return screened

    def accept(self, settings: BackendSettings, listing: Listing) -> str:
        """Agree to the definitions of a server as they are now; says why not, or nothing."""
        if settings.pin is Pin.OFF:
            return f"the definitions of {settings.name!r} are not pinned: `pin` is off in its entry"
        accepted = digests_of(listing.tools)
        self._memory.keep_definitions(settings.name, accepted)
        self._looks.pop(settings.name, None)
        log.info("definitions_accepted", server=settings.name, tools=len(accepted))
        self._diary.definitions_agreed(settings.name, ACCEPTED, len(accepted))
        return ""

    def forget(self, gone: frozenset[str]) -> None:
        """Let go of the last look at servers that are there no longer; what was agreed to is remembered."""
        for name in gone:
            self._looks.pop(name, None)

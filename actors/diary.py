"""What the Router itself has written into the audit: that sessions ended, and what it found in definitions.

Sessions that are opened are told by the ingress replica that does it, which knows who wanted one and from where. Their
ends are told here, where each happens once, whoever brings it about. Nothing waits for the audit; what a Router that
dies had not yet handed on, which is no more than the events of `AuditSettings.flush_seconds`, nobody tells any more.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.auditing import Auditing, Writer
from actors.core.audit.digest import session_digest
from actors.core.audit.event import ENDED, Decision, Event, Kind, owner_of
from actors.core.audit_settings import AuditSettings
from actors.core.screening import CHANGED, NEW, Finding
from actors.core.session_end import End

FLAGGED: Final = "flagged"
PINNED: Final = "pinned"
ACCEPTED: Final = "accepted"
"""The outcomes of definitions, besides `NEW` and `CHANGED`."""


class Diary:
    """Belongs to the Router. Without an audit nothing comes of it."""

    def __init__(self, auditing: Auditing | None = None, key: bytes = b"") -> None:
        """`key` is `Keys.arguments` of the log."""
        self._auditing = auditing
        self._key = key
        self._sending: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Send from now on what there is to send, if that was not begun before; needs a running loop."""
        if self._auditing is not None and self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._auditing.run())

    async def drain(self) -> None:
        """The gateway ends: send what there is, for a while."""
        if self._auditing is None:
            return
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._auditing.drain()

    def session_ended(self, nonce: bytes, owner: str, why: End) -> None:
        """A session of this owner (`Client.account`), empty if nobody knows it any more, has ended."""
        if self._auditing is not None:
            endpoint, _, principal = owner.partition("\0")
            self._auditing.note(
                Event(
                    time=self._auditing.now(),
                    kind=Kind.SESSION,
                    by=owner_of(principal),
                    session=session_digest(self._key, nonce),
                    server=endpoint,
                    outcome=ENDED,
                    detail=why.value,
                )
            )

    def definition_found(self, server: str, finding: Finding) -> None:
        """Something was found in what a server says of itself; denied is what is not offered because of it."""
        if self._auditing is not None:
            is_novel = finding.what in (NEW, CHANGED)
            event = Event(
                time=self._auditing.now(),
                kind=Kind.DEFINITION,
                method=finding.kind,
                server=server,
                name=finding.name,
                decision=Decision.DENIED if finding.held else Decision.ALLOWED,
                outcome=finding.what if is_novel else FLAGGED,
                detail="" if is_novel else finding.what,
            )
            self._auditing.note_denial(event)  # a server must not be able to fill the log with itself

    def definitions_agreed(self, server: str, outcome: str, tools: int) -> None:
        """The definitions of so many tools are agreed to: when first seen (`PINNED`), or by their owner (`ACCEPTED`).

        Who it was tells the event of the admin API beside it.
        """
        if self._auditing is not None:
            now, detail = self._auditing.now(), f"{tools} tool{'' if tools == 1 else 's'}"
            self._auditing.note(Event(time=now, kind=Kind.DEFINITION, server=server, outcome=outcome, detail=detail))


def diary_of(settings: AuditSettings | None, key: bytes, generation: str, find_audit: Callable[[], Writer]) -> Diary:
    """The diary of one life of the Router; `key` as above. Without an audit one that does nothing."""
    if settings is None:
        return Diary()
    return Diary(Auditing(f"router:{generation[:16]}", find_audit, settings), key)

"""What of a server's lists is offered: definitions that were agreed to, without hidden text; and what was found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from actors.core.definition_digest import definition_digest
from actors.core.hidden_text import HiddenText, stripped, stripped_body, tricks_in, tricks_of
from actors.core.listing import Facts, Item, Kind, Listing

MAX_FINDINGS: Final = 200
"""Of one server; it could list thousands of entries, and all of them with something."""

INSTRUCTIONS: Final = "instructions"

NEW, CHANGED = "new", "changed"


class Pin(StrEnum):
    """What becomes of definitions of tools that are not those which were there first, or were accepted since."""

    OFF = "off"
    WARN = "warn"
    """They are offered, and told to the owner."""
    ON = "on"
    """They are not offered until they are accepted."""


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """Something about one entry of a list, or about what a server says of itself."""

    kind: str
    """As `Kind`, or `instructions`."""
    name: str
    """The entry's own, in ASCII: a name can hide things, too."""
    what: str
    """`new`, `changed`, or one of `Trick`."""
    held: bool
    """Whether the entry is not offered because of it."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The lists of one server after that."""

    listing: Listing
    facts: Facts | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def held(self) -> int:
        """How many entries are held back."""
        return len({(finding.kind, finding.name) for finding in self.findings if finding.held})

    def counts(self) -> Mapping[str, int]:
        """How many findings there are of each sort."""
        counted: dict[str, int] = {}
        for finding in self.findings:
            counted[finding.what] = counted.get(finding.what, 0) + 1
        return counted


def digests_of(tools: Iterable[Item]) -> dict[str, bytes]:
    """The definitions there are, by name; the first of two tools with one name counts."""
    digests: dict[str, bytes] = {}
    for item in tools:
        digests.setdefault(item.identity, definition_digest(item.body))
    return digests


def screen(
    listing: Listing, facts: Facts | None, pin: Pin, hidden: HiddenText, accepted: Mapping[str, bytes] | None
) -> Screened:
    """What is offered of a server; `accepted` has the definitions agreed to, nothing if none are known yet."""
    findings: list[Finding] = []
    lists = {
        kind: tuple(_screened(kind, listing.of(kind), pin, hidden, accepted, findings))
        for kind in (Kind.TOOLS, Kind.RESOURCES, Kind.TEMPLATES, Kind.PROMPTS)
    }
    offered = Listing(lists[Kind.TOOLS], lists[Kind.RESOURCES], lists[Kind.TEMPLATES], lists[Kind.PROMPTS])
    offered = listing if offered == listing else offered
    return Screened(offered, _facts(facts, hidden, findings), tuple(findings[:MAX_FINDINGS]))


def _screened(
    kind: Kind,
    items: Iterable[Item],
    pin: Pin,
    hidden: HiddenText,
    accepted: Mapping[str, bytes] | None,
    findings: list[Finding],
) -> Iterable[Item]:
    for item in items:
        name = item.identity.encode("ascii", "backslashreplace").decode()
        novelty = _novelty(item, accepted) if kind is Kind.TOOLS and pin is not Pin.OFF else None
        tricks = tricks_of(item.body)
        shown = Item(item.identity, stripped_body(item.body)) if hidden is HiddenText.STRIP and tricks else item
        is_foul = bool(tricks) and (hidden is HiddenText.REFUSE or (shown is not item and bool(tricks_of(shown.body))))
        if novelty is not None:
            findings.append(Finding(kind.value, name, novelty, pin is Pin.ON))
        findings.extend(Finding(kind.value, name, trick.value, is_foul) for trick in sorted(tricks))
        if not is_foul and (novelty is None or pin is not Pin.ON):
            yield shown


def _novelty(item: Item, accepted: Mapping[str, bytes] | None) -> str | None:
    if accepted is None:
        return None
    known = accepted.get(item.identity)
    if known is None:
        return NEW
    return None if known == definition_digest(item.body) else CHANGED


def _facts(facts: Facts | None, hidden: HiddenText, findings: list[Finding]) -> Facts | None:
    tricks = tricks_in(facts.instructions) if facts is not None and facts.instructions else frozenset()
    if facts is None or facts.instructions is None or not tricks:
        return facts
    is_held = hidden is HiddenText.REFUSE
    findings.extend(Finding(INSTRUCTIONS, "", trick.value, is_held) for trick in sorted(tricks))
    if hidden is HiddenText.FLAG:
        return facts
    return msgspec.structs.replace(facts, instructions=None if is_held else stripped(facts.instructions))

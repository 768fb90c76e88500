"""One configured server as its owner sees it: what it is, where it comes from, and how its replicas are."""

import msgspec

from actors.core.load import Load
from actors.core.membership import Status
from actors.core.screening import Finding


class ServerState(msgspec.Struct, frozen=True):
    """What the Router knows of one server."""

    name: str
    origin: str
    """`file` or `added`."""
    wanted: int
    """How many replicas it shall have."""
    source: bytes
    """The JSON of its entry as it was added; empty for one of the file."""
    tools: int
    replicas: tuple[Status, ...] = ()
    """What each said last, without its lists; those that are about to end, too."""
    loads: tuple[Load, ...] = ()
    """What each said last of its load, in the same order."""
    findings: tuple[Finding, ...] = ()
    """What its owner should know of its lists."""

"""The capabilities that an endpoint promises: what its servers have and the gateway carries, and no more."""

from collections.abc import Sequence
from typing import Any, Final

from actors.core import jsonrpc
from actors.core.listing import Facts
from actors.core.revisions import Era
from actors.core.tasks import TASKS

EXTENSIONS: Final = (TASKS, "io.modelcontextprotocol/ui")
"""Extensions that pass: tasks are routed by their ids, and user interfaces are resources and marks on tools. Another
may have methods that would lead nowhere here. Tasks are of the modern era only (SEP-2663, Backward Compatibility)."""

AGGREGATED: Final[dict[str, Any]] = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "completions": {},
    "logging": {},
}
"""The aggregate promises all that it can carry: a backend may come up later, and handshake clients ask only once."""


def promised(facts: Facts, era: Era) -> dict[str, Any]:
    """The capabilities at the endpoint of one server, for clients of `era`."""
    told: dict[str, Any] = {}
    for name, aspects in AGGREGATED.items():
        if facts.offers(name):
            # that lists change is noticed here even if the server never says so: it may be replaced
            told[name] = {key: True for key in aspects if key == "listChanged" or facts.offers(name, key)}
    return told | _extensions([facts], era)


def merged(facts: Sequence[Facts], era: Era) -> dict[str, Any]:
    """The capabilities of the aggregate of servers, for clients of `era`."""
    return AGGREGATED | _extensions(facts, era)


def _extensions(facts: Sequence[Facts], era: Era) -> dict[str, Any]:
    """What passes between servers and clients of these eras; of two settings of one extension the first counts."""
    found: dict[str, Any] = {}
    for each in facts:
        extensions = jsonrpc.value(each.capabilities).get("extensions")
        if isinstance(extensions, dict):
            both_modern = era is Era.MODERN and each.era is Era.MODERN
            passing = [name for name in EXTENSIONS if name in extensions and (both_modern or name != TASKS)]
            found = {name: extensions[name] for name in passing} | found
    return {"extensions": found} if found else {}

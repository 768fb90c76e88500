"""What one server has, and what it says of itself, as its Backend tells the Router."""

from enum import StrEnum

import msgspec

from actors.core import jsonrpc
from actors.core.revisions import Era


class Kind(StrEnum):
    """What can be listed; the value is the member of the list result."""

    TOOLS = "tools"
    RESOURCES = "resources"
    TEMPLATES = "resourceTemplates"
    PROMPTS = "prompts"


LIST_METHODS = {
    "tools/list": Kind.TOOLS,
    "resources/list": Kind.RESOURCES,
    "resources/templates/list": Kind.TEMPLATES,
    "prompts/list": Kind.PROMPTS,
}

CAPABILITY = {
    Kind.TOOLS: "tools",
    Kind.RESOURCES: "resources",
    Kind.TEMPLATES: "resources",
    Kind.PROMPTS: "prompts",
}
"""The server capability without which a list is not asked for."""

IDENTITY = {Kind.TOOLS: "name", Kind.PROMPTS: "name", Kind.RESOURCES: "uri", Kind.TEMPLATES: "uriTemplate"}
"""The member which a client uses to speak of an entry."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One tool, prompt, resource or template, as the server wrote it."""

    identity: str
    body: bytes
    """The whole JSON object."""


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """Everything a server lists, all pages, in its own order."""

    tools: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()

    def of(self, kind: Kind) -> tuple[Item, ...]:
        """The entries of one kind."""
        match kind:
            case Kind.TOOLS:
                return self.tools
            case Kind.RESOURCES:
                return self.resources
            case Kind.TEMPLATES:
                return self.templates
            case Kind.PROMPTS:
                return self.prompts


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What a server said of itself when it was first spoken to."""

    era: Era
    revision: str
    server_info: bytes = b"{}"
    """A JSON object, `serverInfo`."""
    capabilities: bytes = b"{}"
    """A JSON object, its `capabilities`: `tools`, `resources`, … with what it says of each."""
    instructions: str | None = None

    def offers(self, capability: str, aspect: str | None = None) -> bool:
        """Whether it has a capability, and within it an aspect such as `listChanged` or `subscribe`."""
        found = jsonrpc.value(self.capabilities).get(capability)
        if aspect is None or not isinstance(found, dict):
            return found is not None and aspect is None
        return bool(found.get(aspect))


def capabilities_of(raw: msgspec.Raw) -> bytes:
    """The `capabilities` of a server, fit for `Facts`.

    Raises:
        msgspec.DecodeError: it is not a JSON object, or cannot be decoded whole.
    """
    if not isinstance(jsonrpc.value(raw), dict):
        raise msgspec.DecodeError("its capabilities are not a JSON object")
    return bytes(raw)

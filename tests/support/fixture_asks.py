"""The tools of the fixture server that ask the client something, whatever the era, and a prompt that does.

In the handshake era `ask_roots` sends its request on no call's stream, as the SDK does for roots; all others send
theirs on the stream of the call. `asked` reports how often each of them came to its end, `waiting` how many calls wait
for an answer, which a modern one never does. A modern client that did not declare what it would be asked is told so.
"""

import json
from collections import Counter
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    CreateMessageRequest,
    ElicitRequest,
    ElicitRequestURLParams,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.support.conformance_asks import Answers, ask, elicit, sample
from tests.support.conformance_schemas import only

URL = "https://example.com/consent"
SIZES = [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}]
CHOICE = {"type": "object", "properties": {"size": {"type": "string", "oneOf": SIZES}}, "required": ["size"]}


def add_asks(server: MCPServer[Any]) -> None:  # noqa: C901 - one list of small functions
    """Register what asks."""
    ran: Counter[str] = Counter()
    waits: list[str] = []

    def form(field: str = "name", kind: str = "string") -> ElicitRequest:
        return elicit(f"What is your {field}?", only(field, kind))

    async def told(ctx: Context, tool: str, question: InputRequest) -> str | InputRequiredResult:
        if _is_modern(ctx):
            _demand(ctx.client_capabilities, question)
        waits.append(tool)
        try:
            answers = await ask(ctx, asked=question)
        finally:
            waits.remove(tool)
        return answers if isinstance(answers, InputRequiredResult) else said(tool, answers)

    def said(tool: str, answers: Answers) -> str:
        ran[tool] += 1
        return json.dumps(answers, sort_keys=True)

    @server.tool(structured_output=False)
    async def ask_form(ctx: Context) -> str | InputRequiredResult:
        """Have the user fill in a form, and tell what came back."""
        return await told(ctx, "ask_form", form())

    @server.tool(structured_output=False)
    async def ask_choice(ctx: Context) -> str | InputRequiredResult:
        """Have the user choose between what has titles."""
        return await told(ctx, "ask_choice", elicit("Which size?", CHOICE))

    @server.tool(structured_output=False)
    async def ask_url(ctx: Context) -> str | InputRequiredResult:
        """Send the user to a page, and in the handshake era tell when that is done."""
        elicitation_id = str(ctx.request_id)
        params = ElicitRequestURLParams(message="Please agree", url=URL, elicitation_id=elicitation_id)
        answer = await told(ctx, "ask_url", ElicitRequest(params=params))
        if not _is_modern(ctx):
            await ctx.session.send_elicit_complete(elicitation_id, ctx.request_id)
        return answer

    @server.tool(structured_output=False)
    async def ask_sample(ctx: Context) -> str | InputRequiredResult:
        """Have the client's model say something."""
        question: CreateMessageRequest = sample("Say something")
        return await told(ctx, "ask_sample", question)

    @server.tool(structured_output=False)
    async def ask_roots(ctx: Context) -> str | InputRequiredResult:
        """Have the client name its roots."""
        if _is_modern(ctx):
            return await told(ctx, "ask_roots", ListRootsRequest())
        waits.append("ask_roots")
        try:
            roots = await ctx.session.list_roots()
        finally:
            waits.remove("ask_roots")
        return said("ask_roots", {"asked": roots.model_dump(mode="json", by_alias=True, exclude_none=True)})

    @server.tool(structured_output=False)
    async def ask_twice(ctx: Context) -> str | InputRequiredResult:
        """Ask for a name, and when that is known for an age."""
        answers = await ask(ctx, name=form())
        if isinstance(answers, InputRequiredResult):
            return answers
        # what a modern client answered before is in the request state: it is asked for the age only
        known = {"name": form()} if _is_modern(ctx) else {}
        more = await ask(ctx, **known, age=form("age", "integer"))
        return more if isinstance(more, InputRequiredResult) else said("ask_twice", answers | more)

    @server.tool(structured_output=False)
    def asked() -> str:
        """Report how often each of these tools came to its end."""
        return json.dumps(ran)

    @server.tool(structured_output=False)
    def waiting() -> str:
        """Report how many calls of `ask_…` tools wait for an answer."""
        return str(len(waits))

    @server.prompt()
    async def asking(ctx: Context) -> str | InputRequiredResult:
        """A prompt that depends on what the user says."""
        return await told(ctx, "asking", form())


def _demand(able: ClientCapabilities | None, question: InputRequest) -> None:
    """Refuse to go on with a client that cannot be asked this, as a modern server must."""
    declared = able.model_dump(by_alias=True, exclude_none=True) if able is not None else {}
    if declared.get("elicitation") == {}:
        declared["elicitation"] = {"form": {}}
    needed: dict[str, dict[str, Any]]
    match question:
        case ListRootsRequest():
            needed = {"roots": {}}
        case CreateMessageRequest():
            needed = {"sampling": {}}
        case _:
            needed = {"elicitation": {question.params.mode: {}}}
    if not all(name in declared and aspects.keys() <= declared[name].keys() for name, aspects in needed.items()):
        message = f"the client did not declare that it can be asked this: {question.method}"
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, message, {"requiredCapabilities": needed})


def _is_modern(ctx: Context) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

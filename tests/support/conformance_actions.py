"""What a client does in each client scenario of the conformance tool, with the SDK's client."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from mcp import Client, MCPError
from mcp.client.context import ClientRequestContext
from mcp.client.stdio import StdioServerParameters
from mcp_types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ListRootsResult,
    TextContent,
)

from tests.support.sdk_client import text_of

Action = Callable[[Client, Mapping[str, Any]], Awaitable[object]]
"""Takes a connected client and the context of the scenario."""

CALL_SECONDS: Final = 20.0

STAND_INS: Final[Mapping[str, Any]] = {"string": "x", "integer": 0, "number": 0, "boolean": False, "array": []}
"""Arguments that fit a schema."""


def connect(target: str | StdioServerParameters, mode: str) -> Client:
    """A client which answers whatever it is asked, not yet connected."""
    return Client(
        target,
        mode=mode,
        read_timeout_seconds=CALL_SECONDS,
        elicitation_callback=_accept_defaults,
        sampling_callback=_sample,
        list_roots_callback=_roots,
    )


async def _accept_defaults(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    content: dict[str, Any] = {}
    if isinstance(params, ElicitRequestFormParams):
        fields = params.requested_schema.get("properties", {})
        content = {name: field["default"] for name, field in fields.items() if "default" in field}
        content |= {name: True for name, field in fields.items() if name == "confirmed"}
    return ElicitResult(action="accept", content=content)


async def _sample(context: ClientRequestContext, params: CreateMessageRequestParams) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(text="sampled"), model="stand-in")


async def _roots(context: ClientRequestContext) -> ListRootsResult:
    return ListRootsResult(roots=[])


async def _nothing(client: Client, context: Mapping[str, Any]) -> None:
    """Being connected is all."""


async def _list(client: Client, context: Mapping[str, Any]) -> None:
    assert (await client.list_tools()).tools


async def _add(client: Client, context: Mapping[str, Any]) -> None:
    result = await client.call_tool("add_numbers", {"a": 5, "b": 3})
    assert text_of(result) == "The sum of 5 and 3 is 8"


async def _probe(client: Client, context: Mapping[str, Any]) -> None:
    """The server lists no tool and answers any."""
    await client.list_tools()
    with suppress(MCPError):
        await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def _everything(client: Client, context: Mapping[str, Any]) -> None:
    for tool in (await client.list_tools()).tools:
        await client.call_tool(tool.name, {})
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def _replay(client: Client, context: Mapping[str, Any]) -> None:
    await client.list_tools()
    for call in context["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def _call_all_listed(client: Client, context: Mapping[str, Any]) -> None:
    for tool in (await client.list_tools()).tools:
        fields = tool.input_schema.get("properties", {})
        arguments = {name: STAND_INS.get(field.get("type")) for name, field in fields.items()}
        with suppress(MCPError):
            await client.call_tool(tool.name, arguments)


async def _echo_schema(client: Client, context: Mapping[str, Any]) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    await client.call_tool("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"].input_schema})


def _call(*names: str) -> Action:
    async def action(client: Client, context: Mapping[str, Any]) -> None:
        await client.list_tools()
        for name in names:
            await client.call_tool(name, {})

    return action


ACTIONS: Final[Mapping[str, Action]] = {
    "initialize": _nothing,
    "tools_call": _add,
    "elicitation-sep1034-client-defaults": _call("test_client_elicitation_defaults"),
    "sse-retry": _call("test_reconnection"),
    "request-metadata": _probe,
    "sep-2322-client-request-state": _call(
        "test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"
    ),
    "http-standard-headers": _everything,
    "http-custom-headers": _replay,
    "http-invalid-tool-headers": _call_all_listed,
    "json-schema-ref-no-deref": _list,
    "json-schema-2020-12-preservation": _echo_schema,
    "auth/client-credentials-basic": _probe,
    "auth/client-credentials-jwt": _probe,
}
"""By scenario."""

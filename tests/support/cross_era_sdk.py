"""Does with a server of ours what the official Python client offers; `cross_era_sdk.mjs` does so in TypeScript."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.client import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    LoggingMessageNotificationParams,
    PromptReference,
    Root,
    TextContent,
)

from tests.support.fixture_tools import COUNTER_URI
from tests.support.processes import eventually
from tests.support.sdk_client import text_of

WAIT: Final = 15.0

FOUND: Final[dict[str, Any]] = {
    "list": {
        "fillers": 25,
        "resources": ["fixture://blob", COUNTER_URI, "fixture://text"],
        "templates": ["fixture://items/{key}"],
        "prompts": ["asking", "greet", "plain"],
    },
    "call": ["häl\nlo", "item beta", "Greet Ada in a formal way."],
    "progress": [1, 2, 3],
    "cancel": True,
    "log": ["error"],
    "elicit": {"action": "accept", "content": {"name": "Ada"}},
    "elicit by URL": "accept",
    "sample": {"role": "assistant", "content": {"type": "text", "text": "hi"}, "model": "m"},
    "roots": {"roots": [{"uri": "file:///home/ada", "name": "home"}]},
    "subscribe": COUNTER_URI,
    "list_changed": True,
    "completion": ["formal", "friendly"],
    "error": [-31000, "raised"],
}
"""What is found where nothing is wrong."""


class SdkVisit:
    """One client, which answers what it is asked and keeps what it is told."""

    def __init__(self, url: str, mode: str) -> None:
        self._modern = mode != "legacy"
        self._logged: list[Any] = []
        self._told: list[Any] = []
        self._client = Client(
            url,
            mode=mode,
            read_timeout_seconds=WAIT,
            log_level="warning",
            elicitation_callback=self._elicit,
            sampling_callback=self._sample,
            list_roots_callback=self._list_roots,
            logging_callback=self._log,
            message_handler=self._hear,
        )

    async def find(self) -> dict[str, Any]:
        """Do everything, one thing after the other."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            async with self._client:
                return {
                    "list": await self._list(),
                    "call": await self._call(),
                    "progress": await self._progress(),
                    "cancel": await self._cancel(),
                    "log": await self._logs(),
                    "elicit": await self._asked("ask_form"),
                    "elicit by URL": (await self._asked("ask_url"))["action"],
                    "sample": await self._asked("ask_sample"),
                    "roots": await self._asked("ask_roots"),
                    **await self._changes(),
                    "completion": await self._complete(),
                    "error": await self._error(),
                }

    async def _list(self) -> dict[str, Any]:
        client = self._client
        tools = []
        cursor = None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        return {
            "fillers": sum(name.startswith("filler_") for name in tools),
            "resources": sorted(each.uri for each in (await client.list_resources()).resources),
            "templates": [each.uri_template for each in (await client.list_resource_templates()).resource_templates],
            "prompts": sorted(each.name for each in (await client.list_prompts()).prompts),
        }

    async def _call(self) -> list[Any]:
        read = await self._client.read_resource("fixture://items/beta")
        prompt = await self._client.get_prompt("greet", {"name": "Ada"})
        return [
            await self._text("echo", text="häl\nlo"),
            read.contents[0].model_dump()["text"],
            prompt.messages[0].content.model_dump()["text"],
        ]

    async def _progress(self) -> list[float]:
        steps: list[float] = []

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        await self._client.call_tool("progress", {"steps": 3}, progress_callback=heard)
        return steps

    async def _cancel(self) -> bool:
        before = await self._ran()
        call = asyncio.ensure_future(self._client.call_tool("slow", {"seconds": 300}, read_timeout_seconds=300))
        await eventually(lambda: self._grew("started", before), WAIT)
        call.cancel()
        await eventually(lambda: self._grew("cancelled", before), WAIT)
        await asyncio.gather(call, return_exceptions=True)
        return call.cancelled()

    async def _logs(self) -> list[str]:
        if not self._modern:
            await self._client.set_logging_level("warning")
        for level in ("info", "error"):
            await self._client.call_tool("log", {"level": level, "text": level})
        await eventually(lambda: self._logged, WAIT)
        return [data["text"] for data in self._logged]

    async def _asked(self, tool: str) -> Any:
        return json.loads(await self._text(tool))["asked"]

    async def _changes(self) -> dict[str, Any]:
        async with self._following():
            await self._client.call_tool("touch", {})
            await self._client.call_tool("change_tools", {})
            await eventually(lambda: "resource" in self._kinds, WAIT)
            await eventually(lambda: "tools" in self._kinds, WAIT)
        updated = next(each for each in self._told if "ResourceUpdated" in type(each).__name__)
        return {"subscribe": getattr(updated, "params", updated).uri, "list_changed": True}

    @property
    def _kinds(self) -> set[str]:
        names = {type(each).__name__ for each in self._told}
        return {"resource" for name in names if "ResourceUpdated" in name} | {
            "tools" for name in names if name.startswith("Tool") and "ListChanged" in name
        }

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        if not self._modern:
            await self._client.subscribe_resource(COUNTER_URI)
            yield
            await self._client.unsubscribe_resource(COUNTER_URI)
            return
        async with self._client.listen(tools_list_changed=True, resource_subscriptions=[COUNTER_URI]) as changes:

            async def collect() -> None:
                async for change in changes:
                    self._told.append(change)

            collecting = asyncio.create_task(collect())
            try:
                yield
            finally:
                collecting.cancel()

    async def _complete(self) -> list[str]:
        reference = PromptReference(name="greet")
        return (await self._client.complete(reference, {"name": "style", "value": "f"})).completion.values

    async def _error(self) -> list[Any]:
        try:
            await self._client.call_tool("raise", {"code": -31000, "message": "raised"})
        except MCPError as error:
            return [error.error.code, error.error.message]
        return []

    async def _text(self, tool: str, **arguments: Any) -> str:
        return text_of(await self._client.call_tool(tool, arguments))

    async def _ran(self) -> dict[str, int]:
        counts = (await self._client.call_tool("ran", {})).structured_content
        assert counts is not None
        return counts

    async def _grew(self, what: str, before: dict[str, int]) -> bool:
        return (await self._ran())[what] > before[what]

    async def _elicit(self, context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def _sample(self, context: Any, params: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(text="hi"), model="m")

    async def _list_roots(self, context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///home/ada", name="home")])

    async def _log(self, params: LoggingMessageNotificationParams) -> None:
        self._logged.append(params.data)

    async def _hear(self, message: Any) -> None:
        self._told.append(message)

"""A modern server whose one tool becomes a task: `python -m tests.support.tasks_server [--stdio | --http PORT]`.

`dig` waits for the answer to a question, and then tells how deep it dug and in which process. Source: SEP-2663.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ToolBinding
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from tests.support.sdk_server import serve

CREATED: Final = "2026-07-28T00:00:00Z"
QUESTION: Final = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "How deep?",
        "requestedSchema": {"type": "object", "properties": {"metres": {"type": "integer"}}},
    },
}

Ctx = ServerRequestContext[Any, Any]


class TaskParams(RequestParams):
    """Whose task, and what the client answers."""

    model_config = ConfigDict(alias_generator=to_camel)

    task_id: str
    input_responses: dict[str, Any] | None = None


@dataclass
class Task:
    """One of them."""

    task_id: str
    status: str = "input_required"
    metres: int = 0

    def told(self, kind: str) -> dict[str, Any]:
        """Its state, as a result of this type."""
        times = {"createdAt": CREATED, "lastUpdatedAt": CREATED, "ttlMs": 60_000, "pollIntervalMs": 10}
        members: dict[str, Any] = {"resultType": kind, "taskId": self.task_id, "status": self.status, **times}
        if kind == "complete" and self.status == "input_required":
            members["inputRequests"] = {"depth": QUESTION}
        if kind == "complete" and self.status == "completed":
            said = {"metres": self.metres, "pid": os.getpid()}
            members["result"] = {"content": [], "structuredContent": said, "isError": False}
        return members


class Tasks(Extension):
    """The extension, and all tasks of this process."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def tools(self) -> Sequence[ToolBinding]:
        """The one that becomes a task."""
        return [ToolBinding(dig)]

    def methods(self) -> Sequence[MethodBinding]:
        """The requests about tasks."""
        handlers = {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [MethodBinding(method, TaskParams, handler, versions) for method, handler in handlers.items()]

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """Make a task of the call, if the client can follow one."""
        declared = ctx.session.client_capabilities
        if declared is None or self.identifier not in (declared.extensions or {}):
            return await call_next(ctx)
        task = Task(secrets.token_urlsafe(12))
        self._tasks[task.task_id] = task
        return task.told("task")

    async def _get(self, _ctx: Ctx, params: TaskParams) -> HandlerResult:
        return self._task(params).told("complete")

    async def _update(self, _ctx: Ctx, params: TaskParams) -> HandlerResult:
        task, answers = self._task(params), params.input_responses or {}
        task.status, task.metres = "completed", answers["depth"]["content"]["metres"]
        return {}

    async def _cancel(self, _ctx: Ctx, params: TaskParams) -> HandlerResult:
        self._task(params).status = "cancelled"
        return {}

    def _task(self, params: TaskParams) -> Task:
        task = self._tasks.get(params.task_id)
        if task is None:
            raise MCPError(INVALID_PARAMS, "Task not found")
        return task


async def dig() -> str:
    """Dig a hole."""
    return "no hole without a task"


def build() -> MCPServer[Any]:
    """The server, with tasks of its own."""
    return MCPServer("tasks", version="1", log_level="WARNING", extensions=[Tasks()])


if __name__ == "__main__":
    serve(build, __doc__)

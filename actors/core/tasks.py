"""The tasks extension between modern clients and modern servers: requests about a task go where the task is.

Source: SEP-2663. Only the id is ours; all else about a task passes as the server wrote it.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.membership import ReplicaKey
from actors.core.naming import Owned
from actors.core.request import Request
from actors.core.routing import Rejection, Route
from actors.core.task_ids import OwnTask, TaskIds

TASKS: Final = "io.modelcontextprotocol/tasks"

TASK_METHODS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
"""The requests about a task; there is none that lists them."""

TASK_ID: Final = "taskId"

UNDECLARED: Final = Rejection(
    jsonrpc.MISSING_CLIENT_CAPABILITY,
    "Missing required client capability",
    {"requiredCapabilities": {"extensions": {TASKS: {}}}},
)
UNKNOWN_TASK: Final = Rejection(jsonrpc.INVALID_PARAMS, "Task not found")

_CREATED: Final = "task"
"""The `resultType` of a result that is the beginning of a task."""


def declares_tasks(client: Client) -> bool:
    """Whether the client says of this request that it knows the extension."""
    try:
        extensions = jsonrpc.decode_object(client.capabilities).get("extensions", b"")
        return TASKS in jsonrpc.decode_object(extensions)
    except msgspec.DecodeError:
        return False


def route_task(ids: TaskIds, request: Request) -> Route | Rejection:
    """Find the replica that has the task of one of `TASK_METHODS`. Rungs, in order; the first which fails decides.

    1. The client declares the extension.
    2. The id is one that this client was given. Unknown and another's look the same.
    """
    if not declares_tasks(request.client):
        return UNDECLARED
    task = ids.unwrap(request.client, jsonrpc.text(request.params.get(TASK_ID)) or "")
    if task is None:
        return UNKNOWN_TASK
    params = {**request.params, TASK_ID: jsonrpc.raw(task.task_id)}
    return Route(Owned(task.replica.backend, task.task_id), params, task.replica.index)


def with_own_id(ids: TaskIds, request: Request, replica: ReplicaKey, result: bytes) -> bytes | None:
    """A modern result, raw JSON, with the id under which this client knows the task in it; nothing if that is too long.

    `result` itself, if there is no task in it.
    """
    if b"taskId" not in result:
        return result
    try:
        members = jsonrpc.decode_object(result)
    except msgspec.DecodeError:
        return result
    created = request.method == "tools/call" and jsonrpc.text(members.get("resultType")) == _CREATED
    task_id = jsonrpc.text(members.get(TASK_ID))
    if task_id is None or not (created or request.method in TASK_METHODS):
        return result
    wrapped = ids.wrap(request.client, OwnTask(replica, task_id))
    return None if wrapped is None else jsonrpc.encode({**members, TASK_ID: jsonrpc.raw(wrapped)})

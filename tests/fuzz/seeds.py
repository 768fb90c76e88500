"""Good messages to spoil: of clients and of servers, of both eras."""

import json
from typing import Any, Final

MODERN: Final = "2026-07-28"
META: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}},
    "progressToken": 3,
}
ARGUMENTS: Final = {"text": "hello \u00fc", "numbers": [1, 2.5, -3], "deep": {"a": [{"b": None}], "c": True}}

REQUESTS: Final[tuple[dict[str, Any], ...]] = (
    {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git__echo", "arguments": ARGUMENTS}},
    {
        "jsonrpc": "2.0",
        "id": "a",
        "method": "tools/call",
        "params": {"name": "git__echo", "_meta": {"progressToken": 1}},
    },
    {"jsonrpc": "2.0", "id": 2, "method": "prompts/get", "params": {"name": "git__greet", "arguments": {"who": "me"}}},
    {"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": "file:///a"}},
    {
        "jsonrpc": "2.0",
        "id": 4,
        "method": "completion/complete",
        "params": {"ref": {"type": "ref/prompt", "name": "git__greet"}, "argument": {"name": "who", "value": "m"}},
    },
    {"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {}},
    {"jsonrpc": "2.0", "id": 6, "method": "resources/list", "params": {"cursor": "bm90IG91cnM"}},
    {"jsonrpc": "2.0", "id": 7, "method": "resources/templates/list"},
    {"jsonrpc": "2.0", "id": 8, "method": "tasks/get", "params": {"taskId": "t"}},
)
"""Requests that both eras have."""

LEGACY_MESSAGES: Final[tuple[dict[str, Any], ...]] = (
    {
        "jsonrpc": "2.0",
        "id": 9,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "f"}},
    },
    {"jsonrpc": "2.0", "id": 10, "method": "ping"},
    {"jsonrpc": "2.0", "id": 11, "method": "logging/setLevel", "params": {"level": "debug"}},
    {"jsonrpc": "2.0", "id": 12, "method": "resources/subscribe", "params": {"uri": "file:///a"}},
    {"jsonrpc": "2.0", "id": 13, "method": "resources/unsubscribe", "params": {"uri": "file:///a"}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "enough"}},
    {"jsonrpc": "2.0", "method": "notifications/roots/list_changed", "params": {}},
    {"jsonrpc": "2.0", "id": "o1m-1", "result": {"action": "accept", "content": {"name": "x"}}},
    {"jsonrpc": "2.0", "id": 14, "error": {"code": -1, "message": "no", "data": [1]}},
)

MODERN_MESSAGES: Final[tuple[dict[str, Any], ...]] = (
    {"jsonrpc": "2.0", "id": 15, "method": "server/discover", "params": {}},
    {
        "jsonrpc": "2.0",
        "id": 16,
        "method": "tools/call",
        "params": {"name": "git__echo", "arguments": {}, "inputResponses": {"ask-1": {"action": "accept"}}},
    },
    {
        "jsonrpc": "2.0",
        "id": 17,
        "method": "subscriptions/listen",
        "params": {"notifications": {"toolsListChanged": True}},
    },
    {
        "jsonrpc": "2.0",
        "id": 18,
        "method": "subscriptions/listen",
        "params": {"notifications": {"resourceSubscriptions": ["file:///a"]}},
    },
)

FORM: Final = {"message": "who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
SAMPLE: Final = {"messages": [{"role": "user", "content": {"type": "text", "text": "say"}}], "maxTokens": 9}

RESULTS: Final[tuple[dict[str, Any], ...]] = (
    {"content": [{"type": "text", "text": "hello"}], "structuredContent": {"a": [1]}, "isError": False},
    {"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}, {"type": "resource_link", "uri": "a:b"}]},
    {"resultType": "complete", "content": [], "structuredContent": [1, 2], "_meta": {"a": 1}},
    {"resultType": "complete", "contents": [{"uri": "file:///a", "text": "x"}], "ttlMs": 5, "cacheScope": "public"},
    {"messages": [{"role": "user", "content": {"type": "text", "text": "greet"}}], "description": "d"},
    {"completion": {"values": ["a", "b"], "total": 2, "hasMore": False}},
    {
        "resultType": "input_required",
        "inputRequests": {
            "one": {"method": "elicitation/create", "params": FORM},
            "two": {"method": "sampling/createMessage", "params": SAMPLE},
        },
        "requestState": "state",
    },
    {"resultType": "input_required", "requestState": "again"},
    {"resultType": "task", "taskId": "t-1", "status": "working", "ttlMs": 1000, "pollIntervalMs": 5},
)
"""Of servers, for calls."""

ERRORS: Final[tuple[dict[str, Any], ...]] = (
    {"code": -32602, "message": "Invalid params"},
    {"code": -32020, "message": "headers", "data": {"x": 1}},
    {
        "code": -32042,
        "message": "see there",
        "data": {"elicitations": [{"mode": "url", "message": "m", "url": "https://e.org", "elicitationId": "1"}]},
    },
)

NOTIFICATIONS: Final[tuple[dict[str, Any], ...]] = (
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 3, "progress": 1, "total": 2}},
    {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": {"a": 1}}},
    {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
    {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "file:///a"}},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7, "reason": "never mind"}},
    {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]}},
    },
    {"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": {**FORM, "mode": "form"}},
    {"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage", "params": SAMPLE},
    {"jsonrpc": "2.0", "id": 8, "method": "roots/list"},
    {"jsonrpc": "2.0", "id": 9, "method": "ping"},
)
"""What servers say of themselves, requests of theirs included."""


def responses(request_id: Any) -> list[dict[str, Any]]:
    """Every answer of a server to one request."""
    head = {"jsonrpc": "2.0", "id": request_id}
    return [*({**head, "result": result} for result in RESULTS), *({**head, "error": error} for error in ERRORS)]


def as_json(message: Any) -> bytes:
    """Compact, with letters beyond ASCII as they are."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()

"""What a load driver sends and how it knows an answer for its own: one definition for every driver here.

Nothing is taken on trust. An answer counts only if it has the id and the text of the question.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

MODERN_REVISION: Final = "2026-07-28"
LEGACY_REVISION: Final = "2025-11-25"
CLIENT: Final = b'{"name":"load","version":"1"}'
MODERN_META: Final = (
    b'"_meta":{"io.modelcontextprotocol/protocolVersion":"%b","io.modelcontextprotocol/clientInfo":%b,'
    b'"io.modelcontextprotocol/clientCapabilities":{}}' % (MODERN_REVISION.encode(), CLIENT)
)


class Era(StrEnum):
    """How a driver speaks."""

    MODERN = "modern"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class Question:
    """One request: its HTTP headers, its body, and what the answer has to hold."""

    headers: dict[str, str]
    body: bytes
    id: int
    text: str = ""


class Content(msgspec.Struct):
    """One piece of a tool's answer."""

    text: str = ""


class Tool(msgspec.Struct):
    """One tool of a list."""

    name: str


class Result(msgspec.Struct):
    """As much of any result as is checked."""

    content: list[Content] = []
    tools: list[Tool] = []
    is_error: bool = msgspec.field(default=False, name="isError")
    revision: str = msgspec.field(default="", name="protocolVersion")


class Answer(msgspec.Struct):
    """A JSON-RPC response."""

    id: int | str | None = None
    result: Result | None = None
    error: msgspec.Raw = msgspec.Raw()


class Data(msgspec.Struct):
    """As much of an error's data as is counted."""

    reason: str = ""


class Error(msgspec.Struct):
    """A JSON-RPC error."""

    data: Data = msgspec.field(default_factory=Data)


ANOTHER_ID: Final = "the answer to another question"
ANOTHER_TEXT: Final = "the text of another question"
NO_RESPONSE: Final = "not a JSON-RPC response"

WRONG: Final = frozenset({ANOTHER_ID, ANOTHER_TEXT, NO_RESPONSE})
"""Objections to what must never happen; the others say that a call failed."""

_decode: Final = msgspec.json.Decoder(Answer).decode


class Wire:
    """Makes the questions of one client, numbered from `first_id`; a legacy client sets its session when it has one."""

    def __init__(
        self,
        era: Era,
        tool: str,
        *,
        first_id: int = 1,
        text_bytes: int = 64,
        delay_ms: int = 0,
        credential: str = "",
    ) -> None:
        """`delay_ms` is asked of a tool that can wait before it answers, if it is more than 0.

        `credential` is the value of `Authorization`; there is none if it is empty.
        """
        self.session: str | None = None
        self._era = era
        self._tool = tool
        self._next_id = first_id
        self._padding = "x" * text_bytes
        self._delay = b',"delay_ms":%d' % delay_ms if delay_ms else b""
        self._credential = {"Authorization": credential} if credential else {}

    def call(self) -> Question:
        """A `tools/call` whose text no other question has."""
        number = self._take_id()
        text = f"{number}:{self._padding}"
        params = b'"name":"%b","arguments":{"text":"%b"%b}' % (self._tool.encode(), text.encode(), self._delay)
        return Question(self._headers("tools/call", self._tool), self._body(number, "tools/call", params), number, text)

    def list_tools(self) -> Question:
        """A `tools/list`, first page."""
        number = self._take_id()
        return Question(self._headers("tools/list", None), self._body(number, "tools/list", b""), number)

    def initialize(self) -> Question:
        """The first request of a legacy client."""
        number = self._take_id()
        params = b'"protocolVersion":"%b","capabilities":{},"clientInfo":%b' % (LEGACY_REVISION.encode(), CLIENT)
        return Question(self._headers("initialize", None), self._body(number, "initialize", params), number)

    def initialized(self) -> Question:
        """The notification that follows; its answer is an empty 202."""
        body = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
        return Question(self._headers("notifications/initialized", None), body, 0)

    def _take_id(self) -> int:
        number = self._next_id
        self._next_id += 1
        return number

    def _headers(self, method: str, name: str | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        headers |= self._credential
        if self._era is Era.MODERN:
            headers |= {"MCP-Protocol-Version": MODERN_REVISION, "Mcp-Method": method}
            if name is not None:
                headers["Mcp-Name"] = name
        elif self.session is not None:
            headers |= {"MCP-Protocol-Version": LEGACY_REVISION, "Mcp-Session-Id": self.session}
        return headers

    def _body(self, number: int, method: str, params: bytes) -> bytes:
        if self._era is Era.MODERN:
            params = b"%b,%b" % (params, MODERN_META) if params else MODERN_META
        return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":{%b}}' % (number, method.encode(), params)


def objection(question: Question, status: int, content_type: str, body: bytes) -> str | None:
    """Why this is not the answer to the question; nothing if it is."""
    if status != 200:
        return f"status {status}"
    try:
        answer = _decode(_message(content_type, body))
    except msgspec.DecodeError:
        return NO_RESPONSE
    if answer.id != question.id:
        return ANOTHER_ID
    if answer.result is None:
        return f"error {bytes(answer.error)[:120].decode(errors='replace')}"
    if answer.result.is_error:
        return "the tool failed"
    if question.text and [content.text for content in answer.result.content] != [question.text]:
        return ANOTHER_TEXT
    return None


def reason_of(content_type: str, body: bytes) -> str:
    """The `reason` in an error of the gateway; empty if the body is none."""
    try:
        return msgspec.json.decode(_decode(_message(content_type, body)).error, type=Error).data.reason
    except msgspec.DecodeError:
        return ""


def tool_names(content_type: str, body: bytes) -> list[str]:
    """The names in a `tools/list` answer that met no objection."""
    result = _decode(_message(content_type, body)).result
    return [tool.name for tool in result.tools] if result is not None else []


def _message(content_type: str, body: bytes) -> bytes:
    return last_event(body) if content_type.lower().startswith("text/event-stream") else body


def last_event(stream: bytes) -> bytes:
    """The data of the last server-sent event that has any; responses end their streams."""
    data = b""
    for event in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
        data = b"\n".join(lines) or data
    return data

"""The result of a call in the form of the client's revision.

What differs, and what becomes of it; everything else passes untouched, for readers ignore what they do not know:

| in the result | since | an older client gets |
|---|---|---|
| a block of audio, a link to a resource | 2025-03-26, 2025-06-18 | a text that tells of it |
| `structuredContent` that is no object | 2026-07-28 | its JSON as a text, unless a text says it already |
| `structuredContent`, any | 2025-06-18 | its JSON as a text, if there is no content besides |

Source: the schema of each revision, `CallToolResult`, `GetPromptResult`, `ContentBlock`.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.blocks import block_for, may_have_newer, mentions, text_block
from actors.core.revisions import MODERN_REVISIONS

STRUCTURED: Final = "structuredContent"
STRUCTURED_SINCE: Final = "2025-06-18"
ANY_VALUE_SINCE: Final = MODERN_REVISIONS[0]


def call_result_for(revision: str, method: str, body: bytes) -> bytes:
    """The `result` of a call, raw JSON, for a client of `revision`; `body` itself if nothing must change.

    What is not of the form of a result of `method` passes as it is.
    """
    convert = _CONVERSIONS.get(method)
    if convert is None or revision >= ANY_VALUE_SINCE:
        return body
    try:
        return convert(revision, body)
    except msgspec.DecodeError:
        return body


def _tool_result(revision: str, body: bytes) -> bytes:
    newer = may_have_newer(revision, body)
    if not newer and not mentions(body, STRUCTURED):
        return body
    members = jsonrpc.decode_object(body)
    structured = members.get(STRUCTURED)
    fits = structured is None or jsonrpc.is_object(structured)
    if not newer and fits and revision >= STRUCTURED_SINCE:
        return body
    content = jsonrpc.decode_list(members.get("content", b"[]"))
    told = [block_for(revision, block) for block in content]
    if structured is not None and _is_lost(revision, structured, content):
        told.append(text_block(bytes(structured).decode(errors="replace")))
    if fits and told == content:
        return body
    if not fits:
        del members[STRUCTURED]
    return jsonrpc.encode({**members, "content": told})


def _is_lost(revision: str, structured: msgspec.Raw, content: list[msgspec.Raw]) -> bool:
    if jsonrpc.is_object(structured):
        return revision < STRUCTURED_SINCE and not content
    if jsonrpc.is_absent(structured):
        return False
    try:
        value = jsonrpc.value(structured)
    except msgspec.DecodeError:
        return True
    return not any(_says(block, value) for block in content)


def _says(block: msgspec.Raw, value: object) -> bool:
    try:
        text = jsonrpc.text(jsonrpc.decode_object(block).get("text"))
        if text is None:
            return False
        if text == value:
            return True
        said = jsonrpc.value(text.encode())
    except msgspec.DecodeError:
        return False
    return bool(said == value) and isinstance(said, bool) is isinstance(value, bool)


def _prompt_result(revision: str, body: bytes) -> bytes:
    if not may_have_newer(revision, body):
        return body
    members = jsonrpc.decode_object(body)
    messages = jsonrpc.decode_list(members.get("messages", b"[]"))
    told = [_prompt_message(revision, message) for message in messages]
    return body if told == messages else jsonrpc.encode({**members, "messages": told})


def _prompt_message(revision: str, message: msgspec.Raw) -> msgspec.Raw:
    try:
        members = jsonrpc.decode_object(message)
    except msgspec.DecodeError:
        return message
    content = members.get("content")
    if content is None or (told := block_for(revision, content)) == content:
        return message
    return jsonrpc.raw({**members, "content": told})


_CONVERSIONS: Final[dict[str, Callable[[str, bytes], bytes]]] = {
    "tools/call": _tool_result,
    "prompts/get": _prompt_result,
}

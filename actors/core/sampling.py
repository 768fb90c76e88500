"""`sampling/createMessage` between revisions: the parameters, and the client's answer.

Before 2025-11-25 there are no tools in sampling, and the content of a message is one block; before 2025-03-26 there is
no audio (`CreateMessageRequest`, `SamplingMessage` and `CreateMessageResult` in the schema of each revision).
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.blocks import block_for, text_block
from actors.core.impossible import Impossible, came_later
from actors.core.jsonrpc import Object

TOOLS_SINCE: Final = "2025-11-25"
LISTS_SINCE: Final = "2025-11-25"

_TOOL_BLOCKS: Final = frozenset({"tool_use", "tool_result"})


def wants_tools(params: Object) -> bool:
    """Whether the model is to be given tools."""
    return not all(jsonrpc.is_absent(params.get(key)) for key in ("tools", "toolChoice"))


def sampling_for(revision: str, params: bytes) -> bytes | Impossible:
    """The parameters, a JSON object, for a client of `revision`; `params` itself if nothing must change.

    A message of several blocks becomes as many messages. What is not of that form passes as it is.
    """
    if revision >= LISTS_SINCE:
        return params
    try:
        members = jsonrpc.decode_object(params)
        if wants_tools(members):
            return came_later("sampling with tools", TOOLS_SINCE, revision)
        before = jsonrpc.decode_list(members.get("messages", b"[]"))
        told: list[msgspec.Raw] = []
        for message in before:
            split = _split(revision, message)
            if isinstance(split, Impossible):
                return split
            told.extend(split)
    except msgspec.DecodeError:
        return params
    return params if told == before else jsonrpc.encode({**members, "messages": told})


def sampled_for(revision: str, result: bytes) -> bytes | Impossible:
    """The client's answer, a JSON object, for a server of `revision`; `result` itself if nothing must change.

    Several texts become one, with a line break between them. What is not of that form passes as it is.
    """
    if revision >= LISTS_SINCE:
        return result
    try:
        members = jsonrpc.decode_object(result)
        content = members.get("content", msgspec.Raw(b"null"))
        blocks = _blocks(content)
        if _has_tools(blocks):
            return came_later("sampling with tools", TOOLS_SINCE, revision)
        told = _joined(blocks) if len(blocks) != 1 else block_for(revision, blocks[0])
    except msgspec.DecodeError:
        return result
    if told is None:
        return came_later("an answer of several blocks that are not all text", LISTS_SINCE, revision)
    return result if told == content else jsonrpc.encode({**members, "content": told})


def _split(revision: str, message: msgspec.Raw) -> list[msgspec.Raw] | Impossible:
    members = jsonrpc.decode_object(message)
    content = members.get("content", msgspec.Raw(b"null"))
    blocks = _blocks(content)
    if _has_tools(blocks):
        return came_later("sampling with tools", TOOLS_SINCE, revision)
    told = [block_for(revision, block) for block in blocks]
    return [message] if told == [content] else [jsonrpc.raw({**members, "content": block}) for block in told]


def _blocks(content: msgspec.Raw) -> list[msgspec.Raw]:
    return jsonrpc.decode_list(content) if bytes(content).startswith(b"[") else [content]


def _has_tools(blocks: list[msgspec.Raw]) -> bool:
    return any(_member(block, "type") in _TOOL_BLOCKS for block in blocks)


def _joined(blocks: list[msgspec.Raw]) -> msgspec.Raw | None:
    texts = [_member(block, "text") for block in blocks if _member(block, "type") == "text"]
    if len(texts) < len(blocks) or None in texts:
        return None
    return text_block("\n".join(text for text in texts if text is not None))


def _member(block: msgspec.Raw, key: str) -> str | None:
    return jsonrpc.text(jsonrpc.decode_object(block).get(key))

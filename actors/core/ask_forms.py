"""A server's question to the client, and the answer, in the form of the revision of whoever reads it."""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.elicitation import elicitation_for
from actors.core.impossible import Impossible
from actors.core.revisions import MODERN_REVISIONS
from actors.core.sampling import sampled_for, sampling_for

ENVELOPES_UNTIL: Final = MODERN_REVISIONS[0]
"""From here on an ask stands in a result: it is no request that could have a task or progress of its own."""


def ask_for(revision: str, method: str, params: bytes, elicitation_id: str) -> bytes | Impossible:
    """The parameters of an ask for a client of `revision`; `params` itself if nothing must change.

    `method` is one of `ask.ASKABLE`; for `elicitation_id` see `elicitation_for`. What is not of the form of such
    parameters passes as it is.
    """
    if revision >= ENVELOPES_UNTIL:
        params = without_envelope(params)
    match method:
        case "elicitation/create":
            return elicitation_for(revision, params, elicitation_id)
        case "sampling/createMessage":
            return sampling_for(revision, params)
        case _:
            return params


def answer_for(revision: str, method: str, result: bytes) -> bytes | Impossible:
    """The client's result for a server of `revision`; `result` itself if nothing must change."""
    return sampled_for(revision, result) if method == "sampling/createMessage" else result


def without_envelope(params: bytes) -> bytes:
    """The parameters, a JSON object, without what only a request can have: a task and a progress token."""
    try:
        members = jsonrpc.decode_object(params)
        task = members.pop("task", None)
        meta = jsonrpc.decode_object(members.get("_meta", b""))
        progress = meta.pop(jsonrpc.PROGRESS_KEY, None)
    except msgspec.DecodeError:
        return params
    if task is None and progress is None:
        return params
    if meta:
        members["_meta"] = jsonrpc.raw(meta)
    else:
        members.pop("_meta", None)
    return jsonrpc.encode(members)

"""A server's question on its way to a handshake client as a request of ours, and the way back of the answer.

The id of the request says where the answer belongs, sealed for the session that was asked: whichever ingress replica
gets the answer sends it on, and no client can answer another's question.
"""

import hashlib

import msgspec
import structlog

from actors.core import jsonrpc, trail
from actors.core.client import Client
from actors.core.envelope import Response
from actors.core.seal import NONCE_BYTES, Seal
from actors.core.trail import Question
from actors.core.where import Where
from serve_app.links import Links

log = structlog.get_logger()


class Questions:
    """Puts questions, and sends answers where they belong."""

    def __init__(self, secret: bytes, links: Links) -> None:
        self._seal = Seal(secret, "question")
        self._links = links

    def put(self, client: Client, where: Where, number: int, method: str, params: bytes) -> bytes:
        """The request that asks the client what the event of this number asks."""
        return jsonrpc.question(self._id(client, where, number), method, params)

    def take_back(self, client: Client, where: Where, number: int) -> bytes:
        """The notification that the answer is not wanted any more."""
        params = {"requestId": self._id(client, where, number), "reason": "the server takes the question back"}
        return jsonrpc.notification("notifications/cancelled", jsonrpc.encode(params))

    def _id(self, client: Client, where: Where, number: int) -> str:
        """The same at every ingress replica, and however far the exchange was read.

        The nonce is a digest of all that is sealed, so it is used again for the very same text only, which tells nobody
        anything (the argument of RFC 8452 for such nonces).
        """
        payload = trail.encode(Question(msgspec.structs.replace(where, after=0), number))
        digest = hashlib.blake2b(payload + client.owner.encode(), digest_size=NONCE_BYTES).digest()
        return self._seal.close(payload, client.owner, digest)

    def take(self, client: Client, response: Response) -> bool:
        """Send an answer where it belongs; false if it answers nothing that this client was asked."""
        opened = self._seal.open(jsonrpc.text(response.id) or "", client.owner)
        if opened is None:
            return False
        question = trail.decode_question(opened[0])
        link = self._links.link_to(question.where.replica, question.where.epoch)
        if link is None:
            log.info("answer_without_question", backend=question.where.replica.backend)
        else:
            link.answer(question.where.exchange_id, question.ask, response.answer)
        return True

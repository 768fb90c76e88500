"""The way to a server over HTTP+SSE: every message is a POST, and its status says no more than that it arrived."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from multidict import CIMultiDict
from yarl import URL

from actors.core.jsonrpc import Message
from actors.transports.http_answer import JSON, AnswerReader
from actors.transports.http_failure import LOST, SESSION_LOST, Unanswered, of_error
from actors.transports.http_lanes import CLOSE_SECONDS, HttpLanes
from actors.transports.http_notices import HttpNotices
from actors.transports.http_pool import KEEP_ALIVE_SECONDS, HttpPool

ACCEPTED_BYTES: Final = 4096
"""What is read of the body of an acceptance, so that its connection can be used again."""

log = structlog.get_logger()


class SsePosts:
    """Posts to the one URL that the server has named.

    Args:
        url: where messages go.
        name: of the backend, for the log.
        headers: sent with every POST.
        failed: called when a request was not taken; says which and why.
        lost: called when the server does not know the conversation any more.
        deliver: called with a JSON-RPC error that a refusal carried.
        max_message_bytes: how much of a refusal is read.
        connect_seconds: how long making one connection may take.
        pool_size: POSTs of requests at once; further ones wait, unsent.
        send_seconds: how long a POST may take that nobody waits for.
    """

    def __init__(
        self,
        url: URL,
        *,
        name: str,
        headers: CIMultiDict[str],
        failed: Callable[[int, Unanswered], None],
        lost: Callable[[Unanswered], None],
        deliver: Callable[[Message], None],
        max_message_bytes: int,
        connect_seconds: float,
        pool_size: int,
        send_seconds: float,
    ) -> None:
        self.headers = headers
        self.unsent_bytes = 0
        """Of messages that the server has not accepted yet."""
        self._name = name
        self._failed = failed
        self._lost = lost
        self._deliver = deliver
        self._max_message_bytes = max_message_bytes
        self._send_seconds = send_seconds
        limits = {"connect_seconds": connect_seconds, "keep_alive_seconds": KEEP_ALIVE_SECONDS}
        self._lanes = HttpLanes(lambda size: HttpPool(str(url), size=size, **limits), pool_size)
        self._lanes.start()
        self._notices = HttpNotices(name)
        # A request that waits here has certainly not been sent; one that waits inside the pool might have been.
        self._slots = asyncio.Semaphore(pool_size)
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._limits: dict[int, asyncio.Timeout] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def unsent(self) -> list[int]:
        """The requests that the server has certainly not seen."""
        return list(self._waiting)

    def request(self, request_id: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Begin to post a request; it goes on until `let_go` at least."""
        self._waiting[request_id] = self._spawn(self._post_request(request_id, body, headers), body)

    def let_go(self, request_id: int) -> None:
        """Take note that nobody waits for a request any more: it is not sent if it was not, else it may soon end."""
        task = self._waiting.pop(request_id, None)
        if task is not None:
            task.cancel()
        limit = self._limits.pop(request_id, None)
        if limit is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self._send_seconds)

    def greet_next(self) -> None:
        """Let the next `send` arrive before requests that begin after it: it ends the handshake."""
        self._notices.greet_next()

    def send(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Begin to post a notification or an answer; several may overtake each other."""
        self._notices.begin(lambda: self._spawn(self._post_notice(body, headers), body))

    def stop(self) -> None:
        """Give up everything under way."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Stop, and close every connection, within a few seconds."""
        self.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self._lanes.close()

    async def _post_request(self, request_id: int, body: bytes, headers: Mapping[str, str]) -> None:
        await self._notices.greeted()
        async with self._slots:
            self._waiting.pop(request_id, None)
            with suppress(TimeoutError):  # nobody waits for it any more
                async with asyncio.timeout(None) as limit:
                    self._limits[request_id] = limit
                    try:
                        trouble = await self._post(request_id, body, headers)
                    finally:
                        self._limits.pop(request_id, None)
                self._judge(request_id, trouble)

    def _judge(self, request_id: int, trouble: Unanswered | None) -> None:
        if trouble is not None:
            self._failed(request_id, trouble)
        if trouble is SESSION_LOST:
            self._lost(trouble)

    async def _post(self, request_id: int, body: bytes, headers: Mapping[str, str]) -> Unanswered | None:
        """Post a request; the reason why it was not taken, if it was not. Rungs, in order.

        1. Accepted: the answer comes on the stream.
        2. The server does not know the conversation, so nothing ran.
        3. A refusal, which may have the JSON-RPC error in it.
        """
        try:
            async with self._lanes.calls.request("POST", self._marked(headers), body) as response:
                if response.status < 300:
                    await response.content.read(ACCEPTED_BYTES)
                    return None
                if response.status == 404:
                    return SESSION_LOST
                limit = self._max_message_bytes
                reader = AnswerReader(b"%d" % request_id, self._deliver, name=self._name, max_message_bytes=limit)
                return await reader.read(response)
        except LOST as error:
            return of_error(error, self._lanes.calls.url)

    async def _post_notice(self, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            async with (
                asyncio.timeout(self._send_seconds),
                self._lanes.side.request("POST", self._marked(headers), body) as response,
            ):
                if response.status < 300:
                    await response.content.read(ACCEPTED_BYTES)
                    return
                log.warning("send_refused", backend=self._name, status=response.status)
                if response.status == 404:
                    self._lost(SESSION_LOST)
        except LOST as error:
            log.warning("send_failed", backend=self._name, reason=of_error(error, self._lanes.side.url).detail)

    def _marked(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        marked = self.headers.copy()
        marked["Content-Type"] = JSON
        marked.update(headers)
        return marked

    def _spawn(self, work: Coroutine[None, None, None], body: bytes) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.unsent_bytes += len(body)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, len(body)))
        return task

    def _done(self, size: int, task: asyncio.Task[None]) -> None:
        self.unsent_bytes -= size
        self._tasks.discard(task)

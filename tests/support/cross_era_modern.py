"""A client of the modern era."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import httpx

from tests.support.cross_era_client import NAME, SECONDS, Answer, Client, Json, Running, messages

REVISION: Final = "2026-07-28"
KEY: Final = "io.modelcontextprotocol/"
NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
CAPABILITIES: Final[Json] = {"sampling": {}, "roots": {}, "elicitation": {"form": {}, "url": {}}}
ON_A_REQUEST: Final = {"notifications/progress", "notifications/message"}
"""All that a server may say on the stream of a request."""


class ModernClient(Client):
    """Speaks in requests which stand for themselves."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        super().__init__(REVISION)
        self._http = http
        self._url = url
        self._ids = count(1)
        self._tasks: set[asyncio.Task[Answer]] = set()
        self.states: list[Json] = []
        """Every retry that was sent: its `method` and `params`."""
        self.before_answering: Any = None
        """Awaited, if there is one, when questions have come and before they are answered."""

    def begin(
        self, method: str, params: Json | None = None, *, meta: Json | None = None, level: str | None = None
    ) -> Running:
        """See `Client.begin`."""
        envelope = {**(meta or {}), **({KEY + "logLevel": level} if level is not None else {})}
        task = asyncio.create_task(self._answer(method, params or {}, envelope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Running(None, task)

    async def retry(self, number: int) -> Answer:
        """Send one of the retries again."""
        return await self._once(self.states[number]["method"], self.states[number]["params"], {})

    async def cancel(self, running: Running) -> None:
        """See `Client.cancel`: the stream is closed."""
        running.answer.cancel()
        await asyncio.gather(running.answer, return_exceptions=True)

    async def want_logs(self, level: str) -> None:
        """See `Client.want_logs`: this revision says it with every request."""

    @asynccontextmanager
    async def following(self, uri: str) -> AsyncIterator[None]:
        """See `Client.following`."""
        lists = {f"{name}ListChanged": True for name in ("tools", "prompts", "resources")}
        acknowledged: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        wanted = {**lists, "resourceSubscriptions": [uri]}
        listening = asyncio.create_task(self._listen(wanted, acknowledged))
        try:
            async with asyncio.timeout(SECONDS):
                await asyncio.wait({listening, acknowledged}, return_when=asyncio.FIRST_COMPLETED)
            assert acknowledged.done(), listening.exception()
            assert acknowledged.result() == wanted
            yield
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def close(self) -> None:
        """See `Client.close`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, method: str, params: Json, envelope: Json) -> Answer:
        limit = None if params.get("name") == "slow" else SECONDS
        async with asyncio.timeout(limit):
            answer = await self._once(method, params, envelope)
            while answer.result is not None and answer.result["resultType"] == "input_required":
                if self.before_answering is not None:
                    await self.before_answering()
                retry = {**params, "inputResponses": self._responses(answer.result["inputRequests"])}
                if "requestState" in answer.result:
                    retry["requestState"] = answer.result["requestState"]
                self.states.append({"method": method, "params": retry})
                answer = await self._once(method, retry, envelope)
        return answer

    def _responses(self, requests: dict[str, Json]) -> dict[str, Json]:
        self.asked.extend(requests.values())
        return {name: self.answers[question["method"]] for name, question in requests.items()}

    async def _once(self, method: str, params: Json, envelope: Json) -> Answer:
        last: Json = {}
        async with self._post(method, params, envelope) as (request_id, response):
            async for message in messages(response):
                assert message["jsonrpc"] == "2.0"
                assert not last, f"after the answer: {message}"
                if "method" in message:
                    assert "id" not in message, f"a request: {message}"
                    assert message["method"] in ON_A_REQUEST, message
                    self.told.append(message)
                else:
                    assert message["id"] == request_id
                    last = message
        if "result" in last:
            assert "resultType" in last["result"], last
            assert KEY + "serverInfo" in last["result"]["_meta"], last
        return Answer(last.get("result"), last.get("error"))

    async def _listen(self, wanted: Json, acknowledged: "asyncio.Future[Json]") -> None:
        params = {"notifications": wanted}
        async with self._post("subscriptions/listen", params, {}) as (request_id, response):
            async for message in messages(response):
                assert message["params"]["_meta"][KEY + "subscriptionId"] == request_id
                if message["method"] == "notifications/subscriptions/acknowledged":
                    acknowledged.set_result(message["params"]["notifications"])
                else:
                    self.told.append(message)

    @asynccontextmanager
    async def _post(self, method: str, params: Json, envelope: Json) -> AsyncIterator[tuple[str, httpx.Response]]:
        request_id = f"request-{next(self._ids)}"
        meta = {
            **envelope,
            KEY + "protocolVersion": REVISION,
            KEY + "clientInfo": NAME,
            KEY + "clientCapabilities": CAPABILITIES,
        }
        body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": REVISION,
            "mcp-method": method,
        }
        if method in NAMED:
            headers["mcp-name"] = params[NAMED[method]]
        async with self._http.stream("POST", self._url, json=body, headers=headers) as response:
            yield request_id, response

"""An issuer's key set behind a real loopback URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


class JwksServer:
    def __init__(self) -> None:
        self.document = b'{"keys": []}'
        self.status = 200
        self.headers: dict[str, str] = {}
        self.requests = 0
        self.open = asyncio.Event()
        """Requests wait for it; set at first."""
        self.open.set()
        self.reached = asyncio.Event()
        """Set by the first request."""
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.reached.set()
        await self.open.wait()
        return web.Response(body=self.document, status=self.status, headers=self.headers)


@asynccontextmanager
async def jwks_server() -> AsyncIterator[JwksServer]:
    served = JwksServer()
    application = web.Application()
    application.router.add_get("/jwks", served.answer)
    async with TestServer(application) as server:
        served.url = str(server.make_url("/jwks"))
        yield served
        served.open.set()

"""An authorization server behind a real loopback URL: metadata, keys, and what it says of tokens."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

CLIENT = ("gate way", "se:cret/ä+1")
"""Who may ask about tokens, with all that must be encoded."""


class IssuerServer:
    def __init__(self) -> None:
        self.issuer = ""
        self.pages: dict[str, bytes] = {}
        """By path."""
        self.tokens: dict[str, Mapping[str, Any]] = {}
        """What is said of those that are active."""
        self.asked: list[str] = []
        """Paths of GET, and tokens of POST, in the order in which they came."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer: bytes | None = None
        """To every question, instead of what would be right."""
        self.open = asyncio.Event()
        """Requests wait for it; set at first."""
        self.open.set()

    async def get(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        page = self.pages.get(request.path)
        return web.Response(status=404) if page is None else web.Response(body=page, status=self.status)

    async def introspect(self, request: web.Request) -> web.Response:
        form = await request.post()
        token = str(form["token"])
        self.asked.append(token)
        await self.open.wait()
        # Both halves of the pair are form-encoded before they are joined (RFC 6749, 2.3.1).
        expected = f"Basic {base64.b64encode(b'gate+way:se%3Acret%2F%C3%A4%2B1').decode()}"
        if request.headers.get("authorization") != expected or form["token_type_hint"] != "access_token":
            return web.Response(status=401, headers={"www-authenticate": "Basic"})
        if self.answer is not None or self.status != 200:
            return web.Response(body=self.answer or b"", status=self.status, headers=self.headers)
        said = self.tokens.get(token)
        return web.json_response({"active": False} if said is None else {"active": True, **said})


@asynccontextmanager
async def issuer_server() -> AsyncIterator[IssuerServer]:
    served = IssuerServer()
    application = web.Application()
    application.router.add_post("/introspect", served.introspect)
    application.router.add_get("/{path:.*}", served.get)
    async with TestServer(application) as server:
        served.issuer = str(server.make_url("/")).removesuffix("/")
        yield served
        served.open.set()

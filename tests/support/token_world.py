"""A server that wants tokens, and the authorization server that gives them, on one loopback address."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from actors.core.credential_settings import CredentialKind, CredentialSettings
from tests.support.http_servers import json_answer, serving


class TokenWorld:
    """What it does can be changed at any time; what it was asked is kept."""

    def __init__(self) -> None:
        self.url = ""
        self.origin = ""
        self.asked: list[tuple[dict[str, str], str]] = []
        """Each form that came to the token endpoint, with its `Authorization`."""
        self.fetched: list[str] = []
        """Paths of metadata."""
        self.holders: dict[str, str] = {}
        """Whom each token that is good stands for."""
        self.seen: list[tuple[str, str]] = []
        """Each call of a tool, by its `who`, and whom its token stood for."""
        self.refused = 0
        self.seconds: object = 300
        self.token_status = 200
        self.challenge = ""
        self.needs: tuple[str, ...] = ()
        """Scopes without which a token is good for nothing."""
        self.resource: Mapping[str, Any] | None = {}
        """Changes to what the server says of itself; nothing if it says nothing."""
        self.metadata: Mapping[str, Any] = {}
        """Changes to what the authorization server says of itself."""
        self.token_of: Callable[[Mapping[str, str]], str] = lambda form: f"token-{len(self.asked)}"
        """The token that is given to who asks with a form."""

    @property
    def token_url(self) -> str:
        return f"{self.origin}/token"

    def settings(self, **changes: Any) -> CredentialSettings:
        """Those of a client that this authorization server knows."""
        plain = {"kind": CredentialKind.CLIENT_CREDENTIALS, "client_id": "gw", "client_secret": "s3cret"}
        place = {} if {"issuer", "token_url", "private_key"} & changes.keys() else {"token_url": self.token_url}
        return CredentialSettings(**{**plain, **place, **changes})

    def end_tokens(self) -> None:
        """None that was given is good any more."""
        self.holders.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/token":
            return await self._token(request)
        if path.startswith("/.well-known/"):
            return self._well_known(path)
        return await self._serve(request)

    def _well_known(self, path: str) -> web.Response:
        self.fetched.append(path)
        if path == "/.well-known/oauth-protected-resource/mcp" and self.resource is not None:
            said = {"resource": self.url, "authorization_servers": [self.origin], **self.resource}
            return web.json_response(said)
        if path == "/.well-known/oauth-authorization-server":
            return web.json_response({"issuer": self.origin, "token_endpoint": self.token_url, **self.metadata})
        return web.Response(status=404)

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append((form, request.headers.get("Authorization", "")))
        if self.token_status != 200:
            return web.json_response(
                {"error": "invalid_client", "error_description": "s3cret"}, status=self.token_status
            )
        token = self.token_of(form)
        if set(self.needs) <= set(form.get("scope", "").split()):
            self.holders[token] = self.holder_of(form)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.seconds})

    def holder_of(self, form: Mapping[str, str]) -> str:
        """Whom a token stands for that is asked for with this form."""
        return form.get("subject_token", "the gateway").removeprefix("statement of ")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        holder = self.holders.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if holder is None:
            self.refused += 1
            status = 403 if "insufficient_scope" in self.challenge else 401
            secret = json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "s3cret"}}).encode()
            return json_answer(secret, status, **{"WWW-Authenticate": self.challenge or "Bearer"})
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "tools/call":
            self.seen.append((message["params"]["arguments"]["who"], holder))
        result = RESULTS.get(message["method"], {"content": [{"type": "text", "text": holder}]})
        return json_answer(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


RESULTS: Mapping[str, Any] = {
    "server/discover": {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "s", "version": "1"},
        "ttlMs": 0,
        "cacheScope": "private",
    },
    "tools/list": {
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "tools": [{"name": "whoami", "inputSchema": {"type": "object"}}],
    },
}


@asynccontextmanager
async def token_world() -> AsyncIterator[TokenWorld]:
    """One that gives good tokens to everybody, and takes them."""
    world = TokenWorld()
    async with serving(world.handle) as url:
        world.url, world.origin = url, url.removesuffix("/mcp")
        yield world

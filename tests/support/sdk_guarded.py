"""A server written with the official SDK that wants tokens and checks them itself: signed, for it, and with a scope."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from tests.support.processes import eventually
from tests.support.sdk_server import http_app

KEY = "k" * 32
SCOPE = "mcp"


class Verifier:
    """Of tokens that a test has signed."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        """Of every token that was good, in order."""

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            said = jwt.decode(token, KEY, ["HS256"], {"verify_aud": False})
        except jwt.PyJWTError:
            return None
        self.subjects.append(said["sub"])
        scopes = said.get("scope", "").split()
        return AccessToken(token=token, client_id="gw", scopes=scopes, resource=said["aud"], subject=said["sub"])


def signed(subject: str, audience: str, scope: str = SCOPE) -> str:
    """A token that this server takes, if it is the audience."""
    return jwt.encode({"sub": subject, "aud": audience, "scope": scope}, KEY, "HS256")


@asynccontextmanager
async def guarded_sdk_server(era: str, issuer: str, verifier: Verifier) -> AsyncIterator[str]:
    """The URL of one that has a tool `whoami`; `issuer` is where it sends clients for tokens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        said: dict[str, Any] = {"issuer_url": issuer, "resource_server_url": url, "required_scopes": [SCOPE]}
        auth = AuthSettings(**said, validate_token_resource=True)
        server: MCPServer[Any] = MCPServer("guarded", token_verifier=verifier, auth=auth)

        @server.tool()
        def whoami() -> str:
            token = get_access_token()
            return "nobody" if token is None else str(token.subject)

        serving = uvicorn.Server(uvicorn.Config(http_app(server, era), log_level="error"))
        task = asyncio.create_task(serving.serve(sockets=[listener]))
        try:
            await eventually(lambda: serving.started or task.done())
            yield url
        finally:
            serving.should_exit = True
            await asyncio.wait([task], timeout=5.0)

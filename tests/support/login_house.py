"""A gateway's token endpoints over real HTTP, a certified provider where people log in, a folder of one person."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn

from actors.core.auth_settings import LoginSettings
from actors.core.principal import Verdict
from serve_app.auth import Auth
from serve_app.cli.login import login, logout
from serve_app.http import Receive, Scope, Send
from serve_app.login.fresh_token import fresh_token
from serve_app.login.kept_login import KeptLogin, login_path, read_login
from serve_app.oauth.login_verifier import OpenIdLogins
from serve_app.own_tokens import OwnTokens
from tests.support.oauth_office import OAuthOffice
from tests.support.oidc_provider import Person
from tests.support.processes import eventually
from tests.support.vault import VaultBox, auth_settings

SECRET = "se:cret/of the-gateway+1"


class LoginHouse:
    """Everything of it, and what a person can do there."""

    def __init__(self, box: VaultBox, office: OAuthOffice, url: str, folder: Path, asked: list[str]) -> None:
        self.box = box
        self.office = office
        self.url = url
        self.folder = folder
        self.asked = asked
        """The paths of all requests to the gateway."""
        self.out = io.StringIO()
        self.err = io.StringIO()
        self.auth = Auth(box.auth, box.clock, own=OwnTokens(box.own, office.find))

    @property
    def kept(self) -> KeptLogin | None:
        return read_login(self.path)

    @property
    def path(self) -> Path:
        return login_path(self.url, self.folder)

    async def log_in(self, browse: Callable[[str], object], provider: str | None = "public") -> None:
        """Log in with a browser that runs beside the command, as real ones do."""
        with ThreadPoolExecutor(1) as beside:
            work = asyncio.to_thread(
                login,
                self.url,
                provider,
                lambda url: beside.submit(browse, url),
                self.out,
                self.err,
                clock=self.box.clock,
                folder=self.folder,
            )
            await work

    async def enter(self, name: str, provider: str = "public") -> KeptLogin:
        """Log in, and give what is kept of it."""
        await self.log_in(Person(name).browse, provider)
        kept = self.kept
        assert kept is not None
        return kept

    async def token(self) -> str | None:
        """The access token, as a command gets it."""
        return await asyncio.to_thread(fresh_token, self.url, self.box.clock, self.folder)

    async def leave(self) -> None:
        """Log out."""
        await asyncio.to_thread(logout, self.url, self.out, folder=self.folder)

    async def verdict(self, token: str) -> Verdict:
        """What the gateway thinks of a credential."""
        return await self.auth.verify(token)

    async def post(self, **form: str) -> httpx.Response:
        """Ask the token endpoint."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.post(f"{self.url}/auth/token", data=form)


@asynccontextmanager
async def login_house(issuer: str, folder: Path) -> AsyncIterator[LoginHouse]:
    """Open it, with the two clients that the provider knows as two providers."""
    logins = (
        LoginSettings(name="public", issuer=issuer, client_id="public", scopes=("openid",)),
        LoginSettings(
            name="confidential", issuer=issuer, client_id="confidential", client_secret=SECRET, scopes=("openid",)
        ),
    )
    box = VaultBox(None, auth_settings(logins=logins))
    # the provider goes by the time of the machine, the gateway's own tokens by that of the test
    verifier = OpenIdLogins(logins, time.time, asyncio.get_running_loop().time)
    office = OAuthOffice(box, verifier=verifier)
    asked: list[str] = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await office(scope, receive, send)

    config = uvicorn.Config(counted, host="127.0.0.1", port=0, lifespan="off", log_level="critical", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield LoginHouse(box, office, f"http://127.0.0.1:{port}", folder, asked)
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait([serving], timeout=10)

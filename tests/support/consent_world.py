"""A server whose users must agree to calls in their name, and the authorization server where they do, on one address.

It is strict: codes and refresh tokens are good once, and one that is brought again ends all that came of it.
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from actors.core.credential_settings import CredentialKind, CredentialSettings
from actors.core.oauth.authorization_request import challenge_of
from tests.support.http_servers import serving
from tests.support.token_world import TokenWorld


class ConsentWorld(TokenWorld):
    """What it does can be changed at any time; what it was asked is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.registered: dict[str, dict[str, Any]] = {"gw": {}}
        """Documents of clients, by id."""
        self.redirects: dict[str, str] = {}
        self.revoked: list[str] = []
        self.pages: list[dict[str, str]] = []
        """The query of each authorization request."""
        self.faults: list[str] = []
        """What a client did that it must not."""
        self.gives_refresh = True
        self.names_issuer = True
        self.open: tuple[str, ...] = ()
        """Methods that are answered to whoever asks."""
        self._codes: dict[str, tuple[str, dict[str, str]]] = {}
        self._families: dict[str, tuple[str, set[str]]] = {}
        """Of each live refresh token, the user and the access tokens that came of it."""
        self._spent: dict[str, set[str]] = {}

    def users(self, **changes: Any) -> CredentialSettings:
        """Settings for users, of a gateway that is not known here yet."""
        return CredentialSettings(**{"kind": CredentialKind.USER, **changes})

    def agree(self, url: str, user: str) -> tuple[str, str, str]:
        """A user goes to the page and agrees; gives what comes back in the URL: state, code and issuer."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.pages.append(asked)
        assert url.startswith(f"{self.origin}/authorize?"), url
        assert asked["client_id"] in self.registered
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code-{len(self.pages)}"
        self._codes[code] = user, asked
        return asked["state"], code, self.origin if self.names_issuer else ""

    def end_refreshes(self) -> None:
        """No refresh token is good any more."""
        self._families.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/register":
            return await self._register(request)
        if request.path == "/revoke":
            self.revoked.append(str((await request.post())["token"]))
            return web.Response()
        if request.path == "/mcp" and "Authorization" not in request.headers:
            self.holders.pop("", None)
            if json.loads(await request.read())["method"] in self.open:
                self.holders[""] = "nobody"
        return await super().handle(request)

    def _well_known(self, path: str) -> web.Response:
        if path != "/.well-known/oauth-authorization-server":
            return super()._well_known(path)
        self.fetched.append(path)
        said = {
            "issuer": self.origin,
            "token_endpoint": self.token_url,
            "authorization_endpoint": f"{self.origin}/authorize",
            "registration_endpoint": f"{self.origin}/register",
            "revocation_endpoint": f"{self.origin}/revoke",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": self.names_issuer,
        }
        return web.json_response(
            {name: value for name, value in {**said, **self.metadata}.items() if value is not None}
        )

    async def _register(self, request: web.Request) -> web.Response:
        document = json.loads(await request.read())
        name = f"client-{len(self.registered)}"
        self.registered[name] = document
        secret = {} if document["token_endpoint_auth_method"] == "none" else {"client_secret": f"{name}-s3cret"}
        return web.json_response({"client_id": name, **secret, **document}, status=201)

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        kind = form.get("grant_type")
        if self.token_status != 200 or kind not in ("authorization_code", "refresh_token"):
            return await super()._token(request)
        self.asked.append((form, request.headers.get("Authorization", "")))
        if form.get("resource") != self.url:
            return self._refuse("for another resource")
        if kind == "authorization_code":
            user, asked = self._codes.pop(form["code"], ("", {}))
            if not user:
                return self._refuse("a code that is not good")
            same = ("client_id", "redirect_uri", "resource")
            if any(form.get(each, asked[each]) != asked[each] for each in same):
                return self._refuse("a code for something else")
            if challenge_of(form.get("code_verifier", "")) != asked["code_challenge"]:
                return self._refuse("a code without its proof key")
            return self._grant(user, set(), asked.get("scope", "").split())
        token = form["refresh_token"]
        if token in self._spent:
            for access in self._spent[token]:
                self.holders.pop(access, None)
            self._families.clear()
            return self._refuse("a refresh token twice")
        user, family = self._families.pop(token, ("", set()))
        if not user:
            return self._refuse("a refresh token that is not good")
        self._spent[token] = family
        return self._grant(user, family, ())

    def _grant(self, user: str, family: set[str], scopes: Iterable[str]) -> web.Response:
        number = len(self.asked)
        token = f"token-{number}"
        self.holders[token] = user
        family.add(token)
        said: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": self.seconds}
        if self.gives_refresh:
            said["refresh_token"] = f"refresh-{number}"
            self._families[f"refresh-{number}"] = user, family
        if scopes:
            said["scope"] = " ".join(scopes)
        return web.json_response(said)

    def _refuse(self, fault: str) -> web.Response:
        self.faults.append(fault)
        return web.json_response({"error": "invalid_grant", "error_description": "s3cret"}, status=400)


@asynccontextmanager
async def consent_world() -> AsyncIterator[ConsentWorld]:
    """One where everybody agrees who goes there."""
    world = ConsentWorld()
    async with serving(world.handle) as url:
        world.url, world.origin = url, url.removesuffix("/mcp")
        yield world

"""An OpenID provider without a network: two functions that a verifier of logins asks, and tokens of any kind."""

import json
from collections.abc import Mapping
from typing import Any

from actors.core.auth_settings import LoginSettings
from actors.core.oauth.provider_metadata import OPENID
from serve_app.oauth.login_verifier import OpenIdLogins
from serve_app.oauth.provider import Posted
from tests.support.hand_clock import HandClock
from tests.support.tokens import ed_key, jwk, key_set, rsa_key, token

ISSUER = "https://id.example"
CLIENT = "the-gateway"
NONCE = "n" * 32
VERIFIER = "v" * 43
NOW = 1_800_000_000.0


class LoginProvider:
    """What it says can be changed at any time; what it was asked is kept."""

    def __init__(self, issuer: str = ISSUER, key: Any = None) -> None:
        self.issuer = issuer
        self.key = key or rsa_key()
        self.metadata: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "code_challenge_methods_supported": ["S256"],
        }
        self.claims: dict[str, Any] = {}
        """Changes to those of the ID token; `None` leaves one out."""
        self.id_token: str | None = None
        """Instead of what would be right."""
        self.header: dict[str, Any] = {}
        self.access_token = "access"
        self.status = 200
        self.body: bytes | None = None
        self.away = False
        self.asked: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = []

    def settings(self, **changes: Any) -> LoginSettings:
        return LoginSettings(**{"name": "corp", "issuer": self.issuer, "client_id": CLIENT, **changes})

    async def fetch(self, url: str) -> bytes:
        if self.away:
            raise ConnectionError("away")
        pages = {
            f"{self.issuer}{OPENID}": json.dumps(self.metadata).encode(),
            f"{self.issuer}/keys": key_set(jwk(self.key, "first")),
        }
        return pages[url]

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Posted:
        if self.away:
            raise ConnectionError("away")
        self.asked.append((url, form, headers))
        answer = {"id_token": self.id_token or self.signed(), "access_token": self.access_token}
        return Posted(self.status, json.dumps(answer).encode() if self.body is None else self.body)

    def signed(self) -> str:
        right = {
            "iss": self.issuer,
            "sub": "ada",
            "aud": CLIENT,
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": NONCE,
            "groups": ["dev"],
            "amr": ["pwd", "otp"],
            "acr": "2",
            "auth_time": NOW - 60,
        }
        said = {name: value for name, value in {**right, **self.claims}.items() if value is not None}
        algorithm = "EdDSA" if isinstance(self.key, type(ed_key())) else "RS256"
        return token(said, self.key, algorithm, **{"kid": "first", **self.header})

    def verifier(self, *more: "LoginProvider", **changes: Any) -> OpenIdLogins:
        """A verifier that knows this provider, and those in `more` by their host."""
        providers = {each.issuer: each for each in (self, *more)}

        def owner(url: str) -> LoginProvider:
            return next(each for name, each in providers.items() if url.startswith(name))

        async def fetch(url: str) -> bytes:
            return await owner(url).fetch(url)

        async def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Posted:
            return await owner(url).post(url, form, headers)

        others = [each.settings(name=each.issuer.split("//")[1].split(".")[0]) for each in more]
        return OpenIdLogins([self.settings(**changes), *others], HandClock(NOW), HandClock(0.0), fetch, post)


def form(**changes: Any) -> dict[str, str]:
    """What a command brings to the token endpoint; `None` leaves a field out."""
    right = {
        "grant_type": "authorization_code",
        "provider": "corp",
        "code": "the-code",
        "code_verifier": VERIFIER,
        "nonce": NONCE,
        "redirect_uri": "http://127.0.0.1:5000/callback",
    }
    return {name: value for name, value in {**right, **changes}.items() if value is not None}

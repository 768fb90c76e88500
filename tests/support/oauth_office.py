"""The OAuth endpoints, the admin API of credentials and Auth around one Vault, in the process of a test."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from actors.refs.gone import ActorGone
from actors.vault import Vault
from serve_app.http import HttpRequest, Receive, Scope, Send, header_map
from serve_app.oauth.endpoints import OAuthEndpoints
from serve_app.oauth.form import OAuthError
from serve_app.oauth.logins import TOKEN_EXCHANGE, Identity, LoginVerifier, Offered
from serve_app.recording import Recorder
from tests.support.asgi import Conversation, ask
from tests.support.hand_clock import HandClock
from tests.support.vault import VaultBox

FORM = ("content-type", "application/x-www-form-urlencoded")


class Provider:
    """Stands where the verifier of logins would: it believes a token that says `good:<subject>`."""

    grant_types = (TOKEN_EXCHANGE,)
    offered: tuple[Offered, ...] = ()

    async def verify(self, form: Mapping[str, str]) -> Identity | OAuthError:
        good, _, subject = form["subject_token"].partition(":")
        if good != "good":
            return OAuthError("invalid_grant", "the login cannot be verified")
        return Identity("corp", subject, "gateway-at-corp", ("dev",), ("otp",), "2", 1_799_999_000.0)


class OAuthOffice:
    """An ASGI application of the endpoints alone."""

    def __init__(
        self,
        box: VaultBox,
        *,
        logins: bool = True,
        recorder: Recorder | None = None,
        verifier: LoginVerifier | None = None,
    ) -> None:
        """`verifier` stands for the one of this module."""
        self.box = box
        self.vault = box.start()
        self.away = False
        self.clock = HandClock(0.0)
        provider = (verifier or Provider()) if logins else None
        self.endpoints = OAuthEndpoints(
            box.own, ("mcp", "more"), self.find, recorder or Recorder(), self.clock, provider
        )

    def find(self) -> Vault:
        if self.away:
            raise ActorGone("RayActorError")
        return self.vault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        found = header_map(headers)
        await self.endpoints.serve(
            HttpRequest(scope["method"], scope["path"], b"", headers, found, receive, send, 65_536, 5.0, "192.0.2.1")
        )

    async def post(self, path: str, **fields: Any) -> Conversation:
        return await ask(self, "POST", path, [FORM], [urlencode(fields).encode()])

    async def log_in(self, subject: str = "ada", **fields: Any) -> Conversation:
        kind = "urn:ietf:params:oauth:token-type:id_token"
        exchange = {"subject_token": f"good:{subject}", "subject_token_type": kind}
        return await self.post("/auth/token", grant_type=TOKEN_EXCHANGE, **{**exchange, **fields})

    async def refresh(self, token: str, **fields: Any) -> Conversation:
        return await self.post("/auth/token", grant_type="refresh_token", refresh_token=token, **fields)

"""A login in the browser, only to see who opens a page: with the providers where people log in at the gateway, too."""

import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from actors.core.auth_settings import LoginSettings
from actors.core.principal import Kind, Principal, parts_of
from serve_app.oauth.form import OAuthError
from serve_app.oauth.login_verifier import OpenIdLogins

SECRET_CHARS: Final = 48


class Departure(msgspec.Struct, frozen=True):
    """A login that begins."""

    url: str
    """Of the provider, for the browser."""
    state: str
    nonce: str
    verifier: str

    def __repr__(self) -> str:
        return "Departure"


class BrowserLogins:
    """Of all providers. A person is known to the gateway by its own tokens, or by those of the provider itself."""

    def __init__(self, logins: Sequence[LoginSettings], own_issuer: str, verifier: OpenIdLogins) -> None:
        """`own_issuer` is that of the gateway's own tokens."""
        self._logins = {login.name: login for login in logins}
        self._own_issuer = own_issuer
        self._verifier = verifier

    def provider_of(self, principal: str) -> str | None:
        """Where somebody would log in who is the principal of this key; nothing if nobody could show it by that."""
        kind, issuer, subject = parts_of(principal)
        if kind != Kind.TOKEN:
            return None
        name, colon, _ = subject.partition(":")
        if issuer == self._own_issuer and colon and name in self._logins:
            return name
        return next((each.name for each in self._logins.values() if each.issuer == issuer), None)

    async def begin(self, provider: str, redirect_uri: str) -> Departure | OAuthError:
        """Send a browser to a provider, which sends it back to `redirect_uri`."""
        metadata = await self._verifier.metadata(provider)
        if isinstance(metadata, OAuthError):
            return metadata
        login = self._logins[provider]
        state, nonce, verifier = (generate_token(SECRET_CHARS) for _ in range(3))
        url = prepare_grant_uri(
            metadata.authorization_endpoint,
            login.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope=" ".join(login.scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return Departure(url, state, nonce, verifier)

    async def finish(
        self, provider: str, said: Mapping[str, str], nonce: str, verifier: str, redirect_uri: str
    ) -> frozenset[str] | OAuthError:
        """The keys of the principals that somebody may be, by what their browser brought back from the provider.

        Rungs, in order: the answer is of the provider that was asked; it has a code; that proves this login.
        """
        metadata = await self._verifier.metadata(provider)
        if isinstance(metadata, OAuthError):
            return metadata
        login, named = self._logins[provider], said.get("iss")
        always = metadata.authorization_response_iss_parameter_supported
        if (named is None and always) or (named is not None and not _equal(named, metadata.issuer)):
            return OAuthError("invalid_request", "the answer is not from the provider that was asked")
        code = said.get("code")
        if not code:
            return OAuthError("access_denied", "the provider has refused the login", 403)
        identity = await self._verifier.redeem(provider, code, verifier, nonce, redirect_uri)
        if isinstance(identity, OAuthError):
            return identity
        own = identity.grant(()).principal(self._own_issuer)
        theirs = Principal(identity.subject, login.issuer, Kind.TOKEN)
        return frozenset({own.key, theirs.key})


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())

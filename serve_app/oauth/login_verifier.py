"""Verifies that people have logged in at one of the configured OpenID providers.

They bring the code that the provider gave their browser; the gateway exchanges it, so that the client's secret and the
ID token stay here. An ID token by itself proves nothing to the gateway: others could have kept one.
"""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jwt
from authlib.oidc.core.util import create_half_hash

from actors.core.auth_settings import LoginSettings
from actors.core.claims import Claims, Header, principal_of, read_claims, read_unverified
from actors.core.json_once import decode_object
from actors.core.oauth.id_token import ALGORITHMS, fault_of, issuer_of, person_fault
from actors.core.oauth.provider_metadata import ProviderMetadata
from actors.core.principal import MAX_CREDENTIAL_BYTES, Refusal
from serve_app.fetch import fetch
from serve_app.jwks import Fetch
from serve_app.oauth.form import OAuthError, invalid
from serve_app.oauth.logins import Identity, Offered
from serve_app.oauth.provider import UNAVAILABLE, CodeAnswer, PostCode, Provider, post_code

AUTHORIZATION_CODE: Final = "authorization_code"

REDIRECT: Final = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):[0-9]{1,5}/callback")
"""To the machine of the person alone (RFC 8252, section 7.3)."""

VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636, section 4.1."""

NONCE: Final = re.compile(r"[A-Za-z0-9._~-]{22,128}")
"""Long enough that nobody guesses one."""


class OpenIdLogins:
    """All providers. `clock` gives Unix seconds, `monotonic` seconds that never go back."""

    grant_types = (AUTHORIZATION_CODE,)

    def __init__(
        self,
        logins: Sequence[LoginSettings],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        fetch: Fetch = fetch,
        post: PostCode = post_code,
    ) -> None:
        self._clock = clock
        self._providers = {login.name: Provider(login, fetch, post, monotonic) for login in logins}
        self._tokens = jwt.PyJWS(ALGORITHMS, {"verify_signature": True, "enforce_minimum_key_length": True})
        self.offered = tuple(Offered(each.name, each.issuer, each.client_id, each.scopes) for each in logins)

    async def verify(self, form: Mapping[str, str]) -> Identity | OAuthError:
        """Who has logged in. Rungs, in order:

        1. The request has a provider that there is, a code, and what binds that to the one who began the login.
        2. The provider takes the code.
        3. Its ID token has a good signature, proves this login, and goes with the access token.
        4. The person can stand in a token of the gateway's own.
        """
        provider = self._providers.get(form.get("provider", ""))
        if provider is None:
            return invalid("provider is missing, or there is no such provider")
        code, verifier, nonce = form.get("code", ""), form.get("code_verifier", ""), form.get("nonce", "")
        if not code or len(code) > MAX_CREDENTIAL_BYTES:
            return invalid("code is missing")
        if not VERIFIER.fullmatch(verifier):
            return invalid("code_verifier is missing, or not of the form of RFC 7636")
        if not NONCE.fullmatch(nonce):
            return invalid("nonce is missing, or has not 22 to 128 letters and digits")
        if not REDIRECT.fullmatch(form.get("redirect_uri", "")):
            return invalid("redirect_uri must be http://127.0.0.1:PORT/callback")
        return await self.redeem(provider.login.name, code, verifier, nonce, form["redirect_uri"])

    async def redeem(
        self, provider: str, code: str, verifier: str, nonce: str, redirect_uri: str
    ) -> Identity | OAuthError:
        """Who has logged in at a provider that there is, by the code that came to `redirect_uri`.

        `verifier` and `nonce` are those with which the login was begun.
        """
        asked = self._providers[provider]
        answer = await asked.redeem(code, verifier, redirect_uri)
        return answer if isinstance(answer, OAuthError) else await self._identify(asked, answer, nonce)

    async def metadata(self, provider: str) -> ProviderMetadata | OAuthError:
        """What a provider that there is says of itself."""
        return await self._providers[provider].metadata()

    async def _identify(self, provider: Provider, answer: CodeAnswer, nonce: str) -> Identity | OAuthError:
        login = provider.login
        found = await self._signed(provider, answer.id_token)
        if isinstance(found, OAuthError):
            return found
        header, said, claims = found
        fault = fault_of(header, said, claims, login, nonce=nonce, now=self._clock())
        if not fault and not _goes_with(said, answer.access_token, header.alg):
            fault = "the ID token goes with another access token"
        if fault:
            return _unproved(fault)
        principal = principal_of(claims, said, issuer_of(login))
        fault = person_fault(f"{login.name}:{claims.sub}", principal.groups)
        if fault:
            return OAuthError("access_denied", fault, 403)
        return Identity(
            login.name,
            claims.sub,
            login.client_id,
            principal.groups,
            principal.amr,
            principal.acr,
            principal.auth_time,
        )

    async def _signed(self, provider: Provider, token: str) -> tuple[Header, Mapping[str, Any], Claims] | OAuthError:
        """What a token says, once its signature is good."""
        unverified = read_unverified(token) if len(token) <= MAX_CREDENTIAL_BYTES else None
        if unverified is None:
            return _unproved("the ID token cannot be read")
        header, _ = unverified
        if header.alg not in ALGORITHMS:
            return _unproved(f"the ID token is not signed by one of {', '.join(ALGORITHMS)}")
        key = await provider.keys.find(header.kid, header.alg)
        if isinstance(key, Refusal):
            return (
                UNAVAILABLE if key is Refusal.UNAVAILABLE else _unproved("the ID token names a key that is not known")
            )
        try:
            payload: bytes = self._tokens.decode_complete(token, key.material, [key.algorithm])["payload"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return _unproved("the signature of the ID token is wrong")
        said = decode_object(payload)
        claims = None if said is None else read_claims(said)
        if said is None or claims is None:
            return _unproved("the ID token says too little, or malformed things")
        return header, said, claims


def _goes_with(said: Mapping[str, Any], access_token: str, algorithm: str) -> bool:
    """OpenID Connect Core 1.0, section 3.1.3.8: `at_hash` need not be there."""
    claimed = said.get("at_hash")
    if claimed is None:
        return True
    expected = create_half_hash(access_token, algorithm)
    return isinstance(claimed, str) and expected is not None and hmac.compare_digest(expected, claimed.encode())


def _unproved(description: str) -> OAuthError:
    return OAuthError("invalid_grant", description)

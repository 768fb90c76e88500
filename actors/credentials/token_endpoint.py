"""Asks a token endpoint, and proves there who the gateway is."""

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

import jwt
import msgspec
import structlog

from actors.core.credential_settings import CredentialSettings
from actors.core.oauth.client import BASIC, NO_PROOF, POST, SIGNED, Client
from actors.core.oauth.grants import ASSERTION
from actors.core.oauth.token_answer import AccessToken, read_token
from actors.credentials.discovery import TokenPlace
from actors.credentials.fetching import Fetch
from actors.transports.authorization import CredentialError

ASSERTION_SECONDS: Final = 60.0
"""A signature is worth one request."""

_KNOWN_ERRORS: Final = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
    }
)
"""Those of RFC 6749, 5.2, and RFC 8693. Nothing else that is said there is repeated."""

log = structlog.get_logger()


class GrantError(CredentialError):
    """What was brought is worth nothing, or nothing any more (RFC 6749, 5.2, `invalid_grant`)."""


class _Refusal(msgspec.Struct):
    error: str


_refusal_decoder: Final = msgspec.json.Decoder(_Refusal)


class TokenEndpoint:
    """For one server. `clock` gives Unix seconds."""

    def __init__(
        self,
        settings: CredentialSettings,
        fetch: Fetch,
        *,
        backend: str,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._backend = backend
        self._clock = clock
        self._random = random

    def configured(self, place: TokenPlace) -> Client:
        """The client of the settings, and how it proves itself there."""
        settings = self._settings
        if settings.client_secret is not None:
            return Client(settings.client_id, BASIC if BASIC in place.methods else POST, settings.client_secret)
        return Client(settings.client_id, NO_PROOF if settings.private_key is None else SIGNED)

    async def ask(self, place: TokenPlace, form: Mapping[str, str], client: Client | None = None) -> AccessToken:
        """Send a form, and give the token. Without `client` it is that of the settings.

        Raises:
            GrantError: what is in the form is worth nothing.
            CredentialError: there is none.
            OSError: it could not be asked.
        """
        proof, authorization = self._proof(place, client or self.configured(place))
        answer = await self._fetch(place.url, {**form, **proof}, authorization)
        if answer.status != 200:
            error = _error_in(answer.body)
            log.warning("token_refused", backend=self._backend, status=answer.status, error=error)
            refusal = GrantError if error == "invalid_grant" else CredentialError
            raise refusal(f"its token endpoint refused the gateway ({answer.status}, {error})")
        try:
            return read_token(answer.body)
        except ValueError as error:
            raise CredentialError(str(error)) from None

    async def revoke(self, url: str, place: TokenPlace, token: str, client: Client) -> bool:
        """Ask the authorization server to end a token (RFC 7009); whether it said that it has.

        Raises:
            CredentialError: the client cannot prove itself.
            OSError: it could not be asked.
        """
        proof, authorization = self._proof(place, client)
        answer = await self._fetch(url, {"token": token, **proof}, authorization)
        return answer.status == 200

    def _proof(self, place: TokenPlace, client: Client) -> tuple[dict[str, str], str]:
        """What proves the client: fields of the form, and a header (RFC 6749, 2.3.1; RFC 7523, 2.2)."""
        if client.method == SIGNED:
            signed = self._signed(place.issuer)
            return {"client_id": client.id, "client_assertion_type": ASSERTION, "client_assertion": signed}, ""
        if client.method == BASIC:
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
            return {}, f"Basic {base64.b64encode(pair.encode()).decode()}"
        return {"client_id": client.id, **({"client_secret": client.secret} if client.method == POST else {})}, ""

    def _signed(self, audience: str) -> str:
        settings, now = self._settings, self._clock()
        claims = {
            "iss": settings.client_id,
            "sub": settings.client_id,
            "aud": audience,
            "iat": int(now),
            "exp": int(now + ASSERTION_SECONDS),
            "jti": self._random(16).hex(),
        }
        headers = {} if settings.key_id is None else {"kid": settings.key_id}
        try:
            return jwt.encode(claims, settings.private_key or "", settings.algorithm, headers)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise CredentialError("the configured private_key is not one for the configured algorithm") from None


def _error_in(body: bytes) -> str:
    try:
        error = _refusal_decoder.decode(body).error
    except (msgspec.DecodeError, RecursionError):
        return "no reason given"
    return error if error in _KNOWN_ERRORS else "no reason given"

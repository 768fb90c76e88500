"""One OpenID provider, as the gateway speaks with it: what it says of itself, its keys, and the exchange of a code."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

import httpx
import msgspec
import structlog

from actors.core.auth_settings import LoginSettings
from actors.core.oauth.id_token import issuer_of
from actors.core.oauth.provider_metadata import ProviderMetadata, metadata_url, read_provider
from serve_app.fetch import MAX_DOCUMENT_BYTES, POST_SECONDS
from serve_app.jwks import FRESH_SECONDS, Fetch, Jwks
from serve_app.oauth.form import OAuthError

UNAVAILABLE: Final = OAuthError(
    "temporarily_unavailable",
    "the login provider cannot be asked; try again in a moment",
    503,
    ((b"retry-after", b"5"),),
)

REFUSED: Final = OAuthError("invalid_grant", "the login provider does not take the code")

BASIC: Final = "client_secret_basic"

log = structlog.get_logger()


class Posted(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes


PostCode = Callable[[str, Mapping[str, str], Mapping[str, str]], Awaitable[Posted]]
"""Posts a form with headers; raises `OSError` if there is no complete answer."""


class CodeAnswer(msgspec.Struct, frozen=True):
    """What a code is exchanged for (OpenID Connect Core 1.0, section 3.1.3.3)."""

    id_token: str
    access_token: str = ""

    def __repr__(self) -> str:
        return "CodeAnswer"


class Provider:
    """One of them. `clock` is monotonic, in seconds; `fetch` and `post` raise `OSError` if they cannot."""

    def __init__(self, login: LoginSettings, fetch: Fetch, post: PostCode, clock: Callable[[], float]) -> None:
        self.login = login
        self._fetch = fetch
        self._post = post
        self._clock = clock
        self._metadata: ProviderMetadata | None = None
        self._read_at = 0.0
        self.keys = Jwks(issuer_of(login), login.issuer, self._fetch_keys, clock)

    async def metadata(self) -> ProviderMetadata | OAuthError:
        """What the provider says of itself."""
        try:
            return await self._known()
        except (OSError, ValueError) as error:
            log.warning("login_provider_unavailable", provider=self.login.name, reason=str(error))
            return UNAVAILABLE

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> CodeAnswer | OAuthError:
        """Exchange a code (RFC 6749, section 4.1.3; RFC 7636, section 4.5). What the provider says stays here."""
        metadata = await self.metadata()
        if isinstance(metadata, OAuthError):
            return metadata
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        identified, headers = self._identified(form, metadata)
        try:
            answer = await self._post(metadata.token_endpoint, identified, headers)
        except OSError as error:
            log.warning("login_provider_unavailable", provider=self.login.name, reason=str(error))
            return UNAVAILABLE
        if answer.status != httpx.codes.OK:
            log.warning("login_code_refused", provider=self.login.name, status=answer.status)
            return UNAVAILABLE if answer.status >= 500 or answer.status == 429 else REFUSED
        try:
            return msgspec.json.decode(answer.body, type=CodeAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            log.warning("login_answer_malformed", provider=self.login.name)
            return OAuthError("invalid_grant", "the login provider gave no ID token")

    def _identified(
        self, form: Mapping[str, str], metadata: ProviderMetadata
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Say which client asks (RFC 6749, section 2.3.1). The secret of a confidential one is known here alone."""
        client, secret = self.login.client_id, self.login.client_secret
        if secret is None:
            return {**form, "client_id": client}, {}
        if BASIC not in metadata.token_endpoint_auth_methods_supported:
            return {**form, "client_id": client, "client_secret": secret}, {}
        pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
        return form, {"authorization": f"Basic {base64.b64encode(pair).decode()}"}

    async def _known(self) -> ProviderMetadata:
        """What the provider says of itself; what it said last, where it says nothing now."""
        if self._metadata is not None and self._clock() - self._read_at < FRESH_SECONDS:
            return self._metadata
        try:
            found = read_provider(await self._fetch(metadata_url(self.login.issuer)), self.login.issuer)
        except OSError:
            if self._metadata is None:
                raise
            return self._metadata
        self._metadata, self._read_at = found, self._clock()
        return found

    async def _fetch_keys(self, issuer: str) -> bytes:
        return await self._fetch((await self._known()).jwks_uri)


async def post_code(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Posted:
    """Post a form, and give whatever comes back; redirects are not followed.

    Raises:
        OSError: no complete answer came in time, or it was too large. The message repeats nothing of what was sent.
    """
    wanted = {"accept": "application/json", "accept-encoding": "identity", **headers}
    body = bytearray()
    try:
        async with (
            asyncio.timeout(POST_SECONDS),
            httpx.AsyncClient(timeout=POST_SECONDS) as client,
            client.stream("POST", url, headers=wanted, data=dict(form)) as response,
        ):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_DOCUMENT_BYTES:
                    raise ConnectionError(f"more than {MAX_DOCUMENT_BYTES} bytes")
            return Posted(response.status_code, bytes(body))
    except TimeoutError:
        raise TimeoutError(f"no answer within {POST_SECONDS} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(type(error).__name__) from None

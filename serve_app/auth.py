"""Decides who a credential belongs to: a bearer token of an issuer we trust, or an API key.

A plain class: Serve is told about it in one place, tests use it as it is. It never logs nor returns a credential.
"""

import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import jwt

from actors.core.api_key import hash_of
from actors.core.auth_settings import ALGORITHMS, AuthSettings, IssuerSettings
from actors.core.claims import decode_claims, judge, read_unverified, time_left
from actors.core.principal import MAX_CREDENTIAL_BYTES, Kind, Principal, Refusal, Verdict
from serve_app.fetch import fetch
from serve_app.jwks import Fetch, Jwks
from serve_app.signing_keys import SigningKey, from_file

MAX_TOKEN_SECONDS: Final = 300.0
"""The longest reuse of the verdict on a token, however late it expires."""

REFUSED_SECONDS: Final = 10.0
"""Reuse of a refusal: as often as an issuer's keys may be fetched again."""

UNAVAILABLE_SECONDS: Final = 1.0
"""Reuse of a refusal that nobody is to blame for."""


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """Find the key for a token whose header says so much; the issuer is allowed that algorithm."""


class FileKey:
    """The one key of an issuer, read from a file at the start."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    async def find(self, kid: str | None, algorithm: str) -> SigningKey | Refusal:
        """The key, whatever the token calls it; a signature by another algorithm will not match it."""
        return self._key


class Auth:
    """Verifies credentials.

    `clock` gives Unix seconds, which tokens are judged by, and `monotonic` seconds that never go back, for the age
    of fetched keys.

    Raises:
        OSError: a key file cannot be read.
        ValueError: a key file does not suit its issuer.
    """

    def __init__(
        self,
        settings: AuthSettings,
        clock: Callable[[], float] = time.time,
        fetch: Fetch = fetch,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._issuers = {issuer.issuer: (issuer, _source(issuer, fetch, monotonic)) for issuer in settings.issuers}
        self._tokens = jwt.PyJWS(ALGORITHMS, {"verify_signature": True, "enforce_minimum_key_length": True})

    async def verify(self, credential: str) -> Verdict:
        """Decide about one credential, as it stood after `Bearer` or in `X-API-Key`. Rungs, in order:

        1. No credential is longer than `MAX_CREDENTIAL_BYTES`.
        2. A configured API key is accepted.
        3. Anything else must be a token.
        """
        if len(credential) > MAX_CREDENTIAL_BYTES:
            return _refused(Refusal.INVALID)
        key = self._match_key(credential)
        if key is not None:
            return Verdict(key, None, self._settings.verdict_seconds)
        if credential.count(".") != 2:
            return _refused(Refusal.UNKNOWN)
        return await self._verify_token(credential)

    def _match_key(self, credential: str) -> Principal | None:
        presented = hash_of(credential).encode()
        principal = None
        for known in self._settings.api_keys:  # all of them, so that the time taken does not tell which one it was
            if hmac.compare_digest(presented, known.hash.encode()):
                principal = Principal(known.name, "", Kind.KEY)
        return principal

    async def _verify_token(self, token: str) -> Verdict:
        """Decide about a token. What it says of itself chooses the key, and is believed only after the signature."""
        unverified = read_unverified(token)
        if unverified is None:
            return _refused(Refusal.INVALID)
        header, said = unverified
        if said.iss not in self._issuers:
            return _refused(Refusal.UNKNOWN)
        issuer, source = self._issuers[said.iss]
        if header.alg not in issuer.algorithms:
            return _refused(Refusal.INVALID)
        key = await source.find(header.kid, header.alg)
        if isinstance(key, Refusal):
            return _refused(key)
        payload = self._check_signature(token, key)
        claims = decode_claims(payload) if payload is not None else None
        if claims is None:
            return _refused(Refusal.INVALID)
        now = self._clock()
        refusal = judge(claims, issuer, now)
        if refusal is not None:
            return _refused(refusal)
        return Verdict(claims.principal, None, min(time_left(claims, issuer, now), MAX_TOKEN_SECONDS))

    def _check_signature(self, token: str, key: SigningKey) -> bytes | None:
        """The payload, if the token was signed with this key by the key's own algorithm."""
        try:
            payload: bytes = self._tokens.decode_complete(token, key.material, [key.algorithm])["payload"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return payload


def _source(issuer: IssuerSettings, fetch: Fetch, monotonic: Callable[[], float]) -> KeySource:
    if issuer.key_file is not None:
        return FileKey(from_file(issuer, Path(issuer.key_file)))
    return Jwks(issuer, str(issuer.jwks_url), fetch, monotonic)  # settings have exactly one of the two


def _refused(refusal: Refusal) -> Verdict:
    return Verdict(None, refusal, UNAVAILABLE_SECONDS if refusal is Refusal.UNAVAILABLE else REFUSED_SECONDS)

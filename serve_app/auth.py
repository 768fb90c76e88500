"""Decides who a credential belongs to: a bearer token of an issuer we trust, or an API key.

A plain class: Serve is told about it in one place, tests use it as it is. It never logs nor returns a credential.
"""

import asyncio
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import jwt
import msgspec

from actors.core.api_key import PREFIX, hash_of
from actors.core.audience import Audience
from actors.core.auth_settings import ALGORITHMS, AuthSettings
from actors.core.claims import (
    Claims,
    Header,
    audiences,
    is_access_token,
    judge,
    principal_of,
    read_claims,
    read_unverified,
    time_left,
)
from actors.core.json_once import decode_object
from actors.core.principal import MAX_CREDENTIAL_BYTES, Principal, Refusal, Verdict
from actors.core.tokens.key_record import key_principal
from serve_app.fetch import fetch, post_form
from serve_app.introspection import Post
from serve_app.jwks import Fetch
from serve_app.own_tokens import OwnTokens
from serve_app.signing_keys import SigningKey
from serve_app.trust import Trust, trust_of

MAX_TOKEN_SECONDS: Final = 300.0
"""The longest reuse of the verdict on a token, however late it expires."""

REFUSED_SECONDS: Final = 10.0
"""Reuse of a refusal: as often as an issuer's keys may be fetched again."""

UNAVAILABLE_SECONDS: Final = 1.0
"""Reuse of a refusal that nobody is to blame for."""


class Auth:
    """Verifies credentials.

    `clock` gives Unix seconds, which tokens are judged by, and `monotonic` seconds that never go back, for the age
    of what was fetched.

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
        post: Post = post_form,
        own: OwnTokens | None = None,
    ) -> None:
        """`own` knows what the gateway itself issued, and what is revoked; without it, nothing is."""
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._issuers = {
            issuer.issuer: trust_of(issuer, settings.public_url, fetch, monotonic, post) for issuer in settings.issuers
        }
        self._own = own
        if own is not None and settings.tokens is not None:
            mine = own.own.settings
            self._issuers[mine.issuer] = Trust(mine, Audience(mine.audience, mine.audience), own, None)
        self._tokens = jwt.PyJWS(ALGORITHMS, {"verify_signature": True, "enforce_minimum_key_length": True})

    async def verify(self, credential: str) -> Verdict:
        """Decide about one credential, as it stood after `Bearer` or in `X-API-Key`. Rungs, in order:

        1. No credential is longer than `MAX_CREDENTIAL_BYTES`.
        2. What is revoked must be known.
        3. An API key is accepted, configured or made while the gateway runs.
        4. What looks like one of our keys, and is none, is nobody's.
        5. Anything else must be a token: one that can be read, or one whose issuer can be asked.
        6. What is revoked is refused, whoever vouches for it.
        """
        if len(credential) > MAX_CREDENTIAL_BYTES:
            return _refused(Refusal.INVALID)
        if self._own is not None and not await self._own.is_known():
            return _refused(Refusal.UNAVAILABLE)
        verdict = await self._recognise(credential)
        revoked = self._own is not None and verdict.principal is not None and self._own.is_revoked(verdict.principal)
        return _refused(Refusal.INVALID) if revoked else verdict

    async def _recognise(self, credential: str) -> Verdict:
        key = self._match_key(credential)
        if key is None and self._own is not None:
            found = await self._own.match(credential, self._clock())
            if found is Refusal.UNAVAILABLE:
                return _refused(found)
            key = None if isinstance(found, Refusal) else found
        if key is not None:
            return self._key_verdict(*key)
        if credential.startswith(PREFIX) or not credential.isascii():
            return _refused(Refusal.UNKNOWN)
        unverified = read_unverified(credential) if credential.count(".") == 2 else None
        if unverified is not None:
            header, issuer = unverified
            trust = self._issuers.get(issuer)
            return _refused(Refusal.UNKNOWN) if trust is None else await self._verify_token(credential, header, trust)
        asked = [trust for trust in self._issuers.values() if trust.introspection is not None]
        if not asked:
            return _refused(Refusal.INVALID if credential.count(".") == 2 else Refusal.UNKNOWN)
        return _best(await asyncio.gather(*(self._ask(credential, trust) for trust in asked)))

    def _match_key(self, credential: str) -> tuple[Principal, float | None] | None:
        """Whose configured API key this is, and when it ends, in Unix seconds."""
        presented = hash_of(credential).encode()
        found = None
        for known in self._settings.api_keys:  # all of them, so that the time taken does not tell which one it was
            if hmac.compare_digest(presented, known.hash.encode()):
                found = key_principal(known.name, known.hash, known.scopes, known.groups), known.expires_at
        return found

    def _key_verdict(self, principal: Principal, ends_at: float | None) -> Verdict:
        lasts = self._settings.verdict_seconds
        if ends_at is None:
            return Verdict(principal, None, lasts)
        left = ends_at - self._clock()
        return Verdict(principal, None, min(lasts, left)) if left > 0 else _refused(Refusal.EXPIRED)

    async def _verify_token(self, token: str, header: Header, trust: Trust) -> Verdict:
        """Decide about a token. What it says of itself chooses the key, and is believed only after the signature."""
        issuer = trust.issuer
        if trust.source is None:
            return await self._ask(token, trust)
        if header.alg not in issuer.algorithms:
            return _refused(Refusal.INVALID)
        key = await trust.source.find(header.kid, header.alg)
        if isinstance(key, Refusal):
            return _refused(key)
        payload = self._check_signature(token, key)
        said = None if payload is None else decode_object(payload)
        claims = None if said is None or not is_access_token(header, said) else read_claims(said)
        if said is None or claims is None:
            return _refused(Refusal.INVALID)
        now = self._clock()
        refusal = judge(claims, issuer, trust.audience, now)
        if refusal is not None:
            return _refused(refusal)
        lasts = min(time_left(claims, issuer, now), MAX_TOKEN_SECONDS)
        if trust.introspection is not None and trust.introspection.always:
            answer = await trust.introspection.ask(token)
            if isinstance(answer, Refusal):
                return _refused(answer)
            if answer.said.get("sub", claims.sub) != claims.sub:
                return _refused(Refusal.INVALID)
            lasts = min(lasts, answer.until - self._monotonic())
        return Verdict(_principal(claims, said, trust), None, lasts)

    async def _ask(self, token: str, trust: Trust) -> Verdict:
        """Decide about a token by what its issuer says of it: whose it is, and for whom. Without either it is refused.

        RFC 7662 leaves both to the issuer. But a token for somebody else must not be taken, and a client that is named
        like a person must not become that person.
        """
        if trust.introspection is None:
            return _refused(Refusal.UNKNOWN)
        answer = await trust.introspection.ask(token)
        if isinstance(answer, Refusal):
            return _refused(answer)
        now, left = self._clock(), answer.until - self._monotonic()
        said = {"iss": trust.issuer.issuer, "exp": now + left, **answer.said}
        claims = read_claims(said)
        if claims is None:
            return _refused(Refusal.INVALID)
        refusal = judge(claims, trust.issuer, trust.audience, now)
        if refusal is not None:
            return _refused(refusal)
        return Verdict(_principal(claims, said, trust), None, min(time_left(claims, trust.issuer, now), left))

    def _check_signature(self, token: str, key: SigningKey) -> bytes | None:
        """The payload, if the token was signed with this key by the key's own algorithm."""
        try:
            payload: bytes = self._tokens.decode_complete(token, key.material, [key.algorithm])["payload"]
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return payload


def _principal(claims: Claims, said: Mapping[str, Any], trust: Trust) -> Principal:
    """Whom a token that was admitted is about, and where it is good."""
    endpoints = trust.audience.endpoints(audiences(claims))
    return msgspec.structs.replace(principal_of(claims, said, trust.issuer), endpoints=endpoints)


def _best(verdicts: Iterable[Verdict]) -> Verdict:
    """What several issuers come to: who knows a token counts, and who could not say is asked again."""
    ranked = sorted(verdicts, key=lambda each: (each.principal is None, each.refusal is not Refusal.UNAVAILABLE))
    return ranked[0]


def _refused(refusal: Refusal) -> Verdict:
    return Verdict(None, refusal, UNAVAILABLE_SECONDS if refusal is Refusal.UNAVAILABLE else REFUSED_SECONDS)

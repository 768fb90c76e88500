"""Recognises who sends a request, at the ingress: from a remembered verdict at once, else by asking Auth.

While Auth cannot be reached, remembered verdicts go on until they expire, and unknown credentials get 503.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from actors.core.audience import endpoint_at
from actors.core.expiring import Expiring
from actors.core.principal import ANONYMOUS, MAX_CREDENTIAL_BYTES, Principal, Refusal, Verdict
from actors.core.tokens.revocations import Revocations
from actors.reachability import Reachability
from serve_app.challenges import BEARER, DPOP, Challenges
from serve_app.denial import AMBIGUOUS, DENIALS, ELSEWHERE, INVALID, MISSING, UNAVAILABLE, UNPROVEN, Denial
from serve_app.http import Scope
from serve_app.proofs import Proofs

Verify = Callable[[str], Awaitable[Verdict]]
"""Asks Auth about one credential; whatever it raises means that Auth could not be reached."""

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: pairs, names in lower case."""

VERIFY_SECONDS: Final = 5.0
"""The longest wait for Auth."""

MAX_PENDING: Final = 256
"""Credentials Auth is asked about at once; beyond it the ingress answers 503 rather than queue for strangers."""

REVOKED_SECONDS: Final = 10.0
"""How long a refusal is remembered that Auth did not give: a revocation may be taken back."""

_CARRIERS: Final = (b"authorization", b"x-api-key", b"dpop")
_CREDENTIAL: Final = re.compile(rb"[\x21-\x7e]+")


class Bound(msgspec.Struct, frozen=True):
    """A token that came with a proof of the key it is bound to (RFC 9449)."""

    token: bytes
    proof: bytes


class Authentication:
    """Turns the headers of a request into a principal. All methods belong to one event loop.

    Without `verify`, everyone is anonymous. `clock` is monotonic, in seconds. Verdicts are remembered by a keyed
    digest, never by the credential; refusals apart from the rest, so that strangers cannot push out principals.
    """

    def __init__(
        self,
        verify: Verify | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_entries: int = 10_000,
        time_limit: float = VERIFY_SECONDS,
        token_bytes: Callable[[int], bytes] = secrets.token_bytes,
        challenges: Challenges | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        """`challenges` complete denials of requests that are given with their scope.

        Without `proofs` nobody can prove to have a key.
        """
        self._verify = verify
        self._clock = clock
        self._with_roles: Callable[[Principal], Principal] = lambda principal: principal
        self._anonymous = ANONYMOUS
        self._challenges = challenges
        self._proofs = proofs
        self._time_limit = time_limit
        self._digest_key = token_bytes(32)
        self._admitted: Expiring[bytes, Principal] = Expiring(max_entries)
        self._denied: Expiring[bytes, Denial] = Expiring(max_entries)
        self._pending: dict[bytes, asyncio.Task[Principal | Denial]] = {}
        self._auth = Reachability("auth_reachable", "auth_unreachable")
        self._revocations = Revocations()

    def assign(self, with_roles: Callable[[Principal], Principal]) -> None:
        """Give principals, from now on, the roles that `with_roles` gives them; verdicts so far are forgotten."""
        self._with_roles = with_roles
        self._anonymous = with_roles(ANONYMOUS)
        self._admitted.clear()

    def revoke(self, revocations: Revocations) -> None:
        """Refuse what is revoked now, also what was admitted before."""
        if revocations.mark != self._revocations.mark:
            self._revocations = revocations
            self._admitted.discard(revocations.covers)

    def peek(self, headers: Headers, scope: Scope | None = None, *, again: bool = False) -> Principal | Denial | None:
        """Decide without waiting, or nothing: then `check` must ask Auth.

        `scope` is that of the request, without which no proof can be for it. `again` says that it was decided about
        before, and that all that matters is whether its credential is still good.
        """
        if self._verify is None:
            return self._anonymous
        presented = _presented(headers)
        if isinstance(presented, Denial):
            return self._told(presented, scope, BEARER)
        known = self._recall(self._digest(presented if isinstance(presented, bytes) else presented.token))
        return None if known is None else self._conclude(known, presented, scope, again=again)

    async def check(self, headers: Headers, scope: Scope | None = None, *, again: bool = False) -> Principal | Denial:
        """Decide as `peek` does, asking Auth if need be: once for all requests with one credential at a time."""
        if self._verify is None:
            return self._anonymous
        presented = _presented(headers)
        if isinstance(presented, Denial):
            return self._told(presented, scope, BEARER)
        token = presented if isinstance(presented, bytes) else presented.token
        digest = self._digest(token)
        known = self._recall(digest)
        if known is None:
            known = await self._learn(self._verify, token, digest)
        return self._conclude(known, presented, scope, again=again)

    def step_up(self, principal: Principal, scope: Scope) -> Denial | None:
        """See `Challenges.step_up`."""
        return None if self._challenges is None else self._challenges.step_up(principal, scope)

    async def _learn(self, verify: Verify, credential: bytes, digest: bytes) -> Principal | Denial:
        task = self._pending.get(digest)
        if task is None:
            if len(self._pending) >= MAX_PENDING:
                return UNAVAILABLE
            task = asyncio.create_task(self._ask(verify, credential, digest))
            self._pending[digest] = task
            task.add_done_callback(lambda _: self._pending.pop(digest))
        return await asyncio.shield(task)  # a client that goes away must not take the answer from the others

    def _conclude(
        self, known: Principal | Denial, presented: bytes | Bound, scope: Scope | None, *, again: bool
    ) -> Principal | Denial:
        """Decide about a credential that Auth spoke of: where it is good, see `Principal.endpoints`, and if proven."""
        found = self._prove(known, presented, scope, again=again)
        if isinstance(found, Denial) or not found.endpoints:
            return found
        if scope is not None and endpoint_at(scope["path"]) in found.endpoints:
            return found
        return self._told(ELSEWHERE, scope, BEARER if isinstance(presented, bytes) else DPOP)

    def _prove(
        self, known: Principal | Denial, presented: bytes | Bound, scope: Scope | None, *, again: bool
    ) -> Principal | Denial:
        """A bound token needs a proof, and no other may have one."""
        if isinstance(presented, bytes):
            if isinstance(known, Denial):
                return self._told(known, scope, BEARER)
            return self._told(INVALID, scope, DPOP) if known.key_thumbprint else known
        if isinstance(known, Denial):
            return self._told(known, scope, DPOP)
        if not known.key_thumbprint:
            return self._told(INVALID, scope, DPOP)
        return known if again or self._is_proven(known, presented, scope) else self._told(UNPROVEN, scope, DPOP)

    def _is_proven(self, principal: Principal, bound: Bound, scope: Scope | None) -> bool:
        if self._proofs is None or scope is None:
            return False
        return self._proofs.accept(bound.proof, bound.token, principal.key_thumbprint, scope)

    def _told(self, denial: Denial, scope: Scope | None, scheme: str) -> Denial:
        if self._challenges is None or scope is None:
            return denial
        return self._challenges.on(denial, scope, DPOP if denial is UNPROVEN else scheme)

    def _digest(self, credential: bytes) -> bytes:
        return hashlib.blake2b(credential, digest_size=16, key=self._digest_key).digest()

    def _recall(self, digest: bytes) -> Principal | Denial | None:
        now = self._clock()
        return self._admitted.get(digest, now) or self._denied.get(digest, now)

    async def _ask(self, verify: Verify, credential: bytes, digest: bytes) -> Principal | Denial:
        asked_at = self._clock()  # a verdict counts from here, so that a slow answer does not lengthen it
        try:
            async with asyncio.timeout(self._time_limit):
                verdict = await verify(credential.decode("ascii"))
        except Exception as error:  # noqa: BLE001 - of whatever kind: nobody was recognised, so nobody comes in
            self._auth.missed(type(error).__name__)  # a message might repeat the credential
            return UNAVAILABLE
        self._auth.reached()
        until = asked_at + verdict.lasts
        if verdict.principal is not None and self._revocations.covers(verdict.principal):
            self._denied.put(digest, INVALID, until=min(until, asked_at + REVOKED_SECONDS))
            return INVALID
        if verdict.principal is not None:
            principal = self._with_roles(verdict.principal)
            self._admitted.put(digest, principal, until=until)
            return principal
        denial = DENIALS[verdict.refusal or Refusal.INVALID]
        self._denied.put(digest, denial, until=until)
        return denial


def _presented(headers: Headers) -> bytes | Bound | Denial:
    """The one credential of a request. Query parameters are not looked at: they end up in logs."""
    found = [header for header in headers if header[0] in _CARRIERS]
    proofs = [] if len(found) == 1 and found[0][0] != b"dpop" else [value for name, value in found if name == b"dpop"]
    if len(found) == len(proofs):
        return MISSING
    if len(found) > 2 or len(found) - len(proofs) > 1:
        return AMBIGUOUS
    name, value = found[0] if found[0][0] != b"dpop" else found[1]
    scheme = b"bearer"
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        scheme = scheme.lower()
    credential = value.strip(b" \t")
    if scheme not in (b"bearer", b"dpop") or not credential:
        return MISSING
    if len(credential) > MAX_CREDENTIAL_BYTES or _CREDENTIAL.fullmatch(credential) is None:
        return INVALID
    if scheme == b"bearer":
        return UNPROVEN if proofs else credential
    return Bound(credential, proofs[0].strip(b" \t")) if proofs else UNPROVEN

"""Recognises who sends a request, at the ingress: from a remembered verdict at once, else by asking Auth.

While Auth cannot be reached, remembered verdicts go on until they expire, and unknown credentials get 503.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from actors.core.expiring import Expiring
from actors.core.principal import ANONYMOUS, MAX_CREDENTIAL_BYTES, Principal, Refusal, Verdict

Verify = Callable[[str], Awaitable[Verdict]]
"""Asks Auth about one credential; whatever it raises means that Auth could not be reached."""

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: pairs, names in lower case."""

VERIFY_SECONDS: Final = 5.0
"""The longest wait for Auth."""

MAX_PENDING: Final = 256
"""Credentials Auth is asked about at once; beyond it the ingress answers 503 rather than queue for strangers."""

_CREDENTIAL: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Denial:
    """A request that goes no further: its HTTP status, a sentence for the client, and headers for ASGI."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _challenge(status: int, reason: str, parameters: str = "") -> Denial:
    return Denial(status, reason, ((b"www-authenticate", f"Bearer {parameters}".rstrip().encode()),))


MISSING: Final = _challenge(401, "a credential is required")
INVALID: Final = _challenge(401, "the credential is not valid", 'error="invalid_token"')
EXPIRED: Final = _challenge(
    401, "the token has expired", 'error="invalid_token", error_description="the token has expired"'
)
AMBIGUOUS: Final = _challenge(400, "more than one credential was sent", 'error="invalid_request"')
UNAVAILABLE: Final = Denial(503, "credentials cannot be verified at the moment", ((b"retry-after", b"1"),))

DENIALS: Final = {
    Refusal.INVALID: INVALID,
    Refusal.EXPIRED: EXPIRED,
    Refusal.UNKNOWN: INVALID,  # a stranger is not told which keys and issuers exist
    Refusal.UNAVAILABLE: UNAVAILABLE,
}

log = structlog.get_logger()


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
    ) -> None:
        self._verify = verify
        self._clock = clock
        self._time_limit = time_limit
        self._digest_key = token_bytes(32)
        self._admitted: Expiring[bytes, Principal] = Expiring(max_entries)
        self._denied: Expiring[bytes, Denial] = Expiring(max_entries)
        self._pending: dict[bytes, asyncio.Task[Principal | Denial]] = {}
        self._reachable = True

    def peek(self, headers: Headers) -> Principal | Denial | None:
        """Decide without waiting, or nothing: then `check` must ask Auth."""
        if self._verify is None:
            return ANONYMOUS
        credential = _presented(headers)
        return credential if isinstance(credential, Denial) else self._recall(self._digest(credential))

    async def check(self, headers: Headers) -> Principal | Denial:
        """Decide, asking Auth if need be: once for all requests that present one credential at the same time."""
        if self._verify is None:
            return ANONYMOUS
        credential = _presented(headers)
        if isinstance(credential, Denial):
            return credential
        digest = self._digest(credential)
        known = self._recall(digest)
        if known is not None:
            return known
        task = self._pending.get(digest)
        if task is None:
            if len(self._pending) >= MAX_PENDING:
                return UNAVAILABLE
            task = asyncio.create_task(self._ask(self._verify, credential, digest))
            self._pending[digest] = task
            task.add_done_callback(lambda _: self._pending.pop(digest))
        return await asyncio.shield(task)  # a client that goes away must not take the answer from the others

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
            self._note_reachable(False, type(error).__name__)
            return UNAVAILABLE
        self._note_reachable(True, "")
        until = asked_at + verdict.lasts
        if verdict.principal is not None:
            self._admitted.put(digest, verdict.principal, until=until)
            return verdict.principal
        denial = DENIALS[verdict.refusal or Refusal.INVALID]
        self._denied.put(digest, denial, until=until)
        return denial

    def _note_reachable(self, reachable: bool, reason: str) -> None:
        if reachable is self._reachable:
            return
        self._reachable = reachable
        if reachable:
            log.info("auth_reachable")
        else:
            log.warning("auth_unreachable", reason=reason)  # the type only: a message might repeat the credential


def _presented(headers: Headers) -> bytes | Denial:
    """The one credential of a request. Query parameters are not looked at: they end up in logs."""
    found = [header for header in headers if header[0] in (b"authorization", b"x-api-key")]
    if not found:
        return MISSING
    if len(found) > 1:
        return AMBIGUOUS
    name, value = found[0]
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        if scheme.lower() != b"bearer":
            return MISSING
    credential = value.strip(b" \t")
    if not credential:
        return MISSING
    if len(credential) > MAX_CREDENTIAL_BYTES or _CREDENTIAL.fullmatch(credential) is None:
        return INVALID
    return credential

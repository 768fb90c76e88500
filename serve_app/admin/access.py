"""Who may administrate: the one who started the gateway, by the token in a file of theirs, and whom the policy lets.

Without exception a credential is demanded: other users of a machine reach its loopback addresses, too.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import Final

from actors.core.caller import Caller
from actors.core.policy.policy import ADMIN_SCOPE
from actors.core.principal import Kind, Principal
from serve_app.authentication import Authentication
from serve_app.denial import INVALID, MISSING, Denial
from serve_app.http import Scope

Judge = Callable[[Caller, str], Denial | None]
"""The denial of a caller who may not do one of `ADMIN_ACTIONS`, or nothing."""

SCOPE_MISSING: Final = Denial(
    403,
    f"the scope {ADMIN_SCOPE} is required",
    ((b"www-authenticate", f'Bearer error="insufficient_scope", scope="{ADMIN_SCOPE}"'.encode()),),
)
"""Where no policy says who may."""

OWNER: Final = Principal(subject="owner", issuer="", kind=Kind.KEY, client="only1mcp")
"""The one who started the gateway, and has the token that lies in a file of theirs."""


def permission_missing(action: str) -> Denial:
    """Where a policy says who may."""
    return Denial(403, f"the permission {action} is required")


def digest_of(token: str) -> bytes:
    """What is handed around instead of the token."""
    return hashlib.sha256(token.encode()).digest()


class Access:
    """Decides about requests to the admin API."""

    def __init__(self, token_digest: bytes, authentication: Authentication, judge: Judge) -> None:
        self._token_digest = token_digest
        self._authentication = authentication
        self._judge = judge

    async def check(self, headers: Iterable[tuple[bytes, bytes]], scope: Scope | None = None) -> Principal | Denial:
        """Who it is. Rungs, in order: the token of the one who started the gateway; somebody must be recognised."""
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) == 1 and self._is_token(given[0]):
            return OWNER
        principal = await self._authentication.check(headers, scope)
        if isinstance(principal, Denial):
            return principal
        if principal.kind is Kind.ANONYMOUS:
            return INVALID if given else MISSING
        return principal

    def permit(self, caller: Caller, action: str) -> Denial | None:
        """The denial of one who was recognised and may not do this; everything is for the one who started it.

        An empty `action` is for everybody.
        """
        return None if not action or caller.principal is OWNER else self._judge(caller, action)

    def _is_token(self, authorization: bytes) -> bool:
        scheme, _, token = authorization.partition(b" ")
        digest = hashlib.sha256(token.strip(b" \t")).digest()
        return hmac.compare_digest(digest, self._token_digest) and scheme.lower() == b"bearer"

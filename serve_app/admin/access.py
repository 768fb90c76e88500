"""Who may administrate: the one who started the gateway, by the token in a file of theirs, and who has the scope.

Without exception a credential is demanded: other users of a machine reach its loopback addresses, too.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

from actors.core.principal import Kind
from serve_app.authentication import INVALID, MISSING, Authentication, Denial

SCOPE: Final = "only1mcp:admin"

FORBIDDEN: Final = Denial(
    403,
    f"the scope {SCOPE} is required",
    ((b"www-authenticate", f'Bearer error="insufficient_scope", scope="{SCOPE}"'.encode()),),
)


def digest_of(token: str) -> bytes:
    """What is handed around instead of the token."""
    return hashlib.sha256(token.encode()).digest()


class Access:
    """Decides about requests to the admin API."""

    def __init__(self, token_digest: bytes, authentication: Authentication) -> None:
        self._token_digest = token_digest
        self._authentication = authentication

    async def check(self, headers: Iterable[tuple[bytes, bytes]]) -> Denial | None:
        """Nothing for one who may. Rungs, in order:

        1. The token of the one who started the gateway is enough.
        2. Somebody must be recognised.
        3. With the scope.
        """
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) == 1 and self._is_token(given[0]):
            return None
        principal = await self._authentication.check(headers)
        if isinstance(principal, Denial):
            return principal
        if principal.kind is Kind.ANONYMOUS:
            return INVALID if given else MISSING
        return None if SCOPE in principal.scopes else FORBIDDEN

    def _is_token(self, authorization: bytes) -> bool:
        scheme, _, token = authorization.partition(b" ")
        digest = hashlib.sha256(token.strip(b" \t")).digest()
        return hmac.compare_digest(digest, self._token_digest) and scheme.lower() == b"bearer"

"""What a client that is not let in is told about what would let it in.

Source: RFC 6750, section 3; RFC 9728, section 5.1; RFC 9449, section 7.1; 2025-11-25, basic/authorization.
"""

from dataclasses import replace
from typing import Final

from actors.core.audience import ENDPOINT
from actors.core.auth_settings import AuthSettings
from actors.core.principal import Kind, Principal
from actors.core.proof import ALGORITHMS
from serve_app.denial import CHALLENGE, Denial, Parameters, challenge, challenging
from serve_app.http import Scope
from serve_app.own_url import OwnUrl

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
"""RFC 9728, section 3; the path of an endpoint may follow."""

BEARER: Final = "Bearer"
DPOP: Final = "DPoP"


class Challenges:
    """Completes the challenges of denials: where the metadata is, which scopes are needed, that proofs are taken.

    Only where tokens are: who has API keys alone must not send clients to look for an authorization server.
    """

    def __init__(self, auth: AuthSettings, own_url: OwnUrl) -> None:
        self._tokens = bool(auth.issuers or auth.tokens)
        self._announced = bool(authorization_servers(auth))
        self._scopes = auth.scopes
        self._needed = frozenset(auth.scopes)
        self._own_url = own_url

    def on(self, denial: Denial, scope: Scope, scheme: str = BEARER) -> Denial:
        """The denial of a request; `scheme` is the one its credential came with, which the error is about."""
        said = denial.challenge
        if said is None or not self._tokens:
            return denial
        where = self._where(scope, denial.status)
        bearer, dpop = (said, ()) if scheme == BEARER else ((), said)
        told: list[bytes] = [challenge(BEARER, (*bearer, *where))]  # first, for clients that look at one only
        if denial.status != 403 or scheme == DPOP:
            told.append(challenge(DPOP, (*dpop, *where, ("algs", " ".join(ALGORITHMS)))))
        others = [header for header in denial.headers if header[0] != CHALLENGE]
        return replace(denial, headers=(*others, *((CHALLENGE, each) for each in told)))

    def step_up(self, principal: Principal, scope: Scope) -> Denial | None:
        """The denial of a token that lacks one of the scopes that the MCP endpoints need, or nothing."""
        if not self._needed or principal.kind is not Kind.TOKEN or self._needed.issubset(principal.scopes):
            return None
        needed = " ".join(self._scopes)
        lacking = challenging(403, f"the token needs these scopes: {needed}", ("error", "insufficient_scope"))
        return self.on(lacking, scope, DPOP if principal.key_thumbprint else BEARER)

    def _where(self, scope: Scope, status: int) -> Parameters:
        """Which scopes are needed there, and where the metadata is; that of the whole for all but the endpoints."""
        path = scope["path"].removesuffix("/")
        is_endpoint = ENDPOINT.fullmatch(path) is not None
        needed = bool(self._scopes) and (is_endpoint or status == 403)
        found: list[tuple[str, str]] = [("scope", " ".join(self._scopes))] if needed else []
        origin = self._own_url.origin(scope) if self._announced else None
        if origin is not None:
            found.append(("resource_metadata", f"{origin}{WELL_KNOWN}{path if is_endpoint else ''}"))
        return tuple(found)


def authorization_servers(auth: AuthSettings) -> list[str]:
    """The issuers at which a client could get a token.

    Those that are URLs: others are known here by a name that leads nowhere (RFC 8414, section 2). The gateway itself is
    none of them, since it has no authorization endpoint.
    """
    return [each.issuer for each in auth.issuers if each.issuer.startswith(("https://", "http://"))]

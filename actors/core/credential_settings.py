"""The settings of how the gateway proves itself to one server over HTTP. `actors.core.settings` says how they are
read."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from actors.core.rules import STRICT, require, url_rule

CLIENT_ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")

_INSTEAD: Final = "use client_id and client_secret"


class CredentialKind(StrEnum):
    """Whose token is sent."""

    CLIENT_CREDENTIALS = "client_credentials"
    """The gateway's own (RFC 6749, 4.4), whoever calls."""
    TOKEN_EXCHANGE = "token_exchange"  # noqa: S105 - a word, not a secret
    """One for each caller, from a service that exchanges tokens (RFC 8693)."""
    USER = "user"
    """One for each caller, who goes to the authorization server and lets the gateway act for them (RFC 6749, 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Where the tokens come from that a server is sent, and how the gateway proves itself there."""

    __pydantic_config__: ClassVar = STRICT

    kind: CredentialKind
    client_id: str = ""
    """As the authorization server knows the gateway. Left out, for `user`, the gateway introduces itself there."""
    client_secret: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    """A PEM private key, to prove the client by a signature (RFC 7523, `private_key_jwt`) instead of a secret."""
    algorithm: str = "ES256"
    """Of that signature: ES256, RS256 or EdDSA."""
    key_id: str | None = None
    """The `kid` of that key, if the authorization server knows several."""
    token_url: str | None = None
    """Where tokens are asked for; else the server and its authorization server are asked where that is."""
    issuer: str | None = None
    """The authorization server that is asked, and no other, whatever the server says."""
    scopes: tuple[str, ...] = ()
    """What to ask for; by default what the server says it needs."""
    resource: str | None = None
    """Whom the token is for (RFC 8707); by default the URL of the server."""
    audience: str | None = None
    """The same in the words of RFC 8693, for services that want it."""
    issuers: tuple[str, ...] = ()
    """Whose callers get a token by exchange; by default those with a token of the gateway's own."""

    @property
    def is_per_principal(self) -> bool:
        """Whether each principal has a token of its own."""
        return self.kind is not CredentialKind.CLIENT_CREDENTIALS

    def __post_init__(self) -> None:
        proofs = (self.client_secret is not None) + (self.private_key is not None)
        exchanged, user = self.kind is CredentialKind.TOKEN_EXCHANGE, self.kind is CredentialKind.USER
        places = (self.token_url is not None) + (self.issuer is not None)
        require(
            (("client_id",), bool(self.client_id.strip()) or (user and not self.client_id), "must not be empty"),
            (("client_secret",), self.client_secret != "", "must not be empty"),
            ((), user or proofs == 1, "needs either client_secret or private_key"),
            (
                (),
                not user or proofs <= bool(self.client_id),
                "has a proof of the client, but no client_id or two proofs",
            ),
            (("token_url",), not user or self.token_url is None, "is not all that is needed: use issuer"),
            (("algorithm",), self.algorithm in CLIENT_ALGORITHMS, f"must be one of {', '.join(CLIENT_ALGORITHMS)}"),
            ((), places <= 1, "must not have both token_url and issuer"),
            # A server that names the place could have the secret sent to itself. A signature is for one place only.
            ((), self.client_secret is None or places == 1, "needs token_url or issuer: a secret is sent nowhere else"),
            ((), not exchanged or self.token_url is not None, "needs the token_url of the service that exchanges"),
            (("audience",), exchanged or self.audience is None, "belongs to token_exchange"),
            (("issuers",), exchanged or not self.issuers, "belongs to token_exchange"),
            (("scopes",), all(_is_scope(scope) for scope in self.scopes), "must be words without spaces or quotes"),
            *(
                url_rule(name, url, instead=_INSTEAD)
                for name, url in (("token_url", self.token_url), ("issuer", self.issuer), ("resource", self.resource))
                if url is not None
            ),
        )


def _is_scope(word: str) -> bool:
    return bool(word) and all("!" <= character <= "~" and character not in '"\\' for character in word)

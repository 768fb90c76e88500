"""The gateway as an issuer of tokens: what it calls itself, and for whom they are."""

from dataclasses import dataclass

from actors.core.auth_settings import AuthSettings, IssuerSettings
from actors.core.settings import ServerSettings

TOKEN_PATH = "/auth/token"  # noqa: S105 - a path
REVOCATION_PATH = "/auth/revoke"
JWKS_PATH = "/auth/jwks"


@dataclass(frozen=True, slots=True)
class OwnIssuer:
    """Both are URLs as a rule."""

    issuer: str
    """The `iss` of the gateway's own tokens."""
    audience: str
    """Their `aud`: where clients find the gateway, without a path."""

    @property
    def settings(self) -> IssuerSettings:
        """How these tokens are judged: as those of any issuer. Its keys are not fetched from that URL."""
        return IssuerSettings(
            issuer=self.issuer,
            audience=self.audience,
            algorithms=("ES256", "RS256", "EdDSA"),
            jwks_url=f"{self.audience}{JWKS_PATH}",
        )


def own_issuer(auth: AuthSettings | None, server: ServerSettings) -> OwnIssuer:
    """What the settings make of it; without a public URL it is the address that the gateway listens on."""
    if auth is not None and auth.public_url is not None:
        url = auth.public_url.rstrip("/")
    else:
        url = f"http://{f'[{server.host}]' if ':' in server.host else server.host}:{server.port}"
    named = "" if auth is None or auth.tokens is None else auth.tokens.issuer
    return OwnIssuer(named or url, url)

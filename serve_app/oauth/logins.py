"""How people prove who they are, as the token endpoint needs it: somebody else verifies it and says who it is."""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from actors.core.tokens.grant import Grant
from serve_app.oauth.form import OAuthError

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a name
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name

PROVIDERS_PATH: Final = "/auth/providers"


class Identity(msgspec.Struct, frozen=True):
    """A person, as a login provider knows them. All of it was verified."""

    provider: str
    """The name of the provider in the configuration."""
    subject: str
    """Its `sub`."""
    client: str
    """The client that the provider knows the gateway as."""
    groups: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    acr: str = ""
    auth_time: float | None = None

    def grant(self, scopes: tuple[str, ...]) -> Grant:
        """What the gateway's own tokens say of them. The provider is part of the name: two may know an `ada` each."""
        subject = f"{self.provider}:{self.subject}"
        return Grant(subject, self.client, scopes, self.groups, self.amr, self.acr, self.auth_time)


class Offered(msgspec.Struct, frozen=True):
    """A provider, as everybody may know it."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]


class LoginVerifier(Protocol):
    """Who verifies logins."""

    @property
    def offered(self) -> tuple[Offered, ...]:
        """The providers at which people can log in."""

    @property
    def grant_types(self) -> tuple[str, ...]:
        """The values of `grant_type` that it is for."""

    async def verify(self, form: Mapping[str, str]) -> Identity | OAuthError:
        """Who has logged in, by what a request to the token endpoint brings along.

        For `TOKEN_EXCHANGE` there is a `subject_token`, an `ID_TOKEN`.
        """

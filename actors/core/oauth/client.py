"""What the gateway is to one authorization server: a client that it knows."""

from typing import Final

import msgspec

BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
SIGNED: Final = "private_key_jwt"
NO_PROOF: Final = "none"


class Client(msgspec.Struct, frozen=True):
    """A client, and how it proves itself (RFC 7591, `token_endpoint_auth_method`)."""

    id: str
    method: str = NO_PROOF
    secret: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Client(id={self.id!r}, method={self.method!r})"

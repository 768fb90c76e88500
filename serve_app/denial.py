"""Why a request goes no further, as its client is told."""

from dataclasses import dataclass
from typing import Final

from actors.core.principal import Refusal

CHALLENGE: Final = b"www-authenticate"

Parameters = tuple[tuple[str, str], ...]
"""Of a challenge (RFC 6750, section 3)."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A request that goes no further: its HTTP status, a sentence for the client, and headers for ASGI."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    challenge: Parameters | None = None
    """What the challenge among the headers says, if there is one."""


def challenge(scheme: str, parameters: Parameters) -> bytes:
    """A challenge as a header has it; its values must not hold control characters."""
    said = ", ".join(f"{name}={_quoted(value)}" for name, value in parameters)
    return f"{scheme} {said}".rstrip().encode()


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def challenging(status: int, reason: str, *parameters: tuple[str, str]) -> Denial:
    """A denial that says what would be accepted."""
    return Denial(status, reason, ((CHALLENGE, challenge("Bearer", parameters)),), parameters)


MISSING: Final = challenging(401, "a credential is required")
INVALID: Final = challenging(401, "the credential is not valid", ("error", "invalid_token"))
EXPIRED: Final = challenging(
    401, "the token has expired", ("error", "invalid_token"), ("error_description", "the token has expired")
)
ELSEWHERE: Final = challenging(
    401,
    "the token is for another endpoint",
    ("error", "invalid_token"),
    ("error_description", "the token is for another endpoint"),
)
UNPROVEN: Final = challenging(
    401, "the proof of the token's key is missing or not one for this request", ("error", "invalid_dpop_proof")
)
AMBIGUOUS: Final = challenging(400, "more than one credential was sent", ("error", "invalid_request"))
UNAVAILABLE: Final = Denial(503, "credentials cannot be verified at the moment", ((b"retry-after", b"1"),))

DENIALS: Final = {
    Refusal.INVALID: INVALID,
    Refusal.EXPIRED: EXPIRED,
    Refusal.UNKNOWN: INVALID,  # a stranger is not told which keys and issuers exist
    Refusal.UNAVAILABLE: UNAVAILABLE,
}

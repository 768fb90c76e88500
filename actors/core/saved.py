"""What is kept between two runs of the gateway, and what of it still holds in the next one.

Times are in seconds since 1970: the next run may be after another start of the machine.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from actors.core.listing import Facts, Listing
from actors.core.session_state import SessionState
from actors.core.settings import BackendSettings


class SavedListing(msgspec.Struct, frozen=True, array_like=True):
    """What a backend's server had, and said of itself."""

    salt: bytes
    digest: bytes
    """See `digest_of`: of the settings that this server was reached with."""
    listing: Listing
    facts: Facts | None = None

    def is_of(self, settings: BackendSettings) -> bool:
        """Whether it comes from the server that these settings lead to."""
        return hmac.compare_digest(self.digest, digest_of(settings, self.salt))


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A downstream session."""

    state: SessionState
    seen_at: float
    """When it was used last."""


@dataclass(frozen=True, slots=True)
class SavedServer:
    """A server that was added while the gateway ran."""

    name: str
    source: bytes
    """The JSON of its entry as it was given: with the names of environment variables, never with their values."""


@dataclass(frozen=True, slots=True)
class Saved:
    """All of it."""

    listings: Mapping[str, SavedListing] = field(default_factory=dict)
    """By backend."""
    sessions: tuple[SavedSession, ...] = ()
    servers: tuple[SavedServer, ...] = ()
    """In the order of their names."""
    definitions: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """By backend: the digests of tools that its owner agreed to, by name."""


def digest_of(settings: BackendSettings, salt: bytes) -> bytes:
    """A text that is another one when another server may answer, or the same one to another account.

    It tells nothing of the secrets among the settings, and `salt`, 16 random bytes, keeps it from being looked up.
    """
    reached = (type(settings.endpoint).__name__, settings.endpoint, settings.urls, settings.runtime_env)
    return hmac.digest(salt, msgspec.json.encode(reached, enc_hook=repr, order="sorted"), "sha256")


def living(sessions: Iterable[SavedSession], now: float, idle_seconds: float) -> list[tuple[SessionState, float]]:
    """The sessions that have not been idle for too long, and for how long each has: the longest idle first.

    One that was used in the future, because a clock was set back, counts as used now.
    """
    idle = [(each.state, max(now - each.seen_at, 0.0)) for each in sessions]
    return sorted((each for each in idle if each[1] < idle_seconds), key=lambda each: -each[1])

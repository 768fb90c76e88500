"""A Vault as a plain object, which may be started again on the same file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.core.api_key import hash_of
from actors.core.auth_settings import ApiKeySettings, AuthSettings, TokenSettings
from actors.core.settings import ServerSettings
from actors.core.tokens.own_issuer import OwnIssuer, own_issuer
from actors.core.tokens.revocations import Revocations
from actors.refs.gone import ActorGone
from actors.vault import Vault
from actors.vault_file import VaultFile, open_vault
from tests.support.hand_clock import HandClock
from tests.support.hand_sleep import HandSleep

SECRET = b"s" * 32
URL = "https://gateway.example"
CONFIGURED = "o1m_the-key-of-the-configuration"


class Listener:
    """Stands where the Router would."""

    def __init__(self) -> None:
        self.heard = Revocations()
        self.gone = False

    async def revoke(self, revocations: Revocations) -> None:
        if self.gone:
            raise ActorGone("RayActorError")
        self.heard = revocations

    async def knows_revocations(self, mark: str) -> bool:
        if self.gone:
            raise ActorGone("RayActorError")
        return self.heard.mark == mark


def auth_settings(tokens: TokenSettings | None = None, **changes: Any) -> AuthSettings:
    keys = (ApiKeySettings(name="configured", hash=hash_of(CONFIGURED), scopes=("mcp",), groups=("ops",)),)
    return AuthSettings(
        **{"api_keys": keys, "tokens": tokens or TokenSettings(), "public_url": URL, "scopes": ("mcp",), **changes}
    )


class VaultBox:
    """Everything that a Vault is made of; `start` begins another life of it."""

    def __init__(self, path: Path | None, auth: AuthSettings | None = None, now: float = 1_800_000_000.0) -> None:
        self.path = path
        self.auth = auth or auth_settings()
        self.own: OwnIssuer = own_issuer(self.auth, ServerSettings())
        self.router = Listener()
        self.clock = HandClock(now)
        self.sleep = HandSleep(self.clock)
        self.lives = 0
        self.files: list[VaultFile] = []
        self.open: Callable[[Path | None], VaultFile] = open_vault

    def start(self, secret: bytes = SECRET, watch_seconds: float = 0.05) -> Vault:
        """A new life on what the one before has left."""
        for file in self.files:
            file.close()
        self.files.clear()
        self.lives += 1
        return Vault(
            self.auth,
            self.own,
            secret,
            self._opened,
            lambda: self.router,
            generation=f"g{self.lives}",
            clock=self.clock,
            watch_seconds=watch_seconds,
            sleep=self.sleep,
        )

    def _opened(self) -> VaultFile:
        file = self.open(self.path)
        self.files.append(file)
        return file

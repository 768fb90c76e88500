"""What one replica has to do with users' consents, as plain objects on a Vault that replicas share."""

import asyncio
from typing import Any

from actors.core.consent import ConsentBegun
from actors.core.credential_settings import CredentialSettings
from actors.core.url_guard import UrlGuard
from actors.credentials.agreements import Agreements
from actors.credentials.consent_state import ConsentStates
from actors.credentials.consents import Consents
from actors.credentials.discovery import Discovery
from actors.credentials.fetching import GuardedFetch
from actors.credentials.keeper import Keeper
from actors.credentials.registrar import Registrar
from actors.credentials.token_endpoint import TokenEndpoint
from actors.credentials.user_tokens import UserTokens
from actors.credentials.whereabouts import Whereabouts
from tests.support.consent_world import ConsentWorld
from tests.support.hand_clock import HandClock

BACK = "http://127.0.0.1:49152/callback"


class ConsentOffice:
    """One replica. Its clock is the hand clock of the world that it is in, for both kinds of time."""

    def __init__(
        self,
        world: ConsentWorld,
        vault: Keeper,
        clock: HandClock,
        settings: CredentialSettings | None = None,
        *,
        backend: str = "git",
    ) -> None:
        auth = settings or world.users()
        guard = UrlGuard([world.url])
        fetch = GuardedFetch(guard)
        whereabouts = Whereabouts(Discovery(auth, world.url, fetch), fetch, world.url, clock)
        endpoint = TokenEndpoint(auth, fetch, backend=backend, clock=clock)
        self.world = world
        agreements = Agreements(
            auth,
            whereabouts,
            endpoint,
            vault,
            backend=backend,
            unix=clock,
            dice=lambda: 0.0,
            sleep=lambda _: asyncio.sleep(0.001),
        )
        self.tokens = UserTokens(auth, whereabouts, agreements, backend=backend, clock=clock)
        self.consents = Consents(
            auth,
            whereabouts,
            endpoint,
            Registrar(auth, endpoint, fetch, vault, backend=backend),
            vault,
            agreements,
            self.tokens,
            ConsentStates(vault, backend),
            guard,
            backend=backend,
            unix=clock,
        )

    async def begin(self, principal: str, redirect_uri: str = BACK, **more: Any) -> ConsentBegun:
        """Begin, which must be possible."""
        begun = await self.consents.begin(principal, redirect_uri, **more)
        assert isinstance(begun, ConsentBegun), begun
        return begun

    async def connect(self, principal: str, user: str = "") -> None:
        """A principal agrees as a user of the authorization server; as one of the same name, if no other is given."""
        begun = await self.begin(principal)
        state, code, issuer = self.world.agree(begun.url, user or principal)
        assert await self.consents.finish(principal, state, code, issuer) == ""

"""The Vault's desk for tokens: of people who logged in, which are refreshed, and of services, which are not.

Its methods wait for the disk; times are Unix seconds.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from actors.core.audience import endpoint_at
from actors.core.auth_settings import TokenSettings
from actors.core.tokens.access import access_claims
from actors.core.tokens.family import TOKEN_BYTES, Family, Step, digest_of, first_token, successor_of
from actors.core.tokens.grant import Grant, resource_fault, service_fault, words_fault
from actors.core.tokens.issued import Declined, GrantFault, No, Shown, TokenEntry, TokenPair
from actors.core.tokens.key_ring import MARGIN_SECONDS, longest_seconds
from actors.core.tokens.own_issuer import OwnIssuer
from actors.core.tokens.revocations import Revocation, Target
from actors.revocation_desk import RevocationDesk
from actors.signer import Signer
from actors.vault_file import VaultFile

MAX_FAMILIES: Final = 100
"""Logins of one person at a time; one more ends the oldest."""

MAX_ALL_FAMILIES: Final = 100_000

MAX_TOKENS: Final = 10_000
"""Tokens of services at a time."""

MAX_LISTED: Final = 1000
"""Logins that are listed, the latest."""

ID_BYTES: Final = 16

log = structlog.get_logger()


class TokenDesk:
    """Issues tokens, and ends them."""

    def __init__(
        self,
        file: VaultFile,
        settings: TokenSettings,
        own: OwnIssuer,
        signer: Signer,
        revocations: RevocationDesk,
        successor_key: bytes,
        random: Callable[[int], bytes],
    ) -> None:
        """`successor_key` is as for `successor_of`."""
        self._file = file
        self._settings = settings
        self._own = own
        self._signer = signer
        self._revocations = revocations
        self._successor_key = successor_key
        self._random = random

    def log_in(self, grant: Grant, now: float) -> TokenPair | Declined:
        """Somebody has proved who they are: a new family, and its first tokens."""
        if self._file.count("families") >= MAX_ALL_FAMILIES:
            return Declined(No.FULL, f"there are {MAX_ALL_FAMILIES} logins already")
        refresh = first_token(self._random(TOKEN_BYTES))
        ends_at = now + self._settings.refresh_seconds
        family = Family(self._random(ID_BYTES).hex(), grant, now, ends_at, digest_of(refresh))
        with self._file.transaction():
            self._file.put_family(family)
        for old in self._file.families_beyond(grant.subject, MAX_FAMILIES):
            self.end_family(old, now)
        return self._pair(family, refresh, grant.scopes, now, grant.resource)

    def refresh(
        self, token: str, client: str, scopes: tuple[str, ...], now: float, resource: str | None = None
    ) -> TokenPair | GrantFault:
        """Take a refresh token and give its successor, see `Family`.

        `client` and `scopes` are as the client says them, or empty: another client's token is not touched. `resource`
        is as in `Grant`, if the client says one: the access token may be for less than the login is, and not for more.
        """
        digest = digest_of(token)
        family = self._file.family_of(digest)
        if family is None or (client and client != family.grant.client):
            return GrantFault.GRANT
        if not set(scopes) <= set(family.grant.scopes):
            return GrantFault.SCOPE
        wanted = family.grant.resource if resource is None else resource
        if family.grant.resource and endpoint_at(wanted) != endpoint_at(family.grant.resource):
            return GrantFault.TARGET
        principal = family.grant.principal(self._own.issuer, family=family.id, issued_at=family.begun_at)
        successor = successor_of(self._successor_key, token)
        step, next_family = family.present(digest, digest_of(successor), now)
        if step is Step.REUSED:
            log.warning("refresh_token_reused", family=family.id)
        if step in (Step.REUSED, Step.EXPIRED) or self._revocations.revocations.covers(principal):
            self.end_family(family.id, now)
            return GrantFault.GRANT
        if step is Step.ROTATED:
            with self._file.transaction():
                self._file.put_family(next_family)
        return self._pair(next_family, successor, scopes or family.grant.scopes, now, wanted)

    def issue(self, grant: Grant, seconds: float, now: float) -> Shown | Declined:
        """A token for a service, good for so many seconds."""
        most = longest_seconds(self._settings)
        fault = service_fault(grant.subject) or words_fault(grant.scopes, grant.groups)
        fault = fault or resource_fault(grant.resource)
        if not 0 < seconds <= most:
            fault = f"a lifetime is more than 0 and at most {most:.0f} seconds: its key is kept no longer"
        if fault:
            return Declined(No.WRONG, fault)
        if self._file.count("tokens") >= MAX_TOKENS:
            return Declined(No.FULL, f"there are {MAX_TOKENS} tokens already")
        name = self._random(ID_BYTES).hex()
        entry = TokenEntry(name, "service", grant, now, now + seconds)
        claims = access_claims(grant, self._own, token_id=name, family="", now=now, seconds=seconds)
        text = self._signer.sign(claims, now)
        self._file.put_token(entry)
        return Shown(text, entry)

    def entries(self, now: float) -> tuple[TokenEntry, ...]:
        """What is good now, or was revoked before its time: the tokens of services, and logins."""
        logins = (
            TokenEntry(each.id, "login", each.grant, each.begun_at, each.ends_at)
            for each in self._file.families(now, MAX_LISTED)
        )
        return tuple(self._marked(each) for each in (*self._file.tokens(now), *logins))

    def end(self, name: str, now: float) -> Declined | None:
        """Revoke what `entries` lists under an id; says why not, or nothing."""
        if self._file.family(name) is not None:
            return self.end_family(name, now)
        entry = self._file.token(name)
        if entry is None:
            return Declined(No.UNKNOWN, "there is no such token")
        return self._revocations.add(self._of_token(name, entry.expires_at))

    def end_text(self, token: str, now: float) -> Declined | None:
        """Revoke what somebody holds (RFC 7009): a refresh token, or an access token with the login it goes back to.

        What is none of ours, or is over, needs no revocation.
        """
        family = self._file.family_of(digest_of(token))
        if family is not None:
            return self.end_family(family.id, now)
        said = self._signer.read(token)
        if said is None or said.iss != self._own.issuer or said.exp <= now:
            return None
        return self.end_family(said.sid, now) if said.sid else self._revocations.add(self._of_token(said.jti, said.exp))

    def end_family(self, name: str, now: float) -> Declined | None:
        """End a login: neither its refresh tokens nor its access tokens are worth anything from now on."""
        until = now + self._settings.access_seconds + MARGIN_SECONDS
        declined = self._revocations.add(Revocation(Target.FAMILY, name, self._own.issuer, until=until))
        with self._file.transaction():
            self._file.drop_family(name)
        return declined

    def _pair(self, family: Family, refresh: str, scopes: tuple[str, ...], now: float, resource: str) -> TokenPair:
        grant = msgspec.structs.replace(family.grant, scopes=scopes, resource=resource)
        name, seconds = self._random(ID_BYTES).hex(), self._settings.access_seconds
        claims = access_claims(grant, self._own, token_id=name, family=family.id, now=now, seconds=seconds)
        return TokenPair(self._signer.sign(claims, now), seconds, refresh, scopes)

    def _of_token(self, name: str, expires_at: float) -> Revocation:
        return Revocation(Target.TOKEN, name, self._own.issuer, until=expires_at + MARGIN_SECONDS)

    def _marked(self, entry: TokenEntry) -> TokenEntry:
        names = {"family": entry.id} if entry.kind == "login" else {"token_id": entry.id}
        principal = entry.grant.principal(self._own.issuer, issued_at=entry.issued_at, **names)
        return msgspec.structs.replace(entry, revoked=self._revocations.revocations.covers(principal))

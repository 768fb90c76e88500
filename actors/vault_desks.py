"""All that the Vault does, by what it is about, and what takes more than one of its desks.

Everything here waits for the disk, so it is for a thread.
"""

import hmac
from collections.abc import Callable
from typing import Final

from actors.core.auth_settings import AuthSettings
from actors.core.oauth.statement import TYP as STATEMENT_TYP
from actors.core.oauth.statement import identity_of, statement_claims
from actors.core.tokens.family import digest_of
from actors.core.tokens.issued import Declined, No
from actors.core.tokens.ledger import Ledger
from actors.core.tokens.own_issuer import OwnIssuer
from actors.core.tokens.revocations import Revocation, Target
from actors.core.tokens.revoking import revocation_of
from actors.credential_desk import CredentialDesk
from actors.key_desk import KeyDesk
from actors.revocation_desk import RevocationDesk
from actors.signer import Signer
from actors.token_desk import ID_BYTES, TokenDesk
from actors.vault_file import VaultFile

NO_TOKENS: Final = Declined(No.UNKNOWN, "this gateway issues no tokens: `auth.tokens` is not in its configuration")


class VaultDesks:
    """Over one file. Times are Unix seconds."""

    def __init__(
        self,
        file: VaultFile,
        auth: AuthSettings | None,
        own: OwnIssuer,
        secret: bytes,
        *,
        generation: str,
        random: Callable[[int], bytes],
        now: float,
    ) -> None:
        """See `Vault`. There is a key to sign with from the start, if anything is signed here."""
        self._file = file
        self._own = own
        self._random = random
        self.revocations = RevocationDesk(file, generation)
        configured = frozenset(key.name for key in auth.api_keys) if auth is not None else frozenset()
        self.keys = KeyDesk(file, self.revocations, configured, random)
        self.credentials = CredentialDesk(file, secret, random)
        self.tokens: TokenDesk | None = None
        """Nothing if this gateway issues none; then it signs nothing, either."""
        self._signer: Signer | None = None
        settings = None if auth is None else auth.tokens
        if settings is not None:
            self._signer = Signer(file, settings, secret, random)
            self._signer.look_round(now)
            key = hmac.digest(secret, b"only1mcp refresh tokens 1", "sha256")
            self.tokens = TokenDesk(file, settings, own, self._signer, self.revocations, key, random)

    def revoke(self, target: Target, value: str, issuer: str, now: float) -> Revocation | Declined:
        """See `Vault.revoke`. Rungs, in order; the first which decides wins:

        1. A refresh token of the gateway's own stands for all of its login.
        2. What is not to be understood is refused.
        3. The rest is an entry, and the refresh tokens of a login that is revoked end with it.
        """
        if target is Target.TOKEN and self.tokens is not None:
            family = self._file.family_of(digest_of(value))
            if family is not None:
                made = Revocation(Target.FAMILY, family.id, self._own.issuer)
                return self.tokens.end_family(family.id, now) or made
        made_or_not = revocation_of(target, value, issuer, now)
        if isinstance(made_or_not, Declined):
            return made_or_not
        if target is Target.FAMILY and self.tokens is not None and self._file.family(value) is not None:
            self.tokens.end_family(value, now)
        return self.revocations.add(made_or_not) or made_or_not

    def statement(self, principal: str, issuers: tuple[str, ...], audience: str, now: float) -> str | Declined:
        """See `Vault.statement`."""
        identity = identity_of(principal)
        if self._signer is None:
            return NO_TOKENS
        if identity is None or identity[0] not in (issuers or (self._own.issuer,)):
            return Declined(No.WRONG, "the caller has no token of an issuer whose callers have one there")
        name = self._random(ID_BYTES).hex()
        claims = statement_claims(self._own.issuer, *identity, audience, token_id=name, now=now)
        return self._signer.sign(claims, now, STATEMENT_TYP)

    def sweep(self, now: float) -> None:
        """Let go of what is over, and sign with a new key if it is time."""
        self._file.sweep(now)
        self.revocations.sweep(now)
        if self._signer is not None:
            self._signer.look_round(now)

    def ledger_after(self, before: Ledger) -> Ledger:
        """What those who verify must know now; the very same if that is what they know."""
        jwks = before.jwks if self._signer is None else self._signer.ring.jwks()
        now = (jwks, self.keys.records, self.revocations.revocations)
        if before.version and now == (before.jwks, before.keys, before.revocations):
            return before
        return Ledger(before.generation, before.version + 1, *now)

"""The part of the admin API about what the gateway issued: tokens, API keys, and what is revoked.

A token or a key is in the answer to the request that makes it, and in no other.
"""

from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import unquote

import msgspec
import structlog

from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, No, Shown, TokenEntry
from actors.core.tokens.key_record import KeyRecord
from actors.core.tokens.revocations import Revocation, Revocations, Target
from serve_app.admin.answer import Answer, error
from serve_app.admin.credential_pages import (
    KeyOrder,
    KeyPage,
    KeysPage,
    RevocationPage,
    RevocationsPage,
    RevokeOrder,
    RotateOrder,
    TokenOrder,
    TokenPage,
    TokensPage,
    key_page,
    revocation_page,
    token_page,
)
from serve_app.admin.routes import Asked, Route

LIFE_SECONDS: Final = 30 * 86_400.0
"""Of a service's token, unless somebody says otherwise."""

STATUS: Final = {No.UNKNOWN: 404, No.TAKEN: 409, No.FULL: 507, No.WRONG: 422}

log = structlog.get_logger()


class Keeper(Protocol):
    """Who keeps all this; `actors.refs.vault.VaultRef` is one, whose docstrings say the rest."""

    async def issue(self, grant: Grant, seconds: float) -> Shown | Declined:
        """See `Vault.issue`."""

    async def tokens(self) -> tuple[TokenEntry, ...]:
        """See `Vault.tokens`."""

    async def end_token(self, name: str) -> Declined | None:
        """See `Vault.end_token`."""

    async def keys(self) -> tuple[KeyRecord, ...]:
        """See `Vault.keys`."""

    async def create_key(
        self, name: str, scopes: tuple[str, ...], groups: tuple[str, ...], seconds: float | None
    ) -> Shown | Declined:
        """See `Vault.create_key`."""

    async def rotate_key(self, name: str, overlap: float) -> Shown | Declined:
        """See `Vault.rotate_key`."""

    async def delete_key(self, name: str) -> Declined | None:
        """See `Vault.delete_key`."""

    async def revocations(self) -> Revocations:
        """See `Vault.revocations`."""

    async def revoke(self, target: Target, value: str, issuer: str = "") -> Revocation | Declined:
        """See `Vault.revoke`."""

    async def forgive(self, name: str) -> Declined | None:
        """See `Vault.forgive`."""


class Credentials:
    """Serves it."""

    def __init__(self, find_vault: Callable[[], Keeper], longest: float) -> None:
        """`longest` is how many seconds a service's token may be good."""
        self._find_vault = find_vault
        self._longest = longest

    def routes(self) -> tuple[Route, ...]:
        """What can be done."""
        tokens, keys, revocations = ("tokens:read", "tokens:write"), ("keys:read", "keys:write"), "/revocations"
        taken, missing = (404, 409, 507), (404,)
        return (
            Route("GET", "/tokens", tokens[0], "All families of tokens", self._tokens, gives=TokensPage),
            Route(
                "POST",
                "/tokens",
                tokens[1],
                "Issue a token for a service; it is in this answer only",
                self._issue,
                201,
                TokenPage,
                TokenOrder,
                taken,
            ),
            Route("DELETE", "/tokens/{name}", tokens[1], "End a family of tokens", self._end, 204, refuses=missing),
            Route("GET", "/keys", keys[0], "All API keys", self._keys, gives=KeysPage),
            Route(
                "POST",
                "/keys",
                keys[1],
                "Make an API key; it is in this answer only",
                self._create,
                201,
                KeyPage,
                KeyOrder,
                taken,
            ),
            Route("DELETE", "/keys/{name}", keys[1], "Delete an API key", self._delete, 204, refuses=missing),
            Route(
                "POST",
                "/keys/{name}/rotate",
                keys[1],
                "Replace an API key; the new one is in this answer only",
                self._rotate,
                201,
                KeyPage,
                RotateOrder,
                taken,
            ),
            Route("GET", revocations, tokens[0], "What is revoked", self._revocations, gives=RevocationsPage),
            Route(
                "POST",
                revocations,
                tokens[1],
                "Revoke a token, a family, or all of a subject, a client or an issuer",
                self._revoke,
                201,
                RevocationPage,
                RevokeOrder,
                taken,
            ),
            Route(
                "DELETE",
                "/revocations/{name}",
                tokens[1],
                "Take a revocation back",
                self._forgive,
                204,
                refuses=missing,
            ),
        )

    async def _tokens(self, asked: Asked) -> Answer:
        return Answer(200, TokensPage(tuple(map(token_page, await self._find_vault().tokens()))))

    async def _issue(self, asked: Asked) -> Answer:
        order = await asked.order(TokenOrder)
        if isinstance(order, Answer):
            return order
        seconds = order.lifetime_seconds
        resource = f"/servers/{order.server}/mcp" if order.server else ""
        grant = Grant(order.subject, order.subject, order.scopes, order.groups, resource=resource)
        shown = await self._find_vault().issue(grant, min(LIFE_SECONDS, self._longest) if seconds is None else seconds)
        if isinstance(shown, Declined):
            return _declined(shown)
        assert isinstance(shown.entry, TokenEntry)  # noqa: S101 - see `Vault.issue`
        log.info("token_issued", subject=order.subject, id=shown.entry.id)
        return Answer(201, msgspec.structs.replace(token_page(shown.entry), token=shown.secret))

    async def _end(self, asked: Asked) -> Answer:
        name = unquote(asked.names["name"])
        declined = await self._find_vault().end_token(name)
        if declined is None:
            log.info("token_revoked", id=name)
        return _done(declined)

    async def _keys(self, asked: Asked) -> Answer:
        return Answer(200, KeysPage(tuple(map(key_page, await self._find_vault().keys()))))

    async def _create(self, asked: Asked) -> Answer:
        order = await asked.order(KeyOrder)
        if isinstance(order, Answer):
            return order
        shown = await self._find_vault().create_key(order.name, order.scopes, order.groups, order.lifetime_seconds)
        return self._key_shown(shown, "key_created")

    async def _rotate(self, asked: Asked) -> Answer:
        name = unquote(asked.names["name"])
        order = await asked.order(RotateOrder, if_empty=b"{}")
        if isinstance(order, Answer):
            return order
        return self._key_shown(await self._find_vault().rotate_key(name, order.overlap_seconds), "key_rotated")

    def _key_shown(self, shown: Shown | Declined, event: str) -> Answer:
        if isinstance(shown, Declined):
            return _declined(shown)
        assert isinstance(shown.entry, KeyRecord)  # noqa: S101 - see `Vault.create_key`
        log.info(event, key=shown.entry.name)
        return Answer(201, msgspec.structs.replace(key_page(shown.entry), key=shown.secret))

    async def _delete(self, asked: Asked) -> Answer:
        name = unquote(asked.names["name"])
        declined = await self._find_vault().delete_key(name)
        if declined is None:
            log.info("key_revoked", key=name)
        return _done(declined)

    async def _revocations(self, asked: Asked) -> Answer:
        found = await self._find_vault().revocations()
        return Answer(200, RevocationsPage(tuple(map(revocation_page, found.entries))))

    async def _revoke(self, asked: Asked) -> Answer:
        order = await asked.order(RevokeOrder)
        if isinstance(order, Answer):
            return order
        named = [(target, getattr(order, target.value)) for target in Target if target is not Target.ISSUER]
        given: list[tuple[Target, str]] = [(target, value) for target, value in named if value is not None]
        if not given and order.issuer is not None:
            given = [(Target.ISSUER, order.issuer)]
        if len(given) != 1:
            return error(422, "say one of token, family, subject, client and issuer")
        ((target, value),) = given
        made = await self._find_vault().revoke(target, value, order.issuer or "")
        if isinstance(made, Declined):
            return _declined(made)
        log.info("revoked", target=made.target.value, id=made.id)
        return Answer(201, revocation_page(made))

    async def _forgive(self, asked: Asked) -> Answer:
        name = unquote(asked.names["name"])
        declined = await self._find_vault().forgive(name)
        if declined is None:
            log.info("revocation_taken_back", id=name)
        return _done(declined)


def _declined(declined: Declined) -> Answer:
    return error(STATUS[declined.no], declined.reason)


def _done(declined: Declined | None) -> Answer:
    return Answer(204) if declined is None else _declined(declined)

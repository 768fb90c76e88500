"""Where tokens of the gateway's own are got, given back and verified: `/auth/…`, for everybody.

There is no authorization endpoint: people log in at a provider, and bring what that gave them. Clients are public, so
a refresh token is worth what its possession is worth, once.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import msgspec
import structlog

from actors.core import jsonrpc
from actors.core.audience import Audience
from actors.core.caller import Caller
from actors.core.principal import ANONYMOUS
from actors.core.tokens.grant import Grant
from actors.core.tokens.issued import Declined, GrantFault, TokenPair
from actors.core.tokens.ledger import Ledger
from actors.core.tokens.own_issuer import JWKS_PATH, REVOCATION_PATH, TOKEN_PATH, OwnIssuer
from actors.refs.gone import ActorGone
from serve_app.http import JSON, BodyTooLarge, HttpRequest, respond
from serve_app.oauth.address_limiter import AddressLimiter
from serve_app.oauth.form import MAX_FORM_BYTES, OAuthError, invalid, read_form
from serve_app.oauth.logins import ACCESS_TOKEN, ID_TOKEN, PROVIDERS_PATH, TOKEN_EXCHANGE, LoginVerifier
from serve_app.recording import Recorder

METADATA_PATH: Final = "/.well-known/oauth-authorization-server"

REFRESH: Final = "refresh_token"

KEYS_SECONDS: Final = 5.0
"""How long an ingress replica tells the same keys without asking the Vault again."""

_NO_STORE: Final = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_PUBLIC: Final = ((b"access-control-allow-origin", b"*"), (b"cache-control", b"public, max-age=60"))

UNAVAILABLE: Final = OAuthError("temporarily_unavailable", "try again in a moment", 503, ((b"retry-after", b"2"),))

log = structlog.get_logger()


class Issuing(Protocol):
    """Who issues tokens; `actors.refs.vault.VaultRef` is one."""

    async def news(self, generation: str, version: int) -> Ledger | None:
        """See `Vault.news`."""

    async def log_in(self, grant: Grant) -> TokenPair | Declined:
        """See `Vault.log_in`."""

    async def refresh(
        self, token: str, client: str, scopes: tuple[str, ...], resource: str | None = None
    ) -> TokenPair | GrantFault:
        """See `Vault.refresh`."""

    async def end_text(self, token: str) -> Declined | None:
        """See `Vault.end_text`."""


class Page(msgspec.Struct, frozen=True):
    """What a request gets."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = _NO_STORE


class OAuthEndpoints:
    """Serves them. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        own: OwnIssuer,
        scopes: tuple[str, ...],
        find_vault: Callable[[], Issuing],
        recorder: Recorder,
        clock: Callable[[], float],
        logins: LoginVerifier | None = None,
    ) -> None:
        """`scopes` are those of people who log in; without `logins` nobody can."""
        self._own = own
        self._scopes = scopes
        self._find_vault = find_vault
        self._recorder = recorder
        self._clock = clock
        self._logins = logins
        self._audience = Audience(own.audience, own.audience)
        self._limiter = AddressLimiter(clock)
        self._keys: Page | None = None
        self._keys_until = -math.inf
        self._posts = {TOKEN_PATH: self._token, REVOCATION_PATH: self._revoke}
        self._gets = {JWKS_PATH: self._jwks, PROVIDERS_PATH: self._providers}
        if own.issuer == own.audience:  # RFC 8414, section 3.3: elsewhere nobody would look for it
            self._gets[METADATA_PATH] = self._metadata

    def knows(self, path: str) -> bool:
        """Whether a request to this path is for here."""
        return path in self._posts or path in self._gets

    async def serve(self, request: HttpRequest) -> None:
        """Answer one request. That its body does not come is the caller's concern."""
        verb = "POST" if request.path in self._posts else "GET"
        wait = self._limiter.take(request.ip)
        found: Page | OAuthError
        if wait:
            found = OAuthError("slow_down", "too many requests", 429, ((b"retry-after", b"%d" % math.ceil(wait)),))
        elif request.method != verb:
            found = OAuthError("invalid_request", f"this is for {verb}", 405, ((b"allow", verb.encode()),))
        else:
            try:
                found = await self._found(request)
            except ActorGone:
                found = UNAVAILABLE
            except BodyTooLarge:
                found = OAuthError("invalid_request", f"the body is over {MAX_FORM_BYTES} bytes", 413)
        if isinstance(found, Page):
            await respond(request.send, 200, found.body, [JSON, *found.headers])
            return
        said = {"error": found.error, "error_description": found.description}
        page = {name: value for name, value in said.items() if value}
        await respond(request.send, found.status, jsonrpc.encode(page), [JSON, *_NO_STORE, *found.headers])

    async def _found(self, request: HttpRequest) -> Page | OAuthError:
        if request.path in self._gets:
            return await self._gets[request.path]()
        form = await read_form(request)
        return form if isinstance(form, OAuthError) else await self._posts[request.path](request, form)

    async def _token(self, request: HttpRequest, form: Mapping[str, str]) -> Page | OAuthError:
        kind = form.get("grant_type", "")
        named = {self._audience.path_of(form[name]) for name in ("resource", "audience") if name in form}
        if None in named or len(named) > 1:
            return OAuthError("invalid_target", "tokens are for this gateway, or for one of its endpoints")
        resource = next(iter(named), None)
        if kind == REFRESH:
            found = await self._refresh(form, resource)
        elif self._logins is not None and kind in self._logins.grant_types:
            found = await self._log_in(self._logins, request, kind, form, resource or "")
        elif kind:
            found = OAuthError("unsupported_grant_type")
        else:
            found = invalid("grant_type is missing")
        if isinstance(found, OAuthError):
            return found
        page = {
            "access_token": found.access,
            "token_type": "Bearer",
            "expires_in": int(found.seconds),
            "refresh_token": found.refresh,
            "scope": " ".join(found.scopes),
        }
        return Page(jsonrpc.encode(page | ({"issued_token_type": ACCESS_TOKEN} if kind == TOKEN_EXCHANGE else {})))

    async def _refresh(self, form: Mapping[str, str], resource: str | None) -> TokenPair | OAuthError:
        token = form.get("refresh_token", "")
        if not token:
            return invalid("refresh_token is missing")
        scopes = tuple(form.get("scope", "").split())
        found = await self._find_vault().refresh(token, form.get("client_id", ""), scopes, resource)
        return OAuthError(found.value) if isinstance(found, GrantFault) else found

    async def _log_in(
        self, logins: LoginVerifier, request: HttpRequest, kind: str, form: Mapping[str, str], resource: str
    ) -> TokenPair | OAuthError:
        if kind == TOKEN_EXCHANGE:
            if form.get("subject_token_type") != ID_TOKEN or not form.get("subject_token"):
                return invalid(f"a subject_token is needed, with the subject_token_type {ID_TOKEN}")
            if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
                return invalid(f"the requested_token_type can only be {ACCESS_TOKEN}")
        scopes = tuple(form.get("scope", "").split()) or self._scopes
        if not set(scopes) <= set(self._scopes):
            return OAuthError("invalid_scope")
        identity = await logins.verify(form)
        if isinstance(identity, OAuthError):
            self._recorder.logged_in(Caller(ANONYMOUS, request.ip), identity.status, identity.description)
            return identity
        grant = msgspec.structs.replace(identity.grant(scopes), resource=resource)
        found = await self._find_vault().log_in(grant)
        status = 503 if isinstance(found, Declined) else 200
        self._recorder.logged_in(Caller(grant.principal(self._own.issuer), request.ip), status, identity.provider)
        if isinstance(found, Declined):
            log.error("login_declined", reason=found.reason)
            return UNAVAILABLE
        return found

    async def _revoke(self, request: HttpRequest, form: Mapping[str, str]) -> Page | OAuthError:
        """RFC 7009: whoever holds a token may give it back; what is no token of ours is given back already."""
        token = form.get("token", "")
        if not token:
            return invalid("token is missing")
        declined = await self._find_vault().end_text(token)
        if declined is not None:
            log.error("token_not_revoked", reason=declined.reason)
            return UNAVAILABLE
        return Page(b"{}")

    async def _jwks(self) -> Page:
        now = self._clock()
        if self._keys is None or now >= self._keys_until:
            ledger = await self._find_vault().news("", 0)
            self._keys = Page((ledger or Ledger()).jwks, _PUBLIC)
            self._keys_until = now + KEYS_SECONDS
        return self._keys

    async def _providers(self) -> Page:
        """Where people can log in, for `only1mcp login`."""
        offered = () if self._logins is None else self._logins.offered
        return Page(jsonrpc.encode({"providers": offered}))

    async def _metadata(self) -> Page:
        """RFC 8414, of what there is: nobody can be sent here to log in, so there is no response type."""
        url = self._own.audience
        grants = [REFRESH, *(() if self._logins is None else self._logins.grant_types)]
        page = {
            "issuer": self._own.issuer,
            "token_endpoint": url + TOKEN_PATH,
            "revocation_endpoint": url + REVOCATION_PATH,
            "jwks_uri": url + JWKS_PATH,
            "grant_types_supported": grants,
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
        } | ({"scopes_supported": list(self._scopes)} if self._scopes else {})
        return Page(jsonrpc.encode(page), _PUBLIC)

"""What an ingress replica has to do with who its callers are, composed as `auth` is configured."""

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from actors.core.principal import Verdict
from actors.core.settings import Settings
from actors.core.tokens.key_ring import longest_seconds
from actors.core.tokens.own_issuer import own_issuer
from actors.refs.vault import VaultRef
from serve_app.admin.credentials import Credentials
from serve_app.authentication import Authentication
from serve_app.challenges import Challenges
from serve_app.connect.browser_login import BrowserLogins
from serve_app.metadata import Metadata
from serve_app.oauth.endpoints import OAuthEndpoints
from serve_app.oauth.login_verifier import OpenIdLogins
from serve_app.own_url import OwnUrl
from serve_app.proofs import Proofs
from serve_app.recording import Recorder


class Recognition(NamedTuple):
    """Its parts; those that a configuration does not ask for are not there."""

    authentication: Authentication
    metadata: Metadata | None = None
    """What the gateway says of itself as a resource."""
    credentials: Credentials | None = None
    """What it issues, for its administration."""
    oauth: OAuthEndpoints | None = None
    """Where its own tokens are got."""
    in_browsers: BrowserLogins | None = None
    """How users show in a browser who they are."""


def recognition_of(
    settings: Settings,
    verify: Callable[[str], Awaitable[Verdict]],
    own_url: OwnUrl,
    find_vault: Callable[[], VaultRef],
    recorder: Recorder,
) -> Recognition:
    """All of it; `verify` asks Auth, which is there if `settings.auth` is."""
    known, proofs = settings.auth, Proofs(own_url)
    if known is None:
        return Recognition(Authentication(None, challenges=None, proofs=proofs))
    authentication = Authentication(verify, challenges=Challenges(known, own_url), proofs=proofs)
    longest = 0.0 if known.tokens is None else longest_seconds(known.tokens)
    parts = Recognition(authentication, Metadata(known, own_url), Credentials(find_vault, longest))
    if known.tokens is None:
        return parts
    own = own_issuer(known, settings.server)
    logins = OpenIdLogins(known.logins, time.time, time.monotonic) if known.logins else None
    return parts._replace(
        oauth=OAuthEndpoints(own, known.scopes, find_vault, recorder, time.monotonic, logins),
        in_browsers=None if logins is None else BrowserLogins(known.logins, own.issuer, logins),
    )

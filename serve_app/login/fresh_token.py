"""The access token of a login, renewed before it expires."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from serve_app.login.gateway_door import DoorError, DoorRefused, GatewayDoor, NewTokens
from serve_app.login.kept_login import KeptLogin, alone, login_path, read_login, remove_login, write_login

EARLY_SECONDS: Final = 60.0
"""A token that expires within that is renewed: what is done with it takes time, and clocks differ."""


class LoginOver(Exception):  # noqa: N818 - what happened
    """The login has ended; the message is a sentence for a person."""


def fresh_token(gateway: str, clock: Callable[[], float], folder: Path | None = None) -> str | None:
    """An access token for a gateway, if this user is logged in there; `clock` gives Unix seconds.

    Of several processes one renews it, and the others find it renewed.

    Raises:
        LoginOver: the gateway does not renew it any more; nothing is kept of it.
        DoorError: it cannot be renewed now, and has expired.
        KeptError: see `read_login`.
    """
    path = login_path(gateway, folder)
    kept = read_login(path)
    if kept is None or _lasts(kept, clock()):
        return None if kept is None else kept.access
    with alone(path):
        kept = read_login(path)
        if kept is None or _lasts(kept, clock()):
            return None if kept is None else kept.access
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh, "client_id": kept.client_id}
        try:
            fresh = renewed(kept, GatewayDoor(gateway).tokens(form), clock())
        except DoorRefused:
            remove_login(path)
            raise LoginOver(f"the login of {kept.subject} at {gateway} is over: only1mcp login") from None
        except DoorError:
            if clock() < kept.expires_at:
                return kept.access
            raise
        write_login(path, fresh)
        return fresh.access


def renewed(kept: KeptLogin, tokens: NewTokens, now: float) -> KeptLogin:
    """A login with new tokens; `now` in Unix seconds."""
    return msgspec.structs.replace(
        kept, access=tokens.access_token, refresh=tokens.refresh_token, expires_at=now + tokens.expires_in
    )


def _lasts(kept: KeptLogin, now: float) -> bool:
    return now < kept.expires_at - EARLY_SECONDS

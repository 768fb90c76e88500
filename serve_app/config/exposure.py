"""Whether the gateway could be used by strangers."""

from actors.core.guard import is_loopback
from actors.core.settings import Settings


def check_exposure(settings: Settings) -> str | None:
    """The sentence that refuses to open the gateway to other machines without authentication, or nothing.

    Asked last, when the command line has had its say on host and port.
    """
    if settings.auth is not None or is_loopback(settings.server.host):
        return None
    return f"server.host {settings.server.host} is reachable by others: add an `auth` section or use 127.0.0.1"

"""What a user reads at the connect page when there is nothing for them to do there."""

from typing import Final

from serve_app.connect.pages import Page, notice, with_headers
from serve_app.oauth.form import OAuthError

STALE: Final = notice(
    400,
    "This page cannot be opened",
    "The link is not complete, or older than ten minutes, or was used, or was opened first in another browser.",
    "Call the tool again, and open the link that you are given then.",
)
ANOTHER: Final = notice(
    403,
    "This is not for you",
    "The link was made for somebody else than who is logged in here. Nothing has happened.",
    "If somebody sent it to you: whoever opens it would let the sender act in their name. Tell your administrator.",
)
NO_SERVER: Final = notice(404, "There is no such server", "There is none to which users are connected by this name.")
SOON: Final = notice(503, "Come again in a moment", "The server is being started. Load this page again in a moment.")
DONE: Final = notice(
    200, "You are connected", "The gateway acts for you there from now on. Close this page and go on in your client."
)
LATER: Final = notice(503, "Come again later", "The gateway cannot write down at the moment what is done here.")
WRONG_VERB: Final = with_headers(
    notice(405, "This page is for a browser", "Open it with GET."), (b"allow", b"GET, POST")
)


def explained(backend: str) -> Page:
    """For one who cannot show in a browser who they are."""
    return notice(
        403,
        f"Connect to {backend} from your terminal",
        "The gateway cannot see in a browser who you are. Whoever you are as its client, this command connects you, "
        "with the token that you use there in the variable ONLY1MCP_TOKEN, or after only1mcp login:",
        code=f"only1mcp connect {backend}",
    )


def trouble(error: OAuthError) -> Page:
    """For one whose login has not worked."""
    return notice(error.status, "The login has not worked", f"{error.description or error.error}.")

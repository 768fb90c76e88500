"""What `/health`, `/health/live` and `/health/ready` say. They say it to anybody, so names are left out."""

from typing import Final

from actors.core.view import View

LIVE: Final = "/health/live"
PATHS: Final = frozenset({"/health", "/health/", LIVE, "/health/ready"})


def health_page(path: str, view: View) -> tuple[int, dict[str, object]]:
    """The HTTP status and the page for one of `PATHS`: 503 while no backend can serve.

    `LIVE` asks only whether this process answers.
    """
    if path == LIVE:
        return 200, {"status": "live"}
    total, up = len(view.backends), sum(backend.up for backend in view.backends.values())
    page: dict[str, object] = {
        "status": "unavailable" if not up else "ok" if up == total else "degraded",
        "backends": {"up": up, "total": total},
        "tools": len(view.catalogue.tools),
        "resources": len(view.catalogue.resources),
        "prompts": len(view.catalogue.prompts),
    }
    return 200 if up else 503, page

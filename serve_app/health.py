"""What `/health`, `/health/live` and `/health/ready` say."""

from actors.core.view import View


def health_page(path: str, view: View) -> tuple[int, dict[str, object]]:
    """The HTTP status and the page: 503 while no backend can serve.

    `/health/live` asks only whether this process answers. Counts only: names are for those who are let in.
    """
    if path == "/health/live":
        return 200, {"status": "live"}
    up = sum(backend.up for backend in view.backends.values())
    page: dict[str, object] = {
        "status": "ok" if up == len(view.backends) > 0 else "degraded" if up else "unavailable",
        "backends": {"up": up, "total": len(view.backends)},
        "tools": len(view.catalogue.tools),
        "resources": len(view.catalogue.resources),
        "prompts": len(view.catalogue.prompts),
    }
    if path not in ("/health", "/health/", "/health/ready"):
        return 404, {"status": "there is no such check"}
    return 200 if up else 503, page

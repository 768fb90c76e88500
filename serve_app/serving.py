"""Ray Serve as the gateway needs it: begun on every node, with one application, and ended without the rest of a Ray."""

import asyncio
import logging

import ray
from ray import serve

from actors.core.settings import Settings
from serve_app.app import APPLICATION, QUIET, build_application
from serve_app.cli.course import StartFailed
from serve_app.cli.progress import Progress


class Serving:
    """The ingress and Auth of one gateway, on a Ray that is running already."""

    def __init__(self, settings: Settings, progress: Progress, *, spread: bool) -> None:
        """`spread` says that this Ray may have other nodes, and that it goes on without us."""
        self._settings = settings
        self._progress = progress
        self._spread = spread
        self._has_begun = False
        self._owns_serve = False

    async def begin(self, secret: bytes, admin_digest: bytes, audit_key: bytes) -> None:
        """Start them; all three as for `build_application`.

        Raises:
            StartFailed: Serve did not.
        """
        try:
            await asyncio.to_thread(self._start, secret, admin_digest, audit_key)
        except Exception as error:
            cause = getattr(error, "cause", None) or error  # of what went wrong in an actor, without Ray's frame
            raise StartFailed(f"Ray Serve did not start the ingress: {cause}") from error

    async def end(self) -> None:
        """Let what runs finish, and end them."""
        if self._has_begun:
            await asyncio.to_thread(serve.delete, APPLICATION, _blocking=True)

    async def leave(self) -> None:
        """After `end`: end Serve itself, if it was begun here, on a Ray that goes on; our own takes it along."""
        if self._owns_serve and self._spread:
            await asyncio.to_thread(serve.shutdown)

    def _start(self, secret: bytes, admin_digest: bytes, audit_key: bytes) -> None:
        server = self._settings.server
        # what it has to say at `info` is for those who type commands of Serve's own
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        with self._progress.step("starting Ray Serve"):
            if _is_running() and set(serve.status().applications) == {APPLICATION}:
                serve.shutdown()  # a gateway that was killed has left it, perhaps on another port
            self._owns_serve = not _is_running()
            options = {"host": server.host, "port": server.port}
            serve.start(http_options=options, proxy_location="EveryNode", logging_config=QUIET)
        with self._progress.step("starting the ingress" + (" and auth" if self._settings.auth else "")):
            self._has_begun = True
            application = build_application(
                self._settings, secret, admin_digest, spread=self._spread, audit_key=audit_key
            )
            serve.run(application, name=APPLICATION, route_prefix="/", _local_testing_mode=False)


def _is_running() -> bool:
    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", "serve")
    except ValueError:
        return False
    return True

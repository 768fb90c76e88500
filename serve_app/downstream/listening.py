"""`subscriptions/listen` of modern clients: one stream of notifications for each.

Source: 2026-07-28, basic/patterns/subscriptions. The id of a subscription is that of the client's request, and never
leaves this hop.
"""

from typing import Final

import msgspec

from actors.core import jsonrpc
from actors.core.jsonrpc import Object
from actors.core.limits.admission import Reason
from actors.core.offer import CHANGES, Offer
from actors.core.request import Request
from actors.core.routing import Rejection
from actors.core.tally import OK, CallLabels
from actors.core.tasks import UNDECLARED, declares_tasks
from serve_app.downstream.door import Door
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS
from serve_app.downstream.standing import Standings, standing
from serve_app.downstream.visit import Visit
from serve_app.downstream.watch import Watch, Watches, can_be_followed

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
MAX_RESOURCES: Final = 256
"""Resources of one subscription."""

NO_STREAM: Final = Rejection(jsonrpc.INVALID_PARAMS, "subscriptions/listen needs Accept: text/event-stream")
NO_FILTER: Final = Rejection(
    jsonrpc.INVALID_PARAMS,
    f"subscriptions/listen needs params.notifications, an object with at most {MAX_RESOURCES} resourceSubscriptions",
)
FULL: Final = Rejection(jsonrpc.INTERNAL_ERROR, "too many streams are open here; try again later")


class _Filter(msgspec.Struct, rename="camel"):
    tools_list_changed: bool = False
    prompts_list_changed: bool = False
    resources_list_changed: bool = False
    resource_subscriptions: list[str] = []
    task_ids: list[str] = []
    """Never honoured: a client that is not told of a task asks for it (SEP-2663, Task Status Notifications)."""

    def lists(self, offer: Offer) -> list[str]:
        return [name for name in CHANGES if getattr(self, f"{name}_list_changed") and offer.promises(name)]


_decoder: Final = msgspec.json.Decoder(_Filter)


class Listening:
    """Keeps the streams of modern clients."""

    def __init__(
        self, door: Door, watches: Watches, standings: Standings, *, keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    ) -> None:
        self._standings = standings
        self._door = door
        self._watches = watches
        self._keep_alive_seconds = keep_alive_seconds

    async def serve(self, visit: Visit, request: Request) -> None:
        """Tell the client what it wants to hear until it goes away."""
        try:
            wanted = jsonrpc.decode(_decoder, request.params.get("notifications", b""))
        except msgspec.DecodeError:
            wanted = None
        if wanted is None or len(wanted.resource_subscriptions) > MAX_RESOURCES:
            await self._door.reject(visit, request, NO_FILTER)
        elif wanted.task_ids and not declares_tasks(request.client):
            await self._door.reject(visit, request, UNDECLARED)
        elif not visit.responder.streams:
            await self._door.reject(visit, request, NO_STREAM)
        elif self._watches.full:
            await self._door.reject(visit, request, FULL)
        else:
            uris = [uri for uri in wanted.resource_subscriptions if can_be_followed(visit.offer, uri, request.client)]
            async with self._door.limiting.hold(visit.principal, Reason.STREAMS) as refused:
                if refused is None:
                    await self._listen(visit, request, wanted.lists(visit.offer), uris)
                else:
                    await self._door.reject(visit, request, refused)

    async def _listen(self, visit: Visit, request: Request, lists: list[str], uris: list[str]) -> None:
        watch = self._watches.open(request.client, lists)
        try:
            watch.follow(uris, missed=False)
            await watch.begun()  # what changes after the acknowledgement is told
            end = watch.announcements.close
            with standing(visit.check, end, self._keep_alive_seconds), self._standings.hold(visit.principal, end):
                await self._tell(visit, request, watch, uris)
        finally:
            watch.close()
            self._door.tallying.tally.count(CallLabels("", request.method, OK), 0.0)

    async def _tell(self, visit: Visit, request: Request, watch: Watch, uris: list[str]) -> None:
        meta = jsonrpc.raw({jsonrpc.SUBSCRIPTION_ID_KEY: jsonrpc.raw_bytes(request.id)})
        honoured: dict[str, object] = {f"{name}ListChanged": True for name in watch.digests}
        if uris:
            honoured["resourceSubscriptions"] = uris
        await visit.responder.event(_message(ACKNOWLEDGED, {"_meta": meta, "notifications": jsonrpc.raw(honoured)}))
        while True:
            told = await watch.announcements.next(self._keep_alive_seconds)
            for method, params in told:
                await visit.responder.event(_message(method, {**params, "_meta": meta}))
            if watch.announcements.closed:
                result = jsonrpc.encode({"resultType": jsonrpc.raw("complete"), "_meta": meta})
                await visit.responder.finish(200, jsonrpc.result_response(request.id, result))
                return
            if not told:
                await visit.responder.keep_alive()


def _message(method: str, params: Object) -> bytes:
    return jsonrpc.notification(method, jsonrpc.encode(params))

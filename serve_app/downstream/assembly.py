"""What the door of one ingress replica is made of, put together: the same for Serve and for tests."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from actors.bus.keychain import Keychain
from actors.core.limit_settings import LimitSettings
from actors.core.session_state import SessionState
from actors.core.settings import ServerSettings
from actors.core.task_ids import TaskIds
from actors.refs.gone import ActorGone
from actors.refs.router import RouterRef
from serve_app.bindings import Bindings
from serve_app.connect.invitation import Invitations
from serve_app.connect.ticket import Tickets
from serve_app.downstream.bridge import Bridge
from serve_app.downstream.channel import Common
from serve_app.downstream.channels import Channels
from serve_app.downstream.comeback import Comeback, HasConsent
from serve_app.downstream.door import Door
from serve_app.downstream.legacy import Legacy
from serve_app.downstream.legacy_http import LegacyHttp
from serve_app.downstream.listening import Listening
from serve_app.downstream.modern import Modern
from serve_app.downstream.questions import Questions
from serve_app.downstream.responder import KEEP_ALIVE_SECONDS
from serve_app.downstream.sse_door import SseDoor
from serve_app.downstream.standing import Standings
from serve_app.downstream.streams import Streams
from serve_app.downstream.trails import Trails
from serve_app.downstream.watch import Watches
from serve_app.downstream.ways import GRACE_SECONDS, Ways
from serve_app.downstream.ws_door import WsDoor
from serve_app.eviction import Eviction
from serve_app.limiting import Limiting
from serve_app.links import Links
from serve_app.outlook import Outlook
from serve_app.own_url import OwnUrl
from serve_app.recording import Recorder
from serve_app.relay import Relay
from serve_app.retries import Retries
from serve_app.sessions import Sessions
from serve_app.tallying import Tallying


class Assembly:
    """One door, and both eras behind it."""

    def __init__(
        self,
        outlook: Outlook,
        links: Links,
        tallying: Tallying,
        secret: bytes,
        find_router: Callable[[], RouterRef],
        *,
        keys: Keychain,
        idle_seconds: float,
        dice: Callable[[], float],
        node: str,
        addresses: Callable[[], tuple[str, str | None]],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        recorder: Recorder | None = None,
        limiting: Limiting | None = None,
        invitations: Invitations | None = None,
        has_consent: HasConsent | None = None,
    ) -> None:
        """`secret` is the gateway's, `idle_seconds` is after how long a session ends, both clocks are in seconds.

        `keys`, `node` and `addresses` say how and where other ingress replicas find this one, see `Relay`.
        """
        ways = Ways(
            Bridge(secret, wall_clock),
            Questions(secret, links),
            Trails(secret),
            TaskIds(secret),
            Retries(dice, clock, wake=partial(_wake, find_router), note=tallying.note),
            keep_alive_seconds,
            grace_seconds,
            invitations or Invitations(Tickets(secret, wall_clock), OwnUrl(None), ServerSettings().origin),
        )
        self.sessions = Sessions(find_router, self._changed, idle_seconds=idle_seconds, clock=clock)
        bindings = Bindings(links, self.sessions, lambda: outlook.view, clock, tallying.note)
        limiting = limiting or Limiting(LimitSettings(), find_router, tallying.note)
        self.door = Door(links, bindings, tallying, ways, clock, recorder or Recorder(), limiting)
        watches = Watches(outlook, links, bindings, dice)
        comeback = None if has_consent is None else Comeback(has_consent, keep_alive_seconds)
        standings = Standings()
        listening = Listening(self.door, watches, standings, keep_alive_seconds=keep_alive_seconds)
        self.modern = Modern(self.door, listening, comeback)
        self.streams = Streams(watches, self.sessions, standings, keep_alive_seconds=keep_alive_seconds)
        self.eviction = Eviction(standings, self.sessions, links.cancel_origin)
        self.legacy = Legacy(self.door, self.sessions, self.streams, secret, wall_clock)
        self.legacy_http = LegacyHttp(self.door, self.legacy, self.streams)
        self.channels = Channels(Common(self.door, self.legacy, self.sessions, self.streams))
        self.relay = Relay(keys, node, addresses, self.channels.take, note=tallying.note)
        self.sse_door = SseDoor(self.channels, self.relay, secret, keep_alive_seconds=keep_alive_seconds)
        self.ws_door = WsDoor(self.channels)

    def _changed(self, nonce: bytes, state: SessionState | None) -> None:
        self.streams.changed(nonce, state)


def _wake(find_router: Callable[[], RouterRef], backend: str) -> None:
    with suppress(ActorGone):  # without a Router nothing can be started, and the call fails after a while
        find_router().wake(backend)

"""Which server each bound session has its state in, so that no call of it runs in another one unnoticed."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple
from weakref import ref

from actors.core.call import Call
from actors.core.settings import MAX_SESSIONS
from actors.upstream.upstream import Upstream


class _Home(NamedTuple):
    """Where the state of a session is."""

    binding: int
    """The number of the binding that led it here."""
    server: Callable[[], Upstream | None]
    """The adapter to the server, which is another one for each life of it; nothing where there is none any more."""


class BoundSessions:
    """What one replica remembers of the sessions that are bound to it, those used last; of others it knows nothing."""

    def __init__(self, limit: int = MAX_SESSIONS) -> None:
        self._limit = limit
        self._homes: OrderedDict[bytes, _Home] = OrderedDict()

    def __len__(self) -> int:
        return len(self._homes)

    def admit(self, call: Call, server: Upstream | None, *, absent: bool) -> bool:
        """Whether a call may count on `server` for the state of its session; nothing is a server yet to be started.

        `absent` says that none is there, and none can be started now. Rungs, in order:

        1. A call that no binding led here counts on nothing.
        2. One that is led by an older binding than others were counts on what is gone.
        3. The first of a binding needs a server. Without one, another replica may have the session, and no other call
           of this binding is admitted later.
        4. Every other one needs the server of those before.
        """
        if not call.binding:
            return True
        home = self._homes.get(call.session)
        if home is not None and home.binding > call.binding:
            return False
        if home is not None and home.binding == call.binding:
            its_own = home.server()
            return its_own is not None and its_own is server
        if absent:
            self._put(call, _nowhere)
        return not absent

    def note(self, call: Call, server: Upstream | None) -> None:
        """A call runs, or ran, in this server: the state of its session is there. Nothing is one that never started."""
        if not call.binding or server is None:
            return
        home = self._homes.get(call.session)
        if home is None or home.binding < call.binding:
            self._put(call, ref(server))
        else:
            self._homes.move_to_end(call.session)

    def end(self, session: bytes) -> None:
        """The session is over."""
        self._homes.pop(session, None)

    def _put(self, call: Call, server: Callable[[], Upstream | None]) -> None:
        self._homes[call.session] = _Home(call.binding, server)
        self._homes.move_to_end(call.session)
        if len(self._homes) > self._limit:
            self._homes.popitem(last=False)


def _nowhere() -> None:
    """No server will ever have the state."""

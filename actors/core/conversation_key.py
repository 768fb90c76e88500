"""Which conversation with a server a call belongs to, where not everyone shares one."""

import msgspec

from actors.core.call import NO_CAPABILITIES, Call
from actors.core.fingerprint import fingerprint
from actors.core.identity import BRIDGED_CAPABILITIES
from actors.core.revisions import Era
from actors.core.settings import Isolation


class ConversationKey(msgspec.Struct, frozen=True, array_like=True):
    """Whose conversation it is. Calls with equal keys may share what the server keeps for them; others never do."""

    principal: str
    """`Principal.key`, part of the key wherever it matters, so that no session can be taken for another user's."""
    session: bytes
    """The nonce of the downstream session; empty if the principal's calls share a conversation."""
    capabilities: bytes
    """What the client is declared to be able to, a `fingerprint`."""


def declared_for_all(isolation: Isolation, *, stateful: bool) -> bytes:
    """The capabilities that the conversation without a key declares: all we can bridge, if it is the only one.

    Else those who can be asked something have conversations with keys.
    """
    return BRIDGED_CAPABILITIES if stateful and isolation is Isolation.SHARED else NO_CAPABILITIES


def key_of(isolation: Isolation, era: Era, call: Call, *, stateful: bool) -> ConversationKey | None:
    """Whose conversation a call needs; nothing for the one that everybody shares. Rungs, in order:

    1. A modern server keeps nothing between requests, unless the connection itself is a process of its own: that is
       what `stateful` says.
    2. `shared` is shared. But a server of the handshake era is told once what its client can be asked, so where another
       conversation costs no process, those who can be asked the same share one.
    3. By session, where there is one, else by principal, and by capabilities as before.
    """
    if era is Era.MODERN and not stateful:
        return None
    declared = fingerprint(call.capabilities) if era is Era.HANDSHAKE else NO_CAPABILITIES
    if isolation is Isolation.SHARED:
        return None if stateful or declared == NO_CAPABILITIES else ConversationKey("", b"", declared)
    session = call.session if isolation is Isolation.SESSION else b""
    return ConversationKey(call.principal, session, declared)

"""What is known of a downstream session beyond its id, and how the Router and the ingress replicas speak of it."""

from typing import Final

import msgspec
from msgspec.structs import replace

from actors.core.binding import Binding, Bindings, binding_at, merged_bindings, with_binding
from actors.core.tokens.revocations import Credential, Revocations

MAX_SUBSCRIPTIONS: Final = 256
"""Of one session."""

MAX_SUBSCRIPTION_BYTES: Final = 32 * 1024
"""Of all URIs of one session together."""

MAX_CLIENT_INFO_BYTES: Final = 4096
"""A longer one is not kept: it only names the client to servers."""


MAX_COMPLETED: Final = 8
"""Elicitations of one session; who has completed more since a stream was open is not told of the oldest."""


class SessionState(msgspec.Struct, frozen=True, array_like=True):
    """One session, as it was at some time."""

    nonce: bytes
    """From its id."""
    owner: str
    """The principal and the endpoint it belongs to."""
    client_info: bytes = b""
    """What the client said of itself, a JSON object; empty if nothing is known."""
    log_level: str | None = None
    """The least level of log messages that the client wants, if it said."""
    subscriptions: tuple[str, ...] = ()
    """URIs of resources, as the client named them."""
    version: int = 0
    """How often it was changed, its opening included: of two states of a session the higher is newer. 0 is one that was
    assumed, of a session whose id is good but whose history is not known."""
    bindings: Bindings = ()
    """The replicas that its calls must come to, where its server is a sticky one."""
    credential: Credential | None = None
    """The one that it was opened with, with which it ends; nothing if there was none, or it is not known."""
    completed: tuple[str, ...] = ()
    """The elicitations by URL that its user is done with, the last ones."""


class SetLevel(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The client wants log messages from this level on."""

    level: str


class Subscribe(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The client wants to know when the resource changes."""

    uri: str


class Unsubscribe(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The client does not want to know it any longer."""

    uri: str


class Bind(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Calls to this backend are to come to this replica."""

    binding: Binding


class Lose(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The replica of this binding is gone, or takes no calls any more."""

    binding: Binding
    certain: bool = False
    """Whoever says so has proof: the Router need not know of it."""


class Complete(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The user is done with the page of an elicitation, of this id."""

    elicitation: str


Change = SetLevel | Subscribe | Unsubscribe | Bind | Lose | Complete


class Found(msgspec.Struct, frozen=True, array_like=True):
    """What became of the sessions that were asked for; nothing of any where nobody could be asked."""

    states: tuple[SessionState, ...] = ()
    """Of those that live."""
    ended: tuple[bytes, ...] = ()
    """The nonces of those that do not."""
    lost_for: float | None = None
    """After a `Lose` that another one came before: how many seconds before, infinity where nobody remembers."""


class SessionNews(msgspec.Struct, frozen=True, array_like=True):
    """What happened to sessions since the version that was asked for."""

    generation: str
    """Another one for each life of the Router; versions compare within one."""
    version: int
    """What to ask for next."""
    states: tuple[SessionState, ...] = ()
    """As they are now, of those that were opened or changed."""
    ended: tuple[bytes, ...] = ()
    reset: bool = False
    """Too much happened: what became of sessions must be asked one by one."""


def opened(nonce: bytes, owner: str, client_info: bytes, credential: Credential | None = None) -> SessionState:
    """A new session."""
    kept = client_info if len(client_info) <= MAX_CLIENT_INFO_BYTES else b""
    return SessionState(nonce, owner, kept, version=1, credential=credential)


def is_revoked(state: SessionState, revocations: Revocations) -> bool:
    """Whether a session was opened with a credential that is worth nothing any more."""
    return state.credential is not None and revocations.covers(state.credential)


def changed(state: SessionState, change: Change) -> SessionState:
    """The state after a change: the same one if it changes nothing, or would be a subscription or a binding too many.

    Who was first to bind a session, or to lose the same binding, has done it; whoever comes later changes nothing.
    """
    match change:
        case SetLevel(level):
            after = replace(state, log_level=level)
        case Subscribe(uri):
            after = replace(state, subscriptions=_with_all(state.subscriptions, (uri,)))
        case Unsubscribe(uri):
            after = replace(state, subscriptions=tuple(each for each in state.subscriptions if each != uri))
        case Bind(binding):
            after = replace(state, bindings=with_binding(state.bindings, binding))
        case Lose(binding, _):
            held = binding_at(state.bindings, binding.backend) == binding
            after = replace(state, bindings=with_binding(state.bindings, binding.lost)) if held else state
        case Complete(elicitation):
            after = replace(state, completed=_with_last(state.completed, (elicitation,)))
    return state if after == state else replace(after, version=state.version + 1)


def merged(known: SessionState, told: SessionState) -> SessionState:
    """What two that knew a session make of it: the newer state, and the newer of all bindings.

    Where both changed it equally often, apart from each other, the client is rather told too much than too little.
    """
    if known.version == told.version and known != told:
        return replace(
            known,
            client_info=known.client_info or told.client_info,
            log_level=known.log_level or told.log_level,
            subscriptions=_with_all(known.subscriptions, told.subscriptions),
            bindings=merged_bindings(known.bindings, told.bindings),
            version=known.version + 1,
            credential=known.credential or told.credential,
            completed=_with_last(known.completed, told.completed),
        )
    state = newer(known, told)
    credential = known.credential or told.credential
    if state is known:
        return known if credential == known.credential else replace(known, credential=credential)
    return replace(state, client_info=state.client_info or known.client_info, credential=credential)


def newer(known: SessionState, told: SessionState) -> SessionState:
    """The newer of two states, or the known one.

    It has the newer of all bindings, and is newer than both if it took some from the other: nobody may forget where a
    session is.
    """
    state = told if told.version > known.version else known
    bindings = merged_bindings(known.bindings, told.bindings)
    return state if bindings == state.bindings else replace(state, bindings=bindings, version=state.version + 1)


def _with_last(completed: tuple[str, ...], ids: tuple[str, ...]) -> tuple[str, ...]:
    """The last ones of both."""
    return (*completed, *(each for each in ids if each not in completed))[-MAX_COMPLETED:]


def _with_all(subscriptions: tuple[str, ...], uris: tuple[str, ...]) -> tuple[str, ...]:
    """As many of both as may be."""
    kept = list(subscriptions)
    room = MAX_SUBSCRIPTION_BYTES - sum(len(uri.encode()) for uri in kept)
    for uri in uris:
        size = len(uri.encode())
        if uri not in kept and len(kept) < MAX_SUBSCRIPTIONS and size <= room:
            kept.append(uri)
            room -= size
    return tuple(kept)

"""The ingress's end of the bus: connects to a backend replica, opens exchanges and reads them."""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from actors.bus import frames
from actors.bus.address import Address, TcpAddress, UnixAddress, parse
from actors.bus.attachment import Attachment, LinkLost
from actors.bus.entrance import tls_fault
from actors.bus.handshake import NONCE_BYTES, CallerHandshake, Handshake
from actors.bus.keychain import Keychain
from actors.bus.link import Link, LinkSettings
from actors.core.call import Call
from actors.core.link_keys import LinkKey
from actors.core.load import Load
from actors.core.outcome import Failure, FailureKind

log = structlog.get_logger()


class LinkRefused(ConnectionError):  # noqa: N818, it names what happened
    """The other end closed the connection, refused the handshake, or is not the backend it should be."""


def _nobody(_reason: str) -> None:
    """The default of `on_closed`."""


async def dial(
    address: str,
    keys: Keychain,
    *,
    backend: str,
    settings: LinkSettings | None = None,
    on_closed: Callable[[str], None] = _nobody,
    nonces: Callable[[int], bytes] = secrets.token_bytes,
) -> "CallerLink":
    """Connect to a replica of `backend` at `unix:/path` or `tcp:host:port`, within `handshake_seconds`.

    It is done with the newest of the link keys; and once more with the one before, if that is not accepted.
    `on_closed` is called once, with a reason for people, when the link is lost without `CallerLink.close`, after every
    attachment on it has ended.

    Raises:
        LinkRefused: it answered, and one of the two ends does not accept the other.
        OSError: it cannot be reached; `TimeoutError` if that took too long.
        ValueError: it is not an address, or a secret is too short.
    """
    limits = settings or LinkSettings()
    where = parse(address)
    refusal = LinkRefused("this process was told no link key yet")
    for key in keys.keys.dialled:
        link = CallerLink(backend, CallerHandshake(key.secret, nonces(NONCE_BYTES)), limits, on_closed, key.number)
        try:
            await _connect(link, where, keys, key, limits.handshake_seconds)
        except LinkRefused as error:
            refusal = error
            continue
        log.debug("link_dialled", backend=backend, address=address)
        return link
    raise refusal


async def _connect(link: "CallerLink", where: Address, keys: Keychain, key: LinkKey, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            match where:
                case UnixAddress():
                    await where.connect(lambda: link.link)
                case TcpAddress():
                    await where.connect(lambda: link.link, keys.calling(key))
            await link.established()
    except BaseException as error:
        link.close()
        if isinstance(error, TimeoutError):
            raise TimeoutError(f"{where} did not complete a handshake in {seconds:g} s") from None
        if isinstance(error, ssl.SSLError | ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
            raise LinkRefused(tls_fault(error)) from None
        raise


class CallerLink:
    """One link to one backend replica. Made by `dial`."""

    def __init__(
        self,
        backend: str,
        handshake: Handshake,
        settings: LinkSettings,
        on_closed: Callable[[str], None],
        key_number: int = 0,
    ) -> None:
        self.key_number: Final = key_number
        """The number of the link key that it is opened with."""
        self.load = Load()
        """What the replica last said of itself; it does so with every outcome."""
        self.leaving = False
        """Whether the replica takes no new calls any more. Those it has taken go on, and are attached to as before."""
        self.link: Final = Link(self, handshake, settings)
        self._backend = backend
        self._on_closed = on_closed
        self._established: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """Nothing, or why it was refused: an exception that nobody waits for any more would be reported as a bug."""
        self._number = 0
        self._attachments: dict[int, Attachment] = {}
        self._on_frame: Final[dict[type, Callable[..., None]]] = {
            frames.Event: self._event,
            frames.OutcomeFrame: self._outcome,
            frames.Leaving: self._leaving,
        }

    @property
    def closed(self) -> bool:
        """Whether the link is lost or was closed."""
        return self.link.closed

    @property
    def in_flight(self) -> int:
        """Exchanges being read over this link."""
        return len(self._attachments)

    def open(self, call: Call, exchange_id: bytes) -> Attachment:
        """Start a call, and read it. `exchange_id` is 16 bytes, and new: the backend executes none twice.

        Never raises: what goes wrong is the attachment's outcome.
        """
        number, attachment = self._attachment()
        if self.closed:
            attachment.ended(Failure(FailureKind.UNAVAILABLE, self._backend, "the link to it is lost"))
        elif self.leaving:
            attachment.ended(Failure(FailureKind.UNAVAILABLE, self._backend, "it is stopping"))
        elif not self.link.writable:
            attachment.ended(Failure(FailureKind.BUSY, self._backend, "the link to it is full"))
        elif not self.link.send(frames.Open(number, exchange_id, call)):
            attachment.ended(Failure(FailureKind.UNSUPPORTED, self._backend, "the call is larger than a frame"))
        else:
            self._attachments[number] = attachment
        return attachment

    def attach(self, exchange_id: bytes, after: int) -> Attachment:
        """Read an exchange which was opened before, over this link or another: its events after `after`, its outcome.

        A backend which does not know it (any more) says `FailureKind.DISCONNECTED`. Whoever reads it now is cut off.
        """
        number, attachment = self._attachment()
        attachment.last_seq = after
        if self.link.send(frames.Attach(number, exchange_id, after)):
            self._attachments[number] = attachment
        else:
            attachment.ended(LinkLost("the link was lost before"))
        return attachment

    def resume(self, exchange_id: bytes, after: int, answers: Sequence[tuple[int, bytes]]) -> Attachment:
        """Read a parked exchange as `attach` does, and hand in answers: the `seq` of each ask, and raw JSON.

        The backend takes all of it or nothing: if one of the asks had its answer before, the outcome of the attachment
        is `FailureKind.REPLAYED`, and whoever reads the exchange now goes on. Asks still open are sent again.
        """
        number, attachment = self._attachment()
        attachment.last_seq = after
        if self.closed:
            attachment.ended(LinkLost("the link was lost before"))
        elif not self.link.writable:
            attachment.ended(Failure(FailureKind.BUSY, self._backend, "the link to it is full"))
        elif not self.link.send(frames.Resume(number, exchange_id, after, tuple(answers))):
            attachment.ended(Failure(FailureKind.UNSUPPORTED, self._backend, "the answers are larger than a frame"))
        else:
            self._attachments[number] = attachment
        return attachment

    def answer(self, exchange_id: bytes, ask: int, value: bytes) -> bool:
        """Answer an ask of an exchange which somebody else may read, raw JSON; false if it cannot be sent.

        The backend takes the first answer to an ask and ignores all others.
        """
        return self.link.send(frames.AnswerTo(exchange_id, ask, value))

    def cancel_origin(self, origin: bytes) -> None:
        """Tell the replica to cancel whatever runs for this downstream request, whoever opened it."""
        self.link.send(frames.CancelOrigin(origin))

    def close(self) -> None:
        """Close the link at once; what is attached reads `LinkLost`. Safe to repeat."""
        self._on_closed = _nobody
        self.link.close("closed by its owner")

    async def established(self) -> None:
        """Wait until the other end has proved itself.

        Raises:
            LinkRefused: it did not.
        """
        refusal = await self._established
        if refusal is not None:
            raise LinkRefused(refusal)

    def link_ready(self) -> None:
        """See `LinkOwner.link_ready`."""
        if not self._established.done():
            self._established.set_result(None)

    def link_received(self, frame: frames.Frame) -> None:
        """See `LinkOwner.link_received`."""
        on_frame = self._on_frame.get(type(frame))
        if on_frame is None:
            self.link.close(f"{type(frame).__name__} is not for a caller")
        else:
            on_frame(frame)

    def link_writable(self) -> None:
        """See `LinkOwner.link_writable`. Nothing waits here: a full link refuses calls."""

    def link_lost(self, reason: str) -> None:
        """See `LinkOwner.link_lost`."""
        if not self.link.ready:
            if not self._established.done():
                self._established.set_result(reason)
            return
        log.info("link_lost", backend=self._backend, reason=reason, exchanges=len(self._attachments))
        attachments = list(self._attachments.values())
        self._attachments.clear()
        for attachment in attachments:
            attachment.ended(LinkLost(reason))
        self._on_closed(reason)

    def _attachment(self) -> tuple[int, Attachment]:
        self._number += 1
        return self._number, Attachment(self._number, self.link.send, self._forget)

    def _forget(self, number: int) -> None:
        self._attachments.pop(number, None)

    def _event(self, frame: frames.Event) -> None:
        attachment = self._attachments.get(frame.number)
        if attachment is not None and not attachment.take(frame):
            self.link.close("the peer sent more than it had credit for")

    def _outcome(self, frame: frames.OutcomeFrame) -> None:
        self.load = frame.load
        attachment = self._attachments.pop(frame.number, None)
        if attachment is not None:
            self.link.send(frames.Detach(frame.number))
            attachment.ended(frame.outcome)

    def _leaving(self, frame: frames.Leaving) -> None:
        self.leaving = True
        self.link.send(frame)  # behind every call that was opened here

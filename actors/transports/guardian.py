"""The process between an actor and a stdio server, which sees to it that no process outlives the actor.

Run as a program: `python -I -S guardian.py CONTROL ACTOR GRACE NAME`: the descriptor of its end of a socket pair, the
process id of the actor, how many seconds a server gets between TERM and KILL, and a name for people who read `ps`.
It inherits the server's three standard streams and passes them on; what the server reads and writes never passes here.

On the control socket the actor sends one order (see `Order`), and then nothing: when its half of the socket closes,
because it wants an end or because it is dead, the server gets TERM, some time, and KILL. The guardian sends lines:
`pid N` or `error ERRNO [SETTING]`, later `exit CODE` (negative for a signal); it is gone when the socket is. By then
every descendant is gone too, those in sessions of their own included: the guardian is their subreaper, so none escapes.

There are two of it. The inner one starts the server and watches; the outer one only waits for the inner. Each ends
everything if the other is killed: Ray sends KILL to the direct children of a worker that exits, which is the outer.
Without Linux there is no subreaper, and what left the server's process group is not found.

It imports little, not even `typing`, because every server pays for it: measured on Python 3.11, 25 ms to start both on
a busy machine, and 1.5 MB of memory that is theirs alone (7 MB with their part of what all Pythons share).
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NoReturn

IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Whoever ends a group or a terminal session does not mean the one process that cleans up after it."""

KILL_SECONDS: Final = 3.0
"""How long killed processes may take to vanish; one in an uninterruptible wait is left to the kernel."""

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38


class Order:
    """What to run: 4 bytes of length, then path, confinement, whether setuid programs may give it more rights, count of
    arguments, arguments and environment, divided by NUL."""

    def __init__(
        self,
        path: bytes,
        argv: list[bytes],
        env: dict[bytes, bytes],
        confinement: bytes = b"",
        *,
        setuid: bool = False,
    ) -> None:
        """`confinement` is as `confinement.encode` makes it; with none nothing is given up."""
        self.path = path
        self.argv = argv
        self.env = env
        self.confinement = confinement
        self.setuid = setuid

    def encode(self) -> bytes:
        """Make the bytes that `read_order` reads."""
        pairs = [name + b"=" + value for name, value in self.env.items()]
        head = [self.path, self.confinement, b"%d" % self.setuid, b"%d" % len(self.argv)]
        fields = b"\0".join([*head, *self.argv, *pairs])
        return len(fields).to_bytes(4, "big") + fields


def read_order(control: int) -> Order:
    """Read one order.

    Raises:
        EOFError: the actor went away before it was complete.
    """
    size = int.from_bytes(_read_exactly(control, 4), "big")
    path, confinement, setuid, count, *rest = _read_exactly(control, size).split(b"\0")
    argv, pairs = rest[: int(count)], rest[int(count) :]
    env = dict(pair.split(b"=", 1) for pair in pairs)
    return Order(path, argv, env, confinement, setuid=setuid == b"1")


def _read_exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(fd, size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _tell(control: int, line: bytes) -> None:
    try:
        os.write(control, line)
    except OSError:
        return  # the actor is gone, which the caller notices elsewhere


def _release_streams() -> None:
    """Let go of the server's streams, so that they end when the server's own copies do."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _spawn(order: Order) -> int:
    """Start the server; gives its process id.

    Raises:
        OSError: it cannot be started; the second argument is the setting of its sandbox at which it failed, or empty.
    """
    failure_read, failure_write = os.pipe()
    guardian = os.getpid()
    pid = os.fork()
    if pid == 0:
        _exec(order, guardian, failure_write)
    os.close(failure_write)
    failure = os.read(failure_read, 64)
    os.close(failure_read)
    if failure:
        os.waitpid(pid, 0)
        number, _, part = failure.partition(b" ")
        raise OSError(int(number), part.decode())
    return pid


def _exec(order: Order, guardian: int, failure: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        if not order.setuid:
            _prctl(PR_SET_NO_NEW_PRIVS, 1)
        if order.confinement:
            _confine(order.confinement)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after a change of user, which would undo it
        if os.getppid() == guardian:  # else it died before the line above took effect
            for number in signal.valid_signals():
                if signal.getsignal(number) is signal.SIG_IGN:  # ignored signals stay ignored across exec
                    signal.signal(number, signal.SIG_DFL)
            os.execve(order.path, order.argv, order.env)  # noqa: S606 - a shell is what we avoid
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner hears of it
        os.write(failure, b"%d %s" % (getattr(error, "errno", 0) or 0, getattr(error, "part", "").encode()))
    finally:
        os._exit(127)


def _confine(confinement: bytes) -> None:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(__file__))))  # noqa: PTH120 - pathlib costs 10 ms
    from actors.transports.confinement import confine

    confine(confinement)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        return  # nobody is left in it, or nobody whom we may signal


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - pathlib costs 10 ms
    except OSError:
        return []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - the same
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(pid)
    found = [os.getpid()]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def _end_all() -> None:
    """Kill and reap until there is no child left; orphans of a killed process become children of ours."""
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.002)


def _reap(server: int) -> int | None:
    """Reap whoever ended, adopted orphans included; return the server's exit code when it is among them."""
    code = None
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == server:
                code = os.waitstatus_to_exitcode(ended[1])
    except ChildProcessError:
        return code
    return code


def _child_alarm() -> int:
    """A descriptor that becomes readable when a child ends."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _watch(order: Order, control: int, lifelines: list[int], grace: float) -> int:
    """Run the server until it ends, or until a lifeline closes and it is made to; return its exit code."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    alarm = _child_alarm()
    try:
        server = _spawn(order)
    except OSError as error:
        _tell(control, b"error %d %s\n" % (error.errno or 0, str(error.strerror).encode()))
        return 127
    _release_streams()
    _tell(control, b"pid %d\n" % server)
    poll = select.poll()
    for fd in (alarm, *lifelines):
        poll.register(fd, select.POLLIN)
    deadline: float | None = None
    while (code := _reap(server)) is None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        ready = [fd for fd, _ in poll.poll(left)]
        if alarm in ready:
            os.read(alarm, 512)
        if deadline is None and any(fd != alarm for fd in ready):
            for fd in lifelines:
                poll.unregister(fd)
            deadline = time.monotonic() + grace
            _signal_group(server, signal.SIGTERM)
        elif deadline is not None and time.monotonic() >= deadline:
            _signal_group(server, signal.SIGKILL)
            deadline += 0.1
    _tell(control, b"exit %d\n" % code)
    _signal_group(server, signal.SIGKILL)
    _end_all()
    return code


def _outlive(inner: int) -> int:
    """Wait for the inner guardian, then end what it left if it was killed; return its exit code."""
    _release_streams()
    while (ended := os.waitpid(-1, 0))[0] != inner:
        pass
    _end_all()
    return os.waitstatus_to_exitcode(ended[1])


def _actor_lifelines(actor: int) -> list[int]:
    """A descriptor that tells of the actor's death even if a forked child of it holds the control socket open."""
    if sys.platform != "linux":
        return []
    try:
        return [os.pidfd_open(actor)]
    except OSError:
        return []


def main(control: int, actor: int, grace: float) -> int:
    """Guard one server; return an exit code as a shell would."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the thread that started us may have blocked some
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(control, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    lifelines = [control, *_actor_lifelines(actor)]
    if os.getppid() != actor:
        return 1  # it died while we started, and its process id may mean another process now
    try:
        order = read_order(control)
    except EOFError:
        return 1
    inner_end, outer_end = os.pipe()
    inner = os.fork()
    if inner:
        os.close(inner_end)
        code = _outlive(inner)
    else:
        os.close(outer_end)
        code = _watch(order, control, [*lifelines, inner_end], grace)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

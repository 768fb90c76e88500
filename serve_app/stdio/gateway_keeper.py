"""Stands between a guardian and a gateway: `python -I -S gateway_keeper.py PROGRAM ARGUMENT…`.

A guardian ends a whole process group at once. Of a gateway's group all of Ray is, and without its Ray a gateway cannot
end well: it waits for half a minute. So the gateway gets a group of its own, and TERM reaches it alone.
"""

import os
import signal
import sys


def main(command: list[str]) -> int:
    """Run the command until it ends, and pass TERM on; gives an exit code as a shell would."""
    awaited = {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    pid = os.posix_spawn(command[0], command, os.environ, setpgroup=0, setsigmask=())
    while True:
        if signal.sigwait(awaited) == signal.SIGTERM:
            os.kill(pid, signal.SIGTERM)
        elif (ended := os.waitpid(pid, os.WNOHANG))[0]:
            code = os.waitstatus_to_exitcode(ended[1])
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

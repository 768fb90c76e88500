"""HAProxy closed to others, and gone with its parent."""

import os
import signal
import string
import subprocess
import sys
from pathlib import Path

import psutil
from hypothesis import given
from hypothesis import strategies as st

from serve_app import haproxy_keeper, peer
from serve_app.haproxy_keeper import DOOR, PEER, SECRET_VARIABLE, close_to_others, guarded, without_splicing
from tests.support.processes import eventually, wait_gone

SERVES_OWN = """\
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8080
    # bind :1
backend b
    server s 127.0.0.1:3000
listen stats
  bind *:8404
  stats enable
"""

KEEPER = Path(haproxy_keeper.__file__)


def test_statistics_and_metrics_are_for_this_machine_and_the_door_for_whom_the_user_wants() -> None:
    closed = close_to_others(SERVES_OWN)

    assert closed == SERVES_OWN.replace("bind :9101", "bind 127.0.0.1:9101").replace("*:8404", "127.0.0.1:8404")


HEADS = st.sampled_from(
    [DOOR, "frontend  http_frontend", "frontend prometheus", "listen stats", "defaults", "backend b"]
)
BINDS = st.builds(
    "{}bind {}:{}{}".format,
    st.sampled_from(["  ", "\t", "    "]),
    st.sampled_from(["*", "", "127.0.0.1", "10.0.0.1", "gw.example.com", "[::]"]),
    st.integers(1, 65535),
    st.sampled_from(["", " proto h2", " ssl crt x"]),
)
OTHERS = st.text(string.ascii_letters + string.digits + " *:#", max_size=20).map("    # ".__add__)


@given(st.lists(st.tuples(HEADS, st.lists(BINDS | OTHERS, max_size=4)), max_size=6))
def test_no_port_but_the_doors_is_open_to_every_interface_and_nothing_else_changes(
    sections: list[tuple[str, list[str]]],
) -> None:
    before = [(head, line) for head, lines in sections for line in (head, *lines)]
    text = "".join(f"{line}\n" for _, line in before)

    after = close_to_others(text).splitlines()

    for (head, line), closed in zip(before, after, strict=True):
        words = line.split()
        is_open = words[0] == "bind" and words[1].startswith(("*:", ":"))
        if is_open and " ".join(head.split()) != DOOR:
            assert closed.split()[1] == f"127.0.0.1:{words[1].rpartition(':')[2]}"
            assert closed.split()[2:] == words[2:]
        else:
            assert closed == line
    assert close_to_others(close_to_others(text)) == close_to_others(text)


def keeper(parent: int | str, *words: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(KEEPER), str(parent), *words]


def test_the_binary_gets_its_arguments_and_a_closed_configuration(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(SERVES_OWN)
    command = keeper(os.getpid(), "/bin/echo", "-db", "-f", str(config), "a b")

    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)

    assert said.stdout == f"-db -f {config} a b\n"
    assert config.read_text() == guarded(close_to_others(SERVES_OWN), "")
    assert config.stat().st_mode & 0o777 == 0o600, "it may hold a secret"


def test_the_binary_does_not_get_the_secret_that_its_configuration_has(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(SERVES_OWN)
    environ = {**os.environ, SECRET_VARIABLE: "s3cret"}
    show = tmp_path / "show"
    show.write_text("#!/bin/sh\nenv\n")
    show.chmod(0o700)
    command = keeper(os.getpid(), str(show), "-f", str(config))

    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=environ)

    assert "s3cret" in config.read_text()
    assert "s3cret" not in said.stdout


def test_it_does_not_start_for_a_parent_that_is_gone_already() -> None:
    said = subprocess.run(keeper(2**22, "/bin/echo", "x"), capture_output=True, text=True, timeout=20, check=False)

    assert (said.returncode, said.stdout) == (1, "")


async def test_it_is_gone_when_its_parent_is_killed() -> None:
    starter = """
import os, subprocess, sys
child = subprocess.Popen([str(os.getpid()) if word == "PARENT" else word for word in sys.argv[1:]])
print(child.pid, flush=True)
child.wait()
"""
    command = keeper("PARENT", "/bin/sleep", "1000")
    parent = subprocess.Popen([sys.executable, "-c", starter, *command], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        await eventually(lambda: psutil.Process(child).name() == "sleep")

        parent.kill()

    left = await wait_gone([child], 10)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@given(st.text(max_size=12))
def test_only_the_door_says_whom_it_saw_and_never_with_a_secret_that_could_be_anything_else(secret: str) -> None:
    lines = guarded(SERVES_OWN, secret).splitlines()

    added = [line.strip() for line in lines if line not in SERVES_OWN.splitlines()]
    begin = lines.index("    bind *:8080") + 1
    assert [line.strip() for line in lines[begin : begin + len(added)]] == added, "before every rule of Serve's"
    assert f"http-request del-header {PEER}" in added
    safe = bool(secret) and set(secret) <= set(string.ascii_letters + string.digits + "-_")
    assert sum(line.startswith("http-request set-header") for line in added) == (2 if safe else 0)


def test_the_keeper_and_the_ingress_mean_the_same_header_and_variable() -> None:
    assert PEER.encode() == peer.PEER
    assert SECRET_VARIABLE == peer.SECRET_VARIABLE


def test_splicing_is_off_and_nothing_else_is_touched() -> None:
    others = ("defaults\n    option abortonclose\n", "    # option splice-auto\n")

    mended = without_splicing(f"{others[0]}    option splice-request\n    option splice-response\n{others[1]}")

    assert mended == "".join(others)

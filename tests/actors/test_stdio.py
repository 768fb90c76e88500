"""What a stdio server may say and do to us, short of being a process that stays: see `test_stdio_processes.py`."""

import asyncio
import json
import resource
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from actors.core.jsonrpc import notification
from actors.core.outcome import FailureKind
from tests.support.processes import eventually
from tests.support.recorder import Recorder, open_request
from tests.support.stdio_servers_owner import stdio_to


async def test_garbage_between_answers_is_logged_and_ignored():
    transport = stdio_to("garbage")
    await transport.connect()

    with capture_logs() as logs:
        answers = [await open_request(transport, number, n=number).result() for number in range(3)]

    assert [answer["params"]["n"] for answer in answers] == [0, 1, 2]
    ignored = [entry for entry in logs if entry["event"] == "server_output_ignored"]
    assert [entry["count"] for entry in ignored] == [1, 2, 4, 8, 16]
    assert ignored[0]["head"] == "Listening on port 3000 ..."
    await transport.close()


async def test_a_response_too_deep_to_decode_fails_its_call():
    transport = stdio_to("play")
    await transport.connect()
    recorder = open_request(transport, 4)

    line = '{"jsonrpc":"2.0","id":4,"result":' + "[" * 5000 + "]" * 5000 + "}"
    transport.send(notification("play", json.dumps({"lines": [line]}).encode()), {})

    assert (await recorder.failure())[0] is FailureKind.PROTOCOL
    await transport.close()


async def test_a_batch_is_taken_apart():
    transport = stdio_to("batch")
    await transport.connect()

    first, second = open_request(transport, 1), open_request(transport, 2)

    assert [await first.result(), await second.result()] == [{}, {}]
    await transport.close()


async def test_a_hundred_megabyte_line_fails_its_call_and_costs_no_memory():
    transport = stdio_to("endless", "100")
    await transport.connect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    failure = await open_request(transport, 1, "long").failure()
    after = await open_request(transport, 2).result()

    assert failure[0] is FailureKind.TOO_LARGE
    assert after["method"] == "echo"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
    await transport.close()


async def test_a_request_with_line_breaks_of_its_client_is_still_one_line():
    transport = stdio_to("echo")
    await transport.connect()
    recorder = Recorder()

    body = b'{\n "jsonrpc": "2.0",\r "id": 1,\r\n "method": "echo", "params": {\n"text": "a\\nb"} }'
    transport.open(1, body, {}, recorder)

    assert (await recorder.result())["params"] == {"text": "a\nb"}
    await transport.close()


async def test_a_server_that_dies_in_mid_call_is_named_with_its_code_and_last_words():
    transport = stdio_to("die", "3")
    reasons: list[str] = []
    transport.closed = reasons.append
    await transport.connect()

    failure = await open_request(transport, 1).failure()

    assert failure == (FailureKind.DISCONNECTED, "exited with code 3")
    assert reasons == ["exited with code 3: out of cheese"]
    assert transport.stderr_tail == ("first", "out of cheese")
    await transport.close()


async def test_half_a_response_is_the_end_of_the_server_and_not_a_wrong_answer():
    transport = stdio_to("half_word")
    await transport.connect()

    assert await open_request(transport, 1).failure() == (FailureKind.DISCONNECTED, "exited with code 0")
    await transport.close()


async def test_a_response_without_its_newline_counts_when_the_server_has_left():
    transport = stdio_to("last_word")
    await transport.connect()

    assert await open_request(transport, 1).result() == {}
    await transport.close()


async def test_a_server_that_cannot_start_says_why():
    transport = stdio_to("unable")
    reasons: list[str] = []
    transport.closed = reasons.append

    try:
        await transport.connect()
    except ConnectionResetError as error:  # it was quicker than we
        reasons.append(str(error))

    await eventually(lambda: reasons)
    assert reasons == ["exited with code 1: no such model"]
    await transport.close()


async def test_a_server_that_does_not_read_makes_new_requests_fail_and_not_our_memory_grow():
    transport = stdio_to("deaf", max_unsent_bytes=1_000_000)
    await transport.connect()

    with capture_logs() as logs:
        recorders = [open_request(transport, number, text="x" * 100_000) for number in range(50)]
        for _ in range(9):
            transport.send(notification("notifications/cancelled"), {})
        unsent = transport._outgoing_bytes + transport._process.unsent_bytes
        await asyncio.sleep(0)
        recorders.append(open_request(transport, 50))

    assert 1_000_000 < unsent < 1_200_000
    refused = [recorder.kinds for recorder in recorders if recorder.failures]
    assert refused == [[FailureKind.BUSY]] * 40
    assert [entry["count"] for entry in logs if entry["event"] == "notification_dropped"] == [1, 2, 4, 8]
    await transport.close()


async def test_what_is_sent_in_one_tick_leaves_in_one_write_and_in_order():
    transport = stdio_to("echo")
    await transport.connect()
    writes: list[bytes] = []
    write = transport._process.write
    transport._process.write = lambda data: (writes.append(data), write(data))

    recorders = [open_request(transport, number) for number in range(3)]
    for recorder in recorders:
        await recorder.result()

    assert [[json.loads(line)["id"] for line in data.splitlines()] for data in writes] == [[0, 1, 2]]
    await transport.close()


async def test_a_server_sees_its_own_environment_and_only_harmless_parts_of_ours(tmp_path: Path):
    ours = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "AWS_SECRET_ACCESS_KEY": "no", "HOME": "() { evil; }", "TERM": "a"}
    transport = stdio_to("environment", "", "--x=1", env={"TERM": "b", "TOKEN": "t"}, cwd=str(tmp_path), environ=ours)
    await transport.connect()

    facts = (await open_request(transport, 1).result())["params"]

    assert facts["env"] == {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TERM": "b", "TOKEN": "t"}
    assert facts["cwd"] == str(tmp_path)
    assert facts["argv"] == ["environment", "", "--x=1"]
    assert facts["ignored"] == []
    assert facts["files"] == 3
    await transport.close()


async def test_the_standard_error_is_logged_without_secrets_and_not_without_end():
    transport = stdio_to("noisy", "2000", env={"TOKEN": "s3cr3t-t0ken"}, clock=lambda: 0.0)
    await transport.connect()

    with capture_logs() as logs:
        await open_request(transport, 1).result()
        await eventually(lambda: transport.stderr_tail[-1:] == ("line 1999: bad token ***",))
        await transport.close()

    lines = [entry["line"] for entry in logs if entry["event"] == "server_stderr"]
    assert lines == [f"line {number}: bad token ***" for number in range(50)]
    assert len(transport.stderr_tail) == 20


async def test_a_transport_connects_only_once():
    transport = stdio_to("echo")
    await transport.connect()

    with pytest.raises(OSError, match="only once"):
        await transport.connect()

    await transport.close()

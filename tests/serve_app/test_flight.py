"""A call that is followed wherever it must be, and opened again nowhere where it may have run."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bus.exchange import Exchange
from actors.bus.frames import EventKind
from actors.core.outcome import NEVER_SENT, FailureKind
from tests.support.bus import until
from tests.support.house import Plan, Replica, answer, complete, doorway, echo, fail, keep
from tests.support.posts import ModernClient, modern_meta

ECHO = {"name": "git__echo"}


def runs(*replicas: Replica) -> int:
    return sum(len(replica.exchanges) for replica in replicas)


async def test_a_broken_link_is_replaced_and_the_call_runs_once() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO, meta=modern_meta(progressToken=1))
        await conversation.until(lambda _: bool(replica.running))
        exchange = replica.exchanges[0]
        assert exchange.emit(EventKind.PROGRESS, b'{"progress":1}')
        await conversation.until(lambda each: len(each.events) == 1)

        gateway.dialled[0].link.abort("cut")
        assert exchange.emit(EventKind.PROGRESS, b'{"progress":2}')  # while nobody reads
        await gateway.linked(2)
        assert exchange.emit(EventKind.PROGRESS, b'{"progress":3}')
        answer(exchange, complete({"done": True}))
        answered = await conversation.answered()

    assert [event["params"]["progress"] for event in answered.events[:-1]] == [1, 2, 3]
    assert answered.events[-1]["result"]["done"] is True
    assert runs(replica) == 1


async def test_a_call_survives_as_many_broken_links_as_there_are() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO)
        await conversation.until(lambda _: bool(replica.running))
        for number in range(3):
            gateway.dialled[number].link.abort("cut")
            await gateway.linked(number + 2)
        answer(replica.exchanges[0], complete({"done": True}))
        answered = await conversation.answered()

    assert answered.json["result"]["done"] is True
    assert runs(replica) == 1


async def test_a_call_whose_outcome_came_while_the_link_was_broken_gets_it() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO)
        await conversation.until(lambda _: bool(replica.running))

        gateway.dialled[0].link.abort("cut")
        answer(replica.exchanges[0], complete({"done": True}))
        answered = await conversation.answered()

    assert answered.json["result"]["done"] is True
    assert runs(replica) == 1


async def test_a_replica_that_died_with_a_call_is_named_and_the_call_is_not_repeated() -> None:
    dying, other = Replica(behave=keep), Replica(index=1, behave=keep)
    async with doorway(dying, other) as gateway:
        await gateway.linked(2)
        conversations = [ModernClient(gateway).start("tools/call", ECHO) for _ in range(10)]
        await until(lambda: runs(dying, other) == 10)
        before = runs(dying), runs(other)

        await dying.restart()
        for exchange in other.running:
            answer(exchange, complete({"done": True}))
        answers = [(await conversation.answered()).json for conversation in conversations]

    failed = [each["error"]["data"] for each in answers if "error" in each]
    assert failed == [{"reason": "disconnected", "backend": "git"}] * before[0]
    assert len(answers) - len(failed) == before[1]
    assert (runs(dying), runs(other)) == before
    assert before[0] > 0


async def test_a_replica_that_does_not_come_back_is_given_up_soon() -> None:
    replica = Replica(behave=keep)
    async with doorway(replica) as gateway:
        conversation = ModernClient(gateway).start("tools/call", ECHO)
        await conversation.until(lambda _: bool(replica.running))

        await replica.close()
        answered = await conversation.answered()

    assert answered.json["error"]["data"] == {"reason": "disconnected", "backend": "git"}
    assert "may have run" in answered.json["error"]["message"]


@pytest.mark.parametrize("kind", sorted(NEVER_SENT))
async def test_a_call_that_a_replica_never_sent_is_given_to_the_other(kind: FailureKind) -> None:
    refusing, willing = Replica(behave=fail(kind)), Replica(index=1)
    async with doorway(refusing, willing) as gateway:
        await gateway.linked(2)
        answers = [await ModernClient(gateway).call("git__echo") for _ in range(20)]

    assert all("result" in answered.json for answered in answers)
    assert runs(willing) == 20
    assert runs(refusing) > 0


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - NEVER_SENT - {FailureKind.CONSENT}))
async def test_a_call_that_may_have_run_is_never_given_to_another(kind: FailureKind) -> None:
    failing, other = Replica(behave=fail(kind)), Replica(index=1, behave=fail(kind))
    async with doorway(failing, other) as gateway:
        await gateway.linked(2)
        for _ in range(20):
            answered = await ModernClient(gateway).call("git__echo")
            assert answered.json["error"]["data"]["reason"] == kind.value

    assert runs(failing, other) == 20


async def test_a_call_that_wants_a_users_consent_is_not_tried_elsewhere() -> None:
    failing, other = (Replica(index=index, behave=fail(FailureKind.CONSENT)) for index in range(2))
    async with doorway(failing, other) as gateway:
        await gateway.linked(2)
        answers = [await ModernClient(gateway).call("git__echo") for _ in range(20)]

    assert all("/connect/git?ticket=" in answered.body.decode() for answered in answers)
    assert runs(failing, other) == 20


async def test_when_every_replica_refuses_the_last_reason_is_told_and_each_was_asked_once() -> None:
    replicas = [Replica(index=index, behave=fail(FailureKind.BUSY)) for index in range(3)]
    async with doorway(*replicas) as gateway:
        await gateway.linked(3)
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.json["error"]["data"]["reason"] == "busy"
    assert [runs(replica) for replica in replicas] == [1, 1, 1]


async def test_a_backend_that_is_down_fails_at_once_by_name_and_the_others_go_on() -> None:
    async with doorway(Replica(), Replica("down", up=False)) as gateway:
        client = ModernClient(gateway)
        failed, fine = await client.call("down__echo"), await client.call("git__echo")
        listed = await client.ask("tools/list")

    assert failed.json["error"]["data"] == {"reason": "unavailable", "backend": "down"}
    assert "its command is not there" in failed.json["error"]["message"]
    assert "result" in fine.json
    assert [tool["name"] for tool in listed.json["result"]["tools"]] == ["down__echo", "git__echo"]


async def test_a_backend_that_the_view_says_is_up_but_has_no_link_is_unavailable() -> None:
    replica = Replica()
    async with doorway(replica) as gateway:
        await gateway.linked()
        await replica.close()
        await until(lambda: gateway.dialled[0].closed)
        answered = await ModernClient(gateway).call("git__echo")

    assert answered.json["error"]["data"] == {"reason": "unavailable", "backend": "git"}
    assert "there is no link to it" in answered.json["error"]["message"]


@settings(deadline=None, max_examples=15)
@given(
    fates=st.lists(st.sampled_from(["echo", "refuse", "lose", "cut"]), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_no_call_ever_runs_twice(fates: list[str], seed: int) -> None:
    """Each call meets replicas that answer, refuse before they run it, lose it, or cut the link under it."""
    ran: list[int] = []
    turns = iter(fates * 4)

    async def converse() -> list[dict[str, object]]:
        def behave(exchange: Exchange) -> None:
            fate = next(turns, "echo")
            if fate == "refuse":
                fail(FailureKind.UNAVAILABLE)(exchange)
                return
            ran.append(int.from_bytes(exchange.call.params, "big"))
            if fate == "lose":
                fail(FailureKind.DISCONNECTED)(exchange)
                return
            if fate == "cut":
                gateway.dialled[(seed + len(ran)) % len(gateway.dialled)].link.abort("cut")
            echo(exchange)

        async with doorway(Replica(behave=behave), Replica(index=1, behave=behave), plan=Plan()) as gateway:
            await gateway.linked(2)
            conversations = [
                ModernClient(gateway).start("tools/call", {**ECHO, "arguments": {"n": n}}) for n in range(len(fates))
            ]
            return [(await conversation.answered()).json for conversation in conversations]

    answers = asyncio.run(converse())

    assert len(ran) == len(set(ran))
    assert len(answers) == len(fates)
    assert all(("result" in answered) != ("error" in answered) for answered in answers)

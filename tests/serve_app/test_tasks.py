"""The tasks extension: a task is asked for where it is, under an id that is worth something to its owner only."""

import json
from typing import Any

import pytest

from actors.bus.exchange import Exchange
from actors.core.outcome import Reply
from actors.core.principal import Kind, Principal, Verdict
from actors.core.revisions import Era
from actors.core.task_ids import MAX_ID_BYTES
from actors.core.tasks import TASK_METHODS, TASKS
from tests.support.house import Behaviour, Doorway, House, Plan, Replica, answer, complete, doorway, house, view_of
from tests.support.posts import CAPABILITIES_KEY, LegacyClient, ModernClient, modern_meta

ECHO = {"name": "git__echo"}
META = modern_meta(**{CAPABILITIES_KEY: {"extensions": {TASKS: {}}}})
METHODS = sorted(TASK_METHODS)
ENDPOINTS = pytest.mark.parametrize(("path", "tool"), [("/mcp", "git__echo"), ("/servers/git/mcp", "echo")])


def tasking(task_id: str) -> Behaviour:
    """A server that makes a task of every tool call, and tells of it who asks under its id."""

    def behave(exchange: Exchange) -> None:
        params = json.loads(exchange.call.params)
        if exchange.call.method == "tools/call":
            answer(exchange, {"resultType": "task", "taskId": task_id, "status": "working", "own": [1.0]})
        elif exchange.call.method == "tasks/get" and params["taskId"] == task_id:
            answer(exchange, complete({"taskId": task_id, "status": "input_required", "inputRequests": {}}))
        elif params["taskId"] == task_id:
            answer(exchange, complete({}))
        else:
            exchange.finish(Reply(b'{"code":-32602,"message":"Task not found"}', Era.MODERN, is_error=True))

    return behave


async def created(client: ModernClient, tool: str = "git__echo") -> Any:
    """The result of a tool call that is a task."""
    return (await client.call(tool, meta=META)).json["result"]


async def asked(client: ModernClient, task_id: str, method: str = "tasks/get", **more: Any) -> Any:
    return await client.ask(method, {"taskId": task_id}, **{"meta": META, **more})


def error_of(conversation: Any) -> tuple[int, int]:
    return conversation.status, conversation.json["error"]["code"]


@ENDPOINTS
async def test_a_task_is_created_asked_for_answered_and_cancelled_through_one_id(path: str, tool: str) -> None:
    replica = Replica(behave=tasking("t-1"))
    async with doorway(replica) as gateway:
        client = ModernClient(gateway, path)
        task = await created(client, tool)
        told = (await asked(client, task["taskId"])).json["result"]
        update = {"taskId": task["taskId"], "inputResponses": {"a": {"action": "accept"}}}
        updated = (await client.ask("tasks/update", update, meta=META)).json["result"]
        cancelled = (await asked(client, task["taskId"], "tasks/cancel")).json["result"]

    assert "t-1" not in json.dumps(task)
    assert (task["resultType"], task["status"], task["own"]) == ("task", "working", [1.0])
    assert (told["taskId"], told["status"]) == (task["taskId"], "input_required")
    assert updated["resultType"] == cancelled["resultType"] == "complete"
    calls = [exchange.call for exchange in replica.exchanges[1:]]
    assert [call.method for call in calls] == ["tasks/get", "tasks/update", "tasks/cancel"]
    assert [call.name for call in calls] == ["t-1"] * 3
    assert json.loads(calls[1].params) == {"taskId": "t-1", "inputResponses": {"a": {"action": "accept"}}}


async def test_a_task_is_asked_for_at_the_replica_that_has_it_through_any_ingress() -> None:
    replicas = [Replica(index=index, behave=tasking(f"t-{index}")) for index in range(3)]
    async with house(*replicas) as built:
        gateways = [built.doorway(), built.doorway()]
        for gateway in gateways:
            await gateway.linked(3)
        tasks = [(await created(ModernClient(gateways[0])))["taskId"] for _ in range(12)]
        answers = [await asked(ModernClient(gateways[number % 2]), task) for number, task in enumerate(tasks)]

    assert [each.json["result"]["taskId"] for each in answers] == tasks
    assert len(set(tasks)) > 1


async def replaced(gateways: House, gateway: Doorway, *replicas: Replica) -> None:
    """Tell the ingress that these are the replicas now."""
    gateway.outlook.adopt(view_of(replicas, gateways.plan, version=2))


async def test_a_task_is_asked_for_at_the_next_life_of_its_replica() -> None:
    replica = Replica(behave=tasking("t-1"))
    async with house(replica) as built:
        gateway = built.doorway()
        client = ModernClient(gateway)
        task = await created(client)
        replica.epoch = "2"
        await replica.restart()
        await replaced(built, gateway, replica)

        told = await asked(client, task["taskId"])

    assert told.json["result"]["taskId"] == task["taskId"]


async def test_a_task_whose_replica_is_gone_is_asked_of_no_other() -> None:
    replicas = [Replica(index=index, behave=tasking("t")) for index in range(2)]
    async with house(*replicas) as built:
        gateway = built.doorway()
        await gateway.linked(2)
        client = ModernClient(gateway)
        task = await created(client)
        holder, other = sorted(replicas, key=lambda each: not each.exchanges)
        await replaced(built, gateway, other)

        told = await asked(client, task["taskId"])

    assert error_of(told) == (200, -32603)
    assert told.json["error"]["data"] == {"reason": "unavailable", "backend": "git"}
    assert "has this task" in told.json["error"]["message"]
    assert (len(holder.exchanges), len(other.exchanges)) == (1, 0)


async def test_a_task_whose_backend_is_gone_has_no_backend() -> None:
    git, web = Replica(behave=tasking("t")), Replica("web")
    async with house(git, web) as built:
        gateway = built.doorway()
        client = ModernClient(gateway)
        task = await created(client)
        await replaced(built, gateway, web)

        told = await asked(client, task["taskId"])

    assert error_of(told) == (400, -32602)


@pytest.mark.parametrize("method", METHODS)
async def test_a_task_is_nobodys_but_the_principals_at_the_endpoint_it_was_given_to(method: str) -> None:
    async def verify(credential: str) -> Verdict:
        return Verdict(Principal(credential, "", Kind.KEY), None, 60.0)

    replica = Replica(behave=tasking("t"))
    async with doorway(replica, plan=Plan(verify=verify)) as gateway:
        clients = [
            ModernClient(gateway, path, {"authorization": f"Bearer {name}"}.items())
            for path in ("/mcp", "/servers/git/mcp")
            for name in ("ada", "bob")
        ]
        task = await created(clients[0])
        refusals = [await asked(client, task["taskId"], method) for client in clients[1:]]
        missing = await asked(clients[0], "t", method)
        own = await asked(clients[0], task["taskId"], method)

    assert {error_of(each) for each in (*refusals, missing)} == {(400, -32602)}
    assert len({each.body for each in (*refusals, missing)}) == 1
    assert "result" in own.json
    assert len(replica.exchanges) == 2


@pytest.mark.parametrize("method", METHODS)
async def test_a_client_that_does_not_declare_tasks_is_told_which_capability_it_lacks(method: str) -> None:
    replica = Replica(behave=tasking("t"))
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        task = await created(client)
        told = await asked(client, task["taskId"], method, meta=modern_meta())

    assert error_of(told) == (400, -32021)
    assert told.json["error"]["data"] == {"requiredCapabilities": {"extensions": {TASKS: {}}}}
    assert len(replica.exchanges) == 1


@pytest.mark.parametrize("header", [None, "another"])
@pytest.mark.parametrize("method", METHODS)
async def test_the_header_must_name_the_task_too(method: str, header: str | None) -> None:
    replica = Replica(behave=tasking("t"))
    async with doorway(replica) as gateway:
        client = ModernClient(gateway)
        task = await created(client)
        told = await asked(client, task["taskId"], method, headers={"mcp-name": header})

    assert error_of(told) == (400, -32020)
    assert len(replica.exchanges) == 1


@pytest.mark.parametrize("method", [*METHODS, "tasks/result", "tasks/list"])
async def test_a_handshake_client_never_hears_of_tasks(method: str) -> None:
    replica = Replica(behave=tasking("t"))
    async with doorway(replica) as gateway:
        client = LegacyClient(gateway)
        hello = await client.initialize(capabilities={"extensions": {TASKS: {}}, "tasks": {}})
        called = await client.call("git__echo")
        told = await client.ask(method, {"taskId": "t"})

    assert "extensions" not in hello.json["result"]["capabilities"]
    assert json.loads(replica.exchanges[0].call.capabilities) == {}
    assert called.json["error"]["data"]["reason"] == "unsupported"
    assert "a type of result that this client does not know" in called.json["error"]["message"]
    assert told.json["error"]["code"] == -32601


@pytest.mark.parametrize("method", ["tasks/result", "tasks/list"])
async def test_methods_of_the_older_tasks_are_not_there(method: str) -> None:
    async with doorway(Replica(behave=tasking("t"))) as gateway:
        told = await ModernClient(gateway).ask(method, {"taskId": "t"}, meta=META)

    assert error_of(told) == (404, -32601)


async def test_a_task_whose_own_id_is_endless_is_a_fault_of_its_server() -> None:
    async with doorway(Replica(behave=tasking("x" * (MAX_ID_BYTES + 1)))) as gateway:
        told = await ModernClient(gateway).call("git__echo", meta=META)

    assert told.json["error"]["data"] == {"reason": "protocol", "backend": "git"}

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.client import Client
from actors.core.membership import ReplicaKey
from actors.core.naming import Owned
from actors.core.request import Request
from actors.core.routing import Rejection, Route
from actors.core.task_ids import MAX_ID_BYTES, OwnTask, TaskIds
from actors.core.tasks import TASK_METHODS, TASKS, UNDECLARED, UNKNOWN_TASK, declares_tasks, route_task, with_own_id

IDS = TaskIds(b"secret")
DECLARING = json.dumps({"extensions": {TASKS: {}}}).encode()
WHERE = ReplicaKey("git", 2)
METHODS = sorted(TASK_METHODS)
TEXT = st.text(max_size=8)
EXTRAS = st.dictionaries(TEXT.filter(lambda key: key not in ("taskId", "resultType")), TEXT | st.integers(), max_size=3)
DEEP = b"[" * 100_000 + b"]" * 100_000


def client(principal: str = "ada", capabilities: bytes = DECLARING) -> Client:
    return Client("2026-07-28", principal, capabilities=capabilities)


def request(method: str, client: Client = client(), **params: object) -> Request:  # noqa: B008 - it is frozen
    return Request(b"1", method, {key: jsonrpc.raw(value) for key, value in params.items()}, {}, client)


@given(extras=EXTRAS, task_id=TEXT)
@pytest.mark.parametrize("method", METHODS)
def test_a_request_about_a_task_goes_to_its_replica_under_the_id_its_server_knows(method, extras, task_id):
    text = IDS.wrap(client(), OwnTask(WHERE, task_id))

    found = route_task(IDS, Request(b"1", method, members({**extras, "taskId": text}), {}, client()))

    assert isinstance(found, Route)
    assert (found.owned, found.replica) == (Owned("git", task_id), 2)
    assert json.loads(jsonrpc.encode(found.params)) == {**extras, "taskId": task_id}


def members(value: dict[str, object]) -> jsonrpc.Object:
    return {key: jsonrpc.raw(each) for key, each in value.items()}


@pytest.mark.parametrize("task_id", [None, "", "x", 7, [], {}, "é"])
def test_a_task_that_nobody_has_is_not_found(task_id):
    assert route_task(IDS, request("tasks/get", taskId=task_id)) is UNKNOWN_TASK
    assert route_task(IDS, request("tasks/get")) is UNKNOWN_TASK


def test_a_task_of_another_looks_as_if_nobody_had_it():
    text = IDS.wrap(client("bob"), OwnTask(WHERE, "t"))

    assert route_task(IDS, request("tasks/get", taskId=text)) is UNKNOWN_TASK


@pytest.mark.parametrize(
    "capabilities",
    [
        b"{}",
        b'{"extensions":{}}',
        b'{"extensions":null}',
        b'{"extensions":[]}',
        b'{"tasks":{}}',
        b"[]",
        pytest.param(b'{"extensions":' + DEEP + b"}", id="nested without end"),
    ],
)
def test_a_client_that_does_not_declare_the_extension_is_told_to(capabilities):
    undeclared = client(capabilities=capabilities)
    text = IDS.wrap(undeclared, OwnTask(WHERE, "t"))

    found = route_task(IDS, request("tasks/get", undeclared, taskId=text))

    assert not declares_tasks(undeclared)
    assert found is UNDECLARED
    assert isinstance(found, Rejection)
    assert json.loads(found.error)["code"] == -32021
    assert json.loads(found.error)["data"] == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


@given(task_id=TEXT, extras=EXTRAS)
@pytest.mark.parametrize(("method", "kind"), [("tools/call", "task"), *((method, "complete") for method in METHODS)])
def test_a_task_in_a_result_leads_back_to_where_it_is_and_nothing_else_changes(method, kind, task_id, extras):
    body = json.dumps({**extras, "resultType": kind, "taskId": task_id}).encode()

    seen = json.loads(with_own_id(IDS, request(method), WHERE, body))

    assert IDS.unwrap(client(), seen.pop("taskId")) == OwnTask(WHERE, task_id)
    assert seen == {**extras, "resultType": kind}


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("tools/call", b'{"resultType":"complete","taskId":"t"}'),
        ("tools/call", b'{"resultType":"task"}'),
        ("tools/call", b'{"resultType":"task","taskId":7}'),
        ("tools/call", b'{"content":[{"taskId":"t"}]}'),
        ("prompts/get", b'{"resultType":"task","taskId":"t"}'),
        ("tasks/cancel", b'{"resultType":"complete"}'),
        ("tasks/get", b'["taskId"]'),
        pytest.param("tasks/get", b'{"taskId":"t","result":' + DEEP + b"}", id="nested without end"),
    ],
)
def test_a_result_without_a_task_passes_as_it_is(method, body):
    assert with_own_id(IDS, request(method), WHERE, body) is body


def test_a_task_with_an_endless_id_cannot_be_shown():
    body = json.dumps({"resultType": "task", "taskId": "x" * (MAX_ID_BYTES + 1)}).encode()

    assert with_own_id(IDS, request("tools/call"), WHERE, body) is None


def test_what_the_server_wrote_of_a_task_keeps_every_byte():
    body = b'{"resultType":"complete","taskId":"t","result":{"n": 1.0, "s":"\\u00e9"}}'

    assert b'"result":{"n": 1.0, "s":"\\u00e9"}' in with_own_id(IDS, request("tasks/get"), WHERE, body)

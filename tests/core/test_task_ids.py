import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.core.client import Client
from actors.core.headers import decode_value, encode_value
from actors.core.membership import ReplicaKey
from actors.core.task_ids import MAX_ID_BYTES, OwnTask, TaskIds

IDS = TaskIds(b"secret")
CLIENT = Client("2026-07-28", "ada", "git")
CLIENTS = st.builds(Client, st.just("2026-07-28"), st.text(max_size=4), st.sampled_from(["", "git"]))
TASKS = st.builds(
    OwnTask, st.builds(ReplicaKey, st.sampled_from(["git", "web"]), st.integers(0, 99)), st.text(max_size=40)
)


@given(client=CLIENTS, task=TASKS)
def test_an_id_leads_the_client_it_was_given_to_back_to_the_task_at_any_ingress(client, task):
    text = IDS.wrap(client, task)

    assert TaskIds(b"secret").unwrap(client, text) == task


@given(client=CLIENTS, other=CLIENTS, task=TASKS)
def test_an_id_never_leads_another_anywhere(client, other, task):
    assume(client.account != other.account)

    assert IDS.unwrap(other, IDS.wrap(client, task)) is None
    assert TaskIds(b"other").unwrap(client, IDS.wrap(client, task)) is None


@given(client=CLIENTS, one=TASKS, other=TASKS)
def test_a_task_always_has_the_same_id_for_a_client_and_no_two_have_one(client, one, other):
    assert (IDS.wrap(client, one) == IDS.wrap(client, other)) is (one == other)


@given(client=CLIENTS, other=CLIENTS, task=TASKS)
def test_two_clients_cannot_see_that_they_have_the_same_task(client, other, task):
    assume(client.account != other.account)

    assert IDS.wrap(client, task) != IDS.wrap(other, task)


@given(task=TASKS)
def test_an_id_stands_in_a_header_as_it_is_and_says_nothing(task):
    assume(len(task.task_id) > 3)

    text = IDS.wrap(CLIENT, task)

    assert encode_value(text) == text
    assert decode_value(text) == text
    assert text.isascii()
    assert task.task_id not in text


@pytest.mark.parametrize(("task_id", "fits"), [("x" * MAX_ID_BYTES, True), ("x" * MAX_ID_BYTES + "x", False)])
def test_an_id_of_a_server_is_taken_up_to_a_bound(task_id, fits):
    text = IDS.wrap(CLIENT, OwnTask(ReplicaKey("git", 0), task_id))

    assert (text is not None) is fits
    assert text is None or len(text) < 3000


def test_the_bound_is_one_of_bytes():
    assert IDS.wrap(CLIENT, OwnTask(ReplicaKey("git", 0), "é" * MAX_ID_BYTES)) is None


@given(text=st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,80}", fullmatch=True))
def test_whatever_text_is_taken_for_an_id_leads_nowhere(text):
    assert IDS.unwrap(CLIENT, text) is None

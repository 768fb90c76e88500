import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ClientCapabilities

from actors.core.ask import ASKABLE
from actors.core.capabilities import required, supports

FORM = ("elicitation/create", {"message": "m", "requestedSchema": {}})
URL = ("elicitation/create", {"mode": "url", "url": "https://x"})
SAMPLE = ("sampling/createMessage", {"messages": [], "includeContext": "thisServer"})
SAMPLE_WITH_TOOLS = ("sampling/createMessage", {"messages": [], "tools": []})
ROOTS = ("roots/list", {})
QUESTIONS = [FORM, URL, SAMPLE, SAMPLE_WITH_TOOLS, ROOTS]

OBJECTS = st.just({}) | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1)
CAPABILITIES = st.fixed_dictionaries(
    {},
    optional={
        "elicitation": st.fixed_dictionaries({"form": OBJECTS}, optional={"url": OBJECTS, "own": OBJECTS}),
        "sampling": st.fixed_dictionaries({}, optional={"tools": OBJECTS, "context": OBJECTS}),
        "roots": st.fixed_dictionaries({}, optional={"listChanged": st.booleans()}),
        "experimental": OBJECTS,
    },
)


def can(capabilities: object, question: tuple[str, object]) -> bool:
    method, params = question
    return supports(json.dumps(capabilities).encode(), method, json.dumps(params).encode())


@pytest.mark.parametrize(
    ("capabilities", "askable"),
    [
        ({}, []),
        ({"elicitation": {}}, [FORM]),
        ({"elicitation": {"own": {}}}, [FORM]),
        ({"elicitation": {"form": {}}}, [FORM]),
        ({"elicitation": {"url": {}}}, [URL]),
        ({"elicitation": {"form": {}, "url": {}}}, [FORM, URL]),
        ({"elicitation": {"url": None}}, [FORM]),
        ({"elicitation": None, "sampling": True, "roots": []}, []),
        ({"sampling": {}}, [SAMPLE]),
        ({"sampling": {"context": {}}}, [SAMPLE]),
        ({"sampling": {"tools": {}}}, [SAMPLE, SAMPLE_WITH_TOOLS]),
        ({"roots": {"listChanged": True}}, [ROOTS]),
    ],
)
def test_a_client_is_asked_only_what_it_declared(capabilities, askable):
    assert [question for question in QUESTIONS if can(capabilities, question)] == askable


@given(some=CAPABILITIES, more=CAPABILITIES, question=st.sampled_from(QUESTIONS))
def test_declaring_more_never_takes_a_question_away(some, more, question):
    both = {name: some.get(name, {}) | more.get(name, {}) for name in some.keys() | more.keys()}

    assert can(both, question) or not (can(some, question) or can(more, question))


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_required_is_enough_and_less_is_not(question):
    method, params = question
    needed = required(method, json.dumps(params).encode())
    (name,) = needed

    assert can(needed, question)
    assert not can({}, question)
    assert not can({other: {} for other in ("elicitation", "sampling", "roots") if other != name}, question)
    ClientCapabilities.model_validate(needed)


def test_every_ask_requires_something():
    assert all(required(method, b"{}") for method in ASKABLE)


@pytest.mark.parametrize("method", ["ping", "tasks/get", ""])
def test_what_is_no_question_is_never_asked(method):
    assert not can({"elicitation": {}, "sampling": {}, "roots": {}}, (method, {}))


@pytest.mark.parametrize("broken", [b"", b"[", b"7", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_broken_never_raises(broken):
    assert not supports(broken, "roots/list", b"{}")
    assert supports(b'{"elicitation":{}}', "elicitation/create", broken)
    assert not supports(b'{"elicitation":%b}' % broken, "elicitation/create", b"{}")

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.client_capabilities import ALL, Capability, condense, expand

FORM, URL = Capability.ELICITATION_FORM, Capability.ELICITATION_URL
SAMPLING, TOOLS, CONTEXT = Capability.SAMPLING, Capability.SAMPLING_TOOLS, Capability.SAMPLING_CONTEXT
ROOTS, LIST_CHANGED = Capability.ROOTS, Capability.ROOTS_LIST_CHANGED

members = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.just({}),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["elicitation", "form", "url", "sampling", "tools", "context", "roots", "listChanged", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("declared", "capabilities"),
    [
        ({}, Capability(0)),
        ({"elicitation": {}}, FORM),
        ({"elicitation": {"form": {}}}, FORM),
        ({"elicitation": {"url": {}}}, URL),
        ({"elicitation": {"form": {"x": 1}, "url": {}}}, FORM | URL),
        ({"elicitation": {"x-mode": {}}}, FORM),
        ({"sampling": {}}, SAMPLING),
        ({"sampling": {"tools": {}}}, SAMPLING | TOOLS),
        ({"sampling": {"context": {}, "tools": {}}}, SAMPLING | TOOLS | CONTEXT),
        ({"roots": {}}, ROOTS),
        ({"roots": {"listChanged": False}}, ROOTS),
        ({"roots": {"listChanged": True}}, ROOTS | LIST_CHANGED),
        ({"experimental": {"roots": {}}, "tasks": {}}, Capability(0)),
        ({"elicitation": True, "sampling": None, "roots": []}, Capability(0)),
        ({"sampling": {"tools": None}}, SAMPLING),
    ],
)
def test_a_declaration_comes_to_what_the_client_can_be_asked(declared: object, capabilities: Capability) -> None:
    assert condense(json.dumps(declared).encode()) == capabilities


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"5", b"{", b'{"roots":{"listChanged":tru}}', b'"\xff"'])
def test_what_is_no_declaration_declares_nothing(text: bytes) -> None:
    assert condense(text) == Capability(0)


@given(number=st.integers(0, int(ALL)))
def test_what_was_expanded_from_a_declaration_condenses_to_the_same(number: int) -> None:
    capabilities = condense(expand(Capability(number)))

    assert condense(expand(capabilities)) == capabilities
    assert capabilities & ~Capability(number) == 0


@given(declared=st.dictionaries(st.sampled_from(["elicitation", "sampling", "roots", "x"]), members, max_size=4))
def test_any_declaration_has_one_canonical_form_that_means_the_same(declared: dict[str, object]) -> None:
    canonical = expand(condense(json.dumps(declared).encode()))

    assert expand(condense(canonical)) == canonical
    assert condense(canonical) == condense(json.dumps(declared).encode())


def test_everything_that_can_be_declared_is_written_as_the_specification_has_it() -> None:
    assert json.loads(expand(ALL)) == {
        "elicitation": {"form": {}, "url": {}},
        "sampling": {"tools": {}, "context": {}},
        "roots": {"listChanged": True},
    }

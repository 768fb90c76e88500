import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ServerCapabilities

from actors.core.listing import Facts
from actors.core.promises import AGGREGATED, EXTENSIONS, merged, promised
from actors.core.revisions import LATEST_HANDSHAKE, LATEST_MODERN, Era
from actors.core.tasks import TASKS

UI = "io.modelcontextprotocol/ui"
ASPECTS = st.dictionaries(st.sampled_from(["listChanged", "subscribe", "own"]), st.booleans() | st.none(), max_size=3)
NAMES = st.sampled_from([*AGGREGATED, "experimental", "tasks", "own"])
SETTINGS = st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
DECLARED = st.dictionaries(NAMES, ASPECTS | st.booleans() | st.text(max_size=3), max_size=5)
EXTENDED = st.dictionaries(st.sampled_from([*EXTENSIONS, "own/other"]), SETTINGS, max_size=3)
ERAS = st.sampled_from(Era)


def facts(capabilities: object, era: Era = Era.MODERN) -> Facts:
    revision = LATEST_MODERN if era is Era.MODERN else LATEST_HANDSHAKE
    return Facts(era, revision, capabilities=json.dumps(capabilities).encode())


@given(declared=DECLARED, served=ERAS, era=ERAS)
def test_one_server_never_promises_more_than_it_has_and_the_gateway_carries(declared, served, era):
    told = promised(facts(declared, served), era)

    assert told.keys() == declared.keys() & AGGREGATED.keys()
    subscribes = [name for name, aspects in told.items() if "subscribe" in aspects]
    assert subscribes == [
        name
        for name in told
        if name == "resources" and isinstance(declared[name], dict) and declared[name].get("subscribe")
    ]


@given(declared=DECLARED, era=ERAS)
def test_promises_are_capabilities_to_the_official_sdk(declared, era):
    ServerCapabilities.model_validate(promised(facts(declared), era), strict=True)
    ServerCapabilities.model_validate(merged([facts(declared)], era), strict=True)


def test_that_lists_change_is_promised_for_every_server():
    told = promised(facts({"tools": {}, "prompts": {"listChanged": False}, "resources": {}}), Era.MODERN)

    assert told == {
        "tools": {"listChanged": True},
        "prompts": {"listChanged": True},
        "resources": {"listChanged": True},
    }


@given(servers=st.lists(st.tuples(EXTENDED, ERAS), max_size=3), era=ERAS)
def test_the_aggregate_promises_the_extensions_that_pass_between_the_two(servers, era):
    told = merged([facts({"extensions": extended}, served) for extended, served in servers], era)

    passing = {UI: [extended for extended, _ in servers if UI in extended]}
    both_modern = [extended for extended, served in servers if served is era is Era.MODERN and TASKS in extended]
    passing[TASKS] = both_modern
    expected = {name: found[0][name] for name, found in passing.items() if found}
    assert told == AGGREGATED | ({"extensions": expected} if expected else {})


@pytest.mark.parametrize("extensions", [None, [], "x", 1, {}])
def test_extensions_that_are_none_promise_nothing(extensions):
    assert promised(facts({"tools": {}, "extensions": extensions}), Era.MODERN) == {"tools": {"listChanged": True}}

import json

import pytest
from mcp_types import DiscoverResult, InitializeResult

from actors.core import jsonrpc
from actors.core.care import Care
from actors.core.catalogue import aggregate
from actors.core.headers import ParamHeader
from actors.core.identity import GATEWAY_INFO
from actors.core.listing import Facts, Item, Kind, Listing
from actors.core.membership import ReplicaKey, ReplicaState, Status
from actors.core.naming import Owned
from actors.core.offer import CHANGES, INVALID_CURSOR, STALE_KEY, Offer
from actors.core.promises import AGGREGATED
from actors.core.revisions import LATEST_HANDSHAKE, LATEST_MODERN, Era
from actors.core.routing import Rejection, Route
from actors.core.settings import Naming
from actors.core.view import BackendView, View

ANNOTATED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
GIT_INFO = b'{"name":"git-server","version":"2","icons":[]}'


def tool(name: str, schema: object = None, **members: object) -> Item:
    return Item(name, json.dumps({"name": name, "inputSchema": schema or {"type": "object"}, **members}).encode())


GIT = Listing(
    tools=(tool("status", annotations={"readOnlyHint": True}, own=[1]), tool("push", ANNOTATED)),
    resources=(Item("git:x", b'{"uri":"git:x","name":"x"}'),),
)
WEB = Listing(tools=(tool("open"),))


def facts(info: bytes = GIT_INFO, instructions: str | None = None, capabilities: bytes = b'{"tools":{}}') -> Facts:
    return Facts(Era.HANDSHAKE, LATEST_HANDSHAKE, info, capabilities, instructions)


def replica(backend: str, state: ReplicaState = ReplicaState.UP) -> tuple[Status, ...]:
    return (Status(ReplicaKey(backend, 0), "e", 1, "n", "unix:/s", None, state),)


def view(
    git: Facts | None = None, web: Facts | None = None, listing: Listing = GIT, web_is: ReplicaState = ReplicaState.UP
) -> View:
    backends = {
        "git": BackendView("git", 9.0, replicas=replica("git"), facts=git, listing=listing),
        "web": BackendView("web", 9.0, replicas=replica("web", web_is), facts=web, listing=WEB),
    }
    return View("g", 1, backends, aggregate({"git": listing, "web": WEB}, Naming.QUALIFIED))


def test_the_aggregate_lists_the_tools_of_all_under_qualified_names():
    result = json.loads(Offer(view(), None).list_result(Kind.TOOLS, LATEST_HANDSHAKE))

    assert list(result) == ["tools"]
    assert [each["name"] for each in result["tools"]] == ["git__status", "git__push", "web__open"]
    assert result["tools"][0] == {**json.loads(GIT.tools[0].body), "name": "git__status"}


def test_one_server_alone_is_listed_as_it_wrote_itself():
    result = Offer(view(), "git").list_result(Kind.TOOLS, LATEST_HANDSHAKE)

    assert result == b'{"tools":[' + GIT.tools[0].body + b"," + GIT.tools[1].body + b"]}"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("backend", [None, "git", "web"])
def test_modern_lists_are_the_same_with_what_modern_results_owe(kind, backend):
    offer = Offer(view(), backend)

    listed = json.loads(offer.list_result(kind, LATEST_MODERN))

    owed = {
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {jsonrpc.SERVER_INFO_KEY: GATEWAY_INFO},
    }
    assert listed == json.loads(offer.list_result(kind, LATEST_HANDSHAKE)) | owed


@pytest.mark.parametrize("revision", [LATEST_HANDSHAKE, LATEST_MODERN])
def test_a_list_says_whose_entries_nobody_confirms_at_the_moment(revision):
    before, after = (view(web_is=state) for state in (ReplicaState.DOWN, ReplicaState.UP))

    stale, confirmed = (json.loads(Offer(each, None).list_result(Kind.TOOLS, revision)) for each in (before, after))

    assert stale["_meta"].pop(STALE_KEY) == ["web"]
    assert stale["tools"] == confirmed["tools"]
    assert {"_meta": {}, **confirmed} == stale
    assert STALE_KEY not in json.loads(Offer(before, "git").list_result(Kind.TOOLS, revision)).get("_meta", {})
    assert STALE_KEY not in json.loads(Offer(before, None).list_result(Kind.RESOURCES, revision)).get("_meta", {})
    assert Offer(before, None).digests == Offer(after, None).digests


def test_a_list_is_rendered_once_for_each_view():
    offer = Offer(view(), None)

    assert offer.list_result(Kind.TOOLS, LATEST_MODERN) is offer.list_result(Kind.TOOLS, LATEST_MODERN)


def test_the_aggregate_introduces_the_gateway_and_promises_all_that_it_carries():
    result = json.loads(Offer(view(facts()), None).initialize_result("2025-06-18"))

    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"] == GATEWAY_INFO
    assert result["capabilities"] == AGGREGATED


def test_the_aggregate_gives_the_instructions_of_each_server_under_its_name():
    both = Offer(view(facts(instructions="Commit often."), facts(instructions="Browse.")), None)
    silent = Offer(view(facts()), None)

    assert json.loads(both.initialize_result("2025-06-18"))["instructions"] == "# git\nCommit often.\n\n# web\nBrowse."
    assert "instructions" not in json.loads(silent.initialize_result("2025-06-18"))


def test_one_server_alone_introduces_itself_with_what_the_gateway_can_carry_of_it():
    offer = Offer(
        view(facts(instructions="Commit often.", capabilities=b'{"tools":{},"tasks":{},"completions":{}}')), "git"
    )

    result = json.loads(offer.initialize_result("2025-11-25"))

    assert result["serverInfo"] == json.loads(GIT_INFO)
    assert result["capabilities"] == {"tools": {"listChanged": True}, "completions": {}}
    assert result["instructions"] == "Commit often."


def test_modern_clients_hear_from_one_server_alone_who_it_is_whatever_they_ask():
    offer = Offer(view(facts()), "git")

    for result in (offer.discover_result, offer.list_result(Kind.TOOLS, LATEST_MODERN)):
        assert json.loads(result)["_meta"] == {jsonrpc.SERVER_INFO_KEY: json.loads(GIT_INFO)}


@pytest.mark.parametrize(
    "info", [b"{}", b"null", b"7", b'{"name":"x"}', b'{"name":1,"version":"1"}', b'{"name":"","version":"1"}']
)
def test_a_server_that_does_not_say_who_it_is_is_introduced_as_the_gateway(info):
    offer = Offer(view(facts(info)), "git")

    assert json.loads(offer.initialize_result("2025-11-25"))["serverInfo"] == GATEWAY_INFO


@pytest.mark.parametrize("backend", [None, "git"])
def test_introductions_are_valid_to_the_official_sdk(backend):
    offer = Offer(view(facts(instructions="Commit often.")), backend)

    discovered = DiscoverResult.model_validate_json(offer.discover_result)
    initialized = InitializeResult.model_validate_json(offer.initialize_result(LATEST_HANDSHAKE))

    assert discovered.supported_versions == ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
    assert initialized.protocol_version == LATEST_HANDSHAKE


def test_the_aggregate_routes_by_qualified_names_and_one_server_by_its_own():
    params = {"name": jsonrpc.raw("git__status")}

    aggregated = Offer(view(), None).route("tools/call", params, Era.MODERN)
    alone = Offer(view(), "web").route("tools/call", params, Era.MODERN)
    unknown = Offer(view(), None).route("tools/call", {"name": jsonrpc.raw("status")}, Era.MODERN)

    assert isinstance(aggregated, Route)
    assert aggregated.owned == Owned("git", "status")
    assert isinstance(alone, Route)
    assert alone.owned == Owned("web", "git__status")
    assert isinstance(unknown, Rejection)


@pytest.mark.parametrize(("backend", "name"), [(None, "git__push"), ("git", "push")])
def test_arguments_that_clients_repeat_in_headers_are_known_by_the_name_clients_use(backend, name):
    offer = Offer(view(), backend)

    assert offer.annotated_params(name) == (ParamHeader(("region",), "Mcp-Param-Region"),)
    assert offer.annotated_params(name) is offer.annotated_params(name)


@pytest.mark.parametrize("name", ["git__status", "git__none", "push", ""])
def test_other_tools_have_no_arguments_in_headers(name):
    assert Offer(view(), None).annotated_params(name) == ()


@pytest.mark.parametrize(
    "schema",
    [
        b'{"properties":{"a":{"x-mcp-header":"A","type":"string","maximum":1e999}}}',
        pytest.param(b'{"x-mcp-header":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested without end"),
        b'"x-mcp-header"',
        b"null",
    ],
)
def test_a_schema_that_cannot_be_read_has_no_arguments_in_headers(schema):
    body = b'{"name":"odd","description":"x-mcp-header","inputSchema":' + schema + b"}"
    git = BackendView("git", 9.0, listing=Listing(tools=(Item("odd", body),)))

    assert Offer(View("g", 1, {"git": git}), "git").annotated_params("odd") == ()


def pages(offer: Offer, kind: Kind, revision: str) -> list[list[object]]:
    found, cursor = [], None
    while True:
        page = json.loads(offer.list_result(kind, revision, cursor))
        found.append(page[kind])
        cursor = page.get("nextCursor")
        if cursor is None:
            return found


@pytest.mark.parametrize("revision", [LATEST_HANDSHAKE, LATEST_MODERN])
@pytest.mark.parametrize(("backend", "sizes"), [(None, [2, 1]), ("git", [2]), ("web", [1])])
def test_a_long_list_comes_in_pages_that_are_the_list(revision, backend, sizes):
    whole, paged = Offer(view(facts()), backend), Offer(view(facts()), backend, page_entries=2)

    found = pages(paged, Kind.TOOLS, revision)

    assert [len(page) for page in found] == sizes
    assert [[entry for page in found for entry in page]] == pages(whole, Kind.TOOLS, revision)


def test_each_page_of_a_modern_list_says_what_modern_results_owe():
    offer = Offer(view(facts()), "git", page_entries=1)

    first = json.loads(offer.list_result(Kind.TOOLS, LATEST_MODERN))
    second = json.loads(offer.list_result(Kind.TOOLS, LATEST_MODERN, first.pop("nextCursor")))

    assert {**second, "tools": None} == {**first, "tools": None}


@pytest.mark.parametrize("cursor", ["", "x", "W10", "é", "IkEi"])
def test_a_cursor_that_was_never_given_out_is_invalid(cursor):
    assert Offer(view(), None).list_result(Kind.TOOLS, LATEST_MODERN, cursor) is INVALID_CURSOR


def test_a_tool_has_the_form_of_the_revision_it_is_shown_to():
    git = Listing(tools=(tool("status", outputSchema={"type": "array"}, execution={"taskSupport": "optional"}),))
    modern = Facts(Era.MODERN, LATEST_MODERN, GIT_INFO, b'{"tools":{}}')

    def shown(served: Facts | None, revision: str) -> dict[str, object]:
        return json.loads(Offer(view(served, listing=git), "git").list_result(Kind.TOOLS, revision))["tools"][0]

    assert "outputSchema" not in shown(modern, LATEST_HANDSHAKE)
    assert shown(modern, LATEST_MODERN)["outputSchema"] == {"type": "array"}
    assert "execution" not in shown(facts(), LATEST_MODERN)
    assert shown(None, LATEST_MODERN) == json.loads(git.tools[0].body)


@pytest.mark.parametrize(
    ("listing", "changed"),
    [
        (GIT, set()),
        (Listing((*GIT.tools, tool("new")), GIT.resources), {"tools"}),
        (Listing(GIT.tools[::-1], GIT.resources), {"tools"}),
        (Listing(GIT.tools), {"resources"}),
        (Listing(GIT.tools, GIT.resources, (Item("git:{x}", b'{"uriTemplate":"git:{x}"}'),)), {"resources"}),
        (Listing(GIT.tools, GIT.resources, prompts=(Item("ask", b'{"name":"ask"}'),)), {"prompts"}),
        (Listing((tool("status", description="else"), GIT.tools[1]), GIT.resources), {"tools"}),
    ],
)
@pytest.mark.parametrize("backend", [None, "git"])
def test_the_digest_of_a_list_is_another_when_the_list_is(backend, listing, changed):
    before, after = Offer(view(), backend).digests, Offer(view(listing=listing), backend).digests

    assert before.keys() == after.keys() == CHANGES.keys()
    assert {name for name in CHANGES if before[name] != after[name]} == changed


def test_what_one_server_promises_is_what_it_has_and_the_aggregate_promises_everything():
    offer = Offer(view(facts(capabilities=b'{"prompts":{},"own":{}}')), "git")
    away = Offer(view(), "git")
    whole = Offer(view(), None)

    assert [name for name in ("tools", "prompts", "own") if offer.promises(name)] == ["prompts"]
    assert not any(away.promises(name) for name in AGGREGATED)
    assert all(whole.promises(name) for name in AGGREGATED)


@pytest.mark.parametrize("backend", [None, "git"])
def test_only_modern_clients_hear_of_tasks(backend):
    declared = b'{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{"a":1}}}'
    offer = Offer(view(Facts(Era.MODERN, LATEST_MODERN, GIT_INFO, declared)), backend)

    discovered = json.loads(offer.discover_result)["capabilities"]
    initialized = json.loads(offer.initialize_result(LATEST_HANDSHAKE))["capabilities"]

    assert discovered["extensions"] == json.loads(declared)["extensions"]
    assert initialized["extensions"] == {"io.modelcontextprotocol/ui": {"a": 1}}


@pytest.mark.parametrize(("backend", "prefix"), [(None, "git__"), ("git", "")])
def test_a_tool_that_says_that_it_only_reads_may_run_again(backend, prefix):
    offer = Offer(view(), backend)

    for _ in range(2):  # the second time it is remembered
        assert offer.care("tools/call", f"{prefix}status") is Care.READS
        assert offer.care("tools/call", f"{prefix}push") is Care.ONCE


def test_what_is_unknown_runs_once_and_what_only_reads_by_its_nature_may_run_again():
    offer = Offer(view(), None)

    assert offer.care("tools/call", "none") is Care.ONCE
    assert offer.care("tasks/cancel", "") is Care.ONCE
    assert offer.care("anything/else", "git__status") is Care.ONCE
    reading = ["resources/read", "prompts/get", "completion/complete", "tools/list", "resources/templates/list"]
    assert all(offer.care(method, "") is Care.READS for method in reading)

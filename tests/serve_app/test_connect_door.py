"""The pages where a user lets the gateway act for them: for whom they are, step by step, and for nobody else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.permission_settings import PermissionSettings
from actors.core.policy_settings import AssignmentSettings, PolicySettings, RoleSettings
from actors.core.principal import ANONYMOUS, Kind, Principal
from actors.core.tokens.issued import Declined, No
from serve_app.connect.browser_login import Departure
from serve_app.connect.cookies import Cookies, LoginBegun, PageShown
from serve_app.connect.invitation import Invitations
from serve_app.connect.pages import notice, question
from serve_app.connect.ticket import MAX_TRAITS_BYTES, Asked, Ticket, Tickets, Traits, traits_of
from serve_app.oauth.form import OAuthError
from serve_app.own_url import OwnUrl
from tests.support.asgi import Conversation, ask
from tests.support.connect_office import (
    ADA,
    AS,
    BOB,
    KEY,
    OWN,
    SECRET,
    Browser,
    ConnectOffice,
    fields_of,
    personal_view,
    queried,
)
from tests.support.hand_clock import HandClock
from tests.support.login_provider import ISSUER, NOW

CALLBACK = f"{OWN}/connect/callback"


async def asked(office: ConnectOffice, browser: Browser, who: Principal = ADA, subject: str = "ada") -> Conversation:
    """The page with the button, after a login."""
    return await browser.log_in(await browser.get(office.link(who)), subject)


async def agreed(browser: Browser, page: Conversation, **changes: str) -> Conversation:
    """Press the button, agree at the authorization server, and come back."""
    left = await browser.press(page)
    there = queried(left.header("location") or "")
    answer = {"code": "the-code", "state": there["state"], "iss": AS, **changes}
    return await browser.get(there["redirect_uri"] + "?" + "&".join(f"{k}={v}" for k, v in answer.items() if v))


async def test_a_user_logs_in_reads_where_they_go_agrees_and_is_connected() -> None:
    office = ConnectOffice()
    browser = Browser(office)

    page = await asked(office, browser)
    done = await agreed(browser, page)

    assert page.status == done.status == 200
    assert b"<strong>git</strong>" in page.body
    assert b"<strong>as.example</strong>" in page.body
    assert office.server.begun == [(ADA.key, CALLBACK, f"{OWN}/connect/client")]
    assert office.server.given == {ADA.key: ("state-1", "the-code", AS)}
    assert office.recorder.steps == [("corp:ada", "begin", "git", True), ("corp:ada", "finish", "git", True)]
    assert browser.cookies == {}


async def test_the_client_that_asked_hears_when_its_user_is_connected_and_not_before() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    link = office.link(ADA, asked=Asked("e1", b"n" * 16, "git"))

    await agreed(browser, await browser.log_in(await browser.get(link), "ada"), code="", error="access_denied")
    office.server.reason = "it took too long"
    await agreed(browser, await browser.log_in(await browser.get(link), "ada"))
    early = list(office.completed)
    office.server.reason = ""
    await agreed(browser, await browser.log_in(await browser.get(link), "ada"))

    assert (early, office.completed) == ([], [(b"n" * 16, f"git\0{ADA.key}", "e1")])


async def test_who_is_known_by_a_token_of_the_provider_itself_is_known_by_their_login_there() -> None:
    office = ConnectOffice()
    browser = Browser(office)

    await agreed(browser, await asked(office, browser, Principal("ada", ISSUER, Kind.TOKEN)))

    assert list(office.server.given) == [Principal("ada", ISSUER, Kind.TOKEN).key]


@pytest.mark.parametrize(
    "owner",
    [
        ADA,
        Principal("ada", ISSUER, Kind.TOKEN),
        Principal("corp:bobby", OWN, Kind.TOKEN),
        Principal("corp:", OWN, Kind.TOKEN),
    ],
)
async def test_another_user_who_opens_the_link_gets_nowhere_and_gives_nothing(owner: Principal) -> None:
    office = ConnectOffice()
    browser = Browser(office)

    page = await asked(office, browser, owner, subject="bob")

    assert page.status == 403
    assert b"<form" not in page.body
    assert office.server.begun == []
    assert browser.cookies == {}
    assert office.recorder.steps == [(owner.subject, "finish", "git", False)]


@given(owner=st.text(max_size=8), opener=st.text(min_size=1, max_size=8))
async def test_only_a_principal_of_the_same_name_is_ever_let_on(owner: str, opener: str) -> None:
    office = ConnectOffice()
    logins = office.door._logins
    assert logins is not None
    provider = logins.provider_of(Principal(f"corp:{owner}", OWN, Kind.TOKEN).key)
    departure = await logins.begin(provider or "", f"{OWN}/connect/login")
    assert isinstance(departure, Departure)
    office.provider.claims = {"sub": opener, "nonce": departure.nonce}

    found = await logins.finish("corp", {"code": "c"}, departure.nonce, departure.verifier, "x")

    let_on = not isinstance(found, OAuthError) and Principal(f"corp:{owner}", OWN, Kind.TOKEN).key in found
    assert let_on <= (owner == opener)


@pytest.mark.parametrize("who", [KEY, ANONYMOUS, Principal("ada", "https://elsewhere", Kind.TOKEN)])
async def test_who_could_not_show_who_they_are_is_told_of_the_command(who: Principal) -> None:
    office = ConnectOffice()

    page = await Browser(office).get(office.link(who))

    assert page.status == 403
    assert b"only1mcp connect git" in page.body
    assert office.server.begun == []


async def test_without_logins_nobody_can() -> None:
    office = ConnectOffice(logins=False)

    assert b"only1mcp connect git" in (await Browser(office).get(office.link(ADA))).body


async def test_where_callers_are_not_told_apart_whoever_comes_is_asked() -> None:
    office = ConnectOffice(guarded=False, public_url=None)
    browser = Browser(office)

    page = await browser.get(office.link())
    done = await agreed(browser, page)

    assert done.status == 200
    assert office.server.begun == [(ANONYMOUS.key, "http://127.0.0.1:8080/connect/callback", "")]
    assert list(office.server.given) == [ANONYMOUS.key]
    assert (await browser.get(office.link(ADA))).status == 400


async def test_a_ticket_is_good_for_ten_minutes_for_its_server_and_gateway() -> None:
    office = ConnectOffice(guarded=False)
    browser = Browser(office)
    stranger = Tickets(b"x" * 32, office.clock).issue(ANONYMOUS, "git")
    own = office.link()

    assert (await browser.get(f"/connect/git?ticket={stranger}")).status == 400
    assert (await browser.get(own.replace("/git", "/open"))).status == 400
    assert (await browser.get(f"{own[:-2]}AA")).status == 400
    assert (await browser.get("/connect/git")).status == 400
    assert (await browser.get(own)).status == 200
    office.clock.advance(600.0)
    assert (await browser.get(own)).status == 400


@pytest.mark.parametrize("name", ["open", "nobody"])
async def test_there_is_no_page_for_a_server_to_which_nobody_connects(name: str) -> None:
    office = ConnectOffice(guarded=False)

    assert (await Browser(office).get(office.link(backend=name))).status == 404


@pytest.mark.parametrize("name", ["login", "callback", "client"])
async def test_a_server_may_have_the_name_of_a_step(name: str) -> None:
    office = ConnectOffice(guarded=False)
    office.view = personal_view(name)
    browser = Browser(office)

    done = await agreed(browser, await browser.get(office.link(backend=name)))

    assert done.status == 200


async def test_another_browser_can_take_no_step_of_this_one() -> None:
    office = ConnectOffice()
    browser, other = Browser(office), Browser(office)
    away = await browser.get(office.link(ADA))

    assert (await other.log_in(away, "ada")).status == 400
    page = await browser.log_in(away, "ada")
    assert (await other.press(page)).status == 400
    left = await browser.press(page)
    state = queried(left.header("location") or "")["state"]
    assert (await other.get(f"{CALLBACK}?code=c&state={state}")).status == 400
    assert office.server.given == {}


async def test_no_step_is_taken_twice() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    away = await browser.get(office.link(ADA))
    page = await browser.log_in(away, "ada")
    assert (await browser.log_in(away, "ada")).status == 400

    done = await agreed(browser, page)

    assert done.status == 200
    assert (await browser.press(page)).status == 400
    office.server.given.clear()
    assert (await browser.get(f"{CALLBACK}?code=the-code&state=state-1&iss={AS}")).status == 400
    assert office.server.given == {}


@pytest.mark.parametrize("change", [{"key": "0" * 64}, {"go": "x"}, {"go": ""}, {"key": ""}])
async def test_a_form_that_this_browser_was_not_shown_leads_nowhere(change: dict[str, str]) -> None:
    office = ConnectOffice()
    browser = Browser(office)
    page = await asked(office, browser)

    answered = await browser.post("/connect/git", {**fields_of(page), **change})

    assert (answered.status, answered.header("location")) == (400, None)


async def test_the_fields_of_another_page_lead_nowhere() -> None:
    office = ConnectOffice()
    browser, mallory = Browser(office), Browser(office)
    mine, theirs = await asked(office, browser), await asked(office, mallory, BOB, "bob")

    mixed = {"key": fields_of(mine)["key"], "go": fields_of(theirs)["go"]}

    assert (await browser.post("/connect/git", mixed)).status == 400
    assert (await browser.post("/connect/git", fields_of(theirs))).status == 400
    assert (await browser.post("/connect/open", fields_of(mine))).status == 400


async def test_the_browser_is_sent_to_the_authorization_server_and_nowhere_else() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    page = await asked(office, browser)

    left = await browser.post("/connect/git?url=https://evil.example", {**fields_of(page), "url": "https://evil"})

    assert left.status == 303
    assert (left.header("location") or "").startswith(f"{AS}/authorize?")


async def test_steps_are_over_after_ten_minutes() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    page = await asked(office, browser)

    office.clock.advance(601.0)

    assert (await browser.press(page)).status == 400


async def test_who_is_refused_at_the_authorization_server_is_told_so_and_it_is_remembered() -> None:
    office = ConnectOffice()
    browser = Browser(office)

    done = await agreed(browser, await asked(office, browser), code="", error="access_denied")

    assert done.status == 403
    assert office.server.given == {}
    assert office.recorder.steps[-1] == ("corp:ada", "finish", "git", False)


async def test_why_it_failed_is_told() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    office.server.declines = Declined(No.UNKNOWN, "it has no <b>authorization</b> server")
    declined = await asked(office, browser)
    office.server.declines, office.server.reason = None, "it took too long"

    failed = await agreed(browser, await asked(office, browser))

    assert (declined.status, failed.status) == (502, 502)
    assert b"&lt;b&gt;authorization" in declined.body
    assert b"it took too long" in failed.body
    assert office.server.given == {}


@pytest.mark.parametrize("changes", [{"iss": "https://evil.example"}, {"code": ""}])
async def test_an_answer_of_another_login_provider_shows_nothing(changes: dict[str, str]) -> None:
    office = ConnectOffice()
    browser = Browser(office)

    page = await browser.log_in(await browser.get(office.link(ADA)), "ada", **changes)

    assert page.status in (400, 403)
    assert office.server.begun == []


async def test_a_provider_that_names_itself_must_do_so() -> None:
    office = ConnectOffice()
    office.provider.metadata["authorization_response_iss_parameter_supported"] = True
    browser = Browser(office)

    without = await browser.log_in(await browser.get(office.link(ADA)), "ada")
    named = await browser.log_in(await browser.get(office.link(ADA)), "ada", iss=ISSUER)

    assert (without.status, named.status) == (400, 200)


async def test_while_nobody_can_be_asked_the_page_says_when() -> None:
    office = ConnectOffice(guarded=False)
    office.away = True
    assert (await Browser(office).get(office.link())).status == 503

    idle = ConnectOffice(guarded=False, replicas=0)
    assert (await Browser(idle).get(idle.link())).status == 503
    assert idle.woken == ["git"]

    away = ConnectOffice()
    away.provider.away = True
    assert (await Browser(away).get(away.link(ADA))).status == 503


async def test_what_could_not_be_written_down_is_not_done() -> None:
    office = ConnectOffice(guarded=False)
    office.recorder.stuck = True

    assert (await Browser(office).get(office.link())).status == 503
    assert office.server.begun == []


@pytest.mark.parametrize("verb", ["HEAD", "PUT", "OPTIONS"])
async def test_a_link_that_is_only_looked_at_begins_nothing(verb: str) -> None:
    office = ConnectOffice(guarded=False)

    answered = await ask(office, verb, office.link())

    assert answered.status == 405
    assert office.server.begun == []


async def test_pages_have_no_scripts_are_not_kept_and_stand_in_no_frame() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    page = await asked(office, browser)
    done = await agreed(browser, page)

    for each in (page, done):
        policy = each.header("content-security-policy") or ""
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert b"<script" not in each.body
        assert each.header("cache-control") == "no-store"
    assert "form-action 'self' https:;" in f"{page.header('content-security-policy')};"
    assert page.header("referrer-policy") == "same-origin"
    assert done.header("referrer-policy") == "no-referrer"


async def test_cookies_are_for_this_gateway_alone_and_not_for_scripts() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    page = await asked(office, browser)

    assert all(name.startswith("__Host-only1mcp-connect-") for name in browser.cookies)
    assert all("HttpOnly; SameSite=Lax" in each and "Path=/; Secure" in each for each in browser.attributes)
    plain = ConnectOffice(guarded=False, public_url=None)
    other = Browser(plain)
    await other.get(plain.link())
    assert all("Secure" not in each and "Path=/connect" in each for each in other.attributes)
    assert page.status == 200


async def test_too_many_requests_of_one_address_are_too_many() -> None:
    office = ConnectOffice(guarded=False)

    found = [(await Browser(office).get("/connect/git")).status for _ in range(60)]

    assert found.count(429) == 10


async def test_the_gateway_describes_itself_as_a_client_where_it_has_tls() -> None:
    described = await ask(ConnectOffice(), "GET", "/connect/client")
    plain = await ask(ConnectOffice(public_url=None), "GET", "/connect/client")

    assert described.json["client_id"] == f"{OWN}/connect/client"
    assert described.json["redirect_uris"] == [CALLBACK]
    assert plain.status == 400


def test_a_ticket_tells_nobody_anything_of_the_user() -> None:
    clock, ada = HandClock(), Principal("ada", "", Kind.TOKEN, groups=("staff",), token_id="t1")
    url = Invitations(Tickets(SECRET, clock), OwnUrl(None), "http://here").url(ada, "git", {})

    assert url.startswith("http://here/connect/git?ticket=")
    assert "ada" not in url
    ticket = Ticket(ada.key, "git", clock() + 600.0, Traits(groups=("staff",)))
    assert Tickets(SECRET, clock).read(url.partition("ticket=")[2], "git") == ticket


def test_a_url_begins_where_the_client_found_the_gateway() -> None:
    tickets = Tickets(SECRET)

    def at(public_url: str | None, host: bytes) -> str:
        return Invitations(tickets, OwnUrl(public_url), "http://here").url(ANONYMOUS, "git", {b"host": host})

    assert at(None, b"gw.example:8080").startswith("http://gw.example:8080/connect/git?")
    assert at(OWN, b"gw.example:8080").startswith(f"{OWN}/connect/git?")
    assert at(None, b"a, b").startswith("http://here/connect/git?")


@given(text=st.text())
def test_whatever_is_told_is_text_and_no_markup(text: str) -> None:
    marked = f"<script>{text}\"'"

    told = notice(200, marked, marked, code=marked).body + question(marked, "https://x/y", marked, marked).body

    assert b"<script" not in told


@given(key=st.text(max_size=20), other=st.text(max_size=20))
def test_a_step_is_found_under_its_own_key_only(key: str, other: str) -> None:
    cookies = Cookies(SECRET, HandClock())
    step = PageShown(Ticket("p", "git", 0.0), cookies.until)
    _, header = cookies.leave(key, step, encrypted=True)
    sent = [(b"cookie", header.partition(b";")[0])]

    assert cookies.take(sent, key, PageShown, encrypted=True) == step
    assert (cookies.take(sent, other, PageShown, encrypted=True) is None) is (other != key)
    assert cookies.take([*sent, *sent], key, PageShown, encrypted=True) is None


STAFF = msgspec.structs.replace(ADA, groups=("staff",), scopes=("tools",))


def let(**assignment: Any) -> PolicySettings:
    """Whom this is about may use the server `git`."""
    roles = {"git": RoleSettings(allow=(PermissionSettings(servers=("git",), tools=("*",)),))}
    return PolicySettings(roles=roles, assignments=(AssignmentSettings(role="git", **assignment),))


NOTHING = let(subjects=("root",))
"""Nobody else may do anything."""


@pytest.mark.parametrize("allows", [{"groups": ("staff",)}, {"scopes": ("tools",)}, {"subjects": ("corp:ada",)}])
async def test_who_may_use_the_server_by_what_they_called_with_is_connected(allows: dict[str, tuple[str, ...]]) -> None:
    office = ConnectOffice()
    office.policy = let(**allows)
    browser = Browser(office)

    done = await agreed(browser, await asked(office, browser, STAFF))

    assert done.status == 200
    assert list(office.server.given) == [STAFF.key]


@pytest.mark.parametrize("policy", [NOTHING, let(groups=("board",)), let(keys=("corp:ada",))])
async def test_to_whom_the_policy_has_come_to_forbid_the_server_it_is_not_there(policy: PolicySettings) -> None:
    office = ConnectOffice()
    office.policy = policy
    nowhere = ConnectOffice()
    nowhere.view = personal_view()

    page = await Browser(office).get(office.link(STAFF))
    unknown = await Browser(nowhere).get(nowhere.link(STAFF))

    assert (page.status, page.body) == (unknown.status, unknown.body) == (404, unknown.body)
    assert office.recorder.steps == [("corp:ada", "finish", "git", False)]


async def test_who_may_no_longer_use_the_server_when_they_come_back_gives_nothing() -> None:
    office = ConnectOffice()
    browser = Browser(office)
    away = await browser.get(office.link(STAFF))
    office.policy = NOTHING
    barred = await browser.log_in(away, "ada")
    office.policy = None
    page = await asked(office, browser, STAFF)
    office.policy = NOTHING

    done = await agreed(browser, page)

    assert (barred.status, done.status) == (404, 404)
    assert len(office.server.begun) == 1
    assert office.server.given == {}
    assert browser.cookies == {}


async def test_where_callers_are_not_told_apart_the_policy_is_about_everybody() -> None:
    office = ConnectOffice(guarded=False)
    office.policy = NOTHING

    assert (await Browser(office).get(office.link())).status == 404


async def test_who_is_in_more_groups_than_a_link_can_carry_is_told_of_the_command_where_one_might_count() -> None:
    crowded = msgspec.structs.replace(ADA, groups=tuple(f"group-{number:030}" for number in range(100)))
    office = ConnectOffice()
    office.policy = let(groups=("group-*",))
    barred = await Browser(office).get(office.link(crowded))
    office.policy = let(subjects=("corp:ada",))
    browser = Browser(office)

    done = await agreed(browser, await asked(office, browser, crowded))

    assert (barred.status, done.status) == (403, 200)
    assert b"only1mcp connect git" in barred.body


@given(
    st.lists(st.text(max_size=200), max_size=60),
    st.lists(st.text(max_size=200), max_size=60),
    st.text(max_size=3000),
)
def test_a_ticket_has_all_that_counts_or_says_that_it_has_not(groups: list[str], scopes: list[str], acr: str) -> None:
    holder = msgspec.structs.replace(ADA, groups=tuple(groups), scopes=tuple(scopes), acr=acr)

    traits = traits_of(holder)

    assert len(msgspec.msgpack.encode(traits)) <= MAX_TRAITS_BYTES
    assert traits.complete == (Ticket(holder.key, "git", 0.0, traits).holder == holder)


def test_the_largest_step_is_a_cookie_that_browsers_keep() -> None:
    clock = HandClock(NOW)
    groups = ("g" * (MAX_TRAITS_BYTES - 20),)
    holder = Principal("s" * 150, "https://" + "i" * 150, Kind.TOKEN, groups=groups)
    asked = Asked("e" * 32, b"n" * 16, "b" * 32)
    ticket = Ticket(holder.key, "b" * 32, clock() + 600.0, traits_of(holder), asked)
    step = LoginBegun(ticket, "p" * 32, "n" * 48, "v" * 48, clock() + 600.0)

    name, header = Cookies(SECRET, clock).leave("k", step, encrypted=True)

    assert ticket.traits.complete
    assert len(name) + len(header) < 4096

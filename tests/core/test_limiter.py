"""Rate limits as one ingress replica applies them: whom they are about, and that all of them must agree."""

import math

from hypothesis import given
from hypothesis import strategies as st

from actors.core import jsonrpc
from actors.core.caller import Caller
from actors.core.limit_settings import By, RateSettings, Window
from actors.core.limits.admission import FREE, Admitted, Reason, Refused, refused
from actors.core.limits.limiter import MAX_TOOL, Limiter
from actors.core.principal import ANONYMOUS
from tests.support.limits import caller

NOW = 1000.0


def rate(name: str = "x", calls: int = 1, seconds: float = 60.0, **more: object) -> RateSettings:
    return RateSettings(name=name, calls=calls, seconds=seconds, **more)  # type: ignore[arg-type]


def limited(limiter: Limiter, *asked: Caller, server: str = "git", tool: str = "log") -> list[bool]:
    """Whether each was refused, one after the other."""
    return [isinstance(limiter.check(each, server, tool, NOW), Refused) for each in asked]


def test_without_a_limit_everything_is_admitted() -> None:
    assert Limiter(()).check(caller(), "git", "log", NOW) is FREE


def test_principals_do_not_take_from_each_other_nor_do_equal_names_of_two_issuers() -> None:
    limiter = Limiter((rate(),))

    assert limited(limiter, caller("a"), caller("a"), caller("b"), caller("a", issuer="other")) == [
        False, True, False, False,
    ]  # fmt: skip


def test_each_way_of_telling_apart_has_allowances_of_its_own() -> None:
    one, two = caller("a", client="c", ip="1.1.1.1"), caller("b", client="c", ip="1.1.1.1")
    three = caller("a", client="d", ip="2.2.2.2")
    found = {by: limited(Limiter((rate(by=(by,)),)), one, two, three) for by in By}

    assert found == {
        By.GLOBAL: [False, True, True],
        By.PRINCIPAL: [False, False, True],
        By.CLIENT: [False, True, False],
        By.ROLE: [False, True, True],
        By.IP: [False, True, False],
        By.SERVER: [False, True, True],
        By.TOOL: [False, True, True],
    }


def test_a_combination_has_an_allowance_for_each() -> None:
    limiter = Limiter((rate(by=(By.PRINCIPAL, By.TOOL)),))

    assert limited(limiter, caller("a"), caller("b"), caller("a")) == [False, False, True]
    assert limited(limiter, caller("a"), tool="status") == [False]
    assert limited(limiter, caller("a"), server="other") == [False]


def test_all_who_have_a_role_take_from_it_and_whoever_has_two_from_both() -> None:
    limiter = Limiter((rate(calls=2, by=(By.ROLE,)),))

    asked = caller("a", roles=("dev", "ops")), caller("b", roles=("dev",)), caller("c", roles=("dev",))
    assert limited(limiter, *asked) == [False, False, True]
    assert limited(limiter, caller("d", roles=("ops",)), caller("d", roles=("ops",))) == [False, True]


def test_principals_without_a_client_are_not_one_client() -> None:
    assert limited(Limiter((rate(by=(By.CLIENT,)),)), caller("a"), caller("b"), caller("a")) == [False, False, True]


def test_a_limit_is_about_those_it_names() -> None:
    rates = (rate(principals=("svc-*",), roles=("robot",), servers=("git",), tools=("log*",)),)
    about = caller("svc-1", roles=("robot",))

    assert limited(Limiter(rates), about, about) == [False, True]
    assert limited(Limiter(rates), *[caller("ada", roles=("robot",))] * 2) == [False, False]
    assert limited(Limiter(rates), *[caller("svc-1", roles=("human",))] * 2) == [False, False]
    assert limited(Limiter(rates), *[caller("svc-1")] * 2) == [False, False]
    assert limited(Limiter(rates), about, about, server="files") == [False, False]
    assert limited(Limiter(rates), about, about, tool="status") == [False, False]


def test_a_limit_about_servers_or_tools_leaves_out_what_goes_to_none() -> None:
    limiter = Limiter((rate("s", by=(By.SERVER,)), rate("t", tools=("log",))))

    assert limited(limiter, *[caller()] * 3, server="", tool="") == [False, False, False]
    assert limited(limiter, *[caller()] * 3, server="git", tool="") == [False, True, True]


def test_everyone_is_anonymous_where_nobody_is_asked_who_they_are() -> None:
    limiter = Limiter((rate(),))

    assert limited(limiter, Caller(ANONYMOUS, "1.1.1.1"), Caller(ANONYMOUS, "2.2.2.2")) == [False, True]


def test_the_limit_that_takes_longest_refuses() -> None:
    limiter = Limiter((rate("short", seconds=10.0), rate("long", seconds=30.0), rate("wide", calls=9)))
    limiter.check(caller(), "git", "log", NOW)

    found = limiter.check(caller(), "git", "log", NOW + 5.0)

    assert isinstance(found, Refused)
    assert (found.rule, found.retry_after) == ("long", 25.0)


@given(calls=st.lists(st.integers(1, 8), min_size=1, max_size=4), tries=st.integers(1, 30))
def test_a_refused_request_takes_nothing_from_any_limit(calls: list[int], tries: int) -> None:
    limiter = Limiter([rate(str(index), calls=each) for index, each in enumerate(calls)])
    limiter.check(caller(), "git", "log", NOW)
    alone = [Limiter([rate(str(index), calls=each)]) for index, each in enumerate(calls)]
    for each in alone:
        each.check(caller(), "git", "log", NOW)

    passed = sum(not refused for refused in limited(limiter, *[caller()] * tries))
    widest = max(range(len(calls)), key=calls.__getitem__)
    took = sum(not refused for refused in limited(alone[widest], *[caller()] * passed))

    assert passed == took == min(tries, min(calls) - 1)
    assert limiter._allowances[str(widest), caller().principal.key].reset(NOW) == (passed + 1) * 60.0 / max(calls)


def test_the_tightest_limit_is_shown_as_structured_fields() -> None:
    limiter = Limiter((rate("wide", calls=100), rate('a "tight" \\ one', calls=3, seconds=1.5)))

    admission = limiter.check(caller(), "git", "log", NOW)

    assert isinstance(admission, Admitted)
    assert dict(admission.fields) == {
        b"ratelimit-policy": b'"a \\"tight\\" \\\\ one";q=3;w=2',
        b"ratelimit": b'"a \\"tight\\" \\\\ one";r=2;t=1',
    }


def test_a_refusal_says_which_limit_and_when_to_come_back() -> None:
    limiter = Limiter((rate("calm", calls=2, seconds=5.0),))
    limited(limiter, caller(), caller())

    found = limiter.check(caller(), "git", "log", NOW)

    assert isinstance(found, Refused)
    assert dict(found.fields) == {
        b"retry-after": b"3",
        b"ratelimit-policy": b'"calm";q=2;w=5',
        b"ratelimit": b'"calm";r=0;t=3',
    }
    error = jsonrpc.decode_object(found.error)
    assert jsonrpc.value(error["data"]) == {"reason": "rate_limited", "limit": "calm", "retryAfter": 2.5}
    assert (jsonrpc.value(error["code"]), found.rule) == (jsonrpc.INTERNAL_ERROR, "calm")


def test_a_refusal_without_a_time_says_none() -> None:
    found = refused(Reason.SESSIONS)

    assert found.fields == ()
    assert jsonrpc.value(jsonrpc.decode_object(found.error)["data"]) == {"reason": "quota_sessions"}


def test_allowances_are_bounded_and_one_that_was_forgotten_is_a_fresh_one() -> None:
    limiter = Limiter((rate(calls=2),), max_allowances=2)
    limited(limiter, caller("a"), caller("a"), caller("b"), caller("c"))

    assert len(limiter) == 2
    assert limited(limiter, caller("a"), caller("a"), caller("a")) == [False, False, True]


def test_the_allowance_unused_for_longest_is_forgotten_first() -> None:
    limiter = Limiter((rate(calls=2),), max_allowances=2)
    limited(limiter, caller("a"), caller("b"), caller("a"), caller("c"))

    assert limited(limiter, caller("a")) == [True]


def test_names_of_tools_that_clients_make_up_are_cut() -> None:
    limiter = Limiter((rate(by=(By.TOOL,)),))

    assert limited(limiter, caller(), tool="x" * MAX_TOOL + "1") == [False]
    assert limited(limiter, caller(), tool="x" * MAX_TOOL + "2") == [True]


def test_a_sliding_limit_refuses_what_a_bucket_would_have_had_room_for() -> None:
    sliding = Limiter((rate(calls=2, seconds=10.0, window=Window.SLIDING),))
    limited(sliding, caller(), caller())

    found = sliding.check(caller(), "git", "log", NOW + 5.0)

    assert isinstance(found, Refused)
    assert math.isclose(found.retry_after or 0, 10.0)

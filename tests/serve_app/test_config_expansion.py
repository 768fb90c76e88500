"""Variables in strings."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.config.expansion import ExpansionError, expand, expand_tree
from serve_app.config.problems import Problems

plain = st.text().filter(lambda text: "${" not in text and not text.endswith("$"))
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${HOST}", "h"),
        ("http://${HOST}:${PORT:-80}/", "http://h:80/"),
        ("${env:HOST}", "h"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${UNSET:-}", ""),
        ("${HOST:-d}", "h"),
        ("${UNSET:-a:b-c$d}", "a:b-c$d"),
        ("$HOST $$ ${HOST}$", "$HOST $$ h$"),
        ("$${HOST}", "${HOST}"),
        ("$${", "${"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_references_are_replaced_once(text, expanded):
    assert expand(text, {"HOST": "h", "EMPTY": "", "NESTED": "${HOST}"}) == expanded


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${input:key}", "${A:-${B}}", "x ${A B}"])
def test_what_only_looks_like_a_reference_is_refused(text):
    with pytest.raises(ExpansionError, match=re.escape("`${` begins no variable")):
        expand(text, {"A": "a", "B": "b"})


def test_an_unset_variable_is_named():
    with pytest.raises(ExpansionError, match="the variable TOKEN is not set"):
        expand("Bearer ${TOKEN}", {"OTHER": "x"})


def test_a_variable_that_is_not_text_is_refused():
    with pytest.raises(ExpansionError, match="the variable TOKEN does not hold UTF-8 text"):
        expand("${TOKEN}", {"TOKEN": b"\xff".decode(errors="surrogateescape")})


@settings(deadline=None)
@given(parts=st.lists(st.tuples(plain, names, plain)), last=plain)
def test_expansion_loses_no_text_and_leaves_no_reference(parts, last):
    environ = {name: value for _, name, value in parts}
    text = "".join(f"{before}${{{name}}}" for before, name, _ in parts) + last

    expanded = expand(text, environ)

    assert expanded == "".join(before + environ[name] for before, name, _ in parts) + last


@settings(deadline=None)
@given(st.text("${}:-Ax"))
def test_every_reference_is_followed_or_refused(text):
    try:
        expanded = expand(text, {"A": "1", "x": "2", "Ax": "3", "xA": "4", "AA": "5", "xx": "6"})
    except ExpansionError:
        return
    assert expanded.count("${") == text.count("$${")


@settings(deadline=None)
@given(st.text())
def test_escaped_text_comes_back_as_it_was(text):
    assert expand(text.replace("${", "$${"), {}) == text


def test_a_tree_is_expanded_in_every_string_but_not_in_keys():
    problems = Problems()
    tree = {"args": ["${A}", 1, None], "env": {"${A}": "${A}-${B}"}, "replicas": 2}

    expanded = expand_tree(tree, ("git",), {"A": "a"}, problems)

    assert expanded == {"args": ["a", 1, None], "env": {"${A}": "${A}-${B}"}, "replicas": 2}
    assert [str(problem) for problem in problems.found()] == ['git.env."…": the variable B is not set']

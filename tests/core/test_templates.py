import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.templates import URI_LIMIT, Template

PATTERNS = {
    "{a}": "[^/?#]+",
    "{+a}": ".+",
    "{#a}": "(?:#.*)?",
    "{.a}": r"(?:\.[^/?#]*)?",
    "{/a*}": "(?:/[^?#]*)?",
    "{;a}": "(?:;[^/?#]*)?",
    "{?a,b}": r"(?:\?[^#]*)?",
    "{&a}": "(?:&[^#]*)?",
}
"""The same as regular expressions: slow for some texts, and plain to read."""

PIECES = st.lists(st.sampled_from([*PATTERNS, "a", "ab", "b", "/", "?", "#", ".", ";", "&", "{", "}"]), max_size=6)
URIS = st.text("ab/?#.;&{}", max_size=10)


@given(pieces=PIECES, uri=URIS)
def test_a_template_matches_exactly_what_its_expressions_allow(pieces, uri):
    # a lone brace could open an expression with what follows
    pieces = [piece for piece in pieces if piece not in "{}"]
    expected = re.fullmatch("".join(PATTERNS.get(piece, re.escape(piece)) for piece in pieces), uri, re.DOTALL)

    assert Template("".join(pieces)).matches(uri) is bool(expected)


@given(values=st.lists(st.text("abc%20-~é", min_size=1), min_size=3, max_size=3))
def test_what_a_template_expands_to_is_matched(values):
    owner, repo, path = values

    uri = f"repo://{owner}/{repo}/contents/{path}/{path}?ref={owner}"

    assert Template("repo://{owner}/{repo}/contents{/path*}{?ref}").matches(uri)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("file:///{path}", "file:///a/b"),
        ("file:///{path}", "file:///"),
        ("db://{table}", "db://users#1"),
        ("db://users", "db://users/1"),
        ("db://users", "db://user"),
        ("a{b", "a"),
    ],
)
def test_what_a_template_cannot_expand_to_is_not_matched(template, uri):
    assert not Template(template).matches(uri)


def test_text_that_overlaps_itself_is_found_wherever_it_stands():
    assert Template("{a}aba").matches("ababa")
    assert Template("{a}aba{b}").matches("xababax")


def test_text_with_a_lone_brace_is_only_text():
    assert Template("a{b").matches("a{b")
    assert Template("a}b").matches("a}b")


@pytest.mark.timeout(20)
def test_no_template_makes_a_match_slow():
    template = Template("{+a}-" * 40 + "end")

    assert not template.matches("-" * URI_LIMIT)
    assert template.matches("-" * (URI_LIMIT - 3) + "end")


def test_a_uri_over_the_limit_is_not_matched():
    template = Template("{+all}")

    assert template.matches("x" * URI_LIMIT)
    assert not template.matches("x" * (URI_LIMIT + 1))

"""Text that people do not see: it is found wherever it stands, and ordinary text is left alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.core.hidden_text import Trick, stripped, stripped_body, tricks_in, tricks_of

TAGGED = "".join(chr(0xE0000 + ord(char)) for char in "ignore all")

SAMPLES = {
    Trick.ANSI: ["a\x1b[8mhidden\x1b[0m", "\x1b]0;title\x07", "\x1bc", "\x9b31m", "\x1b"],
    Trick.CONTROL: ["a\x00b", "a\x08b", "\x7f", "\x85"],
    Trick.BIDI: ["a\u202eb", "\u2066", "\u061c"],
    Trick.ZERO_WIDTH: ["a\u200bb", "\ufeff", "a\u200db", "\u200d", "\u2064", "\u3164"],
    Trick.TAGS: [TAGGED],
    Trick.VARIATION: ["a\U000e0100"],
    Trick.PRIVATE_USE: ["\ue000", "\U000f0000", "\U0010fffd"],
}

HARMLESS = [
    "Plain text,\twith tabs\nand lines\r\n.",
    "Größe, naïve, Ωμέγα, 你好, ありがとう",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "क्\u200dष",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 and heart \u2764\ufe0f",
]

junk = st.sampled_from([sample for samples in SAMPLES.values() for sample in samples])
texts = st.lists(st.one_of(st.text(max_size=5), junk, st.sampled_from(["\x1b", "[31m", "\u200d", "é"]))).map("".join)


@pytest.mark.parametrize(("trick", "text"), [(trick, text) for trick, texts in SAMPLES.items() for text in texts])
def test_each_trick_is_found_by_its_name(trick: Trick, text: str) -> None:
    assert tricks_in(text) == {trick}


@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_write_is_not_flagged(text: str) -> None:
    assert tricks_in(text) == frozenset()
    assert tricks_of(json.dumps({"description": text}).encode()) == frozenset()


@given(texts)
def test_what_was_stripped_never_has_any_and_what_has_none_is_never_changed(text: str) -> None:
    assert not tricks_in(stripped(text))
    assert tricks_in(text) or stripped(text) == text


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)), st.booleans())
def test_in_json_hidden_text_is_found_wherever_it_stands_and_however_it_is_written(
    value: object, escaped: bool
) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode(errors="surrogatepass")

    def found(part: object) -> set[Trick]:
        if isinstance(part, str):
            return set(tricks_in(part))
        parts = [*part, *part.values()] if isinstance(part, dict) else part
        return set().union(*map(found, parts))  # type: ignore[call-overload]

    assert tricks_of(body) == found(value)


def test_descriptions_are_stripped_at_every_depth_and_what_clients_repeat_is_not() -> None:
    schema = {"properties": {"p\u200b": {"description": "x\u200b", "enum": ["e\u200b"], "title": "t\u202e"}}}
    body = json.dumps({"name": "n\u200b", "description": "d\u200b" + TAGGED, "inputSchema": schema}).encode()

    told = json.loads(stripped_body(body))

    assert told == {
        "name": "n\u200b",
        "description": "d",
        "inputSchema": {"properties": {"p\u200b": {"description": "x", "enum": ["e\u200b"], "title": "t"}}},
    }


def test_what_has_nothing_hidden_stays_the_very_same_bytes() -> None:
    body = b'{"name": "n", "x": 1.00, "description": "caf\\u00e9"}'

    assert stripped_body(body) == body

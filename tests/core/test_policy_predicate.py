"""Questions about arguments, asked as JSON Schemas."""

import time

import pytest

from actors.core.policy.predicate import MAX_DEPTH, MAX_VALUES, Predicate, PredicateError

LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "properties": {"x": {"$ref": "#/$defs/a"}}}


def nested(levels: int) -> dict[str, object]:
    schema: dict[str, object] = {"type": "object"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "strin"}, ("type",)),
        ({"properties": {"a": {"pattern": "("}}}, ("properties", "a", "pattern")),
        ({"$ref": "https://127.0.0.1:1/schema"}, ()),
        ({"$ref": "file:///etc/passwd"}, ()),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}}, ()),
        ({"$ref": "#"}, ()),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ()),
        ({"properties": {"a": {"$schema": "urn:unknown"}}}, ()),
        (nested(1000), ()),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_and_its_place_named(schema, place: tuple[str, ...]) -> None:
    with pytest.raises(PredicateError) as caught:
        Predicate(schema)

    assert caught.value.place == place
    assert "127.0.0.1" not in caught.value.sentence


def test_a_schema_may_refer_to_its_own_parts() -> None:
    tree = {"properties": {"next": {"$ref": "#"}, "n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}

    assert Predicate(tree).judge({"next": {"next": {"n": 1}}}) is True
    assert Predicate(tree).judge({"next": {"next": {"n": "1"}}}) is False


def test_what_leads_nowhere_or_is_too_deep_or_too_much_cannot_be_judged() -> None:
    deep: object = 0
    for _ in range(MAX_DEPTH):
        deep = [deep]

    assert Predicate(LOOP).judge({"x": 1}) is None
    assert Predicate({}).judge(deep) is True
    assert Predicate({}).judge([deep]) is None
    assert Predicate({}).judge([0] * (MAX_VALUES - 1)) is True
    assert Predicate({}).judge([0] * MAX_VALUES) is None


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, True, "1", None, [1], {"a": 1}], True),
        ([0, False], True),
        ([1, 1.0], False),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        ([[1], [True]], True),
        ([[1, 2], [2, 1]], True),
        ("not a list", True),
    ],
)
def test_items_are_unique_as_json_schema_means_it(items: object, unique: bool) -> None:
    assert Predicate({"uniqueItems": True}).judge(items) is unique
    assert Predicate({"uniqueItems": False}).judge(items) is True


def test_the_most_that_is_judged_takes_no_time_to_speak_of() -> None:
    predicate = Predicate({"properties": {"a": {"uniqueItems": True, "unevaluatedItems": {"type": "object"}}}})
    items = [{"x": str(number)} for number in range(MAX_VALUES // 2 - 10)]

    begun = time.process_time()

    assert predicate.judge({"a": items}) is True
    assert time.process_time() - begun < 1.0

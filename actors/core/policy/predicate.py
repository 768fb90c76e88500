"""A question about the arguments of a call, asked as a JSON Schema (2020-12).

Nothing is ever fetched: a schema refers to its own parts only. Regular expressions in it are Python's, and run on what
clients send: one that takes exponential time is the fault of whoever wrote it. `format` is not looked at.

To import this takes a tenth of a second, so only a policy that has such a question does.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, SchemaError, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.exceptions import CannotDetermineSpecification, Unresolvable
from referencing.jsonschema import DRAFT202012, UnknownDialect

MAX_DEPTH: Final = 64
MAX_VALUES: Final = 1000
"""What is nested deeper, or has more values, cannot be judged: `unevaluatedItems` takes time by the square of them."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_Place = tuple[str | int, ...]


class PredicateError(ValueError):
    """A schema that cannot be used: the place inside it, and a sentence without its values."""

    def __init__(self, place: _Place, sentence: str) -> None:
        super().__init__(place, sentence)
        self.place = place
        self.sentence = sentence


class Predicate:
    """One schema, ready to be held against arguments.

    Raises:
        PredicateError: it is not valid, of another dialect, refers to what it does not have, or to itself for ever.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        own = dict(schema)
        try:
            Draft202012Validator.check_schema(own)
            _check_references(DRAFT202012.create_resource(own))
            self._validator = _Validator(own, registry=Registry())
            self._validator.is_valid({})
        except PredicateError:
            raise
        except SchemaError as error:
            raise PredicateError(tuple(error.absolute_path), "is not valid in a JSON Schema (2020-12)") from None
        except RecursionError:
            raise PredicateError((), "is nested too deep, or refers to itself for ever") from None
        except Unresolvable:
            raise PredicateError((), "refers to a schema that it does not hold: nothing is fetched") from None
        except (ValueError, TypeError, CannotDetermineSpecification, UnknownDialect):
            raise PredicateError((), "cannot be used as a JSON Schema (2020-12)") from None

    def judge(self, arguments: object) -> bool | None:
        """Whether arguments, plain JSON values, fit; nothing if they cannot be judged."""
        try:
            return bool(self._validator.is_valid(arguments)) if _is_small(arguments) else None
        except Exception:  # noqa: BLE001 - whatever the cause, it is not known whether they fit
            return None


def _check_references(root: Resource[Any]) -> None:
    """Follow every reference once.

    Raises:
        Unresolvable: one leads out of the schema.
        PredicateError: a part says that it is of another dialect.
    """
    resolver = Registry().with_resource("", root).resolver()
    waiting = [(root, resolver)]
    while waiting:
        resource, resolver = waiting.pop()
        if isinstance(resource.contents, Mapping):
            if resource.contents.get("$schema", _DIALECT) != _DIALECT:
                raise PredicateError((), f"must be a JSON Schema of {_DIALECT}")
            for key in ("$ref", "$dynamicRef"):
                if key in resource.contents:
                    resolver.lookup(resource.contents[key])
        waiting.extend((each, resolver.in_subresource(each)) for each in resource.subresources())


def _unique_items(_validator: object, wanted: bool, items: object, _schema: object) -> Iterator[ValidationError]:
    """The keyword, in linear time: the library compares each item with each."""
    if wanted and isinstance(items, list) and len(set(map(_identity, items))) < len(items):
        yield ValidationError("has non-unique elements")


def _identity(value: object) -> Hashable:
    """Equal for what JSON Schema calls equal: 1 is 1.0, and is not true."""
    if isinstance(value, dict):
        return dict, frozenset((key, _identity(each)) for key, each in value.items())
    if isinstance(value, list):
        return list, tuple(map(_identity, value))
    return isinstance(value, bool), value


_Validator: Final = extend(Draft202012Validator, {"uniqueItems": _unique_items})


def _is_small(value: object) -> bool:
    """Whether a value, which may come from a stranger, can be judged in a short time."""
    waiting, seen = [(iter((value,)), 0)], 0
    while waiting:
        values, depth = waiting[-1]
        each = next(values, _END)
        if each is _END:
            waiting.pop()
            continue
        seen += 1
        if seen > MAX_VALUES or depth > MAX_DEPTH:
            return False
        if isinstance(each, dict | list):
            waiting.append((_members(each), depth + 1))
    return True


def _members(value: dict[str, object] | list[object]) -> Iterator[object]:
    return iter(value.values() if isinstance(value, dict) else value)


_END: Final = object()

"""Variables in strings: `${NAME}`, `${NAME:-default}`, and `$${` for the characters `${` themselves.

`${env:NAME}`, which Cursor and VS Code write, means `${NAME}`. A default also stands in for an empty variable, as in
a shell. What a variable holds is never expanded again.
"""

import re
from collections.abc import Mapping
from typing import Final

from serve_app.config.problems import Problems, Where

_REFERENCE: Final = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<broken>\$\{)"
)


class ExpansionError(ValueError):
    """A reference that cannot be followed. Arguments: a sentence which names the variable, and no value."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with its references replaced.

    Raises:
        ExpansionError: a variable is not set and has no default, or `${` begins no reference.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["broken"]:
            raise ExpansionError(
                "`${` begins no variable: write ${NAME}, ${NAME:-default}, or $${ for these characters"
            )
        name, default = match["name"], match["default"]
        value = environ.get(name)
        if value is None and default is None:
            raise ExpansionError(f"the variable {name} is not set")
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            raise ExpansionError(f"the variable {name} does not hold UTF-8 text") from None
        return value or default or ""

    return _REFERENCE.sub(replacement, text)


def expand_tree(tree: object, where: Where, environ: Mapping[str, str], problems: Problems) -> object:
    """A copy of a plain tree with every string expanded, but no key; a string that cannot be stays as it is."""
    match tree:
        case str():
            try:
                return expand(tree, environ)
            except ExpansionError as error:
                problems.add(where, str(error))
                return tree
        case dict():
            return {key: expand_tree(value, (*where, key), environ, problems) for key, value in tree.items()}
        case list():
            return [expand_tree(value, (*where, index), environ, problems) for index, value in enumerate(tree)]
        case _:
            return tree

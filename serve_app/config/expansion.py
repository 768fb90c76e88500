"""Variables in strings: `${NAME}`, `${NAME:-default}`, and `$${` for the characters `${` themselves; and files, as
`${file:PATH}`.

`${env:NAME}`, which Cursor and VS Code write, means `${NAME}`. A default also stands in for an empty variable, as in
a shell. What a variable or a file holds is never expanded again.
"""

import re
from collections.abc import Mapping
from typing import Final

from serve_app.config.file_references import FileReferenceError, FileReferences
from serve_app.config.problems import Problems, Where

_REFERENCE: Final = re.compile(
    r"(?P<escaped>\$\$\{)"
    r"|\$\{file:(?P<file>[^}]+)\}"
    r"|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<broken>\$\{)"
)


class ExpansionError(ValueError):
    """A reference that cannot be followed. Arguments: a sentence which names the variable or file, and no value."""


def expand(text: str, environ: Mapping[str, str], files: FileReferences | None = None) -> str:
    """The text with its references replaced; without `files`, none is read.

    Raises:
        ExpansionError: a variable is not set and has no default, a file cannot be read, or `${` begins no reference.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["file"]:
            if files is None:
                raise ExpansionError("`${file:` is for what may be a secret: not here")
            try:
                return files.read(match["file"])
            except FileReferenceError as error:
                raise ExpansionError(str(error)) from None
        if match["broken"]:
            raise ExpansionError(
                "`${` begins no variable: write ${NAME}, ${NAME:-default}, ${file:PATH}, or $${ for these characters"
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


def expand_tree(
    tree: object,
    where: Where,
    environ: Mapping[str, str],
    problems: Problems,
    files: FileReferences | None = None,
) -> object:
    """A copy of a plain tree with every string expanded, but no key; a string that cannot be stays as it is."""
    match tree:
        case str():
            try:
                return expand(tree, environ, files)
            except ExpansionError as error:
                problems.add(where, str(error))
                return tree
        case dict():
            return {key: expand_tree(value, (*where, key), environ, problems, files) for key, value in tree.items()}
        case list():
            return [expand_tree(value, (*where, index), environ, problems, files) for index, value in enumerate(tree)]
        case _:
            return tree

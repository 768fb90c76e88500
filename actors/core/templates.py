"""Which resource template a URI comes from (RFC 6570, as far as matching needs it)."""

import re

_EXPRESSION = re.compile(r"\{([+#./;?&]?)[^{}]*\}")

_VALUE = {"": "[^/?#]+", "+": ".+", "#": "(?:#.*)?", ".": r"[^/?#]*", "/": "(?:/[^?#]*)?", ";": "[^/?#]*"}
_QUERY = r"(?:[?&][^#]*)?"


def compile_template(template: str) -> re.Pattern[str]:
    """A pattern that matches the URIs which `template` can expand to."""
    pattern, end = "", 0
    for expression in _EXPRESSION.finditer(template):
        pattern += re.escape(template[end : expression.start()])
        pattern += _VALUE.get(expression[1], _QUERY)
        end = expression.end()
    return re.compile(pattern + re.escape(template[end:]))

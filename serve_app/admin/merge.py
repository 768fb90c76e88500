"""Changes of an entry as a merge patch (RFC 7396): what is there replaces, mappings are merged, null removes."""

from collections.abc import Mapping


def merged(entry: Mapping[str, object], patch: Mapping[str, object]) -> dict[str, object]:
    """The entry with the patch applied."""
    result = dict(entry)
    for key, value in patch.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[key] = value
    return result

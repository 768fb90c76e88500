"""What a request to the admin API comes to."""

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """A status, and what follows it."""

    status: int
    page: object = None
    """Anything JSON can hold; nothing for an answer without a body."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def error(status: int, reason: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer that says why not."""
    return Answer(status, {"error": reason}, headers)

"""What is wrong with a request whoever sent it: looked at before anybody is asked who that is."""

from collections.abc import Mapping

from actors.core.guard import Guard, Objection
from actors.core.request_head import fault_of
from serve_app.denial import Denial
from serve_app.http import Scope


def objection_to(scope: Scope, found: Mapping[bytes, bytes], guard: Guard) -> Denial | None:
    """The denial of a request with these headers; nothing if it may go on. Rungs: its form and size, `Host`, `Origin`.

    `found` is what `header_map` makes of the headers in `scope`.
    """
    fault = fault_of(len(scope["path"]) + len(scope["query_string"]), scope["headers"])
    if fault is not None:
        return Denial(fault.status, fault.reason)
    host, origin = found.get(b"host"), found.get(b"origin")
    if host is not None and b"," in host:  # repeated: whoever routed this request may have gone by the other one
        return Denial(403, Objection.HOST.value)
    objection = guard.check(_text(host), _text(origin))
    return None if objection is None else Denial(403, objection.value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from actors.reachability import Reachability


@given(answers=st.lists(st.booleans(), max_size=20))
def test_only_changes_are_told_and_who_was_never_asked_is_taken_to_be_there(answers: list[bool]) -> None:
    somebody = Reachability("found_again", "lost", name="idp")

    with capture_logs() as lines:
        for each in answers:
            if each:
                somebody.reached()
            else:
                somebody.missed("it is down")

    changes = [now for before, now in zip([True, *answers], answers, strict=False) if now is not before]
    down = {"event": "lost", "log_level": "warning", "name": "idp", "reason": "it is down"}
    up = {"event": "found_again", "log_level": "info", "name": "idp"}
    assert lines == [up if now else down for now in changes]
    assert somebody.reachable is ([True, *answers][-1])

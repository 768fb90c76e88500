"""What a command tells Ray before it joins one that is there."""

from pathlib import Path

import pytest

from serve_app.environment import guest_environment


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_in_the_environment_is_shown_to_the_ray_that_is_joined(tmp_path: Path, name: str) -> None:
    variables = guest_environment({name: "a token"}, tmp_path)

    assert variables["RAY_AUTH_MODE"] == "token"
    assert "a token" not in variables.values(), "Ray finds it by itself"


def test_a_token_in_the_users_home_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a token")

    assert guest_environment({}, tmp_path)["RAY_AUTH_MODE"] == "token"


def test_without_a_token_none_is_promised(tmp_path: Path) -> None:
    variables = guest_environment({}, tmp_path)

    assert "RAY_AUTH_MODE" not in variables
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"

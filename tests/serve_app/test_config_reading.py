"""Files in their formats: what is parsed, what is refused, and where the fault is said to be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.config import ConfigError, find
from serve_app.config.reading import read
from tests.support.config_files import load_text


def refusal(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        read(path)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "mcpServers:\n  web: {url: 'https://x.example/mcp', timeout: 5}\n"),
        ("c.yml", "mcpServers:\n  web:\n    url: https://x.example/mcp\n    timeout: 5.0\n"),
        ("c.toml", "[mcpServers.web]\nurl = 'https://x.example/mcp'\ntimeout = 5\n"),
        ("c.json", '{"mcpServers": {"web": {"url": "https://x.example/mcp", "timeout": 5}}}'),
        ("c.JSON", '\ufeff{"mcpServers": {"web": {"url": "https://x.example/mcp", "timeout": 5}}}'),
    ],
)
def test_every_format_gives_the_same_settings(tmp_path, name, text):
    (backend,) = load_text(tmp_path, text, name).settings.backends

    assert (backend.name, backend.endpoint.url, backend.timeout) == ("web", "https://x.example/mcp", 5.0)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("c.yaml", "a: 1\nb: [1, 2\n", "line 3, column 1: expected ',' or ']', but got '<stream end>'"),
        ("c.yaml", "a: 1\nb: c: d\n", "line 2, column 5: mapping values are not allowed here"),
        ("c.yaml", "a: 1\n\tb: 2\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("c.yaml", "a: \x07", "line 1, column 4: a control character"),
        ("c.toml", "a = 1\nb = \n", "line 2, column 5: Invalid value"),
        ("c.toml", "a = ", "end of document: Invalid value"),
        ("c.json", '{"a": 1,\n "b" 2}', "line 2, column 6: Expecting ':' delimiter"),
        ("c.json", '{"a": 1} x', "line 1, column 10: Extra data"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_line_and_column(tmp_path, name, text, sentence):
    assert refusal(tmp_path, name, text).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("c.yaml", "mcpServers:\n  git: {}\n  web: {}\n  git: {}\n", "line 4, column 3: this key is here twice"),
        ("c.yaml", "mcpServers: {git: {env: {A: '1', A: '2'}}}", "line 1, column 34: this key is here twice"),
        ("c.toml", "[server]\nport = 1\nport = 2\n", "line 3, column"),
        ("c.json", '{"mcpServers": {"git": {}, "web": {}, "git": {}}}', 'has the key "git" twice in one object'),
    ],
)
def test_a_key_that_is_there_twice_is_refused(tmp_path, name, text, sentence):
    assert refusal(tmp_path, name, text).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("c.yaml", "", "is empty"),
        ("c.yaml", "- a\n- b\n", "must be a mapping, beginning with mcpServers"),
        ("c.json", "[]", "must be a mapping, beginning with mcpServers"),
        ("c.json", b'{"a": "\xff"}', "is not UTF-8 text"),
        ("c.json", '{"a": NaN}', "holds NaN or Infinity, which JSON has not"),
        ("c.json", '{"a": ' + "9" * 5000 + "}", "holds a number that is too long"),
        ("c.toml", "a = " + "9" * 5000, "holds a number that is too long"),
        ("c.json", '{"a": "\\ud83d"}', "a: holds one half of an escaped pair of characters"),
        ("c.json", '{"a":' * 40 + "1" + "}" * 40, "is nested too deeply"),
        ("c.json", '{"a":' + "[" * 100_000, "is nested too deeply"),
        ("c.ini", "[a]", "must end with one of .yaml, .yml, .toml, .json"),
        ("c.yaml", "mcpServers: {a: {env: {DAY: 2026-11-05}}}", "mcpServers.a.env.DAY: is a date or another special"),
        ("c.toml", "day = 2026-11-05", "day: is a date or another special value: quote it"),
        ("c.yaml", "mcpServers: {on: {}}", "mcpServers: a key must be a string: quote numbers and words like on"),
        ("c.yaml", "a: &a [*a]", "is nested too deeply"),
        ("c.yaml", "a: !!python/object/apply:os.system [id]", "line 1, column 4: could not determine a constructor"),
        ("c.yaml", "a: !!int ''", "holds a date, a number or a tagged value that is not one"),
        ("c.yaml", "a: !!bool x", "holds a date, a number or a tagged value that is not one"),
        ("c.yaml", "a: 2026-99-99", "holds a date, a number or a tagged value that is not one"),
        ("c.yaml", "a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path, name, content, sentence):
    assert refusal(tmp_path, name, content).startswith(sentence)


def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path):
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"

    assert refusal(tmp_path, "c.yaml", bomb) == "has more than 100000 values"


def test_a_merged_yaml_mapping_may_be_overridden(tmp_path):
    text = """
        mcpServers:
          a: &common {url: https://a.example/mcp, timeout: 5}
          b: {<<: *common, url: https://b.example/mcp}
        """

    first, second = load_text(tmp_path, text, "c.yaml").settings.backends

    assert (first.endpoint.url, first.timeout) == ("https://a.example/mcp", 5)
    assert (second.endpoint.url, second.timeout) == ("https://b.example/mcp", 5)


def test_a_large_file_is_not_read(tmp_path):
    assert refusal(tmp_path, "c.json", " " * 1024 * 1024 + "{}") == "is larger than 1048576 bytes"


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: cannot be read: No such file or directory"):
        read(tmp_path / "nowhere.json")


@pytest.mark.parametrize("suffix", ["yaml", "toml", "json"])
def test_any_text_gives_a_tree_or_a_config_error(tmp_path_factory, suffix):
    path = tmp_path_factory.mktemp("any") / f"c.{suffix}"

    @settings(deadline=None)
    @given(st.one_of(st.text(), st.text("{}[]:,'\"#&*!|>-=.\n \\0123abe<")))
    def property_holds(text):
        path.write_bytes(text.encode(errors="surrogatepass"))
        try:
            tree = read(path)
        except ConfigError:
            return
        assert isinstance(tree, dict)

    property_holds()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "mcpServers: {a: {env: {T: *s3cr3t}}}"),
        ("c.yaml", "mcpServers: {a: {env: {T: !s3cr3t x}}}"),
        ("c.yaml", "mcpServers: {a: {env: {T: !s3'cr3t x}}}"),
        ("c.yaml", "a: [&s3cr3t 1, &s3cr3t 2, *s3cr3tt]"),
        ("c.yaml", "mcpServers: {a: {env: {T: 's3cr3t}}}"),
        ("c.yaml", 'mcpServers: {a: {env: {T: "s3cr3t\\q"}}}'),
        ("c.yaml", "mcpServers: {a: {env: {T: %s3cr3t}}}"),
        ("c.toml", "T = s3cr3t"),
        ("c.toml", "T = 's3cr3t"),
        ("c.toml", 'T = "s3cr3t\\q"'),
        ("c.json", '{"T": s3cr3t}'),
        ("c.json", '{"T": "s3cr3t'),
        ("c.json", '{"T": "s3cr3t\\q"}'),
        ("c.json", b'{"T": "s3cr3t\xff"}'),
    ],
)
def test_a_parse_error_does_not_quote_the_file(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(ConfigError) as caught:
        read(path)

    assert "cr3t" not in str(caught.value)
    assert caught.value.__context__ is None


def test_the_file_asked_for_is_taken_even_if_it_is_missing(tmp_path):
    (tmp_path / "only1mcp.yaml").touch()

    assert find(tmp_path / "other.yaml", tmp_path, tmp_path) == tmp_path / "other.yaml"


def test_the_current_folder_comes_before_the_users_own(tmp_path):
    here, user = tmp_path / "here", tmp_path / "user"
    (user / "only1mcp").mkdir(parents=True)
    here.mkdir()

    nothing = find(None, here, user)
    (user / "only1mcp" / "only1mcp.toml").touch()
    users = find(None, here, user)
    (here / "only1mcp.json").touch()
    json = find(None, here, user)
    (here / "only1mcp.yaml").touch()
    yaml = find(None, here, user)

    assert (nothing, users) == (None, user / "only1mcp" / "only1mcp.toml")
    assert (json, yaml) == (here / "only1mcp.json", here / "only1mcp.yaml")

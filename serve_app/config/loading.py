"""From a path to settings, with everything that is wrong in one error."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter

from actors.core.audience import canonical
from actors.core.audit_settings import AuditSettings
from actors.core.auth_settings import AuthSettings, IssuerSettings
from actors.core.credential_settings import CredentialKind
from actors.core.endpoints import StdioEndpoint
from actors.core.limit_settings import LimitSettings
from actors.core.policy.faults import faults
from actors.core.policy_settings import PolicySettings
from actors.core.settings import BackendSettings, ServerSettings, Settings
from actors.core.tokens.own_issuer import own_issuer
from serve_app.config.backends import SECTION, BackendReader
from serve_app.config.expansion import expand_tree
from serve_app.config.file_references import FileReferences
from serve_app.config.machine import check_key_file, check_socket, locate, place_tls
from serve_app.config.problems import ConfigError, EntryError, Problem, Problems, Where, suggestion
from serve_app.config.reading import Tree, read
from serve_app.config.shape import shape

STEM: Final = "only1mcp"
SUFFIXES: Final = (".yaml", ".yml", ".toml", ".json")

KNOWN_KEYS: Final = frozenset({SECTION, "server", "auth", "policy", "limits", "audit"})

IGNORED_KEYS: Final = frozenset({"globalShortcut", "preferences", "$schema"})
"""Claude Desktop's own settings stand in the same file; `$schema` is for editors."""

_SERVER: Final = TypeAdapter(ServerSettings)
_AUTH: Final = TypeAdapter(AuthSettings)
_ISSUER: Final = TypeAdapter(IssuerSettings)
_POLICY: Final = TypeAdapter(PolicySettings)
_LIMITS: Final = TypeAdapter(LimitSettings)
_AUDIT: Final = TypeAdapter(AuditSettings)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that can be used."""

    settings: Settings
    path: Path
    notes: tuple[str, ...] = ()
    """What of the file has no effect, a line each."""
    written: Mapping[str, str] = field(default_factory=dict)
    """For each backend its command line or URL as it is in the file, variables unexpanded."""


def find(explicit: Path | None, cwd: Path, user_config_dir: Path) -> Path | None:
    """The configuration file to use, if there is one.

    Rungs: the one asked for, whether it exists or not; `only1mcp.yaml`, `.yml`, `.toml` or `.json` in `cwd`; the same
    in the folder `only1mcp` of `user_config_dir`, such as `~/.config`.
    """
    if explicit is not None:
        return explicit
    places = (folder / f"{STEM}{suffix}" for folder in (cwd, user_config_dir / STEM) for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def demonstration() -> Settings:
    """Settings for a gateway without a file: the demonstration server alone."""
    endpoint = StdioEndpoint(command=sys.executable, args=("-m", "serve_app.demonstration"))
    return Settings(backends=(BackendSettings(name="demo", endpoint=endpoint),))


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read a file and check it, also against this machine.

    `environ` gives the variables of `${NAME}`, the `PATH` where commands are looked up and the home folder.

    Raises:
        ConfigError: with every problem that was found.
    """
    tree = read(path)
    folder = path.absolute().parent
    problems = Problems()
    notes = [f"ignored: {key}" for key in tree if key in IGNORED_KEYS]
    _check_inputs(tree, notes, problems)
    for key in [key for key in tree if key not in KNOWN_KEYS | IGNORED_KEYS | {"inputs"}]:
        problems.add((key,), f"is not a setting{suggestion(key, KNOWN_KEYS)}")

    files = FileReferences(folder, environ)
    backends = BackendReader(folder, environ, problems, files).read(tree.get(SECTION, {}))
    server = _read_server(tree, folder, environ, problems) if "server" in tree else ServerSettings()
    auth = _read_auth(tree, folder, environ, problems, files) if "auth" in tree else None

    policy = _read_policy(tree, environ, problems)
    limits = _read_plain(_LIMITS, "limits", tree, environ, problems)
    audit = _read_audit(tree, folder, environ, problems) if "audit" in tree else None

    _check_own_issuer(auth, server, problems)
    if auth is None or auth.tokens is None:
        for backend in backends.settings:
            if backend.auth is not None and backend.auth.kind is CredentialKind.TOKEN_EXCHANGE:
                where = (SECTION, backend.name, "auth")
                problems.add(where, "needs `auth.tokens`: the gateway signs who the caller is")
    if len(problems) or server is None:
        raise ConfigError(path, problems.found())
    settings = Settings(
        backends=backends.settings,
        server=server,
        auth=auth,
        policy=policy,
        limits=limits or LimitSettings(),
        audit=audit,
    )
    return Loaded(settings, path, (*notes, *backends.notes, *files.notes), backends.written)


def read_entry(name: str, entry: Tree, folder: Path, environ: Mapping[str, str]) -> BackendSettings:
    """One server that stands in no file, given as an entry of `mcpServers`; relative paths begin at `folder`.

    Raises:
        EntryError: with every problem that was found.
    """
    problems = Problems()
    if entry.get("disabled"):
        problems.add((SECTION, name, "disabled"), "cannot be said of a server that is added: remove it instead")
    files = FileReferences(folder, environ)
    backends = BackendReader(folder, environ, problems, files).read({name: {**entry, "disabled": False}})
    if len(problems):
        raise EntryError(tuple(Problem(problem.where[2:], problem.reason) for problem in problems.found()))
    return backends.settings[0]


def _check_inputs(tree: Tree, notes: list[str], problems: Problems) -> None:
    if "inputs" not in tree:
        return
    if tree["inputs"] == []:
        notes.append("ignored: inputs")
    else:
        problems.add(("inputs",), "ask an editor's user for values, which a gateway cannot: use ${NAME} instead")


def _read_server(tree: Tree, folder: Path, environ: Mapping[str, str], problems: Problems) -> ServerSettings | None:
    section = _section("server", tree, environ, problems)
    if section is None:
        return None
    state_file = section.get("state_file")
    if isinstance(state_file, str):
        section["state_file"] = str(locate(state_file, folder, environ))
    place_tls(section.get("tls"), ("server", "tls"), folder, environ, problems)
    return shape(_SERVER, section, ("server",), problems)


def _read_auth(
    tree: Tree, folder: Path, environ: Mapping[str, str], problems: Problems, files: FileReferences
) -> AuthSettings | None:
    section = _section("auth", tree, environ, problems, files)
    if section is None:
        return None
    issuers = section.get("issuers")
    for position, issuer in enumerate(issuers if isinstance(issuers, list) else []):
        if not isinstance(issuer, dict) or not isinstance(issuer.get("key_file"), str):
            continue
        where: Where = ("auth", "issuers", position)
        issuer["key_file"] = str(locate(issuer["key_file"], folder, environ))
        alone = shape(_ISSUER, issuer, where, problems)
        if alone is not None:
            check_key_file(alone, (*where, "key_file"), problems)
    return shape(_AUTH, section, ("auth",), problems)


def _check_own_issuer(auth: AuthSettings | None, server: ServerSettings | None, problems: Problems) -> None:
    """See to it that nobody else issues tokens under the name of the gateway: their subjects would be one person."""
    if auth is None or auth.tokens is None or server is None:
        return
    own = canonical(own_issuer(auth, server).issuer)
    for position, issuer in enumerate(auth.issuers):
        if canonical(issuer.issuer) == own:
            where = ("auth", "issuers", position, "issuer")
            problems.add(where, "is what the gateway calls itself in its own tokens: set `auth.tokens.issuer`")


def _read_audit(tree: Tree, folder: Path, environ: Mapping[str, str], problems: Problems) -> AuditSettings | None:
    section = _section("audit", tree, environ, problems)
    if section is None:
        return None
    if isinstance(section.get("file"), str):
        section["file"] = str(locate(str(section["file"]), folder, environ))
    audit = shape(_AUDIT, section, ("audit",), problems)
    if audit is not None and audit.syslog is not None:
        check_socket(audit.syslog, ("audit", "syslog"), problems)
    return audit


def _read_policy(tree: Tree, environ: Mapping[str, str], problems: Problems) -> PolicySettings | None:
    policy = _read_plain(_POLICY, "policy", tree, environ, problems)
    for place, sentence in () if policy is None else faults(policy):
        problems.add(("policy", *place), sentence)
    return policy


def _read_plain(
    adapter: TypeAdapter[T], key: str, tree: Tree, environ: Mapping[str, str], problems: Problems
) -> T | None:
    """A section in which nothing is said of this machine, if it is there."""
    section = _section(key, tree, environ, problems) if key in tree else None
    return None if section is None else shape(adapter, section, (key,), problems)


def _section(
    key: str, tree: Tree, environ: Mapping[str, str], problems: Problems, files: FileReferences | None = None
) -> Tree | None:
    """One expanded section; an empty `auth:` is a slip, and must not mean that everyone may come in."""
    expanded = expand_tree(tree[key], (key,), environ, problems, files)
    if isinstance(expanded, dict):
        return expanded
    problems.add((key,), "must be a mapping of names to values")
    return None

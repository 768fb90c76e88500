"""TLS from the command line: one gateway, its clients with and without it, and the commands of its user."""

import ssl
from pathlib import Path

import httpx
import pytest

from serve_app.environment import haproxy_available
from tests.support.certificates import Authority
from tests.support.gateway_process import gateway, module

pytestmark = pytest.mark.skipif(not haproxy_available(), reason="there is no HAProxy for this machine")


def test_clients_need_a_certificate_and_the_user_who_started_the_gateway_does_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files, client = authority.sign("gateway"), authority.sign("client")
    tls = {"certificate": str(files.certificate), "key": str(files.key), "client_ca": str(authority.file)}
    context = ssl.create_default_context(cafile=authority.file)
    context.load_cert_chain(client.certificate, client.key)

    with gateway(tmp_path, {"echo": module("tests.support.echo_server")}, sections={"server": {"tls": tls}}) as running:
        origin = f"127.0.0.1:{running.port}"
        known = httpx.get(f"https://{origin}/health", verify=context, trust_env=False)
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            httpx.get(f"https://{origin}/health", verify=ssl.create_default_context(cafile=authority.file))
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{origin}/health", trust_env=False)
        listed = running.only1mcp("list")

    assert known.json()["backends"] == {"up": 1, "total": 1}
    assert known.headers["strict-transport-security"]
    assert "server" not in known.headers
    assert listed.returncode == 0, listed.stderr
    assert "echo" in listed.stdout

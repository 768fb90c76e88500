"""Two nodes: what goes from one to the other is encrypted, and who has no certificate of this gateway gets nothing."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from cryptography import x509

from actors.bus.frames import PROTOCOL_VERSION, Hello, encode
from actors.bus.handshake import NONCE_BYTES
from actors.core.link_keys import link_name
from tests.support.cluster_actors import ENVIRON, INGRESS, Actor
from tests.support.cluster_callers import Caller, Target
from tests.support.cluster_nodes import Node, joined_node
from tests.support.cluster_ray import OtherRay
from tests.support.gateway_process import gateway, module

pytestmark = pytest.mark.cluster

SECONDS = 10.0

Address = tuple[str, int]


@pytest.fixture(scope="module")
def far(ray: OtherRay) -> Iterator[Node]:
    with joined_node(ray, "far") as node:
        yield node


def between_nodes(actors: Sequence[Actor]) -> set[Address]:
    """Where Backends listen that an ingress replica on another node has a connection to."""
    found: set[Address] = set()
    for backend in (actor for actor in actors if actor.name.startswith("Backend:")):
        for ingress in (actor for actor in actors if actor.kind == INGRESS and actor.node != backend.node):
            ends = psutil.Process(ingress.pid).net_connections("tcp")
            dialled = {(each.raddr.ip, each.raddr.port) for each in ends if each.status == psutil.CONN_ESTABLISHED}
            listening = psutil.Process(backend.pid).net_connections("tcp")
            found |= dialled & {
                (each.laddr.ip, each.laddr.port) for each in listening if each.status == psutil.CONN_LISTEN
            }
    return found


def heard_in_the_clear(address: Address) -> bytes:
    """What a stranger hears who speaks the bus without TLS."""
    with socket.create_connection(address, timeout=SECONDS) as connection:
        connection.sendall(encode(Hello(PROTOCOL_VERSION, b"n" * NONCE_BYTES)))
        return to_the_end(connection)


def heard_without_certificate(address: Address) -> tuple[str, bytes]:
    """Whom a stranger sees who speaks TLS and shows nothing, and what he hears."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(address, timeout=SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=link_name(1)) as encrypted,
    ):
        certificate = x509.load_der_x509_certificate(encrypted.getpeercert(binary_form=True) or b"")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)[0], to_the_end(encrypted)


def to_the_end(connection: socket.socket) -> bytes:
    heard = b""
    try:
        while piece := connection.recv(4096):
            heard += piece
    except (ConnectionError, ssl.SSLError):
        pass  # an end as good as any other; silence would be a TimeoutError
    return heard


async def test_links_between_nodes_are_encrypted_and_strangers_get_nothing(
    ray: OtherRay, far: Node, tmp_path: Path
) -> None:
    echo = module("tests.support.echo_server", "--stdio")
    servers = {
        "here": echo | {"placement": {"labels": {"place": "!far"}}},
        "there": echo | {"placement": {"labels": {"place": "far"}}},
    }

    with gateway(tmp_path, servers, arguments=("--address", ray.address), environ=ENVIRON) as running:
        caller = Caller(running.url, "", legacy=False)
        calls = [await caller.call(Target(f"{name}__echo"), name) for name in servers]
        actors = await ray.actors.alive()
        addresses = between_nodes(actors)
        in_the_clear = [heard_in_the_clear(each) for each in addresses]
        without_certificate = [heard_without_certificate(each) for each in addresses]
        calls += [await caller.call(Target(f"{name}__echo"), name) for name in servers]
        await caller.close()

    assert {actor.node == far.id for actor in actors if actor.name.startswith("Backend:")} == {True, False}
    assert [call.trouble for call in calls] == [""] * 4
    assert len(addresses) == 1, "one of the two servers is on another node than the ingress"
    assert all(len(heard) <= 7 for heard in in_the_clear), "an alert of TLS, at the most"
    assert without_certificate == [(link_name(1), b"")]

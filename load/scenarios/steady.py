"""Steady load: every user calls the echo tool ten times a second and now and then lists the tools, in either era.

The tool is the option `--tool` or the variable `ONLY1MCP_TOOL`, the endpoint's path `--mcp-path` or `ONLY1MCP_PATH`.
An answer that is not its own question's is a failure.
"""

import os
import secrets
from argparse import ArgumentParser
from typing import Any, Final

from locust import FastHttpUser, constant_throughput, events, task
from locust.contrib.fasthttp import ResponseContextManager

from load.calls import Era, Question, Wire, objection, tool_names

CALLS_PER_SECOND: Final = 10
"""Of each user: a busy agent's."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # untyped in locust
def add_options(parser: ArgumentParser, **_: Any) -> None:
    """Add ours to locust's options."""
    parser.add_argument("--tool", default=os.environ.get("ONLY1MCP_TOOL", "echo__echo"), help="the echo tool's name")
    parser.add_argument("--mcp-path", default=os.environ.get("ONLY1MCP_PATH", "/mcp"), help="the endpoint's path")


class SteadyUser(FastHttpUser):
    """One client; a subclass says of which era."""

    abstract = True
    era: Era
    wait_time = constant_throughput(CALLS_PER_SECOND)
    network_timeout = 30.0
    connection_timeout = 10.0

    def on_start(self) -> None:
        """Give this user ids that no other has."""
        self.tool = str(self.environment.parsed_options.tool)
        self.path = str(self.environment.parsed_options.mcp_path)
        self.wire = Wire(self.era, self.tool, first_id=secrets.randbelow(1 << 40) << 12)

    @task(20)
    def call(self) -> None:
        """Call the tool."""
        question = self.wire.call()
        with self.post(question, "tools/call") as response:
            self.check(question, response)

    @task(1)
    def list_tools(self) -> None:
        """List the tools; ours has to be there if the list has one page."""
        question = self.wire.list_tools()
        with self.post(question, "tools/list") as response:
            if not self.check(question, response):
                return
            body = response.content or b""
            if b'"nextCursor"' not in body and self.tool not in tool_names(content_type(response), body):
                response.failure("the tool is not listed")

    def post(self, question: Question, name: str) -> ResponseContextManager:
        """Send a question; the caller says whether the answer is right."""
        response: ResponseContextManager = self.client.post(
            self.path,
            data=question.body.decode(),
            headers=question.headers,
            name=f"{name} ({self.era})",
            catch_response=True,
        )
        return response

    def check(self, question: Question, response: ResponseContextManager) -> bool:
        """Count the answer as a failure unless it is the question's own."""
        reason = objection(question, response.status_code, content_type(response), response.content or b"")
        if reason is not None:
            response.failure(reason)  # type: ignore[no-untyped-call]
        return reason is None


def content_type(response: ResponseContextManager) -> str:
    """The header's value, empty if there was no response at all."""
    headers: Any = response.headers or {}
    return str(headers.get("content-type", ""))


class ModernUser(SteadyUser):
    """A client of the modern era: every request stands for itself."""

    era = Era.MODERN


class LegacyUser(SteadyUser):
    """A client of the handshake era: a session first."""

    era = Era.LEGACY

    def on_start(self) -> None:
        """Open a session."""
        super().on_start()
        question = self.wire.initialize()
        with self.post(question, "initialize") as response:
            if not self.check(question, response):
                return
            self.wire.session = response.headers.get("mcp-session-id")
        with self.post(self.wire.initialized(), "initialized") as response:
            if response.status_code == 202:
                response.success()
            else:
                response.failure(f"status {response.status_code}")

    def on_stop(self) -> None:
        """End the session; a server may decline."""
        if self.wire.session is None:
            return
        with self.client.delete(
            self.path,
            headers={"Mcp-Session-Id": self.wire.session},
            name=f"end session ({self.era})",
            catch_response=True,
        ) as response:
            if response.status_code in (200, 202, 204, 405):
                response.success()
            else:
                response.failure(f"status {response.status_code}")

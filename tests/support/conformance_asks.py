"""The tools and the prompt of the conformance server that ask the client something, whatever the era.

A tool puts its questions through `ask` and need not know how they travel: to a modern client as `input_required`, to
one of the handshake era as requests in the middle of the call. So each of them works with clients of both eras.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

from tests.support.conformance_schemas import DEFAULTS, ENUMS, only

Answers = dict[str, dict[str, Any]]
"""What the client said, by the key of the question, as it is on the wire."""

ANSWERS: Final[Mapping[str, type[BaseModel]]] = {
    "elicitation/create": ElicitResult,
    "sampling/createMessage": CreateMessageResult,
    "roots/list": ListRootsResult,
}


async def ask(ctx: Context, **questions: InputRequest) -> Answers | InputRequiredResult:
    """Put questions to the client; returns its answers, or what to return from the call for it to give them.

    Earlier answers of the same call are remembered in the request state, which the SDK seals.
    """
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return {key: await _ask_now(ctx, question) for key, question in questions.items()}
    answers: Answers = json.loads(ctx.request_state) if ctx.request_state else {}
    for key, answer in (ctx.input_responses or {}).items():
        if key in questions:
            answers[key] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
    unanswered = {key: question for key, question in questions.items() if key not in answers}
    if not unanswered:
        return answers
    return InputRequiredResult(input_requests=unanswered, request_state=json.dumps(answers))


async def _ask_now(ctx: Context, question: InputRequest) -> dict[str, Any]:
    answer: BaseModel = await ctx.session.send_request(
        question, ANSWERS[question.method], metadata=ServerMessageMetadata(related_request_id=ctx.request_id)
    )
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)


def elicit(message: str, schema: dict[str, Any]) -> ElicitRequest:
    """A form for the user."""
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(text: str, max_tokens: int = 100) -> CreateMessageRequest:
    """A message for the client's model."""
    messages = [SamplingMessage(role="user", content=TextContent(text=text))]
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=max_tokens))


NAME: Final = only("name", "string")


def add_asks(server: MCPServer[Any]) -> None:
    """Register what asks."""
    _add_handshake_names(server)
    _add_modern_names(server)
    _add_rounds(server)

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | InputRequiredResult:
        """A prompt that depends on what the user says."""
        question = elicit("What context should the prompt use?", only("context", "string"))
        answers = await ask(ctx, user_context=question)
        if isinstance(answers, InputRequiredResult):
            return answers
        context = answers["user_context"].get("content", {}).get("context")
        return [UserMessage(f"Use the following context: {context}")]


def _add_handshake_names(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str | InputRequiredResult:
        """Have the client's model answer a prompt."""
        answers = await ask(ctx, sampled=sample(prompt))
        if isinstance(answers, InputRequiredResult):
            return answers
        return f"LLM response: {answers['sampled']['content']['text']}"

    @server.tool(structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str | InputRequiredResult:
        """Show the user a message and report the response."""
        return await _report(ctx, "User response", elicit(message, only("username", "string")))

    @server.tool(structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str | InputRequiredResult:
        """Ask with a form whose fields have defaults."""
        return await _report(ctx, "Elicitation completed", elicit("Please review", DEFAULTS))

    @server.tool(structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context) -> str | InputRequiredResult:
        """Ask with a form that has every kind of choice."""
        return await _report(ctx, "Elicitation completed", elicit("Please choose", ENUMS))


async def _report(ctx: Context, what: str, question: ElicitRequest) -> str | InputRequiredResult:
    answers = await ask(ctx, asked=question)
    if isinstance(answers, InputRequiredResult):
        return answers
    answer = answers["asked"]
    return f"{what}: action={answer['action']}, content={json.dumps(answer.get('content', {}))}"


def _add_modern_names(server: MCPServer[Any]) -> None:
    async def greet(ctx: Context) -> str | InputRequiredResult:
        """Ask for a name and greet its bearer."""
        answers = await ask(ctx, user_name=elicit("What is your name?", NAME))
        if isinstance(answers, InputRequiredResult):
            return answers
        return f"Hello, {answers['user_name'].get('content', {}).get('name', 'whoever you are')}!"

    server.add_tool(greet, name="test_input_required_result_elicitation", structured_output=False)
    server.add_tool(greet, name="test_streaming_elicitation", structured_output=False)

    @server.tool(structured_output=False)
    async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
        """Have the client's model name a capital."""
        answers = await ask(ctx, capital_question=sample("What is the capital of France?"))
        if isinstance(answers, InputRequiredResult):
            return answers
        return f"The model says: {answers['capital_question']['content']['text']}"

    @server.tool(structured_output=False)
    async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
        """Count the client's roots."""
        answers = await ask(ctx, client_roots=ListRootsRequest())
        if isinstance(answers, InputRequiredResult):
            return answers
        return f"The client has {len(answers['client_roots']['roots'])} roots."

    async def confirm(ctx: Context) -> str | InputRequiredResult:
        """Ask for a confirmation, with a state that has to come back as it was."""
        answers = await ask(ctx, confirm=elicit("Please confirm", only("ok", "boolean")))
        if isinstance(answers, InputRequiredResult):
            return answers
        return "state-ok"

    server.add_tool(confirm, name="test_input_required_result_request_state", structured_output=False)
    server.add_tool(confirm, name="test_input_required_result_tampered_state", structured_output=False)


def _add_rounds(server: MCPServer[Any]) -> None:
    @server.tool(structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: Context) -> str | InputRequiredResult:
        """Ask three things at once."""
        answers = await ask(
            ctx,
            user_name=elicit("What is your name?", NAME),
            greeting=sample("Generate a greeting", 50),
            client_roots=ListRootsRequest(),
        )
        return answers if isinstance(answers, InputRequiredResult) else "All three are known."

    @server.tool(structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        """Ask twice, one after the other."""
        name = await ask(ctx, step1=elicit("Step 1: What is your name?", NAME))
        if isinstance(name, InputRequiredResult):
            return name
        colour = await ask(ctx, step2=elicit("Step 2: What is your favorite color?", only("color", "string")))
        if isinstance(colour, InputRequiredResult):
            # what the first round learned has to come along
            return colour.model_copy(update={"request_state": json.dumps(name)})
        return f"{name['step1'].get('content')} likes {colour['step2'].get('content')}."

    @server.tool(structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        """Ask only what this client said it can answer."""
        able = ctx.client_capabilities
        questions: dict[str, InputRequest] = {}
        if able is not None and able.sampling is not None:
            questions["sampled"] = sample("Say hello", 50)
        if able is not None and able.elicitation is not None:
            questions["asked"] = elicit("What is your name?", NAME)
        answers = await ask(ctx, **questions)
        return answers if isinstance(answers, InputRequiredResult) else f"Asked {len(answers)} things."

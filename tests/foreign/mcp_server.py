"""A server made with the Python SDK (`mcp`), to rehearse against. Its tools do what the scenarios ask for by name."""

import asyncio
import base64
import os
import socket
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    CallToolResult,
    Completion,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    SamplingMessage,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from pydantic import BaseModel, Field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

server = MCPServer("foreign-mcp", version="1.0.0", log_level="ERROR")


class Weather(BaseModel):
    temperature: float
    unit: str


class User(BaseModel):
    username: Annotated[str, Field(description="User name")]
    email: Annotated[str, Field(description="Mail address")]


def text(words: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=words)])


@server.tool(annotations=READS)
def test_simple_text() -> str:
    """Returns a text"""
    return "a text"


@server.tool(annotations=READS)
def test_image_content() -> CallToolResult:
    """Returns an image"""
    return CallToolResult(content=[ImageContent(type="image", data=PIXEL, mime_type="image/png")])


@server.tool(annotations=READS)
def test_audio_content() -> CallToolResult:
    """Returns a sound"""
    return CallToolResult(content=[AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")])


def embedded() -> EmbeddedResource:
    resource = TextResourceContents(uri="test://embedded-resource", mime_type="text/plain", text="embedded")
    return EmbeddedResource(type="resource", resource=resource)


@server.tool(annotations=READS)
def test_embedded_resource() -> CallToolResult:
    """Returns an embedded resource"""
    return CallToolResult(content=[embedded()])


@server.tool(annotations=READS)
def test_multiple_content_types() -> CallToolResult:
    """Returns text, image and resource"""
    image = ImageContent(type="image", data=PIXEL, mime_type="image/png")
    return CallToolResult(content=[TextContent(type="text", text="three kinds"), image, embedded()])


@server.tool(annotations=READS)
def test_resource_link() -> CallToolResult:
    """Returns a link to a resource"""
    link = ResourceLink(type="resource_link", uri="test://static-text", name="static-text", mime_type="text/plain")
    return CallToolResult(content=[link])


@server.tool(annotations=READS)
def test_structured() -> Weather:
    """Returns structured content with a text copy"""
    return Weather(temperature=21.5, unit="celsius")


@server.tool(annotations=READS)
def test_error_handling() -> str:
    """Always fails"""
    raise ValueError("This tool always fails")


@server.tool(annotations=READS)
def test_echo(text: str) -> str:
    """Returns its text as it is"""
    return text


@server.tool(annotations=READS)
def test_large_result(bytes: Annotated[int, Field(ge=0, le=8_388_608)]) -> CallToolResult:
    """Returns a text of so many bytes"""
    return text("x" * bytes)


@server.tool(annotations=READS)
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports progress three times"""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"{done} of 100")
        await asyncio.sleep(0.02)
    await ctx.info("Progress is through")
    return "done"


@server.tool(annotations=READS)
async def test_tool_with_logging(ctx: Context) -> str:
    """Sends log messages while it works"""
    for words in ("one", "two", "three"):
        await ctx.info(words)
    return "logged"


@server.tool(annotations=READS)
async def test_slow(ms: Annotated[int, Field(ge=0)]) -> str:
    """Works for so many milliseconds"""
    await asyncio.sleep(ms / 1000)
    return f"worked {ms} ms"


@server.tool(annotations=READS)
async def test_sampling(prompt: str, ctx: Context) -> CallToolResult:
    """Asks the client's model"""
    question = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([question], max_tokens=100, related_request_id=ctx.request_id)
    return text(f"The model says {answer.content.text}")


@server.tool(annotations=READS)
async def test_list_roots(ctx: Context) -> CallToolResult:
    """Asks the client for its roots"""
    answer = await ctx.session.list_roots()
    return text(" ".join(str(root.uri) for root in answer.roots))


@server.tool(annotations=READS)
async def test_elicitation(message: str, ctx: Context) -> CallToolResult:
    """Asks the user for two values"""
    answer = await ctx.elicit(message, User)
    return text(f"The user chose {answer.action}")


@server.resource("test://static-text", name="static-text", mime_type="text/plain")
def static_text() -> str:
    """A text that never changes"""
    return "static"


@server.resource("test://static-binary", name="static-binary", mime_type="image/png")
def static_binary() -> bytes:
    """A small image"""
    return base64.b64decode(PIXEL)


@server.resource("test://template/{id}/data", name="template-data", mime_type="application/json")
def template(id: str) -> str:
    """Data of one id"""
    return f'{{"id": "{id}"}}'


@server.prompt()
def test_simple_prompt() -> str:
    """A prompt without arguments"""
    return "a prompt"


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    """A prompt that repeats its two arguments"""
    return [UserMessage(f"first {arg1}, second {arg2}")]


@server.completion()
async def complete(_reference, argument, _context):
    return Completion(values=[f"{argument.value}-{ending}" for ending in ("one", "two")], has_more=False)


if __name__ == "__main__":
    transport = os.environ.get("TRANSPORT", "http")
    if transport == "stdio":
        server.run("stdio")
        raise SystemExit
    app = server.sse_app() if transport == "sse" else server.streamable_http_app()
    # The socket is opened here, so that there is no time between choosing a free port and using it.
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])

"""A server made with the Python SDK (`mcp`) of the line 1, the last one that speaks WebSocket."""

import os
import socket

import uvicorn
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.websocket import websocket_server
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

READS = ToolAnnotations(readOnlyHint=True, openWorldHint=False)

server = FastMCP("foreign-mcp1", log_level="ERROR")


@server.tool(annotations=READS)
def test_simple_text() -> str:
    """Returns a text"""
    return "a text"


@server.tool(annotations=READS)
async def test_tool_with_progress(context: Context) -> str:
    """Reports progress three times"""
    for step in range(3):
        await context.report_progress(step * 50, 100)
    return "done"


@server.prompt()
def test_simple_prompt() -> str:
    """A prompt without arguments"""
    return "a prompt"


async def over_websocket(websocket):
    inner = server._mcp_server
    async with websocket_server(websocket.scope, websocket.receive, websocket.send) as (read, write):
        await inner.run(read, write, inner.create_initialization_options())


if __name__ == "__main__":
    transport = os.environ.get("TRANSPORT", "http")
    if transport == "stdio":
        server.run("stdio")
        raise SystemExit
    if transport == "websocket":
        app = Starlette(routes=[WebSocketRoute("/mcp", over_websocket)])
    else:
        app = server.sse_app() if transport == "sse" else server.streamable_http_app()
    # The socket is opened here, so that there is no time between choosing a free port and using it.
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])

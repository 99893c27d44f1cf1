"""The Python SDK as a client over one transport: handshake, tools, a call with progress, a question of the server.

Takes the transport and where to find the server; the command, for stdio. Writes a line of JSON about what came of it.
"""

import asyncio
import json
import os
import sys
import warnings
from contextlib import asynccontextmanager

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import CreateMessageResult, TextContent

warnings.simplefilter("ignore")


@asynccontextmanager
async def streams(transport: str, target: list[str]):
    if transport == "stdio":
        parameters = StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        async with stdio_client(parameters) as (read, write):
            yield read, write
    elif transport == "sse":
        async with sse_client(target[0]) as (read, write):
            yield read, write
    else:
        from mcp.client.websocket import websocket_client

        async with websocket_client(target[0]) as (read, write):
            yield read, write


async def sample(context, params):
    said = params.messages[0].content.text
    return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text=f"heard {said}"))


async def main() -> None:
    heard = []

    async def progress(done, total, message):
        heard.append(done)

    async with streams(sys.argv[1], sys.argv[2:]) as (read, write):
        async with ClientSession(read, write, sampling_callback=sample) as session:
            hello = await session.initialize()
            tools = await session.list_tools()
            slow = await session.call_tool("test_tool_with_progress", {}, progress_callback=progress)
            asked = await session.call_tool("test_sampling", {"prompt": "hello"})
            told = {
                "version": getattr(hello, "protocolVersion", None) or hello.protocol_version,
                "tools": len(tools.tools),
                "progress": heard,
                "slow": slow.content[0].text,
                "asked": asked.content[0].text,
            }
    print(json.dumps(told))


asyncio.run(main())

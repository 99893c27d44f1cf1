"""The Python SDK (`mcp`) without a login: lists the tools, calls one, and leaves."""

import asyncio
import sys

from mcp import Client


async def main() -> None:
    async with Client(sys.argv[1]) as client:
        await client.list_tools()
        result = await client.call_tool("test_simple_text", {})
        print(result.content[0].text)


asyncio.run(main())

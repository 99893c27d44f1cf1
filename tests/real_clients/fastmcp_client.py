"""The client of FastMCP with the OAuth that it brings along. It finds its browser in `BROWSER`."""

import asyncio
import sys

from fastmcp import Client

from pace import call_on


async def main() -> None:
    async with Client(sys.argv[1], auth="oauth") as client:

        async def call() -> str:
            result = await client.call_tool("test_simple_text", {})
            return result.content[0].text

        await call_on(call)


asyncio.run(main())

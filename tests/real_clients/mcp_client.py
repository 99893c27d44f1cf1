"""The Python SDK (`mcp`) with its OAuth provider. Storage, browser and callback are the host's part, and so are here."""

import asyncio
import os
import subprocess
import sys
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from pace import call_on


class Memory:
    """Tokens and registration for as long as the program runs."""

    tokens = None
    client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


class Callback:
    """The page on loopback to which the browser comes back."""

    async def listen(self) -> str:
        self.came = asyncio.get_running_loop().create_future()
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/callback"

    async def answer(self, reader, writer):
        path = (await reader.readline()).decode().split(" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        if not self.came.done():
            self.came.set_result(parse_qs(urlparse(path).query))

    async def wait(self) -> AuthorizationCodeResult:
        query = await self.came
        self.came = asyncio.get_running_loop().create_future()
        first = {name: values[0] for name, values in query.items()}
        return AuthorizationCodeResult(code=first["code"], state=first.get("state"), iss=first.get("iss"))


async def open_browser(url: str) -> None:
    await asyncio.to_thread(subprocess.run, [os.environ["BROWSER"], url], check=True)


async def main() -> None:
    url = sys.argv[1]
    callback = Callback()
    metadata = OAuthClientMetadata(client_name="Real client", redirect_uris=[await callback.listen()])
    provider = OAuthClientProvider(url, metadata, Memory(), open_browser, callback.wait)
    async with httpx2.AsyncClient(auth=provider, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:

            async def call() -> str:
                result = await client.call_tool("test_simple_text", {})
                return result.content[0].text

            await call_on(call)


asyncio.run(main())

"""A server made with FastMCP that takes access tokens of the issuer in `ISSUER`, and only those for itself."""

import os
import socket

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from mcp_types import ToolAnnotations

issuer = os.environ["ISSUER"]
# The socket is opened here, so that there is no time between choosing a free port and using it.
listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0"))))
origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
verifier = JWTVerifier(
    jwks_uri=f"{issuer}/jwks",
    issuer=issuer,
    audience=f"{origin}/mcp",
    algorithm="ES256",
    # A key that it does not know may be one from today.
    jwks_refresh_interval=0,
)
server = FastMCP(
    "foreign-guarded",
    version="1.0.0",
    # Asked of the verifier, a scope that is missing would look like a token that is wrong: 401 instead of 403.
    auth=RemoteAuthProvider(verifier, [issuer], base_url=origin, required_scopes=["mcp:read"]),
)


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))
def test_simple_text() -> str:
    """Returns a text"""
    return "a text"


if __name__ == "__main__":
    print(f"listening on {listener.getsockname()[1]}", flush=True)
    app = server.http_app(path="/mcp")
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])

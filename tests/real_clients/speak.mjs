// The TypeScript SDK without a login: lists the tools, calls one, and leaves. Behind `--` stands a command in place of a URL;
// with MCP_REMOTE set, mcp-remote stands between.

import { file, load, simple } from "./modules.mjs";

const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");

const [place, ...words] = process.argv.slice(2);

function transport() {
  if (process.env.MCP_REMOTE) {
    const args = [file("node_modules/mcp-remote/dist/proxy.js"), place];
    return new StdioClientTransport({ command: process.execPath, args, env: { ...process.env }, stderr: "inherit" });
  }
  if (place === "--") {
    const [command, ...args] = words;
    return new StdioClientTransport({ command, args, env: { ...process.env }, stderr: "inherit" });
  }
  return new StreamableHTTPClientTransport(new URL(place));
}

const client = new Client({ name: "real-client", version: "1.0.0" });
const line = transport();
await client.connect(line);
await client.listTools();
console.log(await simple(client)());
if (line.terminateSession) await line.terminateSession();
await client.close();
process.exit(0);

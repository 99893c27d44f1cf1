// mcp-remote between a client that knows only standard input and output and the server. It does all the OAuth itself.

import { callOn, file, load, simple } from "./modules.mjs";

const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");

const client = new Client({ name: "real-client", version: "1.0.0" });
await client.connect(
  new StdioClientTransport({
    command: process.execPath,
    args: [file("node_modules/mcp-remote/dist/proxy.js"), process.argv[2]],
    env: { ...process.env },
    stderr: "inherit",
  }),
);
await callOn(simple(client));
await client.close();
process.exit(0);

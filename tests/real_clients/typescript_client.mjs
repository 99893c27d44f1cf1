// The TypeScript SDK with an OAuthClientProvider. Storage, browser and callback are the host's part, and so are here.

import { execFile } from "node:child_process";
import { createServer } from "node:http";

import { callOn, load, simple } from "./modules.mjs";

const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { UnauthorizedError } = await load("@modelcontextprotocol/sdk/client/auth.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const url = new URL(process.argv[2]);

let came;
const params = new Promise((resolve) => (came = resolve));
const callback = createServer((request, response) => {
  response.end("ok");
  came(new URL(request.url, "http://127.0.0.1").searchParams);
});
await new Promise((resolve) => callback.listen(0, "127.0.0.1", resolve));
const redirectUrl = `http://127.0.0.1:${callback.address().port}/callback`;

/** Everything that the SDK asks its host to keep, for as long as the program runs. */
class Provider {
  redirectUrl = redirectUrl;
  clientMetadata = {
    client_name: "Real client",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };

  state() {
    return "a-state";
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
  }

  tokens() {
    return this.kept;
  }

  saveTokens(tokens) {
    this.kept = tokens;
  }

  redirectToAuthorization(place) {
    execFile(process.env.BROWSER, [place.href]);
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }
}

const provider = new Provider();
const client = () => new Client({ name: "real-client", version: "1.0.0" });
const transport = () => new StreamableHTTPClientTransport(url, { authProvider: provider });

let connected = client();
const first = transport();
try {
  await connected.connect(first);
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  await first.finishAuth((await params).get("code"));
  connected = client();
  await connected.connect(transport());
}
callback.close();

await callOn(simple(connected));
await connected.close();
process.exit(0);

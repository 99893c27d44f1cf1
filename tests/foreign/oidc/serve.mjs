// `oidc-provider` as the authorization server of a small guarded MCP endpoint on the same port. A person who always
// consents sits inside: they follow the redirects of a login with their own cookies, until it leaves for the client.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const found = createRequire(join(process.env.FOREIGN_MODULES, "here.cjs"));
const { Provider, errors } = await import(pathToFileURL(found.resolve("oidc-provider")).href);

const SCOPES = "mcp:read mcp:write";
const LIFETIME = Number(process.env.ACCESS_TTL ?? "3600");

let provider;
let origin;
const server = createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
});
await new Promise((resolve) => server.listen(Number(process.env.PORT ?? "0"), "127.0.0.1", resolve));
origin = `http://127.0.0.1:${server.address().port}`;
const resource = `${origin}/mcp`;

provider = new Provider(origin, {
  scopes: ["openid", "offline_access"],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ["a key of no importance"] },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, wanted) => {
        if (wanted !== resource) throw new errors.InvalidTarget();
        return { scope: SCOPES, accessTokenTTL: LIFETIME, accessTokenFormat: "opaque" };
      },
    },
  },
});
const authorizationServer = provider.callback();
console.log(`listening on ${server.address().port}`);

async function serve(request, response) {
  const url = new URL(request.url, origin);
  if (url.pathname === "/mcp") return guarded(request, response);
  if (url.pathname.startsWith("/.well-known/oauth-protected-resource")) {
    return json(response, 200, { resource, authorization_servers: [origin], scopes_supported: SCOPES.split(" ") });
  }
  if (url.pathname.startsWith("/interaction/")) return consent(request, response);
  if (url.pathname === "/auth" && request.method === "GET" && !request.headers["x-person"]) return person(url, response);
  return authorizationServer(request, response);
}

/** Goes through a login as a browser does, up to the place outside to which it leads, or the page where it ends. */
async function person(url, response) {
  const cookies = new Map();
  for (let hops = 0; hops < 10; hops += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", headers: { cookie, "x-person": "1" } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const location = answer.headers.get("location");
    if (!location) {
      response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/plain" });
      return response.end(await answer.text());
    }
    url = new URL(location, origin);
    if (url.origin !== origin) {
      response.writeHead(answer.status, { location });
      return response.end();
    }
  }
  throw new Error("the login goes in circles");
}

async function consent(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: "user-1" } });
  }
  const grant = new provider.Grant({ accountId: "user-1", clientId: params.client_id });
  grant.addOIDCScope("openid offline_access");
  grant.addResourceScope(resource, SCOPES);
  const grantId = await grant.save();
  return provider.interactionFinished(request, response, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

async function guarded(request, response) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const refuse = (status, error, scope = "mcp:read") => {
    const told = error ? `error="${error}", ` : "";
    const challenge = `Bearer ${told}resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp", scope="${scope}"`;
    response.setHeader("www-authenticate", challenge);
    return json(response, status, {});
  };
  const bearer = /^Bearer ([\w.~+/=-]+)$/i.exec(request.headers.authorization ?? "");
  if (!bearer) return request.headers.authorization ? refuse(400, "invalid_request") : refuse(401);
  const token = await provider.AccessToken.find(bearer[1]);
  if (!token?.isValid || token.aud !== resource) return refuse(401, "invalid_token");
  if (!token.scopes.has("mcp:read")) return refuse(403, "insufficient_scope");
  if (request.method !== "POST") return response.writeHead(405, { allow: "POST" }).end();
  const { id, method, params } = JSON.parse(Buffer.concat(pieces).toString());
  if (id === undefined) return response.writeHead(202).end();
  const known = {
    initialize: () => ({
      protocolVersion: ["2025-03-26", "2025-06-18"].includes(params.protocolVersion) ? params.protocolVersion : "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "foreign-oidc", version: "1.0.0" },
    }),
    ping: () => ({}),
    "tools/list": () => ({ tools: [tool] }),
    "tools/call": () => ({ content: [{ type: "text", text: "a text" }] }),
  };
  if (!known[method]) return json(response, 200, { jsonrpc: "2.0", id, error: { code: -32601, message: "unknown" } });
  return json(response, 200, { jsonrpc: "2.0", id, result: known[method]() });
}

const tool = {
  name: "test_simple_text",
  description: "Returns a text",
  inputSchema: { type: "object" },
  annotations: { readOnlyHint: true, openWorldHint: false },
};

function json(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

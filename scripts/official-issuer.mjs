// Puts an issuer before the official suite: registers a client, and is the browser that the suite asks for.
//
//   node official-issuer.mjs SUITE ISSUER
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';

const [suite, issuer] = process.argv.slice(2);

// A port that was free a moment ago; the suite listens there for the way back.
const port = await new Promise((resolve, reject) => {
  const server = createServer().on('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
const answer = await fetch(metadata.registration_endpoint, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    client_name: 'official suite',
    redirect_uris: [`http://127.0.0.1:${port}/callback`],
    token_endpoint_auth_method: 'none',
  }),
});
const client = await answer.json();
if (!client.client_id) throw new Error(`no client was registered: ${answer.status} ${JSON.stringify(client)}`);

const options = ['--url', issuer, '--client-id', client.client_id, '--port', String(port), '--resource', 'http://127.0.0.1:1/mcp'];
const judge = spawn(process.execPath, [suite, 'authorization', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
// Nobody is asked twice, and nothing takes longer than this.
const deadline = setTimeout(() => judge.kill(), 60_000);
let said = '';
let opened = false;
judge.stdout.on('data', (piece) => {
  process.stdout.write(piece);
  said += piece;
  const asked = said.match(/^http\S+[?&]response_type=code\S*\s/m);
  if (asked && !opened) {
    opened = true;
    browse(asked[0].trim());
  }
});

// The suite begins to listen only after it has said where to go; a browser that nobody listens to tries again.
function browse(url) {
  fetch(url).catch(() => setTimeout(() => judge.exitCode ?? browse(url), 200));
}

judge.on('close', (code) => {
  clearTimeout(deadline);
  process.exitCode = code ?? 1;
});

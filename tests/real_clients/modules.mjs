// Finds what `scripts/real-clients install` put into its folder, and holds what the clients in JavaScript share.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.REAL_CLIENT_MODULES;
const found = createRequire(join(folder, "here.cjs"));

/** A module of the installed packages. */
export const load = (name) => import(pathToFileURL(found.resolve(name)).href);

/** A file of the installed packages. */
export const file = (path) => join(folder, path);

const EVERY = 1000;

/** Awaits `call()` each second until the end of standard input, and tells each in a line of JSON. */
export async function callOn(call) {
  let over = false;
  const end = new Promise((resolve) => {
    process.stdin.on("end", () => {
      over = true;
      resolve();
    });
  });
  process.stdin.resume();
  while (!over) {
    let told;
    try {
      told = { ok: true, text: await call() };
    } catch (error) {
      told = { ok: false, error: `${error}` };
    }
    console.log(JSON.stringify(told));
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, EVERY))]);
  }
}

/** Calls the tool that every reference server has. */
export const simple = (client) => async () => {
  const result = await client.callTool({ name: "test_simple_text", arguments: {} });
  return result.content[0].text;
};

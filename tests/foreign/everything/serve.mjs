// Starts the package's own Streamable HTTP server, on a loopback port instead of every interface, and tells which.
import { Server } from "node:net";
import { pathToFileURL } from "node:url";

const listen = Server.prototype.listen;
Server.prototype.listen = function (...given) {
  const told = given.filter((item) => typeof item === "function");
  this.once("listening", () => console.log(`listening on ${this.address().port}`));
  return listen.call(this, { host: "127.0.0.1", port: Number(process.env.PORT ?? 0) }, ...told);
};

const entry = `${process.env.FOREIGN_MODULES}/@modelcontextprotocol/server-everything/dist/index.js`;
await import(pathToFileURL(entry).href);

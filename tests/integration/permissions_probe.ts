/** Tries what a node needs and what it mustn't do, and prints how each went. Begun in place of `neo run`. */
import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import process from "node:process";

const folder = process.argv.at(-1)!;

async function listens(host: string): Promise<void> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  server.close();
}

async function connects(host: string): Promise<void> {
  const socket = connect({ host, port: 9 });
  try {
    await once(socket, "connect");
  } catch (error) {
    if ((error as { code?: string }).code !== "ECONNREFUSED") throw error; // it may try, and nobody is there
  } finally {
    socket.destroy();
  }
}

const attempts: { readonly [what: string]: () => unknown } = {
  "reads neo.toml": () => readFileSync(join(folder, "neo.toml")),
  "writes neo.toml": () => writeFileSync(join(folder, "neo.toml"), "", { flag: "a" }),
  "reads its folder": () => readFileSync(join(folder, "s1", "storage.sqlite")),
  "writes its folder": () => writeFileSync(join(folder, "s1", "probe"), "x"),
  "writes its log": () => writeFileSync(join(folder, "log", "probe"), "x"),
  "reads another node's folder": () => readFileSync(join(folder, "m1", "master.sqlite")),
  "writes another node's folder": () => writeFileSync(join(folder, "m1", "probe"), "x"),
  "reads /etc/passwd": () => readFileSync("/etc/passwd"),
  "listens on 127.0.0.1": () => listens("127.0.0.1"),
  "connects to 127.0.0.1": () => connects("127.0.0.1"),
  "listens for everybody": () => listens("0.0.0.0"),
  "connects elsewhere": () => connects("192.0.2.77"),
  "sends datagrams": async () => {
    const socket = createSocket("udp4");
    try {
      socket.bind(0);
      await once(socket, "listening");
    } finally {
      socket.close();
    }
  },
  "runs a program": () => {
    const { error } = spawnSync("true");
    if (error) throw error;
  },
  "signals another process": () => process.kill(process.ppid, 0),
  "knows its NEO_ variables": () => process.env["NEO_LOG_FILE"],
  "knows HOME": () => process.env["HOME"],
  "knows all variables": () => Object.keys(process.env),
  "knows the machine's name": () => hostname(),
};

const found: { [what: string]: string } = {};
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    const escaped = new Promise<never>((_, reject) => {
      process.removeAllListeners("uncaughtException").once("uncaughtException", reject); // sockets throw it later
    });
    await Promise.race([attempt(), escaped]);
    found[what] = "yes";
  } catch (error) {
    const refused = error instanceof Error
      && (error.name === "NotCapable" || /Requires .* access/.test(error.message));
    found[what] = refused ? "refused" : String(error);
  }
}
// deno-lint-ignore no-console
console.log(JSON.stringify(found));
process.exit(0);

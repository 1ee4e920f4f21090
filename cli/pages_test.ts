import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serveHttp } from "../adapters/http.ts";
import { metric } from "../core/metrics.ts";
import { Meter } from "../roles/meter.ts";
import { parseConfig } from "./config.ts";
import { pagesOf, tokenOf } from "./pages.ts";
import type { NodeFigures } from "./pages.ts";

const HEAD = `cluster = "shop"\nclusterId = "${"0".repeat(32)}"\npartitions = 1\nreplicas = 0\n`;
const NODE = `[[node]]\nname = "m1"\nrole = "master"\naddress = "127.0.0.1:9100"\ndata = "m1"\n`;
const figures: NodeFigures = {
  ready: false,
  state: "seeking",
  details: { lastTid: 7n },
  families: [metric("gauge", "neo_epoch", "An epoch", 3)],
};

function serve(shown: () => NodeFigures, token?: string) {
  const pages = pagesOf({ name: "s1", role: "storage" }, shown, () => new Meter().families());
  return serveHttp({ address: "127.0.0.1:0", pages, ...(token === undefined ? {} : { token }) });
}

/** What a page answers; each request has its own connection. */
async function get(address: string, path: string, headers: Record<string, string> = {}, method = "GET") {
  const response = await fetch(`http://${address}${path}`, {
    method,
    headers: { connection: "close", ...headers },
  });
  return { status: response.status, text: await response.text() };
}

test("pages: lives is always ok, ready says whether the node can serve (P7)", async () => {
  let shown = figures;
  const server = await serve(() => shown, "secret");
  try {
    assert.deepEqual(await get(server.address, "/livez"), { status: 200, text: "ok\n" });
    assert.deepEqual(await get(server.address, "/readyz"), { status: 503, text: "seeking\n" });
    shown = { ...figures, ready: true, state: "serving" };
    assert.deepEqual(await get(server.address, "/readyz?sync"), { status: 200, text: "serving\n" });
  } finally {
    await server.close();
  }
});

test("pages: status and metrics want the whole token, and nothing but it", async () => {
  const server = await serve(() => figures, "secret");
  try {
    for (const authorization of ["", "Bearer", "Bearer secre", "Bearer secret2", "Basic secret"]) {
      for (const path of ["/status", "/metrics"]) {
        const { status, text } = await get(
          server.address,
          path,
          authorization === "" ? {} : { authorization },
        );
        assert.equal(status, 401, `${path} with "${authorization}"`);
        assert.doesNotMatch(text, /neo_epoch|seeking/);
      }
    }
    const headers = { authorization: "Bearer secret" };
    const { status, text } = await get(server.address, "/status", headers);
    assert.equal(status, 200);
    const { version: _, ...rest } = JSON.parse(text);
    assert.deepEqual(rest, { name: "s1", role: "storage", ready: false, state: "seeking", lastTid: "7" });
    assert.match((await get(server.address, "/metrics", headers)).text, /^neo_epoch 3$/m);
  } finally {
    await server.close();
  }
});

test("pages: without a token everybody may read; nobody may write, and other paths aren't there", async () => {
  const server = await serve(() => figures);
  try {
    assert.equal((await get(server.address, "/metrics")).status, 200);
    assert.deepEqual(await get(server.address, "/metrics", {}, "HEAD"), { status: 200, text: "" });
    assert.equal((await get(server.address, "/metrics", {}, "POST")).status, 405);
    assert.equal((await get(server.address, "/metrics/..%2f")).status, 404);
  } finally {
    await server.close();
  }
});

test("serveHttp: says which address it can't have", async () => {
  const server = await serve(() => figures);
  try {
    const second = serveHttp({ address: server.address, pages: new Map() });
    await assert.rejects(second, new RegExp(`Cannot listen at ${server.address} for HTTP`));
  } finally {
    await server.close();
  }
});

test("tokenOf: makes a token once, for its owner's eyes", () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-token-"));
  try {
    const text = `${HEAD}${NODE}http = "127.0.0.1:0"\nhttpTokenFile = "m1.token"\n`;
    const node = parseConfig(text, join(folder, "neo.toml")).nodes[0]!;
    const token = tokenOf(node)!;
    assert.match(token, /^[\w-]{43}$/);
    assert.equal(tokenOf(node), token);
    assert.equal(readFileSync(join(folder, "m1.token"), "utf8"), `${token}\n`);
    assert.equal(statSync(join(folder, "m1.token")).mode & 0o777, 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("parseConfig: pages that others can reach want a token, and a token wants pages", () => {
  const parse = (more: string) => () => parseConfig(`${HEAD}${NODE}${more}`, "/c/neo.toml");
  assert.throws(parse('http = "0.0.0.0:9180"\n'), /reached from elsewhere; it needs an httpTokenFile/);
  assert.throws(parse('httpTokenFile = "t"\n'), /there is no http/);
  assert.equal(parse('http = "0.0.0.0:9180"\nhttpTokenFile = "t"\n')().nodes[0]!.httpTokenFile, "/c/t");
  assert.equal(parse('http = "[::1]:9180"\n')().nodes[0]!.http, "[::1]:9180");
});

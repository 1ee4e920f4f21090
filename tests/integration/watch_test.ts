/** An admin of real processes that watches two clusters and tells a receiver what becomes of them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { CliCluster, within } from "./kit.ts";

test("16.5/137: an admin's notices follow what becomes of its cluster, and name one that isn't there (T54, T57)", async () => {
  const heard: { at: string; cluster: string; severity: string; findings: { text: string }[] }[] = [];
  let news = () => {};
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => body += part).on("end", () => {
      heard.push({ ...JSON.parse(body), at: request.url });
      response.end();
      news();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const until = (what: string, isThere: () => boolean) =>
    within(
      what,
      new Promise<void>((done) => {
        news = () => isThere() && done();
        news();
      }),
    );
  const of = (cluster: string, text: string) =>
    until(
      `a notice of ${text}`,
      () =>
        heard.some((notice) =>
          notice.cluster === cluster && notice.findings.some((finding) => finding.text.includes(text))
        ),
    );
  const severities = (where = "/one") =>
    heard.flatMap(({ at, cluster, severity }) => (cluster === "shop" && at === where ? [severity] : []));
  try {
    await using cluster = await CliCluster.init({ storages: 2, replicas: 1, partitions: 12 });
    const hook = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const watch = `[[cluster]]\nuri = "${cluster.uri}"\n[[cluster]]\nuri = "neo://wiki@127.0.0.1:1"\n`;
    writeFileSync(
      join(cluster.folder, "watch.toml"),
      `${watch}[[notify]]\nname = "one"\nwebhook = "${hook}one"\n[[notify]]\nname = "two"\nwebhook = "${hook}two"\n`,
    );
    const file = join(cluster.folder, "neo.toml");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replace('role = "admin"', 'role = "admin"\nwatch = "watch.toml"'));
    cluster.reload();
    await cluster.start();
    await of("wiki", "no primary answers");
    await cluster.kill9("s2");
    await of("shop", "storage s2 is unavailable");
    assert.equal(severities().at(-1), "problem");
    await cluster.ok("start", "s2");
    await until("all is well", () => severities().at(-1) === "ok");
    const ofWiki = heard.filter(({ cluster }) => cluster === "wiki").map(({ at }) => at);
    assert.deepEqual(ofWiki.sort(), ["/one", "/two"], "nothing is said twice");

    await cluster.ok("config", "set", "notify.to=two", "watch.lookMs=1000");
    await within(
      "the admin has taken it",
      (async () => {
        while ((await cluster.neo("config", "status", "--json")).exitCode !== 0);
      })(),
    );
    const before = severities();
    await cluster.kill9("s2");
    await until("the other one is told", () => severities("/two").at(-1) === "problem");
    assert.deepEqual(severities(), before, "who isn't named any more is told nothing");
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

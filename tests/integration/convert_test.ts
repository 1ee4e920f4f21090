/** A storage's data go to a PostgreSQL server and back, with real processes (T33). */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { withServer } from "../postgres_kit.ts";
import { postgresServer } from "../postgres_server.ts";
import type { PostgresServer } from "../postgres_server.ts";
import { CliCluster } from "./kit.ts";
import { Load } from "./load.ts";

const found = await postgresServer();
if ("reason" in found) test("node convert (T33)", { skip: found.reason }, () => {});
else {
  after(() => found.server.end());
  testOn(found.server);
}

function testOn(server: PostgresServer): void {
  test("node convert moves a storage to a server and back; every commit is read there, and copies are equal (T33)", async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 6 });
    const load = await Load.on(cluster);
    load.run();
    await load.acknowledge(30);
    await load.rest();
    const running = await cluster.neo("node", "convert", "s1", "--to", "postgres", "--database", server.url);
    assert.equal(running.exitCode, 6);
    assert.match(running.stderr, /s1: it runs\nHint: stop it first/);
    const file = join(cluster.folder, "s1", "storage.sqlite");
    for (const [to, ...flags] of [["postgres", "--database", server.url], ["sqlite"]] as const) {
      await cluster.stop();
      const moved = await cluster.ok("node", "convert", "s1", "--to", to, ...flags, "--json");
      assert.ok(moved.json.revisions > 30);
      cluster.reload();
      const { database } = cluster.node("s1");
      assert.deepEqual(
        [database?.split("?")[1], existsSync(file)],
        to === "postgres" ? ["schema=shop_s1", false] : [undefined, true],
      );
      assert.equal(existsSync(`${file}.converted`), true, "what it had before stays");
      await cluster.start();
      await load.check(await cluster.connect());
      const { cells } = (await cluster.ok("table", "verify", "--json")).json;
      assert.ok(cells.every(({ state }: { state: string }) => state === "equal"));
    }
    const same = await (await cluster.stop(), cluster.neo("node", "convert", "s1", "--to", "sqlite"));
    assert.deepEqual([same.exitCode, /are in .* already/.test(same.stderr)], [6, true]);
    await withServer(server.url, async (sql) => {
      await sql.unsafe("DROP SCHEMA shop_s1_converted CASCADE");
    });
  });

  test("node convert begins anew where an earlier one was broken off, and takes nothing of another node's away (T33)", async () => {
    await using cluster = await CliCluster.init({ storages: 2, replicas: 1, partitions: 6 });
    const left = `${server.url}?schema=left_over`;
    // what a broken-off attempt leaves: a database with the node's own disk id
    await cluster.ok("node", "convert", "s1", "--to", "postgres", "--database", left);
    const toml = join(cluster.folder, "neo.toml");
    const { formatConfig } = await import("../../cli/config.ts");
    writeFileSync(toml, formatConfig(cluster.config, ({ name }) => name));
    const { renameSync } = await import("node:fs");
    const file = join(cluster.folder, "s1", "storage.sqlite");
    renameSync(`${file}.converted`, file);
    await cluster.ok("node", "convert", "s1", "--to", "postgres", "--database", left);
    const other = await cluster.neo("node", "convert", "s2", "--to", "postgres", "--database", left);
    assert.equal(other.exitCode, 6);
    assert.match(other.stderr, /left_over is another node's/);
    await withServer(server.url, async (sql) => {
      await sql.unsafe("DROP SCHEMA left_over CASCADE");
    });
  });
}

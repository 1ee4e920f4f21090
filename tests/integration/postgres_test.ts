/** Clusters of real processes whose storages keep their data on a PostgreSQL server, some or all of them (T33). */
import assert from "node:assert/strict";
import process from "node:process";
import { after, test } from "node:test";
import { askPrimary } from "../../cli/ask.ts";
import { withServer } from "../postgres_kit.ts";
import { postgresServer } from "../postgres_server.ts";
import type { PostgresServer } from "../postgres_server.ts";
import { CliCluster, WITHIN_MS } from "./kit.ts";
import { Load } from "./load.ts";

const KILLS = process.env["NEO_SOAK"] ? 20 : 3;

const found = await postgresServer();
if ("reason" in found) test("clusters on PostgreSQL (T33)", { skip: found.reason }, () => {});
else {
  after(() => found.server.end());
  testOn(found.server);
}

function testOn(server: PostgresServer): void {
  test("a cluster whose storages are on PostgreSQL is made in one command, and its copies are equal (T33)", async () => {
    await using cluster = await CliCluster.init({ storages: 2, partitions: 6, database: server.url });
    await cluster.start();
    assert.deepEqual(cluster.nodes("storage").map(({ database }) => database?.split("?")[1]), [
      "schema=shop_s1",
      "schema=shop_s2",
    ]);
    const load = await Load.on(cluster);
    load.run();
    await load.acknowledge(30);
    await load.rest();
    await load.check(await cluster.connect());
    const verified = await cluster.ok("table", "verify", "--json");
    assert.ok(
      verified.json.cells.every(({ state }: { state: string }) => state === "equal"),
      verified.stdout,
    );
    await cluster.stop();
    await dropSchemas(server);
  });

  test("some storages on SQLite, some on PostgreSQL: copies go from one to the other under load (T33, N3)", async () => {
    await using cluster = await CliCluster.started({ storages: 1, partitions: 6 });
    const load = await Load.on(cluster);
    load.run();
    await load.acknowledge(20);
    await cluster.ok("node", "add", "s2", "--database", server.url);
    await cluster.ok("cluster", "replicas", "1");
    await cluster.ok("table", "tweak");
    await load.acknowledge(20);
    cluster.reload();
    await whole(cluster, 12);
    await load.rest();
    await load.check(await cluster.connect());
    await cluster.ok("pack", "--days", "0", "--yes");
    for (let packing = ["s1"]; packing.length > 0;) {
      packing = ((await cluster.ok("status", "--json")).json.pack as { packing: string[] }).packing;
    }
    const verified = await cluster.ok("table", "verify", "--json");
    assert.ok(
      verified.json.cells.every(({ state }: { state: string }) => state === "equal"),
      verified.stdout,
    );
    const { total } = (await cluster.ok("cluster", "size", "--json")).json;
    assert.equal(total.history, 0, "history is packed on both (T13)");
    await cluster.stop();
    await dropSchemas(server);
  });

  const skip = server.foreign ?? false;
  test(
    `the server is killed ${KILLS} times under load: nothing acknowledged is lost, and the storages come back (T33)`,
    { skip },
    async () => {
      await using cluster = await CliCluster.init({
        storages: 1,
        replicas: 0,
        partitions: 6,
        database: server.url,
      });
      await cluster.start();
      const load = await Load.on(cluster);
      load.run();
      for (let kill = 0; kill < KILLS; kill++) {
        await load.acknowledge(20);
        await server.kill();
        await server.restart();
      }
      await load.acknowledge(20);
      await load.rest();
      await load.check(await cluster.connect());
      await cluster.stop();
      await dropSchemas(server);
    },
  );
}

/** Waits until so many cells are readable. */
async function whole(cluster: CliCluster, cells: number): Promise<void> {
  const target = { kind: "folder", config: cluster.config, uri: cluster.uri } as const;
  const isWanted = ({ nodes }: { nodes: readonly { readonly readable: number }[] }): boolean =>
    nodes.reduce((sum, { readable }) => sum + readable, 0) === cells;
  assert.ok(isWanted(await askPrimary("listNodes", {}, target, { withinMs: WITHIN_MS, isWanted })));
}

async function dropSchemas({ url }: PostgresServer): Promise<void> {
  await withServer(url, async (sql) => {
    for (const name of ["shop_s1", "shop_s2"]) await sql.unsafe(`DROP SCHEMA IF EXISTS ${name} CASCADE`);
  });
}

import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { askPrimary } from "../../cli/ask.ts";
import type { StorageReport } from "../../core/messages.ts";
import { CliCluster, WITHIN_MS } from "./kit.ts";
import { Load } from "./load.ts";

/** Waits until the primary's list of storages is as it should be; it is asked again when the table or a node changes. */
async function listed(
  cluster: CliCluster,
  isWanted: (nodes: readonly StorageReport[]) => boolean,
): Promise<readonly StorageReport[]> {
  const target = { kind: "folder", config: cluster.config, uri: cluster.uri } as const;
  const options = {
    withinMs: WITHIN_MS,
    isWanted: ({ nodes }: { nodes: readonly StorageReport[] }) => isWanted(nodes),
  };
  const { nodes } = await askPrimary("listNodes", {}, target, options);
  assert.ok(isWanted(nodes), JSON.stringify(nodes));
  return nodes;
}

/** Whether these storages, and no others, have so many cells each, all readable. */
function have(wanted: { readonly [name: string]: number }): (nodes: readonly StorageReport[]) => boolean {
  const names = Object.keys(wanted);
  return (nodes) =>
    nodes.length === names.length
    && nodes.every(({ name, cells, readable, feeding }) =>
      cells === wanted[name] && readable === cells && feeding === 0
    );
}

test("under load storages come and go, and copies become more and fewer: no commit fails, none is lost (N3)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 12 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(50);

  const added = (await cluster.ok("node", "add", "--json")).json;
  assert.deepEqual([added.name, added.state, added.next], ["s3", "running", "neo table tweak"]);
  cluster.reload();
  const dry = (await cluster.ok("table", "tweak", "--dry-run", "--json")).json;
  assert.deepEqual([dry.copied, dry.feeding, dry.dropped], [8, 8, 0]);
  await load.acknowledge(20);
  assert.match(
    (await cluster.ok("table", "tweak")).stdout,
    /^shop: 8 cells being copied, 8 cells staying until then\n/,
  );
  await listed(cluster, have({ s1: 8, s2: 8, s3: 8 }));
  await load.acknowledge(50);

  await cluster.ok("cluster", "replicas", "2");
  await cluster.ok("table", "tweak");
  await listed(cluster, have({ s1: 12, s2: 12, s3: 12 }));
  await load.acknowledge(50);
  await cluster.ok("cluster", "replicas", "1");
  await cluster.ok("table", "tweak");
  await listed(cluster, have({ s1: 8, s2: 8, s3: 8 }));
  await load.acknowledge(50);

  const s1 = cluster.process("s1");
  await cluster.ok("node", "drain", "s1");
  await listed(cluster, have({ s2: 12, s3: 12 }));
  await cluster.gone(s1);
  await load.acknowledge(50);
  const status = await cluster.neo("status");
  assert.match(status.stdout, /node s1 is no member\n/);
  assert.match(status.stdout, /\nNext: neo node drop s1 --yes\n$/);
  await cluster.ok("node", "drop", "s1", "--yes");
  cluster.reload();
  assert.deepEqual(cluster.nodes("storage").map(({ name }) => name), ["s2", "s3"]);
  assert.ok(existsSync(join(cluster.folder, "s1", "storage.sqlite")), "its data stay");
  assert.equal((await cluster.ok("status", "--json")).json.healthy, true);

  await load.rest();
  assert.deepEqual(load.failures.map(({ message }) => message), []);
  assert.deepEqual(load.readFailures.map(({ message }) => message), []);
  await load.check(await cluster.connect());
});

test("a storage whose disk is lost is replaced under load: the new one has all its cells (N3, B7)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 6 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(30);
  await cluster.kill9("s2");
  rmSync(join(cluster.folder, "s2"), { recursive: true });
  const lost = await cluster.neo("start", "s2");
  assert.equal(lost.exitCode, 1);
  assert.match(lost.stderr, /Cannot find the data of s2: .*neo node add s2 --replace s2/);

  const refused = await cluster.neo("node", "add", "s2");
  assert.equal(refused.exitCode, 6);
  assert.match(
    refused.stderr,
    /Cannot add s2: it is a member already, and unavailable\nHint: .*--replace s2\n$/,
  );
  const replaced = await cluster.ok("node", "add", "s2", "--replace", "s2");
  assert.match(replaced.stdout, /^shop: added storage s2 at .* in place of s2\nNext: neo node list\n$/);
  const nodes = await listed(cluster, have({ s1: 6, s2: 6 }));
  assert.deepEqual(nodes.map(({ index }) => index), [2, 5], "no index is used again (D1)");
  await load.acknowledge(30);
  await cluster.kill9("s1"); // all that was acknowledged is on the new disk too
  await load.acknowledge(10).catch(() => {});
  await load.rest();
  await load.check(await cluster.connect());
});

test("neo node kill ends a storage, drop gives it up, and both say what stands in the way (T22)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 4 });
  const s2 = cluster.process("s2");
  assert.match(
    (await cluster.ok("node", "kill", "s2")).stdout,
    /^shop: asked storage s2 to end\nNext: neo node list\n$/,
  );
  await cluster.gone(s2);
  await listed(cluster, (nodes) => nodes.some(({ name, state }) => name === "s2" && state === "unavailable"));

  const cases: readonly { args: readonly string[]; exitCode: number; says: RegExp }[] = [
    {
      args: ["table", "tweak"],
      exitCode: 6,
      says: /storage s2 doesn't run; start it, or leave it out with --ignore\n$/,
    },
    {
      args: ["node", "drop", "s1"],
      exitCode: 2,
      says: /without --yes: its 4 cells would be given up\nHint: .*node drain s1/,
    },
    {
      args: ["node", "drop", "s1", "--yes"],
      exitCode: 6,
      says: /s1: it has the only readable copy of partitions 0, 1, 2, 3;/,
    },
    { args: ["node", "kill", "s1"], exitCode: 6, says: /the only readable copy of partitions/ },
    { args: ["node", "drain", "s2"], exitCode: 6, says: /1 storages would be left for 2 copies/ },
    {
      args: ["node", "drop", "s9", "--yes"],
      exitCode: 7,
      says: /no storage has this name\nHint: storages: s1, s2\n$/,
    },
    {
      args: ["node", "add", "m1"],
      exitCode: 6,
      says: /Cannot add m1: it is a node of this cluster, of role master/,
    },
    { args: ["cluster", "replicas", "2"], exitCode: 6, says: /Cannot keep 3 copies: there are 2 storages/ },
  ];
  for (const { args, exitCode, says } of cases) {
    const result = await cluster.neo(...args);
    assert.deepEqual([result.exitCode, result.stdout], [exitCode, ""], args.join(" "));
    assert.match(result.stderr, says);
  }
  assert.match((await cluster.ok("table", "tweak", "--ignore", "s2")).stdout, /^shop: nothing to do\n/);
  assert.equal(
    (await cluster.ok("table", "show")).stdout.replace(/table \S+,/, "table,"),
    "shop: table, 4 partitions, 1 replicas\n0 to 3\n  s1  UUUU\n  s2  OOOO\n"
      + "U up to date, O out of date, F feeding until others are up to date, C corrupted\n",
  );
  const rows = (await cluster.ok("table", "show", "--json")).json.rows;
  assert.deepEqual(rows[0].map(({ node, state }: Record<string, string>) => [node, state]), [
    ["s1", "upToDate"],
    ["s2", "outOfDate"],
  ]);

  await cluster.ok("node", "drop", "s2", "--yes");
  assert.match((await cluster.ok("node", "list")).stdout, /^NODE .*\ns1 +running +\S+ +4\/4 +\S+% +- +1\n$/);
  assert.match(
    (await cluster.ok("cluster", "show")).stdout,
    /\nCopies: +2 of each partition, on 1 storages\n/,
  );
});

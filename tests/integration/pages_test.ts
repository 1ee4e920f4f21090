/** The pages of real nodes, read as a monitor reads them. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { toOid } from "../../mod.ts";
import { CliCluster } from "./kit.ts";

/** What stands on a page of metrics, strictly: each sample belongs to the family that HELP and TYPE have announced. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const families = new Set<string>();
  let [help, type, family] = ["", "", ""];
  assert.ok(text.endsWith("\n"));
  for (const line of text.slice(0, -1).split("\n")) {
    const head = /^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line);
    if (head?.[1] === "HELP") {
      help = head[2]!;
      assert.ok(!families.has(help), `${help} stands there once`);
      families.add(help);
    } else if (head) {
      [family, type] = [head[2]!, head[3]!];
      assert.equal(family, help, "TYPE follows HELP");
      assert.match(type, /^(counter|gauge|histogram)$/);
      if (type === "counter") assert.match(family, /_total$/);
    } else {
      const sample =
        /^([a-z0-9_:]+)((?:\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})?) (\S+)$/
          .exec(line);
      assert.ok(sample, `a sample: ${line}`);
      const [, name, labels, value] = sample;
      const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      assert.ok(suffixes.some((suffix) => name === family + suffix), `${name} belongs to ${family}`);
      assert.ok(!samples.has(name! + labels!), `${line} stands there once`);
      assert.ok(!Number.isNaN(Number(value!.replace("Inf", "Infinity"))), line);
      samples.set(name! + labels!, Number(value!.replace("Inf", "Infinity")));
    }
  }
  return samples;
}

/** Gives each node pages with one token. */
function withPages(cluster: CliCluster): void {
  const file = join(cluster.folder, "neo.toml");
  const text = readFileSync(file, "utf8");
  const pages = '[[node]]\nhttp = "127.0.0.1:0"\nhttpTokenFile = "pages.token"';
  writeFileSync(file, text.replaceAll("[[node]]", pages));
  cluster.reload();
}

test("neo start: masters, storages and admins tell how they are over HTTP (P7)", async () => {
  await using cluster = await CliCluster.init({ storages: 2, replicas: 1, partitions: 12 });
  withPages(cluster);
  await cluster.start();
  const headers = {
    authorization: `Bearer ${readFileSync(join(cluster.folder, "pages.token"), "utf8").trim()}`,
    connection: "close",
  };
  const get = async (name: string, path: string, status = 200): Promise<string> => {
    const line = cluster.log(name).find((line) => JSON.stringify(line).includes("Pages are served"));
    const response = await fetch(`http://${line!["address"]}${path}`, { headers });
    assert.equal(response.status, status, `${name} ${path}`);
    return await response.text();
  };
  const scrape = async (name: string): Promise<Map<string, number>> => parse(await get(name, "/metrics"));

  const client = await cluster.connect();
  const write = () =>
    client.transact(async (tx) => {
      await tx.load(toOid(1)); // what the write starts from
      tx.store(toOid(1), new Uint8Array(8));
    });
  for (let commit = 0; commit < 3; commit++) await write();
  for (const [name, state] of [["m1", "running"], ["s1", "serving"], ["a1", "running"]] as const) {
    assert.equal(await get(name, "/livez"), "ok\n");
    assert.equal(await get(name, "/readyz"), `${state}\n`);
    assert.equal(JSON.parse(await get(name, "/status")).state, state);
    assert.equal((await scrape(name)).get("neo_ready"), 1);
  }
  const master = await scrape("m1");
  const expected = {
    neo_commits_total: 3,
    neo_cluster_running: 1,
    neo_primary: 1,
    neo_clients: 1,
    neo_nodes_down: 0,
    'neo_cells{state="readable"}': 24,
    'neo_cells{state="outdated"}': 0,
    'neo_node_up{node="s2"}': 1,
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(master.get(name), value, name);
  assert.equal(master.get("neo_round_seconds_count"), master.get('neo_round_seconds_bucket{le="+Inf"}'));
  const storage = await scrape("s1");
  assert.equal(storage.get('neo_questions_total{message="vote"}'), 3);
  assert.ok(storage.get("neo_free_bytes")! > 0);

  await cluster.kill9("s2");
  await write(); // s2's cells are outdated before it commits
  const after = await scrape("m1");
  assert.equal(after.get("neo_nodes_down"), 1);
  assert.equal(after.get('neo_cells{state="outdated"}'), 12);
  assert.equal(after.get('neo_node_up{node="s2"}'), 0);
  await cluster.kill9("m1");
  await get("s1", "/livez");
});

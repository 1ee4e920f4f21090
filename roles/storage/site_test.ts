import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { Body } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  asNode,
  asPartition,
  errorsOf,
  helloAs,
  only,
  serveStorage,
  storageBench,
  storageDisk,
  tableOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";

/** Table version 2: s2's cell of partition 0 is outdated. */
function change(more: Partial<Body<"tableChange">> = {}): Body<"tableChange"> {
  const next = tableOf();
  const cells = [{ partition: asPartition(0), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  return { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 1, ...more };
}

test("StorageMachine keeps its partition table in its database, and begins with it again (T30)", () => {
  const disk = storageDisk(1);
  const bench = storageBench(disk);
  const primary = serveStorage(bench);

  const effects = bench.told(primary, "tableChange", change());

  assert.deepEqual(only(effects, "save").map(({ write, durable }) => [write.op, durable]), [["image", true]]);
  disk.crash(0);
  const restarted = storageBench(disk);
  restarted.give({ type: "opened" });
  const { conn } = restarted.reached(PRIMARY, helloAs("master"));
  const fence = { epoch: 2, session: 1, node: asNode(2) };
  const [error] = errorsOf(restarted.asked(conn, "fence", { ...fence, image: tableOf().toImage() }));
  assert.equal(error?.code, "staleTable");
  assert.match(error?.message ?? "", /table 1\.1, this storage has 1\.2/);
});

test("StorageMachine answers the fence with the table that it goes on with (T30)", () => {
  const bench = storageBench();
  const primary = serveStorage(bench);
  bench.told(primary, "tableChange", change());
  const table = tableOf();
  table.apply(7, []);

  const fence = { epoch: 2, session: 2, node: asNode(2), image: table.toImage() };
  const effects = bench.asked(primary, "fence", fence);

  assert.deepEqual(answersOf(effects, "fence").map(({ generation, version }) => [generation, version]), [[
    1,
    7,
  ]]);
});

const misfits = [
  { what: "a base that it doesn't have", body: { base: 5, version: 6 } },
  { what: "a base that it has left behind", body: { base: 0, version: 1 } },
  { what: "another generation", body: { generation: 2 } },
  { what: "a digest that doesn't fit the result", body: { digest: new Uint8Array(16) } },
];
for (const { what, body } of misfits) {
  test(`StorageMachine asks for the whole table after a difference with ${what}, and takes that (T30)`, () => {
    const bench = storageBench();
    const primary = serveStorage(bench);
    const effects = bench.told(primary, "tableChange", change(body));
    assert.deepEqual(only(effects, "save"), []);
    const [question] = asksOf(effects, "askTable");
    assert.equal(question?.conn, primary);
    const whole = tableOf();
    whole.apply(6, []);

    const taken = bench.answered(question!, { image: whole.toImage() });

    assert.deepEqual(only(taken, "save").map(({ write }) => write.op), ["image"]);
  });
}

test("No handler of a storage holds, reads or changes the table by itself: Site has it, tables.ts takes it (T30)", () => {
  const folder = new URL("./", import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"));
  const users = (pattern: RegExp) =>
    sources.filter((name) => pattern.test(readFileSync(new URL(name, folder), "utf8"))).sort();
  assert.deepEqual(users(/\bnew PartitionTable|PartitionTable\.ofImage|\.toImage\(\)/), [
    "site.ts",
    "storage.ts",
    "tables.ts",
  ]);
  assert.deepEqual(users(/\.table = /), ["site.ts", "tables.ts"]);
  assert.deepEqual(users(/op: "image"/), ["tables.ts"]);
});

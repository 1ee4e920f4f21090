import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { Conn, NodeIndex, Oid, Tid } from "../../core/ids.ts";
import { USE_HALF_LIFE_MS, USE_REPORT_MS } from "../../core/limits.ts";
import type { AskMessage } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { DatabaseAnswer } from "../../core/ports.ts";
import { Site } from "./site.ts";
import type { StorageRead } from "./site.ts";
import { Use } from "./use.ts";

const PRIMARY = 7 as Conn;
const oid = (value: number) => BigInt(value) as Oid;

/** Storage 2, with a cell of each of four partitions; an object's partition is its last digit in base 4. */
function stage(): { use: Use; told: () => string[] } {
  const table = PartitionTable.deal({ partitions: 4, replicas: 1, nodes: [1, 2] as NodeIndex[] });
  const site = new Site({ digest: sha256, epoch: 1, image: table.toImage() });
  site.index = 2 as NodeIndex;
  const told = () =>
    site.taken().flatMap((effect) => {
      assert.ok(effect.do === "tell" && effect.message.name === "use");
      return effect.message.body.cells.map(({ partition, reads, writes, bytes }) =>
        `${partition}: ${reads}r ${writes}w ${bytes}B`
      );
    });
  return { use: new Use(site), told };
}

const message = (name: string, body: object) => ({ name, body }) as unknown as AskMessage;
const load = (of: number) => message("load", { oid: oid(of) });

test("Use counts reads, writes and bytes of each cell, and tells them in its interval (T41)", () => {
  const { use, told } = stage();
  assert.equal(use.dueMs, undefined, "nothing is told of nothing (T10)");
  use.asked(message("store", { oid: oid(1), data: new Uint8Array(100) }), 1_000);
  use.asked(message("store", { oid: oid(1), data: null }), 2_000);
  use.asked(message("check", { oid: oid(5) }), 2_000);
  use.asked(message("part", { oid: oid(2), data: new Uint8Array(30) }), 2_000);
  use.asked(load(3), 2_000);
  use.asked(message("loadMany", { oids: [oid(3), oid(7), oid(0)] }), 2_000);
  use.asked(message("vote", { ttid: 1n }), 2_000);
  const data = new Uint8Array(50);
  const stored = { compression: 0, checksum: data, data };
  const revision = { tid: 1n as Tid, next: null, stored, link: null };
  const answered = (context: object, result: object) =>
    use.read(context as StorageRead, result as DatabaseAnswer, 2_000);
  answered({ for: "load", oid: oid(3) }, { read: "load", known: true, revision });
  answered({ for: "loadPart", oid: oid(3) }, { read: "loadPart", known: true, part: stored });
  answered({ for: "loadMany" }, {
    read: "loadMany",
    objects: [{ oid: oid(0), known: true, revision }, { oid: oid(3), known: false, revision: null }],
  });
  assert.equal(use.dueMs, 1_000 + USE_REPORT_MS);
  use.due(PRIMARY, 999 + USE_REPORT_MS);
  assert.deepEqual(told(), []);
  use.due(PRIMARY, 1_000 + USE_REPORT_MS);
  assert.deepEqual(told(), ["1: 0r 3w 100B", "2: 0r 1w 30B", "3: 3r 0w 100B", "0: 1r 0w 50B"]);
  assert.equal(use.dueMs, undefined);
});

test("Use counts half what was an hour ago, and tells only of cells that were used since (T41)", () => {
  const { use, told } = stage();
  for (let i = 0; i < 100; i++) use.asked(load(1), 0);
  use.asked(load(2), 0);
  use.due(PRIMARY, USE_REPORT_MS);
  told();
  use.asked(load(1), USE_REPORT_MS + USE_HALF_LIFE_MS - 1);
  use.due(PRIMARY, 2 * USE_REPORT_MS + USE_HALF_LIFE_MS);
  const [line] = told();
  assert.match(line!, /^1: (49|50)r 0w 0B$/);
});

test("Use tells a new primary all that it knows, and waits while there is none", () => {
  const { use, told } = stage();
  use.asked(load(1), 0);
  use.due(undefined, USE_REPORT_MS);
  assert.deepEqual([told(), use.dueMs], [[], 2 * USE_REPORT_MS]);
  use.begin(PRIMARY, USE_REPORT_MS + 1);
  assert.deepEqual(told(), ["1: 1r 0w 0B"]);
  use.begin(PRIMARY, 40 * USE_HALF_LIFE_MS);
  assert.deepEqual(told(), [], "what was used long ago is forgotten");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import { toOid, ttidOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession, Conn } from "../../core/ids.ts";
import { LOCK_WAIT_MS, OBJECT_BYTES_MAX, RESERVE_BYTES, USE_REPORT_MS } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import {
  answersOf,
  asNode,
  asPartition,
  errorsOf,
  helloAs,
  only,
  serveStorage,
  storageBench,
  tableOf,
} from "../../tests/machines.ts";
import type { BenchOf } from "../../tests/machines.ts";
import type { StorageMachine } from "./storage.ts";

const ttid = ttidOf(1 as ClientSession, 1);
const data = new TextEncoder().encode("hello");

function storeOf(oid: number, more: Partial<Body<"store">> = {}): Body<"store"> {
  return {
    ttid,
    version: 1,
    ageMs: 5,
    oid: toOid(oid),
    base: ZERO_TID,
    compression: 0,
    checksum: sha256(data),
    data,
    link: null,
    restore: false,
    ...more,
  };
}

/** Storage s1 of two without replicas: it has the even partitions of four. A client is connected. */
function halfStorage(): { bench: BenchOf<StorageMachine>; primary: Conn; client: Conn } {
  const bench = storageBench();
  const primary = serveStorage(bench, { table: tableOf({ replicas: 0 }) });
  const { conn: client } = bench.comes(helloAs("client", { session: 1, epoch: 1 }));
  return { bench, primary, client };
}

test("StorageMachine stores an object of its own partition whose checksum fits (T56)", () => {
  const { bench, client } = halfStorage();
  const effects = bench.asked(client, "store", storeOf(2));
  assert.deepEqual(answersOf(effects, "store"), [{ lockless: false }]);
  const stored = only(effects, "save").map(({ write }) =>
    write.op === "store" && [write.oid, write.partition]
  );
  assert.deepEqual(stored, [[2n, 2]]);
});

const wrong: { what: string; store: Body<"store">; code: string; names: RegExp }[] = [
  {
    what: "an object of a partition that it has no cell of",
    store: storeOf(3),
    code: "notAssigned",
    names: /object 3.*partition 3.*version 1/,
  },
  {
    what: "data that its checksum doesn't fit",
    store: storeOf(2, { checksum: sha256(Uint8Array.of(1)) }),
    code: "badChecksum",
    names: /object 2.*checksum/,
  },
  {
    what: "data with no checksum",
    store: storeOf(2, { checksum: new Uint8Array() }),
    code: "badChecksum",
    names: /object 2/,
  },
  {
    what: "data that is too large",
    store: storeOf(2, { data: new Uint8Array(OBJECT_BYTES_MAX + 1) }),
    code: "tooLarge",
    names: /67108865.*67108864/,
  },
  {
    what: "an object in another client's transaction",
    store: storeOf(2, { ttid: ttidOf(2 as ClientSession, 1) }),
    code: "denied",
    names: /another client session/,
  },
];
for (const { what, store, code, names } of wrong) {
  test(`StorageMachine refuses ${what} as ${code}, and keeps nothing of it (T56)`, () => {
    const { bench, client } = halfStorage();

    const effects = bench.asked(client, "store", store);

    assert.deepEqual(effects.map((effect) => effect.do), ["refuse"]);
    const [error] = errorsOf(effects);
    assert.equal(error?.code, code);
    assert.match(error?.message ?? "", names);
    assert.equal(bench.machine.load.transactions, 0);
  });
}

test("StorageMachine checks the partition of a check too (T56)", () => {
  const { bench, client } = halfStorage();
  const body = { ttid, version: 1, ageMs: 5, oid: toOid(1), base: ZERO_TID };
  assert.deepEqual(errorsOf(bench.asked(client, "check", body)).map(({ code }) => code), ["notAssigned"]);
});

test("StorageMachine takes a deletion without data and checksum (T56)", () => {
  const { bench, client } = halfStorage();
  const effects = bench.asked(client, "store", storeOf(2, { data: null, checksum: new Uint8Array() }));
  assert.equal(answersOf(effects, "store").length, 1);
});

test("StorageMachine that is short of space refuses stores, says so to its primary, and takes them again later", () => {
  const { bench, primary, client } = halfStorage();
  const low = bench.give({ type: "room", freeBytes: RESERVE_BYTES - 1 });
  const told = only(low, "tell").map(({ conns, message }) => [conns[0], message.name, message.body]);
  assert.deepEqual(told, [[primary, "space", { low: true, freeBytes: RESERVE_BYTES - 1 }]]);
  const [error] = errorsOf(bench.asked(client, "store", storeOf(2)));
  assert.equal(error?.code, "noSpace");
  assert.match(error?.message ?? "", /67108863 bytes are free, 67108864 are kept in reserve/);
  assert.deepEqual(bench.give({ type: "room", freeBytes: RESERVE_BYTES - 2 }), [], "said once");

  bench.give({ type: "room", freeBytes: RESERVE_BYTES + data.length });

  assert.equal(answersOf(bench.asked(client, "store", storeOf(2)), "store").length, 1);
});

test("StorageMachine counts what it takes against the room that it knows of, until it hears of it anew", () => {
  const { bench, client } = halfStorage();
  bench.give({ type: "room", freeBytes: RESERVE_BYTES + 2 * data.length });
  const codes = [0, 2, 4].map((oid) =>
    errorsOf(bench.asked(client, "store", storeOf(oid))).map(({ code }) => code)
  );
  assert.deepEqual(codes, [[], [], ["noSpace"]]);
});

test("StorageMachine has room for votes, locks and tables when it is short of space", () => {
  const { bench, client } = halfStorage();
  bench.asked(client, "store", storeOf(2));
  bench.give({ type: "room", freeBytes: 0 });
  const digest = evidenceDigest(
    [{ oid: toOid(2), base: ZERO_TID, mode: "store", checksum: sha256(data) }],
    sha256,
  );
  const body = { ttid, version: 1, home: asPartition(2), count: 1, digest, note: null };
  assert.equal(answersOf(bench.asked(client, "vote", body), "vote").length, 1);
});

/** The next table: s2's cell of partition 1 is outdated. */
function nextTable() {
  const next = tableOf({ replicas: 0 });
  const cells = [{ partition: asPartition(1), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  return { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 1 };
}

test("StorageMachine keeps a request of a newer table until it has that table", () => {
  const { bench, primary, client } = halfStorage();
  assert.deepEqual(bench.asked(client, "store", storeOf(2, { version: 2 })), []);
  assert.equal(bench.machine.load.parked, 1);

  const effects = bench.told(primary, "tableChange", nextTable());

  assert.equal(answersOf(effects, "store").length, 1);
  const image = effects.findIndex((effect) => effect.do === "save" && effect.write.op === "image");
  const stored = effects.findIndex((effect) => effect.do === "answer");
  assert.ok(0 <= image && image < stored);
  assert.equal(bench.machine.load.parked, 0);
});

test("StorageMachine tells a request that waited too long for a table which it needs and which is here", () => {
  const { bench, client } = halfStorage();
  bench.asked(client, "load", { oid: toOid(2), at: ZERO_TID, version: 8 }, 900_000);
  assert.deepEqual(bench.pass(LOCK_WAIT_MS - 1), []);

  const [error] = errorsOf(bench.pass(1));

  assert.equal(error?.code, "timedOut");
  assert.match(error?.message ?? "", /needs table version 8, this storage has 1/);
});

test("StorageMachine lets requests wait for as long as it is configured (T51)", () => {
  const { bench, client, primary } = halfStorage();
  const values = [{ key: "storage.lockWaitMs", value: "200" }];
  bench.told(primary, "config", { revision: 1, isWhole: true, values });
  bench.asked(client, "load", { oid: toOid(2), at: ZERO_TID, version: 8 }, 900_000);
  assert.deepEqual(bench.pass(199), []);
  assert.equal(errorsOf(bench.pass(1))[0]?.code, "timedOut");
});

test("StorageMachine forgets what waits when its client goes", () => {
  const { bench, primary, client } = halfStorage();
  bench.asked(client, "store", storeOf(2, { version: 2 }));
  bench.lost(client);
  assert.equal(bench.machine.load.parked, 0);
  assert.deepEqual(answersOf(bench.told(primary, "tableChange", nextTable()), "store"), []);
  assert.equal(
    bench.machine.due(),
    bench.now.monoMs + USE_REPORT_MS,
    "only the report of what it was used for",
  );
});

const partitions: {
  name: "digest" | "transactions" | "vote";
  ask: (b: BenchOf<StorageMachine>, c: Conn) => unknown[];
}[] = [
  {
    name: "digest",
    ask: (bench, conn) =>
      errorsOf(bench.asked(conn, "digest", { partition: asPartition(4), upTo: ZERO_TID, version: 1 })),
  },
  {
    name: "transactions",
    ask: (bench, conn) => {
      const body = {
        partitions: [asPartition(0), asPartition(4)],
        after: ZERO_TID,
        upTo: ZERO_TID,
        count: 1,
        version: 1,
      };
      return errorsOf(bench.asked(conn, "transactions", body));
    },
  },
  {
    name: "vote",
    ask: (bench, conn) => {
      const body = { ttid, version: 1, home: asPartition(4), count: 0, digest: new Uint8Array(), note: null };
      return errorsOf(bench.asked(conn, "vote", body));
    },
  },
];
for (const { name, ask } of partitions) {
  test(`StorageMachine refuses a ${name} of a partition that can't be, and says how many there are`, () => {
    const { bench, client } = halfStorage();
    assert.deepEqual(ask(bench, client), [
      { code: "wrongPartition", message: "Cannot serve partition 4: the cluster has 4" },
    ]);
  });
}

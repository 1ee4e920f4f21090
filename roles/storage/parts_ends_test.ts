/** How parts that wait for their store end, and how they are read when it came (T19). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { toOid, ttidOf } from "../../core/ids.ts";
import type { ClientSession } from "../../core/ids.ts";
import { LOCK_WAIT_MS, TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import {
  answersOf,
  asksOf,
  asNode,
  asPartition,
  asTid,
  errorsOf,
  helloAs,
  only,
  serveStorage,
  storageBench,
  storageDisk,
  tableOf,
} from "../../tests/machines.ts";
import {
  bytesOf,
  codeOf,
  loadedParts,
  partOf,
  publish,
  scene,
  sendParts,
  storeOf,
  texts,
  ttid,
  voteOf,
} from "../../tests/parts_hand.ts";
import type { Scene } from "../../tests/parts_hand.ts";

test("StorageMachine doesn't ask for the fate of a transaction whose parts still come (A12)", () => {
  const { bench, primary, client } = scene();
  for (let seq = 0; seq < 5; seq++) {
    assert.equal(codeOf(bench.asked(client, "part", partOf(2, seq))), undefined);
    assert.deepEqual(asksOf(bench.pass(TRANSACTION_TIMEOUT_MS - 1), "settle"), []);
  }
  const [settle] = asksOf(bench.pass(1), "settle");
  assert.deepEqual([settle?.conn, settle?.message.body], [primary, { ttid, asks: false }]);

  bench.answered(settle!, { accepted: false });

  assert.equal(bench.machine.load.transactions, 0);
  assert.equal(codeOf(bench.asked(client, "part", partOf(2, 5))), "lacks");
});

const ends: { title: string; end: (stage: Scene) => unknown }[] = [
  {
    title: "aborts it",
    end: ({ bench, client }) => bench.told(client, "abort", { ttid, epoch: 0, nodes: [] }),
  },
  { title: "is lost", end: ({ bench, client }) => bench.lost(client) },
  {
    title: "has no session",
    end: ({ bench, primary }) => bench.told(primary, "sessionEnded", { epoch: 1, session: 1 }),
  },
  {
    title: "loses the epoch",
    end: ({ bench, primary }) =>
      bench.asked(primary, "fence", {
        epoch: 2,
        session: 2,
        node: asNode(2),
        image: tableOf({ replicas: 0 }).toImage(),
      }),
  },
];
for (const { title, end } of ends) {
  test(`StorageMachine drops a transaction of parts only when its client ${title} (T19)`, () => {
    const disk = storageDisk(1);
    const stage = scene(disk);
    sendParts(stage);
    assert.equal(stage.bench.machine.load.transactions, 1);
    const writes = only(end(stage) as ReturnType<Scene["bench"]["give"]>, "save").map(({ write }) => write);
    assert.deepEqual(writes.filter(({ op }) => op === "abort"), [{ op: "abort", ttid }]);
    assert.equal(stage.bench.machine.load.transactions, 0);
  });
}

test("StorageMachine has no parts after a restart, unless they were voted on", () => {
  const disk = storageDisk(1);
  const stage = scene(disk);
  sendParts(stage);
  sendParts(stage, 4);
  stage.bench.asked(stage.client, "store", storeOf(2));
  stage.bench.asked(stage.client, "vote", voteOf([storeOf(2)]));
  disk.crash();
  const bench = storageBench(disk);
  assert.equal(bench.machine.load.transactions, 1);
  bench.give({ type: "opened" });
  const { conn: primary } = bench.reached("primary", helloAs("master", { name: "m1" }));
  const image = tableOf({ replicas: 0 }).toImage();
  bench.asked(primary, "fence", { epoch: 2, session: 2, node: asNode(2), image });
  bench.asked(primary, "lock", { epoch: 2, ttid, tid: asTid(40) });
  bench.told(primary, "unlock", { epoch: 2, ttid, tid: asTid(40) });
  bench.asked(primary, "start", { epoch: 2, lastTid: asTid(40), sessions: [3], sessionMark: 3 });
  const { conn: client } = bench.comes(helloAs("client", { session: 3, epoch: 2 }));
  assert.deepEqual(loadedParts({ bench, primary, client, rival: client }, asTid(40)), texts);
});

test("StorageMachine takes no part of a transaction that commits", () => {
  const stage = scene();
  const { bench, primary, client } = stage;
  sendParts(stage);
  bench.asked(client, "store", storeOf(2));
  bench.asked(client, "vote", voteOf([storeOf(2)]));
  bench.asked(primary, "lock", { epoch: 1, ttid, tid: asTid(40) });
  assert.deepEqual(errorsOf(bench.asked(client, "part", partOf(4, 0))).map(({ code }) => code), ["denied"]);
  bench.told(primary, "unlock", { epoch: 1, ttid, tid: asTid(40) });
  assert.deepEqual(loadedParts(stage, asTid(40)), texts);
});

test("StorageMachine forgets the parts of a partition whose cell was outdated, and no others (T19)", () => {
  const bench = storageBench();
  const primary = serveStorage(bench);
  const { conn: client } = bench.comes(helloAs("client", { session: 1, epoch: 1 }));
  const stage = { bench, primary, client, rival: client };
  sendParts(stage, 2, texts.slice(0, 1));
  sendParts(stage, 3, texts.slice(0, 1));
  const next = tableOf();
  const cells = [{ partition: asPartition(3), node: asNode(2), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  const change = { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 1 };
  bench.told(primary, "tableChange", change);

  assert.equal(codeOf(bench.asked(client, "part", partOf(3, 1))), "lacks");
  assert.equal(codeOf(bench.asked(client, "part", partOf(2, 1))), undefined);
  assert.equal(codeOf(bench.asked(client, "part", partOf(3, 0))), undefined, "its cell takes them anew");
});

test("StorageMachine keeps parts of a newer table waiting, in their order, and drops those of an aborted transaction", () => {
  const stage = scene();
  const { bench, primary, client } = stage;
  for (const seq of [0, 1]) assert.deepEqual(bench.asked(client, "part", partOf(2, seq, { version: 2 })), []);
  const later = ttidOf(1 as ClientSession, 2);
  bench.asked(client, "part", partOf(4, 0, { version: 2, ttid: later }));
  const [error] = errorsOf(bench.told(client, "abort", { ttid: later, epoch: 0, nodes: [] }));
  assert.deepEqual([error?.code, bench.machine.load.parked], ["aborted", 2]);

  const next = tableOf({ replicas: 0 });
  const cells = [{ partition: asPartition(1), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  const change = { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 1 };
  const effects = bench.told(primary, "tableChange", change);

  assert.equal(answersOf(effects, "part").length, 2);
  assert.equal(codeOf(bench.asked(client, "part", partOf(2, 2))), undefined);
  bench.asked(client, "part", partOf(2, 3, { version: 9 }));
  assert.deepEqual(errorsOf(bench.pass(LOCK_WAIT_MS)).map(({ code }) => code), ["timedOut"]);
});

test("StorageMachine lets a loadPart wait for the unlock of its revision, and no other (T19)", () => {
  const stage = scene();
  const { bench, primary, client, rival } = stage;
  sendParts(stage);
  bench.asked(client, "store", storeOf(2));
  bench.asked(client, "vote", voteOf([storeOf(2)]));
  bench.asked(primary, "lock", { epoch: 1, ttid, tid: asTid(40) });
  const ask = (tid: number) =>
    bench.asked(rival, "loadPart", { oid: toOid(2), tid: asTid(tid), seq: 1, version: 1 });
  assert.equal(codeOf(ask(39)), "oidUnknown");
  assert.deepEqual(ask(40), []);

  const effects = bench.told(primary, "unlock", { epoch: 1, ttid, tid: asTid(40) });

  assert.deepEqual(answersOf(effects, "loadPart").map(({ data }) => data), [bytesOf("secnd")]);
});

const refusedLoads: { what: string; body: Partial<Body<"loadPart">>; code: string }[] = [
  { what: "behind the last one", body: { seq: 3 }, code: "noSuchRevision" },
  { what: "of another revision", body: { tid: asTid(41) }, code: "noSuchRevision" },
  { what: "of an object that is no more than an id", body: { oid: toOid(4) }, code: "oidUnknown" },
  { what: "of a partition that it may not be read in", body: { oid: toOid(3) }, code: "notReadable" },
];
for (const { what, body, code } of refusedLoads) {
  test(`StorageMachine refuses a loadPart ${what} as ${code}`, () => {
    const stage = scene();
    const { bench, client } = stage;
    sendParts(stage);
    bench.asked(client, "store", storeOf(2));
    publish(stage, storeOf(2), 40);
    const asked = { oid: toOid(2), tid: asTid(40), seq: 0, version: 1, ...body };
    const [error] = errorsOf(bench.asked(client, "loadPart", asked));
    assert.equal(error?.code, code);
    assert.match(error?.message ?? "", new RegExp(`^Cannot (load object|read partition) ${asked.oid}: `));
  });
}

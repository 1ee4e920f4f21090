/** What every `Database` answers about what is final. */
import assert from "node:assert/strict";
import type { Ttid } from "../../core/ids.ts";
import { MAX_TID } from "../../core/ids.ts";
import type { Note } from "../../core/messages.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import {
  bytesOf,
  commit,
  committed,
  dataOf,
  Driver,
  homeOf,
  IDENTITY,
  type MakeDatabase,
  noteOf,
  oidOf,
  PARTITIONS,
  store,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";

type WithTtid = Extract<DatabaseWrite, { ttid: Ttid }>;
const ttid1 = ttidOf(1);

/** The part of the suite about queries. */
export function testDatabaseQueries(name: string, make: MakeDatabase): void {
  testLoads(name, make);
  testLoadMany(name, make);
  testMarks(name, make);
  testTransactions(name, make);
  testDigest(name, make);
  testDigestDifferences(name, make);
}

function testLoads(name: string, make: MakeDatabase): void {
  testWith(`${name}: load gives the newest revision at a time, and which is next`, make, async (kit) => {
    const db = await Driver.open(kit);
    for (const tid of [10, 20, 30]) await db.save(...commit(tid, [[1, `value ${tid}`]]));
    await db.save(...commit(40, [[4, "a neighbour in the partition"]]));

    const cases = [
      { at: 9, tid: undefined, next: undefined },
      { at: 10, tid: 10, next: 20 },
      { at: 19, tid: 10, next: 20 },
      { at: 20, tid: 20, next: 30 },
      { at: 30, tid: 30, next: null },
      { at: 40, tid: 30, next: null },
    ];
    for (const { at, tid, next } of cases) {
      const { known, revision } = await db.load(1, tidAt(at));
      assert.equal(known, true, `at ${at}`);
      assert.equal(revision?.tid, tid && tidAt(tid), `at ${at}`);
      assert.equal(revision?.next, next && tidAt(next), `at ${at}`);
    }
    assert.deepEqual(await db.load(7), { read: "load", known: false, revision: null });
    assert.deepEqual([await db.latest(1), await db.latest(7)], [tidAt(30), tidAt(0)]);
  });

  testWith(`${name}: loadExact gives one revision, or says whether the object exists`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(10, [[1, "one"]]), ...commit(20, [[1, null]]));

    const first = { tid: tidAt(10), next: tidAt(20), stored: dataOf("one"), link: null };
    const deleted = { tid: tidAt(20), next: null, stored: null, link: null };
    assert.deepEqual(await db.loadExact(1, 10), { read: "loadExact", known: true, revision: first });
    assert.deepEqual(await db.loadExact(1, 20), { read: "loadExact", known: true, revision: deleted });
    assert.deepEqual(await db.loadExact(1, 15), { read: "loadExact", known: true, revision: null });
    assert.deepEqual(await db.loadExact(2, 10), { read: "loadExact", known: false, revision: null });
  });
}

function testLoadMany(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: loadMany answers in the order of the question, until it has enough bytes`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      await db.save(
        ...commit(10, [[1, "12345"], [2, "1234"], [3, null], [4, "1"]]),
        ...commit(20, [[4, "now"]]),
      );
      const many = async (values: readonly number[], bytesMax: number) => {
        const query = { read: "loadMany", oids: values.map(oidOf), at: tidAt(15), bytesMax } as const;
        return (await db.ask<"loadMany">(query)).objects;
      };

      const objects = await many([4, 9, 3, 1, 4], 100);
      assert.deepEqual(objects.map(({ oid, known }) => [oid, known]), [
        [oidOf(4), true],
        [oidOf(9), false],
        [oidOf(3), true],
        [oidOf(1), true],
        [oidOf(4), true],
      ]);
      const later = { tid: tidAt(10), next: tidAt(20), stored: dataOf("1"), link: null };
      assert.deepEqual(objects[0]?.revision, later);
      assert.equal(objects[1]?.revision, null);
      assert.deepEqual(objects[2]?.revision?.stored, null);
      const counts = [
        { oids: [1, 2, 4], bytesMax: 100, count: 3 },
        { oids: [1, 2, 4], bytesMax: 10, count: 3 },
        { oids: [1, 2, 4], bytesMax: 9, count: 2 },
        { oids: [1, 2, 4], bytesMax: 8, count: 1 },
        { oids: [1, 2, 4], bytesMax: 0, count: 1 },
        { oids: [9, 3, 9, 1], bytesMax: 0, count: 3 },
        { oids: [], bytesMax: 100, count: 0 },
      ];
      for (const { oids, bytesMax, count } of counts) {
        assert.equal((await many(oids, bytesMax)).length, count, `${oids} within ${bytesMax}`);
      }
    },
  );
}

function testMarks(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: marks gives each partition's newest transaction and the highest oid`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      assert.deepEqual(await db.marks(), { read: "marks", lastTids: [], lastOid: null, lastTtid: null });

      const check = store(ttid1, oidOf(900), null, { mode: "check" });
      await db.save(...commit(2, [[5, "a"]]), ...commit(3, [[3, "b"]]), ...commit(8, [[6, "c"]]), check);
      const lastTids = [
        { partition: homeOf(0), tid: tidAt(3) },
        { partition: homeOf(2), tid: tidAt(8) },
      ];
      const { lastTtid, ...marks } = await db.marks();
      assert.deepEqual(marks, { read: "marks", lastTids, lastOid: oidOf(6) });

      await db.save(store(ttid1, oidOf(70), "not final"));
      assert.equal((await db.marks()).lastOid, oidOf(70));
      await db.save({ op: "abort", ttid: ttid1 });
      assert.equal((await db.marks()).lastOid, oidOf(6));
      await db.save(...commit(9, [[6, null]]));
      assert.equal((await db.marks()).lastOid, oidOf(6), "a deleted object has its id for ever");

      const { lastTtid: lastFinal } = await db.marks();
      assert.ok(lastFinal !== null && lastFinal > lastTtid!, "of a final transaction");
      const later = (lastFinal + 5n) as Ttid;
      await db.save(store(later, oidOf(80), "voted"), vote(later, null));
      assert.equal((await db.marks()).lastTtid, later, "or of a vote");
      await db.save({ op: "abort", ttid: later });
      assert.equal((await db.marks()).lastTtid, lastFinal);
    },
  );

  testWith(`${name}: fate tells a final transaction by its ttid`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...committed(5, [store(ttid1, oidOf(1), "one")]));
    await db.save(...committed(6, [store(ttidOf(2), oidOf(1), "two")]));
    await db.save(store(ttidOf(3), oidOf(1), "three"), vote(ttidOf(3), noteOf("three")));
    await db.save({ op: "lock", ttid: ttidOf(3), tid: tidAt(7) });

    assert.deepEqual(await Promise.all([1, 2, 3, 4].map((value) => db.fate(ttidOf(value)))), [
      tidAt(5),
      tidAt(6),
      null,
      null,
    ]);
  });
}

function testTransactions(name: string, make: MakeDatabase): void {
  testWith(`${name}: transactions gives pages of some home partitions in tid order`, make, async (kit) => {
    const db = await Driver.open(kit);
    for (const tid of [9, 3, 6, 12, 4, 7]) await db.save(...commit(tid, [[tid, `value ${tid}`]]));
    const page = async (range: Parameters<Driver["transactions"]>[1], partitions: number | number[] = 0) =>
      (await db.transactions(partitions, range)).map(({ tid }) => Number(tid));

    assert.deepEqual(await page({}), [3, 6, 9, 12]);
    assert.deepEqual(await page({ count: 2 }), [3, 6]);
    assert.deepEqual(await page({ after: 6, count: 2 }), [9, 12]);
    assert.deepEqual(await page({ after: 12 }), []);
    assert.deepEqual(await page({ upTo: tidAt(9) }), [3, 6, 9]);
    assert.deepEqual(await page({ upTo: tidAt(8), after: 3 }), [6]);
    assert.deepEqual(await page({}, 1), [4, 7]);
    assert.deepEqual(await page({}, 2), []);
    assert.deepEqual(await page({ count: 0 }), []);
    assert.deepEqual(await page({}, []), []);
    assert.deepEqual(await page({}, [2, 1, 0, 1]), [3, 4, 6, 7, 9, 12]);
    assert.deepEqual(await page({ count: 3 }, [0, 1]), [3, 4, 6]);
    assert.deepEqual(await page({ after: 4, upTo: tidAt(9), count: 3 }, [1, 0]), [6, 7, 9]);
  });

  testWith(`${name}: transactions gives notes as they were voted`, make, async (kit) => {
    const db = await Driver.open(kit);
    const oids = [oidOf(7), oidOf(1), oidOf(7), oidOf(0)];
    const notes = [
      { status: "p", user: bytesOf(""), description: bytesOf(""), extension: bytesOf(""), oids: [] },
      {
        status: "",
        user: new Uint8Array(65_535).fill(255),
        description: bytesOf("x"),
        extension: bytesOf("\0"),
        oids,
      },
    ];
    for (const [index, note] of notes.entries()) {
      const ttid = ttidOf(index + 1);
      const tid = tidAt(3 * index + 1);
      await db.save(vote(ttid, note, 1), { op: "lock", ttid, tid }, { op: "unlock", ttid, tid });
    }

    const expected = notes.map((note, index) => ({
      tid: tidAt(3 * index + 1),
      ttid: ttidOf(index + 1),
      ...note,
    }));
    assert.deepEqual(await db.transactions(1), expected);
  });
}

function testDigest(name: string, make: MakeDatabase): void {
  testWith(`${name}: digest is the same for the same rows, however they came`, make, async (kit) => {
    const expected = await digestsAfter(make, history());
    assert.deepEqual(expected.map(({ count }) => count), [5, 0, 0]);
    const db = await Driver.open(kit);
    const writes = history();
    const unlocks = writes.filter(({ op }) => op === "unlock");
    // The link can't be resolved while the first transaction isn't final: the bytes come with it.
    const early = writes.map((write) => (write.op === "store" && write.link !== null
      ? { ...write, stored: dataOf("three") }
      : write)
    );
    for (const write of early.filter(({ op }) => op !== "unlock")) await db.save(write);
    await db.save(store(ttidOf(9), oidOf(0), "never final"), ...unlocks.reverse());

    assert.deepEqual(await db.digest(0), expected[0]);
  });

  testWith(
    `${name}: digest ends where it is told, and covers as many rows as there are`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      const upTo3 = history().slice(0, 5);
      assert.deepEqual(await digestsAfter(make, history(), tidAt(5)), await digestsAfter(make, upTo3));
      for (let tid = 1; tid <= 1_000; tid++) await db.saveLazily(...commit(3 * tid, [[3, `value ${tid}`]]));
      const [all, less] = [await db.digest(0), await db.digest(0, tidAt(2_999))];
      assert.deepEqual([all.count, less.count], [2_000, 1_998]);
      assert.notDeepEqual(all.digest, less.digest);
      assert.equal(all.digest.length, 32);
    },
  );
}

function testDigestDifferences(name: string, make: MakeDatabase): void {
  const title3 = (note: Note | null) => changed(({ op, ttid }) => op === "vote" && ttid === ttid1, { note });
  const stored = (ttid: Ttid, oid: number, more: object) =>
    changed((write) => write.op === "store" && write.ttid === ttid && write.oid === oidOf(oid), more);
  const differences = [
    { title: "data", change: stored(ttid1, 3, { stored: dataOf("other") }) },
    { title: "an object", change: stored(ttid1, 0, { oid: oidOf(6) }) },
    { title: "a deletion that is empty data", change: stored(ttid1, 0, { stored: dataOf("") }) },
    { title: "a link", change: stored(ttidOf(2), 3, { link: null, stored: dataOf("three") }) },
    { title: "a ttid", change: changed(({ ttid }) => ttid === ttid1, { ttid: ttidOf(77) }) },
    { title: "a status", change: title3({ ...noteOf("transaction 3", [oidOf(3), oidOf(0)]), status: "p" }) },
    { title: "a note", change: title3(null) },
    { title: "the order of oids", change: title3(noteOf("transaction 3", [oidOf(0), oidOf(3)])) },
  ];
  for (const { title, change } of differences) {
    testWith(`${name}: digest differs by ${title}`, make, async (kit) => {
      await kit.open();
      const [expected] = await digestsAfter(make, history());
      const [other] = await digestsAfter(make, history(change));
      assert.notDeepEqual(other?.digest, expected?.digest);
    });
  }
}

/** Two transactions of partition 0: an object and a deletion, then an undo. */
function history(
  change: (writes: DatabaseWrite[]) => DatabaseWrite[] = (writes) => writes,
): DatabaseWrite[] {
  const first = store(ttidOf(1), oidOf(3), "three");
  const undo = store(ttidOf(2), oidOf(3), null, { link: tidAt(3) });
  return change([...committed(3, [first, store(ttidOf(1), oidOf(0), null)]), ...committed(6, [undo])]);
}

/** Digests of all partitions after some writes. */
async function digestsAfter(make: MakeDatabase, writes: readonly DatabaseWrite[], upTo = MAX_TID) {
  const kit = make(IDENTITY);
  try {
    const db = await Driver.open(kit);
    await db.save(...writes);
    const all = [];
    for (let partition = 0; partition < PARTITIONS; partition++) all.push(await db.digest(partition, upTo));
    return all;
  } finally {
    await kit.end();
  }
}

/** Changes some writes of a history. */
function changed(which: (write: WithTtid) => boolean, more: object) {
  return (writes: DatabaseWrite[]): DatabaseWrite[] =>
    writes.map((write) => ("ttid" in write && which(write) ? { ...write, ...more } : write));
}

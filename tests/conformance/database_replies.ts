/** What every `Database` answers to another copy of a partition. */
import assert from "node:assert/strict";
import { MAX_TID } from "../../core/ids.ts";
import type { DatabaseAnswers, DatabaseWrite } from "../../core/ports.ts";
import {
  bytesOf,
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  homeOf,
  IDENTITY,
  type MakeDatabase,
  manifestOf,
  noteOf,
  oidOf,
  store,
  storeParts,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";
import { history, keyOf, place } from "./database_replica_kit.ts";

const ttid1 = ttidOf(1);
const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Revisions of partition 0 in the history, as tid.oid. */
const ALL = ["3.0", "3.3", "4.3", "6.0", "9.0", "9.3"];

/** The part of the suite about the questions of other copies. */
export function testDatabaseReplies(name: string, make: MakeDatabase): void {
  testSlices(name, make);
  testKeys(name, make);
  testRows(name, make);
  testRowLimits(name, make);
  testStocked(name, make);
}

function testSlices(name: string, make: MakeDatabase): void {
  testWith(`${name}: slices cuts a range behind whole tids, by rows (A19)`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...history);
    const cut = async (range: Parameters<Driver["slices"]>[1]) =>
      (await db.slices(0, range)).map(({ upTo, rows }) => [upTo === MAX_TID ? "end" : Number(upTo), rows]);

    assert.deepEqual(await cut({ count: 1 }), [["end", 9]]);
    assert.deepEqual(await cut({ count: 2 }), [[6, 6], ["end", 3]]);
    assert.deepEqual(await cut({ count: 3 }), [[3, 3], [6, 3], ["end", 3]]);
    assert.deepEqual(await cut({ count: 100 }), [[3, 3], [4, 1], [6, 2], ["end", 3]]);
    assert.deepEqual(await cut({ count: 0 }), [["end", 9]]);
    assert.deepEqual(await cut({ after: 3, count: 2 }), [[6, 3], ["end", 3]]);
    assert.deepEqual(await cut({ after: 3, upTo: tidAt(8), count: 2 }), [[8, 3]]);
    assert.deepEqual(await cut({ after: 9, upTo: tidAt(30), count: 5 }), [[30, 0]]);
    assert.deepEqual(await cut({ after: 6, upTo: tidAt(6), count: 5 }), [[6, 0]]);
    assert.deepEqual(await cut({ count: 2, rowsMax: 6 }), [[3, 3], [8, 3]], "up to where it has looked");
    assert.deepEqual(await cut({ count: 1, rowsMax: 1 }), [[3, 3]], "a tid is never cut");
  });

  testWith(`${name}: a slice has the digest of its rows, and equal copies cut alike`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...history);
    const [all] = await db.slices(0);
    assert.deepEqual(all?.digest, (await db.digest(0)).digest);
    const [first, second] = await db.slices(0, { count: 2 });
    assert.deepEqual(first?.digest, (await db.digest(0, tidAt(6))).digest);
    assert.notDeepEqual(second?.digest, first?.digest);

    const other = make(IDENTITY);
    try {
      const later = await Driver.open(other);
      await later.save(...history.slice(-5), ...commit(10, [[0, "x"]]));
      const [range] = await later.slices(0, { after: 8, upTo: tidAt(9), count: 4 });
      assert.deepEqual(range?.digest, second?.digest);
      await later.save(...commit(12, [[0, "x"]]));
      const cuts = await later.slices(0, { count: 3 });
      assert.deepEqual(cuts.map(({ upTo, rows }) => [upTo, rows]), [[tidAt(9), 3], [MAX_TID, 3]]);
    } finally {
      await other.end();
    }
  });

  testWith(`${name}: slices are of about the same size, and as many as were asked for`, make, async (kit) => {
    const db = await Driver.open(kit);
    for (let tid = 1; tid <= 200; tid++) await db.saveLazily(...commit(3 * tid, [[3 * tid, "x"], [0, "y"]]));
    const slices = await db.slices(0, { count: 16 });
    assert.equal(slices.reduce((sum, { rows }) => sum + rows, 0), 600);
    assert.equal(slices.length, 16);
    assert.ok(slices.slice(0, -1).every(({ rows }) => rows === 39));
  });
}

function testKeys(name: string, make: MakeDatabase): void {
  testWith(`${name}: keys gives whole tids, with a digest of each row`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...history);
    const all = await db.keys(0, { rowsMax: 9 });
    assert.deepEqual(all.transactions.map(({ tid }) => Number(tid)), [3, 6, 9]);
    assert.deepEqual(all.revisions.map(({ oid, tid }) => `${tid}.${oid}`), ALL);
    assert.equal(all.upTo, tidAt(100));
    const digests = [...all.transactions, ...all.revisions].map(({ digest }) => hex(digest));
    assert.ok(digests.every((digest) => digest.length === 16));
    assert.equal(new Set(digests).size, 9);
    const [lone] = await db.slices(0, { after: 3, upTo: tidAt(4) });
    assert.equal(hex(all.revisions[2]!.digest), hex(lone!.digest).slice(0, 16));

    const counted = async (range: Parameters<Driver["keys"]>[1]) => {
      const { transactions, revisions, upTo } = await db.keys(0, range);
      return [transactions.length, revisions.length, Number(upTo)];
    };
    assert.deepEqual(await counted({ rowsMax: 8 }), [2, 4, 8]);
    assert.deepEqual(await counted({ rowsMax: 6 }), [2, 4, 8]);
    assert.deepEqual(await counted({ rowsMax: 5 }), [1, 3, 5]);
    assert.deepEqual(await counted({ rowsMax: 3 }), [1, 2, 3]);
    assert.deepEqual(await counted({ rowsMax: 1 }), [1, 2, 3]);
    assert.deepEqual(await counted({ after: 3, upTo: 6, rowsMax: 1 }), [0, 1, 5]);
    assert.deepEqual(await counted({ after: 4, upTo: 6, rowsMax: 1 }), [1, 1, 6]);
    assert.deepEqual(await counted({ after: 9, rowsMax: 1 }), [0, 0, 100]);
  });

  testWith(`${name}: keys of rows that differ have other digests`, make, async (kit) => {
    const digests = async (writes: readonly DatabaseWrite[]) => {
      const other = make(IDENTITY);
      try {
        const db = await Driver.open(other);
        await db.save(...writes);
        const { transactions, revisions } = await db.keys(0);
        return [...transactions, ...revisions].map(({ digest }) => hex(digest));
      } finally {
        await other.end();
      }
    };
    await kit.open();
    const one = await digests(commit(3, [[0, "a"], [3, "b"]]));
    assert.deepEqual(await digests(commit(3, [[0, "a"], [3, "b"]])), one);
    const two = await digests(commit(3, [[0, "a"], [3, null]]));
    assert.deepEqual([two[0], two[1], two[2] === one[2]], [one[0], one[1], false]);
  });
}

function testRows(name: string, make: MakeDatabase): void {
  testWith(`${name}: rows gives pages in the order of rows, with data`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...history);
    const seen = ({ transactions, revisions, next }: DatabaseAnswers["rows"]) => ({
      tids: transactions.map(({ tid }) => Number(tid)),
      keys: revisions.map(({ oid, tid }) => `${tid}.${oid}`),
      next,
    });
    const page = async (range: Parameters<Driver["rows"]>[1]) => seen(await db.rows(0, range));

    assert.deepEqual(await page({}), { tids: [3, 6, 9], keys: ALL, next: null });
    assert.deepEqual(await page({ rowsMax: 9 }), { tids: [3, 6, 9], keys: ALL, next: null });
    assert.deepEqual(await page({ rowsMax: 8 }), {
      tids: [3, 6, 9],
      keys: ALL.slice(0, 5),
      next: place(9, 0),
    });
    assert.deepEqual(await page({ rowsMax: 7 }), { tids: [3, 6], keys: ALL.slice(0, 4), next: place(6, 0) });
    assert.deepEqual(await page({ rowsMax: 1 }), { tids: [3], keys: ["3.0"], next: place(3, 0) });
    assert.deepEqual(await page({ after: place(3, 0), rowsMax: 1 }), {
      tids: [],
      keys: ["3.3"],
      next: place(3, 3),
    });
    assert.deepEqual(await page({ after: place(3, 3), upTo: tidAt(6) }), {
      tids: [6],
      keys: ["4.3", "6.0"],
      next: null,
    });
    assert.deepEqual(await page({ after: place(6, null) }), { tids: [9], keys: ["9.0", "9.3"], next: null });
    assert.deepEqual(await page({ after: place(9, 3) }), { tids: [], keys: [], next: null });
    assert.deepEqual(await page({ upTo: tidAt(2) }), { tids: [], keys: [], next: null });

    const { revisions, transactions } = await db.rows(0);
    assert.deepEqual(revisions[0], { ...keyOf(0, 3), stored: dataOf("a"), link: null });
    assert.deepEqual(revisions[3], { ...keyOf(0, 6), stored: null, link: null });
    assert.deepEqual(transactions, await db.transactions(0));
  });
}

function testRowLimits(name: string, make: MakeDatabase): void {
  testWith(`${name}: rows ends a page at bytes too, those of notes among them`, make, async (kit) => {
    const db = await Driver.open(kit);
    const note = {
      status: " ",
      user: bytesOf("12"),
      description: bytesOf("34"),
      extension: bytesOf("5"),
      oids: [],
    };
    for (const [ttid, tid] of [[1, 3], [2, 6]] as const) {
      await db.save(store(ttidOf(ttid), oidOf(0), "abc"), store(ttidOf(ttid), oidOf(3), "defg"));
      await db.save(vote(ttidOf(ttid), { ...note, oids: [oidOf(0)] }, 0), ...finish(ttidOf(ttid), tid));
    }
    const counts = [
      { bytesMax: 0, count: 2 },
      { bytesMax: 16 + 3, count: 2 },
      { bytesMax: 16 + 4, count: 3 },
      { bytesMax: 16 + 4 + 15, count: 3 },
      { bytesMax: 16 + 4 + 16, count: 5 },
      { bytesMax: 16 + 4 + 16 + 4, count: 6 },
    ];
    for (const { bytesMax, count } of counts) {
      const { transactions, revisions } = await db.rows(0, { bytesMax });
      assert.equal(transactions.length + revisions.length, count, `within ${bytesMax}`);
    }
  });

  testWith(`${name}: rows of transactions alone end behind one of them`, make, async (kit) => {
    const db = await Driver.open(kit);
    for (const tid of [3, 6, 9]) {
      await db.save(vote(ttidOf(tid), noteOf("alone"), 0), ...finish(ttidOf(tid), tid));
    }
    const first = await db.rows(0, { rowsMax: 2 });
    assert.deepEqual([first.transactions.length, first.next], [2, place(6, null)]);
    const second = await db.rows(0, { after: first.next!, rowsMax: 2 });
    assert.deepEqual([second.transactions.map(({ tid }) => tid), second.next], [[tidAt(9)], null]);
  });

  testWith(`${name}: rows resolves links, and leaves parts to loadPart`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...storeParts(ttid1, oidOf(0), ["a", "b"]), vote(ttid1, null), ...finish(ttid1, 3));
    await db.save(...committed(6, [store(ttidOf(2), oidOf(0), null, { link: tidAt(3) })]));
    const stored = manifestOf(["a", "b"]);
    assert.deepEqual((await db.rows(0)).revisions, [
      { ...keyOf(0, 3), stored, link: null },
      { ...keyOf(0, 6), stored, link: tidAt(3) },
    ]);
  });
}

function testStocked(name: string, make: MakeDatabase): void {
  testWith(`${name}: stocked and the newest tids look at transactions and revisions`, make, async (kit) => {
    const db = await Driver.open(kit);
    assert.deepEqual(await db.stocked(), []);
    await db.save(store(ttid1, oidOf(2), "held"), vote(ttid1, noteOf("held"), 2));
    assert.deepEqual(await db.stocked(), []);
    await db.save(vote(ttidOf(2), noteOf("alone"), 2), ...finish(ttidOf(2), 7));
    await db.save(store(ttidOf(3), oidOf(0), "alone"), vote(ttidOf(3), null), ...finish(ttidOf(3), 5));
    assert.deepEqual(await db.stocked(), [0, 2]);
    await db.save(...finish(ttid1, 9));
    await db.close();

    const expected = [{ partition: homeOf(0), tid: tidAt(5) }, { partition: homeOf(2), tid: tidAt(9) }];
    assert.deepEqual((await kit.open()).state.newest, expected);
  });
}

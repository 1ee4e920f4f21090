/** What every `Database` answers about single rows, and about data that isn't what it was. */
import assert from "node:assert/strict";
import { SCRUB_ROW_BYTES } from "../../core/limits.ts";
import type { RowPlace } from "../../core/ports.ts";
import {
  BEGINNING,
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  homeOf,
  type MakeDatabase,
  manifestOf,
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

/** The part of the suite about single rows. */
export function testDatabasePicks(name: string, make: MakeDatabase): void {
  testPick(name, make);
  testScrub(name, make);
}

function testPick(name: string, make: MakeDatabase): void {
  testWith(`${name}: pick gives single rows in the order of the question`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...history);
    const ask = async (tids: number[], keys: [oid: number, tid: number][], bytesMax = 1_000_000) => {
      const revisions = keys.map(([oid, tid]) => keyOf(oid, tid));
      const query = {
        read: "pick",
        partition: homeOf(0),
        transactions: tids.map(tidAt),
        revisions,
        bytesMax,
      } as const;
      return await db.ask<"pick">(query);
    };
    const { transactions, revisions, seen } = await ask([9, 5, 3], [[3, 9], [3, 3], [3, 5], [6, 3], [0, 6], [
      1,
      3,
    ]]);
    const all = await db.rows(0);
    assert.deepEqual(transactions, [all.transactions[2], all.transactions[0]]);
    assert.deepEqual(revisions, [all.revisions[5], all.revisions[1], all.revisions[3]]);
    assert.equal(seen, 9);

    const counted = async (...question: Parameters<typeof ask>) => {
      const { transactions, revisions, seen } = await ask(...question);
      return [transactions.length, revisions.length, seen];
    };
    assert.deepEqual(await counted([], [[0, 3], [3, 3], [0, 9]], 3), [0, 2, 2]);
    assert.deepEqual(await counted([], [[0, 3], [3, 3], [0, 9]], 4), [0, 3, 3]);
    assert.deepEqual(await counted([], [[9, 9], [0, 9], [3, 9]], 0), [0, 1, 2]);
    assert.deepEqual(await counted([7, 3, 9], [[0, 3]], 0), [1, 0, 2]);
    assert.deepEqual(await counted([3], [[0, 3]], 50), [1, 0, 1]);
    assert.deepEqual(await counted([], []), [0, 0, 0]);
  });
}

function testScrub(name: string, make: MakeDatabase): void {
  testWith(`${name}: scrub names the revisions whose data isn't what it was`, make, async (kit) => {
    const db = await Driver.open(kit);
    const wrong = { ...dataOf("right"), checksum: dataOf("wrong").checksum };
    const parts = (oid: number, texts: string[], stored = manifestOf(texts)) =>
      storeParts(ttid1, oidOf(oid), texts, { stored });
    await db.save(
      store(ttid1, oidOf(0), "fine"),
      store(ttid1, oidOf(3), null, { stored: wrong }),
      store(ttid1, oidOf(6), null),
      store(ttid1, oidOf(1), null, { stored: wrong }),
      ...parts(9, ["a", "b"]),
      ...parts(12, ["a", "b"], manifestOf(["a", "c"])),
      ...parts(15, ["a"], manifestOf(["a", "b"])),
      {
        op: "part",
        ttid: ttid1,
        oid: oidOf(18),
        seq: 0,
        stored: { ...wrong, checksum: dataOf("a").checksum },
      },
      store(ttid1, oidOf(18), null, { stored: manifestOf(["a"]) }),
      {
        op: "part",
        ttid: ttid1,
        oid: oidOf(24),
        seq: 0,
        stored: { ...dataOf("a"), checksum: wrong.checksum },
      },
      store(ttid1, oidOf(24), null, { stored: manifestOf(["a"]) }),
      store(ttid1, oidOf(21), null, { stored: dataOf("no manifest", 2) }),
      vote(ttid1, null),
      ...finish(ttid1, 5),
    );
    await db.save(...committed(6, [store(ttidOf(2), oidOf(3), null, { link: tidAt(5) })]));

    const broken = [[3, 5], [12, 5], [15, 5], [18, 5], [21, 5], [24, 5], [3, 6]] as const;
    assert.deepEqual(await db.broken(0), broken.map(([oid, tid]) => keyOf(oid, tid)));
    assert.deepEqual(await db.broken(1), [keyOf(1, 5)]);
    assert.deepEqual(await db.broken(2), []);
  });

  testWith(`${name}: scrub ends when it has read enough, and goes on from there`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[0, "12345678"], [3, null], [6, "123"]]), ...commit(4, [[0, "x"]]));
    const scrub = async (after: RowPlace, bytesMax: number) => {
      const { bytes, next } = await db.ask<"scrub">({ read: "scrub", partition: homeOf(0), after, bytesMax });
      return { bytes, next };
    };
    assert.deepEqual(await scrub(BEGINNING, 1_000_000), { bytes: 12, next: null });
    assert.deepEqual(await scrub(BEGINNING, 0), { bytes: 8, next: place(3, 0) });
    assert.deepEqual(await scrub(BEGINNING, SCRUB_ROW_BYTES + 9), { bytes: 8, next: place(3, 3) });
    assert.deepEqual(await scrub(place(3, 3), 1), { bytes: 3, next: place(3, 6) });
    assert.deepEqual(await scrub(place(3, null), 1), { bytes: 1, next: null });
    assert.deepEqual(await scrub(place(4, 0), 1), { bytes: 0, next: null });
  });
}

/** What every `Database` does when history goes (T13). */
import assert from "node:assert/strict";
import { MAX_TID } from "../../core/ids.ts";
import type { DatabaseAnswers, RevisionKey } from "../../core/ports.ts";
import {
  commit,
  committed,
  type DatabaseKit,
  Driver,
  homeOf,
  IDENTITY,
  type MakeDatabase,
  oidOf,
  PARTITIONS,
  store,
  testWith,
  tidAt,
  ttidOf,
} from "./database_kit.ts";
import { copy, copyParts, inParts, keyOf, place } from "./database_replica_kit.ts";

/** In front of all revisions. */
const FIRST = keyOf(0, 0);

/** The part of the suite about packs. */
export function testDatabasePacks(name: string, make: MakeDatabase): void {
  testPackable(name, make);
  testPack(name, make);
  testPackedView(name, make);
}

/** Objects 1 (four revisions), 2 (deleted, then made again, then deleted), 3 (one revision), 4 (links). */
async function filled(kit: DatabaseKit): Promise<Driver> {
  const db = await Driver.open(kit);
  await db.save(...commit(1, [[1, "a1"], [2, "b1"], [3, "c1"], [4, "d1"]]));
  await db.save(...commit(2, [[1, "a2"], [2, null], [4, "d2"]]));
  await db.save(...committed(3, [store(ttidOf(3), oidOf(4), null, { link: tidAt(1) })]));
  await db.save(...commit(4, [[1, "a4"], [2, "b4"]]));
  await db.save(...commit(5, [[2, null]]));
  await db.save(...commit(6, [[1, "a6"]]));
  return db;
}

/** Asks what a pack takes, page by page. */
async function packableOf(db: Driver, bound: number, rowsMax: number): Promise<string[]> {
  const found: RevisionKey[] = [];
  for (let after: RevisionKey | null = FIRST; after !== null;) {
    const page: DatabaseAnswers["packable"] = await db.ask<"packable">({
      read: "packable",
      bound: tidAt(bound),
      after,
      rowsMax,
    });
    found.push(...page.revisions);
    after = page.next;
  }
  return found.map(({ oid, tid }) => `${oid}@${tid}`);
}

async function pack(db: Driver, bound: number): Promise<void> {
  const { revisions } = await db.ask<"packable">({
    read: "packable",
    bound: tidAt(bound),
    after: FIRST,
    rowsMax: 100,
  });
  await db.save({ op: "packBound", tid: tidAt(bound) });
  await db.save({ op: "pack", bound: tidAt(bound), after: null, revisions });
}

function testPackable(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: packable names what has a newer revision up to the bound, in pages (T13)`,
    make,
    async (kit) => {
      const db = await filled(kit);
      for (const rowsMax of [1, 2, 3, 5, 100]) {
        assert.deepEqual(await packableOf(db, 0, rowsMax), []);
        assert.deepEqual(await packableOf(db, 1, rowsMax), []);
        assert.deepEqual(await packableOf(db, 2, rowsMax), ["1@1", "2@1", "4@1"]);
        const to4 = ["1@1", "1@2", "2@1", "2@2", "4@1", "4@2"];
        assert.deepEqual(await packableOf(db, 4, rowsMax), to4);
        assert.deepEqual(await packableOf(db, 5, rowsMax), ["1@1", "1@2", "2@1", "2@2", "2@4", "4@1", "4@2"]);
      }
    },
  );
}

function testPack(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: pack deletes revisions and what only they had; data of links stays (T13)`,
    make,
    async (kit) => {
      const db = await filled(kit);
      await pack(db, 5);
      assert.deepEqual([await db.text(1), await db.text(1, tidAt(5)), await db.text(1, tidAt(3))], [
        "a6",
        "a4",
        undefined,
      ]);
      assert.deepEqual([await db.text(2), await db.text(3), await db.text(4)], [null, "c1", "d1"]);
      assert.deepEqual(
        [await db.latest(2), await db.latest(4)],
        [tidAt(5), tidAt(3)],
        "a deletion is remembered",
      );
      assert.deepEqual((await db.transactions([0, 1, 2])).map(({ tid }) => Number(tid)), [1, 2, 3, 4, 5, 6]);
      const { bytes, live } = await db.ask<"size">({ read: "size" });
      if (bytes !== null) assert.deepEqual([bytes, live], [8, 6], "a4, a6, c1 and d1; without a4");
    },
  );

  testWith(`${name}: pack takes the parts of values along`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...copyParts(1, 3, ["a", "b"]), copy(1, inParts(1, 3, ["a", "b"])));
    await db.save(...copyParts(1, 4, ["c"]), copy(1, inParts(1, 4, ["c"])));
    await pack(db, 4);
    assert.deepEqual([await db.parts(1, 3), await db.parts(1, 4)], [[], ["c"]]);
  });

  testWith(`${name}: bound and progress of a pack are remembered`, make, async (kit) => {
    const db = await filled(kit);
    await db.save({ op: "packBound", tid: tidAt(5) });
    const first = { op: "pack", bound: tidAt(5), revisions: [keyOf(1, 1)], after: keyOf(1, 2) } as const;
    await db.save(first);
    await db.close();
    const again = await Driver.open(kit);
    const { packBound, packed } = again.database.state;
    assert.deepEqual({ packBound, packed }, {
      packBound: tidAt(5),
      packed: { bound: tidAt(5), after: keyOf(1, 2) },
    });
    assert.deepEqual((await again.loadExact(1, 1)).revision, null);
    await again.save({ ...first, revisions: [], after: null });
    await again.close();
    assert.deepEqual((await kit.open()).state.packed, { bound: tidAt(5), after: null });
  });
}

function testPackedView(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: under a bound a copy that isn't packed shows the rows of one that is (J2)`,
    make,
    async (kit) => {
      const plain = await filled(kit);
      const other = make(IDENTITY);
      try {
        const packed = await filled(other);
        await pack(packed, 4);
        for (const bound of [4, 5, 6].map(tidAt)) {
          for (let p = 0; p < PARTITIONS; p++) {
            const all = { partition: homeOf(p), upTo: MAX_TID, bound } as const;
            for (let tid = 0; tid < 6; tid++) {
              const range = { ...all, after: tidAt(tid) };
              const [count, rowsMax, bytesMax] = [3, 4, 1_000];
              for (
                const query of [
                  { read: "digest", ...all },
                  { read: "slices", ...range, count, rowsMax },
                  { read: "slices", ...range, count, rowsMax: 100 },
                  { read: "keys", ...range, rowsMax },
                  { read: "rows", ...range, after: place(tid, null), rowsMax, bytesMax },
                ] as const
              ) {
                assert.deepEqual(await plain.database.read(query), await packed.database.read(query));
              }
            }
          }
        }
        const without = { read: "digest", partition: homeOf(1), upTo: MAX_TID } as const;
        assert.notDeepEqual(await plain.database.read(without), await packed.database.read(without));
      } finally {
        await other.end();
      }
    },
  );
}

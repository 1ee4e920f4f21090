/** How every `Database` loses final rows on purpose, and what it remembers about its copies. */
import assert from "node:assert/strict";
import type { DatabaseWrite } from "../../core/ports.ts";
import {
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  homeOf,
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

const ttid1 = ttidOf(1);

/** Revisions to forget: [oid, tid]. */
function uncopy(
  partition: number,
  transactions: number[],
  revisions: [oid: number, tid: number][],
): DatabaseWrite {
  return {
    op: "uncopy",
    partition: homeOf(partition),
    transactions: transactions.map(tidAt),
    revisions: revisions.map(([oid, tid]) => ({ oid: oidOf(oid), tid: tidAt(tid) })),
  };
}

const resume = (partition: number, since: number, tid: number): DatabaseWrite => {
  return { op: "resume", partition: homeOf(partition), since, tid: tidAt(tid) };
};

/** The part of the suite about rows that go. */
export function testDatabaseLosses(name: string, make: MakeDatabase): void {
  testUncopy(name, make);
  testErase(name, make);
  testTruncate(name, make);
  testHeldLinks(name, make);
  testResume(name, make);
}

function testUncopy(name: string, make: MakeDatabase): void {
  testWith(`${name}: uncopy deletes some rows and no others`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(1, [[1, "a"], [4, "b"]]), ...commit(4, [[1, "c"], [4, null]]));
    await db.save(uncopy(1, [1, 9], [[1, 4], [4, 4], [7, 1], [1, 2]]), uncopy(2, [4], [[1, 1]]));

    assert.deepEqual([await db.text(1), await db.text(4)], ["a", "b"]);
    assert.equal(await db.latest(1), tidAt(1));
    assert.deepEqual((await db.transactions(1)).map(({ tid }) => tid), [tidAt(4)]);
    assert.equal(await db.fate(ttidOf(1_000_001)), null);
    await db.save(uncopy(1, [], [[1, 1]]));
    assert.deepEqual(await db.load(1), { read: "load", known: false, revision: null });
    assert.equal((await db.digest(1)).count, 2);
    await db.save(...commit(5, [[1, "again"]]));
    assert.equal(await db.text(1), "again");
  });

  testWith(`${name}: uncopy leaves the data that others share`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...storeParts(ttid1, oidOf(1), ["x", "y"]), vote(ttid1, null), ...finish(ttid1, 3));
    const links = [[5, 3], [7, 5], [9, 7]] as const;
    for (const [tid, link] of links) {
      await db.save(...committed(tid, [store(ttidOf(tid), oidOf(1), null, { link: tidAt(link) })]));
    }
    await db.save(uncopy(1, [], [[1, 5]]), uncopy(1, [], [[1, 3]]));
    assert.deepEqual(await Promise.all([3, 5, 7, 9].map((tid) => db.parts(1, tid))), [[], [], ["x", "y"], [
      "x",
      "y",
    ]]);
    await db.save(uncopy(1, [], [[1, 9]]));
    assert.deepEqual(await db.parts(1, 7), ["x", "y"]);
    assert.deepEqual(await db.broken(1), []);
  });
}

function testErase(name: string, make: MakeDatabase): void {
  testWith(`${name}: erase empties a partition bit by bit`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(1, [[1, "a"], [4, "b"], [2, "other"]]), ...commit(4, [[1, "c"], [4, null]]));
    await db.save(...committed(7, [store(ttid1, oidOf(1), null, { link: tidAt(1) })]), resume(1, 3, 4));
    const left = async () => {
      const { transactions, revisions } = await db.rows(1);
      return [
        transactions.map(({ tid }) => Number(tid)),
        revisions.map(({ oid, tid }) => Number(10n * tid + oid)),
      ];
    };
    const erase = { op: "erase", partition: homeOf(1) } as const;
    assert.deepEqual(await left(), [[1, 4, 7], [11, 14, 41, 44, 71]]);
    await db.save({ ...erase, rowsMax: 2 });
    assert.deepEqual(await left(), [[4, 7], [14, 41, 44, 71]]);
    assert.deepEqual(await db.stocked(), [1, 2]);
    await db.save({ ...erase, rowsMax: 4 });
    assert.deepEqual(await left(), [[7], [71]]);
    assert.equal(await db.text(1), "a");
    await db.save({ ...erase, rowsMax: 1 });
    assert.deepEqual(await left(), [[], [71]]);
    await db.save({ ...erase, rowsMax: 1_000 }, { ...erase, rowsMax: 1_000 });
    assert.deepEqual(await left(), [[], []]);
    assert.deepEqual(await db.stocked(), [2]);
    assert.equal(await db.text(2), "other");
    await db.close();

    const { state } = await kit.open();
    assert.deepEqual([state.resumes, state.newest], [[], [{ partition: homeOf(2), tid: tidAt(1) }]]);
  });

  testWith(`${name}: erase drops copied parts of its partition that wait`, make, async (kit) => {
    const db = await Driver.open(kit);
    const part = { op: "copyPart", tid: tidAt(3), seq: 0, stored: dataOf("a") } as const;
    await db.save({ ...part, oid: oidOf(1) }, { ...part, oid: oidOf(2) });
    await db.save({ op: "erase", partition: homeOf(1), rowsMax: 10 });
    const row = { tid: tidAt(3), stored: manifestOf(["a"]), link: null };
    const copy = { op: "copy", transactions: [] } as const;
    await db.save({ ...copy, partition: homeOf(1), revisions: [{ ...row, oid: oidOf(1) }] });
    await db.save({ ...copy, partition: homeOf(2), revisions: [{ ...row, oid: oidOf(2) }] });
    assert.deepEqual([await db.parts(1, 3), await db.parts(2, 3)], [[], ["a"]]);
  });
}

function testTruncate(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: truncate deletes what is above a tid, everywhere, and is remembered`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      for (const tid of [1, 2, 3, 4, 5]) {
        await db.save(
          ...commit(tid, [[1, `a${tid}`], [2, `b${tid}`], [tid, "c"]]),
        );
      }
      await db.save(...committed(6, [store(ttid1, oidOf(1), null, { link: tidAt(3) })]));
      await db.save(store(ttidOf(2), oidOf(2), "held"), vote(ttidOf(2), noteOf("held"), 1));
      await db.save({ op: "lock", ttid: ttidOf(2), tid: tidAt(9) }, resume(0, 2, 5), resume(1, 2, 2));
      await db.save({ op: "truncate", number: 4, tid: tidAt(3) });

      assert.deepEqual([await db.text(1), await db.text(2), await db.text(3), await db.text(4)], [
        "a3",
        "b3",
        "c",
        undefined,
      ]);
      assert.deepEqual((await db.transactions([0, 1, 2])).map(({ tid }) => tid), [1, 2, 3].map(tidAt));
      assert.equal((await db.load(1)).revision?.next, null);
      await db.close();

      const again = await Driver.open(kit);
      const { truncations, resumes, newest, held } = again.database.state;
      assert.equal(truncations, 4);
      const all = [0, 1, 2].map((partition) => ({ partition: homeOf(partition), tid: tidAt(3) }));
      assert.deepEqual(newest, all);
      assert.deepEqual(resumes, [
        { partition: homeOf(0), since: 2, tid: tidAt(3) },
        { partition: homeOf(1), since: 2, tid: tidAt(2) },
      ]);
      assert.deepEqual(held.map(({ ttid, tid }) => [ttid, tid]), [[ttidOf(2), tidAt(9)]]);
      await again.save({ op: "unlock", ttid: ttidOf(2), tid: tidAt(9) });
      assert.equal(await again.text(2), "held");
    },
  );

  testWith(`${name}: truncate drops copied parts that wait above it`, make, async (kit) => {
    const db = await Driver.open(kit);
    const part = { op: "copyPart", oid: oidOf(1), seq: 0, stored: dataOf("a") } as const;
    await db.save({ ...part, tid: tidAt(3) }, { ...part, tid: tidAt(4) });
    await db.save({ op: "truncate", number: 1, tid: tidAt(3) });
    const row = { oid: oidOf(1), stored: manifestOf(["a"]), link: null };
    const revisions = [{ ...row, tid: tidAt(3) }, { ...row, tid: tidAt(4) }];
    await db.save({ op: "copy", partition: homeOf(1), transactions: [], revisions });
    assert.deepEqual([await db.parts(1, 3), await db.parts(1, 4)], [["a"], []]);
  });
}

function testHeldLinks(name: string, make: MakeDatabase): void {
  const losses: { title: string; write: DatabaseWrite }[] = [
    { title: "uncopy", write: uncopy(1, [], [[1, 3]]) },
    { title: "erase", write: { op: "erase", partition: homeOf(1), rowsMax: 10 } },
    { title: "truncate", write: { op: "truncate", number: 1, tid: tidAt(2) } },
  ];
  for (const { title, write } of losses) {
    testWith(`${name}: ${title} leaves the data that a held transaction has linked`, make, async (kit) => {
      const db = await Driver.open(kit);
      await db.save(...commit(3, [[1, "old"]]));
      const undo = (ttid: number) => store(ttidOf(ttid), oidOf(1), null, { link: tidAt(3) });
      await db.save(undo(1), vote(ttidOf(1), null), undo(2), undo(3), vote(ttidOf(3), null), write);
      await db.close();

      const again = await Driver.open(kit);
      const [first] = again.database.state.held;
      assert.deepEqual(first?.objects[0]?.checksum, dataOf("old").checksum);
      await again.save({ op: "abort", ttid: ttidOf(3) }, ...finish(ttidOf(1), 8));
      assert.equal(await again.text(1), "old");
      assert.equal(await again.text(1, tidAt(7)), undefined);
    });
  }
}

function testResume(name: string, make: MakeDatabase): void {
  testWith(`${name}: resume points are there again, one a partition`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(resume(2, 3, 10), resume(0, 2 ** 40, 7), resume(2, 4, 8));
    await db.save({ op: "erase", partition: homeOf(1), rowsMax: 1 });
    await kit.crash();

    const { state } = await kit.open();
    assert.deepEqual(state.resumes, [
      { partition: homeOf(0), since: 2 ** 40, tid: tidAt(7) },
      { partition: homeOf(2), since: 4, tid: tidAt(8) },
    ]);
  });
}

/** What every `Database` does with rows that come from another copy of a partition. */
import assert from "node:assert/strict";
import type { DatabaseWrite } from "../../core/ports.ts";
import { testDatabaseCopiedParts } from "./database_copied_parts.ts";
import {
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  homeOf,
  IDENTITY,
  type MakeDatabase,
  noteOf,
  oidOf,
  store,
  storeParts,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";
import { copy, copyAll, copyParts, inParts, row } from "./database_replica_kit.ts";

const ttid1 = ttidOf(1);
const texts = ["first", "secnd", "end"];

/** The part of the suite about copies. */
export function testDatabaseCopies(name: string, make: MakeDatabase): void {
  testCopies(name, make);
  testReplaced(name, make);
  testDatabaseCopiedParts(name, make);
  testMeanwhile(name, make);
  testCopyMistakes(name, make);
}

/** A history of partition 1 with all that can be there: a deletion, links, a value in parts, an empty transaction. */
const history: readonly DatabaseWrite[] = [
  ...commit(1, [[1, "one"], [4, "four"], [2, "another partition's"]]),
  ...commit(4, [[1, "two"], [4, null], [7, ""]]),
  ...committed(7, [store(ttidOf(7), oidOf(1), null, { base: tidAt(4), link: tidAt(1) })]),
  ...storeParts(ttidOf(8), oidOf(10), texts),
  vote(ttidOf(8), noteOf("in parts", [oidOf(10)]), 1),
  ...finish(ttidOf(8), 10),
  ...committed(13, [
    store(ttidOf(9), oidOf(10), null, { link: tidAt(10) }),
    store(ttidOf(9), oidOf(4), "kept", { link: tidAt(3) }),
  ]),
  vote(ttidOf(11), noteOf("empty"), 1),
  ...finish(ttidOf(11), 16),
];

function testCopies(name: string, make: MakeDatabase): void {
  for (const rowsMax of [1, 2, 3, 1_000]) {
    testWith(
      `${name}: copy gives all that the other has, in pages of ${rowsMax} (A19)`,
      make,
      async (kit) => {
        const other = make(IDENTITY);
        try {
          const [from, to] = [await Driver.open(other), await Driver.open(kit)];
          await from.save(...history);
          await copyAll(from, to, { partition: 1, rowsMax });

          const same = async () => {
            assert.deepEqual(await to.digest(1), await from.digest(1));
            assert.equal((await to.digest(1)).count, 6 + 9);
            assert.deepEqual(await to.rows(1), await from.rows(1));
            assert.deepEqual(await to.transactions(1), await from.transactions(1));
            for (const oid of [1, 4, 7, 10]) {
              for (const tid of [1, 4, 7, 10, 13]) {
                assert.deepEqual(await to.load(oid, tidAt(tid)), await from.load(oid, tidAt(tid)));
                assert.deepEqual(await to.loadExact(oid, tid), await from.loadExact(oid, tid));
                assert.deepEqual(await to.parts(oid, tid), await from.parts(oid, tid));
              }
            }
            assert.deepEqual(await to.broken(1), []);
            assert.equal(await to.fate(ttidOf(9)), tidAt(13));
            assert.deepEqual((await to.marks()).lastTids, [{ partition: homeOf(1), tid: tidAt(16) }]);
            assert.deepEqual((await to.marks()).lastOid, oidOf(10));
            assert.equal(await to.latest(4), tidAt(13));
          };
          await same();
          await copyAll(from, to, { partition: 1, rowsMax: 4 });
          await same();
        } finally {
          await other.end();
        }
      },
    );
  }

  testWith(`${name}: copied rows are there after a restart, and go on as all others`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(copy(1, row(1, 4, "copied")), ...copyParts(4, 7, texts), copy(1, inParts(4, 7, texts)));
    await db.close();

    const again = await Driver.open(kit);
    assert.deepEqual(await again.parts(4, 7), texts);
    await again.save(...commit(8, [[1, "new"]]));
    const revision = { tid: tidAt(4), next: tidAt(8), stored: dataOf("copied"), link: null };
    assert.deepEqual((await again.load(1, tidAt(7))).revision, revision);
    assert.deepEqual(again.database.state.newest, [{ partition: homeOf(1), tid: tidAt(7) }]);
  });
}

function testReplaced(name: string, make: MakeDatabase): void {
  testWith(`${name}: copy replaces what differs`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(4, [[1, "wrong"], [4, "deleted there"], [7, null]]));
    const info = { tid: tidAt(4), ttid: ttidOf(44), ...noteOf("right", [oidOf(1)]) };
    const revisions = [row(1, 4, "right", 3), row(4, 4, null), row(7, 4, "there")];
    await db.save({ op: "copy", partition: homeOf(1), transactions: [info], revisions });

    assert.deepEqual(await db.transactions(1), [info]);
    assert.deepEqual([await db.fate(ttidOf(44)), await db.fate(ttidOf(1_000_004))], [tidAt(4), null]);
    assert.deepEqual((await db.rows(1)).revisions, revisions);
  });

  testWith(`${name}: copy takes rows in any order, and one of them twice`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(
      copy(1, row(4, 6, "c"), row(1, 2, "a"), row(4, 2, "b"), row(1, 2, "again"), row(1, 1, "d")),
    );
    const all = [row(1, 1, "d"), row(1, 2, "again"), row(4, 2, "b"), row(4, 6, "c")];
    assert.deepEqual((await db.rows(1)).revisions, all);
  });

  testWith(`${name}: copy of a value that others share leaves it to them`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[1, "old"]]));
    await db.save(...committed(5, [store(ttid1, oidOf(1), null, { link: tidAt(3) })]));
    await db.save(...committed(6, [store(ttidOf(2), oidOf(1), null, { link: tidAt(5) })]));
    await db.save(store(ttidOf(3), oidOf(1), null, { link: tidAt(3) }), vote(ttidOf(3), null));

    await db.save(copy(1, row(1, 3, "first")));
    assert.deepEqual(await Promise.all([3, 5, 6].map((at) => db.text(1, tidAt(at)))), [
      "first",
      "old",
      "old",
    ]);
    await db.save(copy(1, row(1, 5, "second")), copy(1, row(1, 6, null)));
    await db.save(...finish(ttidOf(3), 8));
    assert.deepEqual(await Promise.all([5, 6, 8].map((at) => db.text(1, tidAt(at)))), [
      "second",
      null,
      "old",
    ]);
    assert.deepEqual(await db.broken(1), []);
  });
}

function testMeanwhile(name: string, make: MakeDatabase): void {
  testWith(`${name}: unlock replaces rows that were copied meanwhile`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[1, "old"]]));
    const undo = store(ttid1, oidOf(1), null, { link: tidAt(3) });
    const others = [
      store(ttid1, oidOf(4), "mine"),
      store(ttid1, oidOf(7), null),
      store(ttid1, oidOf(10), "ten"),
    ];
    const parts = storeParts(ttid1, oidOf(13), ["mine"]);
    await db.save(undo, ...others, ...parts, vote(ttid1, noteOf("mine"), 1));
    await db.save({ op: "lock", ttid: ttid1, tid: tidAt(5) });
    const info = { tid: tidAt(5), ttid: ttid1, ...noteOf("copied") };
    const revisions = [row(1, 5, "old", 3), row(4, 5, "copied"), row(7, 5, "copied")];
    await db.save(...copyParts(13, 5, ["copied"]));
    revisions.push(inParts(13, 5, ["copied"]));
    await db.save({ op: "copy", partition: homeOf(1), transactions: [info], revisions });
    assert.deepEqual(await db.parts(13, 5), ["copied"]);

    await db.save({ op: "unlock", ttid: ttid1, tid: tidAt(5) });
    const now = await Promise.all([1, 4, 7, 10].map((oid) => db.text(oid)));
    assert.deepEqual(now, ["old", "mine", null, "ten"]);
    assert.deepEqual(await db.parts(13, 5), ["mine"]);
    assert.equal(await db.text(1, tidAt(3)), "old");
    assert.deepEqual((await db.transactions(1)).at(-1), { ...info, ...noteOf("mine") });
    assert.deepEqual(await db.broken(1), []);
  });
}

function testCopyMistakes(name: string, make: MakeDatabase): void {
  const mistakes: { title: string; write: DatabaseWrite }[] = [
    { title: "a copy into a wrong partition", write: copy(2, row(1, 3, "x")) },
    { title: "a copied part after nothing", write: copyParts(1, 3, ["a", "b"])[1]! },
  ];
  for (const { title, write } of mistakes) {
    testWith(`${name}: apply() throws at ${title}, and does nothing of the round`, make, async (kit) => {
      const db = await Driver.open(kit);
      await assert.rejects(db.save({ op: "epoch", epoch: 4 }, write), { name: "InvariantError" });
      await db.close();
      assert.equal((await Driver.open(kit)).database.state.epoch, 0);
    });
  }
}

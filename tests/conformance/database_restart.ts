/** What every `Database` has after its process has ended, in order or not. */
import assert from "node:assert/strict";
import type { HeldTransaction } from "../../core/ports.ts";
import {
  bytesOf,
  commit,
  dataOf,
  Driver,
  homeOf,
  IDENTITY,
  type MakeDatabase,
  noteOf,
  oidOf,
  store,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";

const ttid1 = ttidOf(1);
const ttid2 = ttidOf(2);
const oid1 = oidOf(1);

/** The part of the suite about restarts. */
export function testDatabaseRestart(name: string, make: MakeDatabase): void {
  testState(name, make);
  testHeld(name, make);
  testFinish(name, make);
  testDurability(name, make);
}

function testState(name: string, make: MakeDatabase): void {
  testWith(`${name}: a new database is empty and knows whose it is`, make, async (kit) => {
    const db = await Driver.open(kit);
    const nothing = {
      epoch: 0,
      image: null,
      registry: null,
      held: [],
      resumes: [],
      newest: [],
      truncations: 0,
      packBound: tidAt(0),
      packed: { bound: tidAt(0), after: null },
    };
    assert.deepEqual(db.database.state, { identity: IDENTITY, ...nothing });
    const free = db.database.freeBytes();
    assert.ok(free === undefined || free > 0);
  });

  testWith(`${name}: the last epoch, image and registry are there again`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save({ op: "epoch", epoch: 4 }, { op: "image", image: bytesOf("table 1") });
    await db.save({ op: "registry", state: bytesOf("registry 1") });
    await db.save({ op: "epoch", epoch: 2 ** 40 }, { op: "image", image: bytesOf("") });
    await db.save({ op: "registry", state: bytesOf("registry 2") });
    await db.close();

    const { epoch, image, registry } = (await kit.open()).state;
    assert.deepEqual({ epoch, image, registry }, {
      epoch: 2 ** 40,
      image: bytesOf(""),
      registry: bytesOf("registry 2"),
    });
  });
}

function testHeld(name: string, make: MakeDatabase): void {
  testWith(`${name}: voted transactions are held over a restart, others are gone`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[7, "seven"], [10, "ten"]]), ...commit(4, [[10, null]]));
    await db.save(
      store(ttid2, oidOf(5), "five", { base: tidAt(3), lockless: true }),
      store(ttid2, oidOf(2), null, { base: tidAt(2) }),
      store(ttid2, oidOf(3), null, { mode: "check" }),
      store(ttid2, oidOf(7), null, { base: tidAt(3), link: tidAt(3) }),
      store(ttid2, oidOf(10), null, { base: tidAt(4), link: tidAt(4) }),
      store(ttidOf(3), oidOf(90), "never voted"),
      store(ttidOf(4), oidOf(91), "no longer voted"),
      vote(ttid2, noteOf("two"), 2, 77),
      vote(ttidOf(4), noteOf("four")),
    );
    await db.save(
      { op: "unvote", ttid: ttidOf(4) },
      store(ttid1, oid1, "one"),
      vote(ttid1, null, 1, 2 ** 41),
    );
    await db.save({ op: "lock", ttid: ttid1, tid: tidAt(9) });
    await db.close();

    const again = await Driver.open(kit);
    const object = (oid: number, base: number, more: object) => {
      const partition = homeOf(oid % 3);
      const rest = { base: tidAt(base), mode: "store" as const, lockless: false, checksum: null };
      return { oid: oidOf(oid), partition, ...rest, ...more };
    };
    const expected: HeldTransaction[] = [
      {
        ttid: ttid1,
        home: homeOf(1),
        ageMs: 2 ** 41,
        tid: tidAt(9),
        noted: false,
        objects: [object(1, 0, { checksum: dataOf("one").checksum })],
      },
      {
        ttid: ttid2,
        home: homeOf(2),
        ageMs: 77,
        tid: null,
        noted: true,
        objects: [
          object(2, 2, {}),
          object(3, 0, { mode: "check" }),
          object(5, 3, { checksum: dataOf("five").checksum, lockless: true }),
          object(7, 3, { checksum: dataOf("seven").checksum }),
          object(10, 4, {}),
        ],
      },
    ];
    assert.deepEqual(again.database.state.held, expected);
    assert.equal((await again.marks()).lastOid, oidOf(10));
    assert.equal(await again.text(7), "seven");
  });
}

function testFinish(name: string, make: MakeDatabase): void {
  testWith(`${name}: what is held can be finished after a restart, or given up`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[1, "old"]]));
    const undo = store(ttid2, oid1, null, { base: tidAt(3), link: tidAt(3) });
    await db.save(store(ttid1, oid1, "new"), vote(ttid1, noteOf("one"), 1), undo, vote(ttid2, null));
    await db.save(
      { op: "lock", ttid: ttid1, tid: tidAt(4) },
      store(ttidOf(3), oid1, "x"),
      vote(ttidOf(3), null),
    );
    await db.close();

    const again = await Driver.open(kit);
    await again.save({ op: "abort", ttid: ttid2 }, { op: "abort", ttid: ttidOf(3) });
    await again.save({ op: "unlock", ttid: ttid1, tid: tidAt(4) }, ...commit(5, [[4, "four"]]));

    assert.deepEqual([await again.text(1, tidAt(3)), await again.text(1), await again.text(4)], [
      "old",
      "new",
      "four",
    ]);
    assert.equal(await again.fate(ttid1), tidAt(4));
    await again.close();
    assert.deepEqual((await kit.open()).state.held, []);
  });

  testWith(
    `${name}: a link that is replaced or forgotten after a restart takes no data along`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      await db.save(...commit(3, [[1, "one"], [2, "two"], [3, "three"]]));
      const links = [1, 2, 3].map((oid) => store(ttid1, oidOf(oid), null, { link: tidAt(3) }));
      await db.save(...links, vote(ttid1, null));
      await db.close();

      const again = await Driver.open(kit);
      const changes = [{ op: "unstore", ttid: ttid1, oid: oidOf(2) } as const, store(ttid1, oidOf(1), "new")];
      await again.save({ op: "unvote", ttid: ttid1 }, ...changes, { op: "abort", ttid: ttid1 });

      assert.deepEqual(await Promise.all([1, 2, 3].map((oid) => again.text(oid))), ["one", "two", "three"]);
    },
  );

  testWith(`${name}: a second opener is refused while the first lives`, make, async (kit) => {
    const db = await Driver.open(kit);
    await assert.rejects(async () => await kit.open(), { name: "StoreOpenError", reason: "inUse" });
    await db.save(...commit(1, [[1, "one"]]));
    await db.close();

    assert.equal(await (await Driver.open(kit)).text(1), "one");
  });
}

function testDurability(name: string, make: MakeDatabase): void {
  testWith(`${name}: a durable round survives a crash, and so do all before it`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.saveLazily(...commit(3, [[1, "lazy"]]));
    await db.saveLazily({ op: "epoch", epoch: 8 });
    await db.save(store(ttid1, oid1, "one"), vote(ttid1, noteOf("one")), store(ttid2, oid1, "never voted"));
    await kit.crash();

    const again = await Driver.open(kit);
    assert.equal(again.database.state.epoch, 8);
    assert.deepEqual(again.database.state.held.map(({ ttid }) => ttid), [ttid1]);
    assert.equal(await again.text(1), "lazy");
  });

  testWith(`${name}: an empty durable round flushes what is lazy`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.saveLazily(...commit(3, [[1, "lazy"]]));
    await db.save();
    await kit.crash();

    assert.equal(await (await Driver.open(kit)).text(1), "lazy");
  });

  testWith(`${name}: close() flushes what is lazy`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.saveLazily(...commit(3, [[1, "lazy"]]));
    await db.close();
    await kit.crash();

    assert.equal(await (await Driver.open(kit)).text(1), "lazy");
  });

  testWith(`${name}: what a crash leaves is a whole number of rounds`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(1, [[1, "value 1"], [2, "value 1"]]));
    for (let tid = 2; tid <= 5; tid++) {
      await db.saveLazily(...commit(tid, [[1, `value ${tid}`], [2, `value ${tid}`]]));
    }
    await kit.crash();

    const again = await Driver.open(kit);
    assert.equal(await again.text(1), await again.text(2));
    const count = (await Promise.all([0, 1, 2].map((partition) =>
      again.transactions(partition)
    ))).flat().length;
    assert.equal(await again.text(1), `value ${count}`);
  });
}

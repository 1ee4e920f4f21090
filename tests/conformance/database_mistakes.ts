/** What every `Database` does when it is used wrongly, or with values that look like something else. */
import assert from "node:assert/strict";
import { InvariantError } from "../../core/errors.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import {
  bytesOf,
  commit,
  Driver,
  finish,
  IDENTITY,
  type MakeDatabase,
  oidOf,
  store,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";

const ttid1 = ttidOf(1);
const oid1 = oidOf(1);

const held = [store(ttid1, oid1, "one"), vote(ttid1, null), {
  op: "lock",
  ttid: ttid1,
  tid: tidAt(5),
}] as const;
const mistakes: { title: string; before: readonly DatabaseWrite[]; write: DatabaseWrite }[] = [
  { title: "a lock of nothing", before: [], write: { op: "lock", ttid: ttid1, tid: tidAt(5) } },
  { title: "a lock without a vote", before: held.slice(0, 1), write: held[2] },
  {
    title: "a lock after unvote",
    before: [...held.slice(0, 2), { op: "unvote", ttid: ttid1 }],
    write: held[2],
  },
  { title: "a lock under a second tid", before: held, write: { op: "lock", ttid: ttid1, tid: tidAt(6) } },
  {
    title: "an unlock without a lock",
    before: held.slice(0, 2),
    write: { op: "unlock", ttid: ttid1, tid: tidAt(5) },
  },
  {
    title: "an unlock under another tid",
    before: held,
    write: { op: "unlock", ttid: ttid1, tid: tidAt(6) },
  },
  { title: "a vote after the lock", before: held, write: vote(ttid1, null) },
  { title: "unvote after the lock", before: held, write: { op: "unvote", ttid: ttid1 } },
  { title: "a store after the lock", before: held, write: store(ttid1, oidOf(2), "late") },
  { title: "another store after the lock", before: held, write: store(ttid1, oid1, "late") },
  { title: "unstore after the lock", before: held, write: { op: "unstore", ttid: ttid1, oid: oid1 } },
  { title: "a store in a wrong partition", before: [], write: { ...held[0], oid: oidOf(2) } },
];

/** The part of the suite about mistakes. */
export function testDatabaseMistakes(name: string, make: MakeDatabase): void {
  testMistakes(name, make);
  testValues(name, make);
}

function testMistakes(name: string, make: MakeDatabase): void {
  for (const { title, before, write } of mistakes) {
    testWith(
      `${name}: apply() throws at ${title}, does nothing of the round, and ends there (C1)`,
      make,
      async (kit) => {
        const db = await Driver.open(kit);
        await db.save(...before, { op: "epoch", epoch: 3 });

        await assert.rejects(
          db.save({ op: "epoch", epoch: 4 }, ...commit(9, [[8, "lost"]]), write),
          InvariantError,
        );

        await assert.rejects(db.save(), InvariantError);
        await assert.rejects(db.load(1), InvariantError);
        await db.close();
        const again = await Driver.open(kit);
        assert.equal(again.database.state.epoch, 3);
        assert.equal(await again.text(8), undefined);
        assert.equal(again.database.state.identity.diskId, IDENTITY.diskId);
      },
    );
  }
}

function testValues(name: string, make: MakeDatabase): void {
  testWith(`${name}: a database isn't used after close()`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(1, [[1, "one"]]));
    await db.close();
    await db.close();

    await assert.rejects(db.save(), InvariantError);
    await assert.rejects(db.load(1), InvariantError);
  });

  testWith(`${name}: identity, texts and bytes are values, whatever they contain (T32)`, (identity) => {
    const hostile = "');DROP TABLE obj;--\0\"`$1?:a@b\ufeffé\u{1f600}";
    return make({
      ...identity,
      cluster: hostile,
      name: `\ufeff${hostile}`,
      clusterId: hostile,
      diskId: hostile,
    });
  }, async (kit) => {
    const db = await Driver.open(kit);
    const { name: text } = db.database.state.identity;
    assert.match(text, /^\ufeff'\);DROP TABLE obj;--\0/);
    const oids = [oidOf(1), oidOf(4), oidOf(1)];
    const note = {
      status: text,
      user: bytesOf(text),
      description: bytesOf(""),
      extension: bytesOf("\0'"),
      oids,
    };
    await db.save(store(ttid1, oid1, text), vote(ttid1, note, 2), ...finish(ttid1, 5));

    assert.equal(await db.text(1), text.slice(1), "what a decoder leaves of the data");
    assert.deepEqual(await db.transactions(2), [{ tid: tidAt(5), ttid: ttid1, ...note }]);
    await db.close();
    assert.deepEqual((await kit.open()).state.identity.name, text);
  });
}

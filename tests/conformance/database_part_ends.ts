/** How values in parts end: given up, lost with the process that took them, or wrongly asked for (T19). */
import assert from "node:assert/strict";
import { InvariantError } from "../../core/errors.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import {
  bytesOf,
  type DatabaseKit,
  Driver,
  type MakeDatabase,
  manifestOf,
  oidOf,
  part,
  partsAfter,
  store,
  storeParts,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";

const ttid1 = ttidOf(1);
const ttid2 = ttidOf(2);
const oid1 = oidOf(1);
const texts = ["first", "secnd", "end"];

/** The part of the suite about the ends of values in parts. */
export function testDatabasePartEnds(name: string, make: MakeDatabase): void {
  testPartEnds(name, make);
  testPartRestarts(name, make);
  testPartMistakes(name, make);
}

function testPartEnds(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: a transaction of parts only is held by nobody, and can be given up`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      await db.save(part(ttid1, oid1, 0, "a"), part(ttid1, oidOf(900), 0, "b"));
      assert.deepEqual(await db.marks(), { read: "marks", lastTids: [], lastOid: null, lastTtid: null });
      assert.deepEqual(await db.load(1), { read: "load", known: false, revision: null });
      await db.save({ op: "abort", ttid: ttid1 });

      await assert.rejects(db.save(part(ttid1, oid1, 1, "after nothing")), InvariantError);
    },
  );

  testWith(`${name}: another object's parts stay where one is forgotten`, make, async (kit) => {
    const db = await Driver.open(kit);
    const forget = { op: "unstore", ttid: ttid1, oid: oidOf(2) } as const;
    const [one, two] = [storeParts(ttid1, oid1, ["a", "b"]), storeParts(ttid1, oidOf(2), ["c"])];
    assert.deepEqual(await partsAfter(db, one[0]!, two[0]!, forget, one[1]!, one[2]!), ["a", "b"]);
  });
}

function testPartRestarts(name: string, make: MakeDatabase): void {
  const ends: { title: string; end: (db: Driver, kit: DatabaseKit) => unknown }[] = [
    { title: "a restart", end: (db) => db.close() },
    { title: "a crash", end: (_, kit) => kit.crash() },
  ];
  for (const { title, end } of ends) {
    testWith(
      `${name}: stored parts are there after ${title}, and waiting ones gone (T19)`,
      make,
      async (kit) => {
        const db = await Driver.open(kit);
        await db.saveLazily(...storeParts(ttid1, oid1, texts), part(ttid1, oidOf(4), 0, "waits"));
        await db.saveLazily(part(ttid1, oid1, 0, "new"), part(ttid2, oid1, 0, "no vote"));
        await db.saveLazily(...storeParts(ttidOf(3), oid1, ["no vote"]));
        await db.saveLazily(...storeParts(ttidOf(4), oidOf(7), ["locked"]), vote(ttidOf(4), null));
        await db.saveLazily(part(ttidOf(4), oidOf(8), 0, "waits"));
        await db.save(vote(ttid1, null, 1), { op: "lock", ttid: ttidOf(4), tid: tidAt(8) });
        await end(db, kit);

        const again = await Driver.open(kit);
        const { held } = again.database.state;
        assert.deepEqual(
          held.map(({ ttid, objects }) => [ttid, objects.map(({ oid, checksum }) => [oid, checksum])]),
          [[ttid1, [[oid1, manifestOf(texts).checksum]]], [ttidOf(4), [[
            oidOf(7),
            manifestOf(["locked"]).checksum,
          ]]]],
        );
        await again.save(
          { op: "unvote", ttid: ttid1 },
          store(ttid1, oidOf(4), null, { stored: manifestOf(["waits"]) }),
        );
        await again.save(part(ttid2, oid1, 0, "begins anew"), {
          op: "unlock",
          ttid: ttidOf(4),
          tid: tidAt(8),
        });
        assert.deepEqual(await partsAfter(again), texts);
        assert.deepEqual(await again.parts(4, 9), []);
        assert.deepEqual(await again.parts(7, 8), ["locked"]);
        await assert.rejects(again.save(part(ttid1, oidOf(4), 1, "after nothing")), InvariantError);
      },
    );
  }

  testWith(`${name}: a value in parts can be given up after a restart, or replaced`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...storeParts(ttid1, oid1, texts), ...storeParts(ttid2, oid1, ["other"]));
    await db.save(vote(ttid1, null), vote(ttid2, null));
    await db.close();

    const again = await Driver.open(kit);
    await again.save({ op: "abort", ttid: ttid2 }, { op: "unvote", ttid: ttid1 });
    assert.deepEqual(await partsAfter(again, ...storeParts(ttid1, oid1, ["new", "er"])), ["new", "er"]);
  });
}

function testPartMistakes(name: string, make: MakeDatabase): void {
  const locked = [
    store(ttid1, oid1, "one"),
    part(ttid1, oidOf(2), 0, "a"),
    vote(ttid1, null),
    { op: "lock", ttid: ttid1, tid: tidAt(5) },
  ] as const;
  const mistakes: { title: string; before: readonly DatabaseWrite[]; write: DatabaseWrite }[] = [
    { title: "a part after nothing", before: [], write: part(ttid1, oid1, 1, "b") },
    { title: "a gap between parts", before: [part(ttid1, oid1, 0, "a")], write: part(ttid1, oid1, 2, "c") },
    {
      title: "a part twice",
      before: [part(ttid1, oid1, 0, "a"), part(ttid1, oid1, 1, "b")],
      write: part(ttid1, oid1, 1, "b"),
    },
    {
      title: "a part behind the store of its value",
      before: storeParts(ttid1, oid1, ["a"]),
      write: part(ttid1, oid1, 1, "b"),
    },
    { title: "a first part after the lock", before: locked, write: part(ttid1, oid1, 0, "a") },
    { title: "another part after the lock", before: locked, write: part(ttid1, oidOf(2), 1, "b") },
  ];
  for (const { title, before, write } of mistakes) {
    testWith(`${name}: apply() throws at ${title}, and does nothing of the round`, make, async (kit) => {
      const db = await Driver.open(kit);
      await db.save(...before);
      const unlucky = db.save({ op: "epoch", epoch: 4 }, write);
      await assert.rejects(unlucky, { name: "InvariantError", message: /part/ });
      await db.close();
      assert.equal((await Driver.open(kit)).database.state.epoch, 0);
    });
  }

  testWith(`${name}: parts are bytes, whatever they contain`, make, async (kit) => {
    const db = await Driver.open(kit);
    const hostile = ["');DROP TABLE part;--\0", "\ufeff?:a@b"];
    await partsAfter(db, ...storeParts(ttid1, oid1, hostile));
    assert.deepEqual((await db.part(1, 9, 0))?.data, bytesOf(hostile[0]!));
    assert.deepEqual((await db.part(1, 9, 1))?.data, bytesOf(hostile[1]!));
  });
}

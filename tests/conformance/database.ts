/** What every `Database` promises. An adapter is done when its test file calls this and passes. */
import assert from "node:assert/strict";
import { ID_MAX, MAX_TID, toOid, toTid } from "../../core/ids.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import { testDatabaseCopies } from "./database_copies.ts";
import {
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  type MakeDatabase,
  noteOf,
  oidOf,
  store,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";
import { testDatabaseLosses } from "./database_losses.ts";
import { testDatabaseMistakes } from "./database_mistakes.ts";
import { testDatabasePacks } from "./database_packs.ts";
import { testDatabaseParts } from "./database_parts.ts";
import { testDatabasePicks } from "./database_picks.ts";
import { testDatabaseQueries } from "./database_queries.ts";
import { testDatabaseReplies } from "./database_replies.ts";
import { testDatabaseRestart } from "./database_restart.ts";

const ttid1 = ttidOf(1);
const ttid2 = ttidOf(2);
const oid1 = oidOf(1);

/** Runs the whole suite against the databases that `make` gives places to. */
export function testDatabase(name: string, make: MakeDatabase): void {
  testVisibility(name, make);
  testObjects(name, make);
  testLinks(name, make);
  testEnds(name, make);
  testDatabaseCopies(name, make);
  testDatabaseLosses(name, make);
  testDatabaseMistakes(name, make);
  testDatabaseParts(name, make);
  testDatabasePicks(name, make);
  testDatabaseQueries(name, make);
  testDatabaseReplies(name, make);
  testDatabasePacks(name, make);
  testDatabaseRestart(name, make);
}

function testVisibility(name: string, make: MakeDatabase): void {
  testWith(`${name}: apply() hides a transaction until its unlock`, make, async (kit) => {
    const db = await Driver.open(kit);
    const steps: DatabaseWrite[] = [
      store(ttid1, oid1, "one"),
      vote(ttid1, noteOf("one", [oid1]), 2),
      { op: "lock", ttid: ttid1, tid: tidAt(5) },
    ];
    for (const step of steps) {
      await db.save(step);
      assert.deepEqual(await db.load(1), { read: "load", known: false, revision: null }, step.op);
      assert.equal(await db.fate(ttid1), null, step.op);
      assert.deepEqual(await db.transactions(2), [], step.op);
      assert.equal((await db.digest(1)).count, 0, step.op);
    }

    await db.saveLazily({ op: "unlock", ttid: ttid1, tid: tidAt(5) });

    const revision = { tid: tidAt(5), next: null, stored: dataOf("one"), link: null };
    assert.deepEqual(await db.load(1), { read: "load", known: true, revision });
    assert.equal(await db.fate(ttid1), tidAt(5));
    assert.deepEqual(await db.transactions(2), [{ tid: tidAt(5), ttid: ttid1, ...noteOf("one", [oid1]) }]);
    assert.equal((await db.digest(1)).count, 1);
  });

  testWith(
    `${name}: read() sees all that was applied before it, lazy or not (C2, A17)`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      for (let tid = 1; tid <= 20; tid++) {
        await db.saveLazily(...commit(tid, [[1, `value ${tid}`]]));
        const [latest, text, { revision }] = await Promise.all([
          db.latest(1),
          db.text(1),
          db.load(1, tidAt(tid - 1)),
        ]);
        assert.equal(latest, tidAt(tid));
        assert.equal(text, `value ${tid}`);
        assert.equal(revision?.next, tid === 1 ? undefined : tidAt(tid));
      }
    },
  );

  testWith(`${name}: apply() keeps transactions apart that store the same object`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(store(ttid1, oid1, "one"), store(ttid2, oid1, "two"), vote(ttid2, null), vote(ttid1, null));

    await db.save(...finish(ttid2, 8));
    assert.equal(await db.text(1), "two");
    await db.save(...finish(ttid1, 9));

    assert.equal(await db.text(1), "one");
    assert.equal(await db.text(1, tidAt(8)), "two");
  });
}

function testObjects(name: string, make: MakeDatabase): void {
  testWith(`${name}: a deletion isn't empty data`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(4, [[1, "one"], [2, "two"]]), ...commit(5, [[1, ""], [2, null]]));

    const empty = { tid: tidAt(5), next: null, stored: dataOf(""), link: null };
    assert.deepEqual((await db.load(1)).revision, empty);
    assert.deepEqual(await db.load(2), { read: "load", known: true, revision: { ...empty, stored: null } });
  });

  testWith(`${name}: a check keeps no revision`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(
      ...committed(5, [store(ttid1, oid1, null, { mode: "check" }), store(ttid1, oidOf(4), "four")]),
    );

    assert.equal((await db.load(1)).known, false);
    assert.equal(await db.text(4), "four");
    assert.deepEqual((await db.transactions(2))[0]?.oids, [oidOf(1), oidOf(4)]);
  });

  testWith(`${name}: store replaces what the transaction stored for the object`, make, async (kit) => {
    const db = await Driver.open(kit);
    const check = store(ttid1, oidOf(3), null, { mode: "check" });
    await db.save(
      store(ttid1, oid1, "first"),
      store(ttid1, oidOf(2), "kept"),
      store(ttid1, oid1, "second"),
      check,
    );
    await db.save(store(ttid1, oid1, "third"), store(ttid1, oidOf(3), "stored after all"));
    await db.save(...committed(5, [store(ttid1, oid1, "last")]));

    assert.deepEqual([await db.text(1), await db.text(2), await db.text(3)], [
      "last",
      "kept",
      "stored after all",
    ]);
  });

  testWith(`${name}: unstore forgets one object and no other`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(store(ttid1, oid1, "one"), store(ttid1, oidOf(2), "two"), store(ttid2, oid1, "other"));
    const [forget, nothing] = [oid1, oidOf(9)].map((oid) => ({ op: "unstore", ttid: ttid1, oid }) as const);
    await db.save(forget!, nothing!, vote(ttid1, null), vote(ttid2, null));
    await db.save(...finish(ttid1, 5), ...finish(ttid2, 6));

    assert.deepEqual([await db.text(1, tidAt(5)), await db.text(2), await db.text(1)], [
      undefined,
      "two",
      "other",
    ]);
  });
}

function testLinks(name: string, make: MakeDatabase): void {
  testWith(`${name}: a link gives the data of the earlier revision`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[1, "old"], [2, "two"]]), ...commit(4, [[1, "new"], [2, null]]));
    const undo = store(ttid1, oid1, null, { base: tidAt(4), link: tidAt(3) });
    const undeleted = store(ttid1, oidOf(2), "not used", { base: tidAt(4), link: tidAt(4) });
    const unknown = store(ttid1, oidOf(5), "kept", { link: tidAt(3) });
    await db.save(...committed(6, [undo, undeleted, unknown]));

    const linked = { tid: tidAt(6), next: null, stored: dataOf("old"), link: tidAt(3) };
    assert.deepEqual((await db.load(1)).revision, linked);
    assert.deepEqual((await db.load(2)).revision, { ...linked, stored: null, link: tidAt(4) });
    assert.deepEqual((await db.load(5)).revision, { ...linked, stored: dataOf("kept") });
    await db.save(...committed(7, [store(ttid2, oid1, null, { base: tidAt(6), link: tidAt(6) })]));
    assert.equal(await db.text(1), "old", "a link to a link");
  });

  testWith(`${name}: apply() takes many objects in one round, and large ones (T31)`, make, async (kit) => {
    const db = await Driver.open(kit);
    const large = "x".repeat(1024 * 1024);
    const texts = Array.from({ length: 1_000 }, (_, i) => [i + 1, i === 500 ? large : `value ${i}`] as const);
    await db.save(...commit(7, texts));

    for (const [oid, text] of [texts[0]!, texts[63]!, texts[64]!, texts[500]!, texts[999]!]) {
      assert.equal(await db.text(oid), text);
    }
    const [transaction] = await db.transactions(1);
    assert.deepEqual(transaction?.oids, texts.map(([oid]) => oidOf(oid)));
  });

  testWith(`${name}: apply() keeps the highest ids`, make, async (kit) => {
    const db = await Driver.open(kit);
    const [oid, link] = [toOid(ID_MAX), toTid(ID_MAX - 2n)];
    const edge = store(ttid1, oid, "edge", { base: toTid(ID_MAX - 1n), link });
    await db.save(edge, vote(ttid1, noteOf("edge", [oid, oid]), 1));
    await db.save({ op: "lock", ttid: ttid1, tid: MAX_TID }, { op: "unlock", ttid: ttid1, tid: MAX_TID });

    const { revision } = await db.ask<"load">({ read: "load", oid, at: MAX_TID });
    assert.deepEqual(revision, { tid: MAX_TID, next: null, stored: dataOf("edge"), link });
    assert.deepEqual((await db.transactions(1))[0]?.oids, [oid, oid]);
    assert.deepEqual((await db.marks()).lastOid, oid);
  });
}

function testEnds(name: string, make: MakeDatabase): void {
  testWith(`${name}: abort forgets a transaction, and nothing that others share`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(3, [[1, "old"]]), ...commit(4, [[1, "new"]]));
    const undo = store(ttid1, oid1, null, { base: tidAt(4), link: tidAt(3) });
    await db.save(undo, { ...undo, ttid: ttid2 }, vote(ttid1, null), { op: "abort", ttid: ttid1 });
    assert.equal(await db.text(1, tidAt(3)), "old");

    await db.save(vote(ttid2, null), ...finish(ttid2, 6));
    assert.equal(await db.text(1), "old", "the other transaction shares the data still");
    assert.equal(await db.text(1, tidAt(5)), "new");
  });

  testWith(`${name}: what isn't held can be ended again`, make, async (kit) => {
    const db = await Driver.open(kit);
    const nobody: DatabaseWrite[] = [
      { op: "unlock", ttid: ttid1, tid: tidAt(5) },
      { op: "abort", ttid: ttid1 },
      { op: "unvote", ttid: ttid1 },
      { op: "unstore", ttid: ttid1, oid: oid1 },
    ];
    await db.save(...nobody);
    await db.save(...committed(6, [store(ttid1, oid1, "one")]));
    await db.save(...nobody);

    assert.equal(await db.text(1), "one");
    assert.equal((await db.transactions(0)).length, 1);
  });

  testWith(`${name}: a vote without a note leaves no transaction, only its objects`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(store(ttid1, oid1, "one"), vote(ttid1, null, 1));
    await db.save(...finish(ttid1, 4));

    assert.equal(await db.text(1), "one");
    assert.equal(await db.fate(ttid1), null);
    assert.deepEqual(await db.transactions(1), []);
  });

  testWith(`${name}: a transaction without objects leaves its note`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(vote(ttid1, noteOf("empty"), 1), ...finish(ttid1, 4));

    assert.deepEqual(await db.transactions(1), [{ tid: tidAt(4), ttid: ttid1, ...noteOf("empty") }]);
  });

  testWith(`${name}: a later vote replaces an earlier one, with unvote between or not`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(
      store(ttid1, oid1, "one"),
      vote(ttid1, noteOf("first"), 0),
      vote(ttid1, noteOf("second"), 1),
    );
    await db.save(
      { op: "unvote", ttid: ttid1 },
      store(ttid1, oid1, "changed"),
      vote(ttid1, noteOf("third"), 2),
    );
    await db.save(...finish(ttid1, 5));

    assert.equal(await db.text(1), "changed");
    assert.deepEqual(await db.transactions(1), []);
    assert.deepEqual(await db.transactions(2), [{ tid: tidAt(5), ttid: ttid1, ...noteOf("third") }]);
  });
}

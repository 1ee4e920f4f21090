/** What every `Database` does with values that are kept in parts (T19). */
import assert from "node:assert/strict";
import type { DatabaseWrite } from "../../core/ports.ts";
import {
  commit,
  committed,
  dataOf,
  Driver,
  finish,
  IDENTITY,
  type MakeDatabase,
  manifestOf,
  noteOf,
  oidOf,
  part,
  partsAfter,
  sha256,
  store,
  storeParts,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";
import { testDatabasePartEnds } from "./database_part_ends.ts";

const ttid1 = ttidOf(1);
const ttid2 = ttidOf(2);
const oid1 = oidOf(1);
const texts = ["first", "secnd", "end"];

/** The store of a manifest alone. */
const manifest = (all: readonly string[]) => store(ttid1, oid1, null, { stored: manifestOf(all) });
const replacements: { title: string; writes: readonly DatabaseWrite[]; parts: readonly string[] }[] = [
  {
    title: "parts from the first one on replace those that wait",
    writes: [
      part(ttid1, oid1, 0, "old"),
      part(ttid1, oid1, 1, "older"),
      ...storeParts(ttid1, oid1, ["a", "b"]),
    ],
    parts: ["a", "b"],
  },
  {
    title: "a later store with parts replaces an earlier one and its parts",
    writes: [...storeParts(ttid1, oid1, texts), ...storeParts(ttid1, oid1, ["a", "b"])],
    parts: ["a", "b"],
  },
  {
    title: "parts that wait leave what was stored as it is",
    writes: [...storeParts(ttid1, oid1, texts), part(ttid1, oid1, 0, "new")],
    parts: texts,
  },
  {
    title: "a manifest without parts takes none of an earlier store along",
    writes: [...storeParts(ttid1, oid1, texts), manifest(texts)],
    parts: [],
  },
  {
    title: "a store as a whole drops the parts that wait",
    writes: [part(ttid1, oid1, 0, "a"), store(ttid1, oid1, "whole"), manifest(["a"])],
    parts: [],
  },
  {
    title: "a store as a whole drops the parts that were stored",
    writes: [...storeParts(ttid1, oid1, texts), store(ttid1, oid1, "whole")],
    parts: [],
  },
  {
    title: "a deletion drops the parts that wait",
    writes: [part(ttid1, oid1, 0, "a"), store(ttid1, oid1, null), manifest(["a"])],
    parts: [],
  },
  {
    title: "a check drops the parts that wait",
    writes: [part(ttid1, oid1, 0, "a"), store(ttid1, oid1, null, { mode: "check" }), manifest(["a"])],
    parts: [],
  },
  {
    title: "unstore drops the parts that wait",
    writes: [part(ttid1, oid1, 0, "a"), { op: "unstore", ttid: ttid1, oid: oid1 }, manifest(["a"])],
    parts: [],
  },
  {
    title: "unstore drops the parts that were stored, and those that wait",
    writes: [
      ...storeParts(ttid1, oid1, texts),
      part(ttid1, oid1, 0, "a"),
      { op: "unstore", ttid: ttid1, oid: oid1 },
      manifest(texts),
    ],
    parts: [],
  },
  {
    title: "abort drops the parts that wait",
    writes: [part(ttid1, oid1, 0, "a"), { op: "abort", ttid: ttid1 }, manifest(["a"])],
    parts: [],
  },
  {
    title: "unvote leaves parts alone, waiting or stored",
    writes: [
      ...storeParts(ttid1, oid1, texts),
      vote(ttid1, null),
      part(ttid1, oid1, 0, "a"),
      { op: "unvote", ttid: ttid1 },
      part(ttid1, oid1, 1, "b"),
      manifest(["a", "b"]),
    ],
    parts: ["a", "b"],
  },
  {
    title: "unlock drops the parts that wait",
    writes: [...storeParts(ttid1, oid1, texts), part(ttid1, oid1, 0, "late")],
    parts: texts,
  },
];

/** The part of the suite about values in parts. */
export function testDatabaseParts(name: string, make: MakeDatabase): void {
  testPartLoads(name, make);
  testPartBytes(name, make);
  testPartLinks(name, make);
  testPartReplacements(name, make);
  testDatabasePartEnds(name, make);
}

function testPartLoads(name: string, make: MakeDatabase): void {
  testWith(`${name}: loadPart gives the parts of a value once it is final (T19)`, make, async (kit) => {
    const db = await Driver.open(kit);
    const steps: DatabaseWrite[] = [
      ...storeParts(ttid1, oid1, texts),
      vote(ttid1, noteOf("one", [oid1]), 1),
      { op: "lock", ttid: ttid1, tid: tidAt(5) },
    ];
    for (const step of steps) {
      await db.saveLazily(step);
      assert.deepEqual(await db.parts(1, 5), [], step.op);
    }
    const nothing = await db.ask<"loadPart">({ read: "loadPart", oid: oid1, tid: tidAt(5), seq: 0 });
    assert.deepEqual(nothing, { read: "loadPart", known: false, part: null });
    await db.saveLazily({ op: "unlock", ttid: ttid1, tid: tidAt(5) });

    const revision = { tid: tidAt(5), next: null, stored: manifestOf(texts), link: null };
    assert.deepEqual(await db.load(1), { read: "load", known: true, revision });
    assert.deepEqual(await db.part(1, 5, 1), dataOf("secnd"));
    assert.deepEqual(await db.parts(1, 5), texts);
    const behind = await db.ask<"loadPart">({ read: "loadPart", oid: oid1, tid: tidAt(5), seq: 3 });
    assert.deepEqual(behind, { read: "loadPart", known: true, part: null });
    assert.equal(await db.part(1, 4, 0), undefined);
    assert.equal(await db.part(4, 5, 0), undefined);
  });
}

function testPartBytes(name: string, make: MakeDatabase): void {
  testWith(`${name}: a part is kept byte by byte, with its own compression`, make, async (kit) => {
    const db = await Driver.open(kit);
    const data = Uint8Array.from({ length: 512 * 1024 }, (_, at) => at % 251);
    const stored = { compression: 1, checksum: sha256(data), data };
    const empty = part(ttid1, oid1, 1, "");
    await db.save({ op: "part", ttid: ttid1, oid: oid1, seq: 0, stored }, empty);
    await partsAfter(db, store(ttid1, oid1, null, { stored: manifestOf(texts) }));

    assert.deepEqual(await db.part(1, 9, 0), stored);
    assert.deepEqual(await db.part(1, 9, 1), dataOf(""));
  });

  testWith(`${name}: a revision as a whole has no parts`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...commit(5, [[1, "one"], [2, null]]));
    for (const oid of [1, 2]) {
      const answer = await db.ask<"loadPart">({ read: "loadPart", oid: oidOf(oid), tid: tidAt(5), seq: 0 });
      assert.deepEqual(answer, { read: "loadPart", known: true, part: null });
    }
  });

  testWith(
    `${name}: each revision, and each object of a transaction, has its own parts`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      const [one, two] = [["a", "b"], ["c", "d", "e"]].map((all, at) =>
        storeParts(ttid1, oidOf(at + 1), all)
      );
      const mixed = [one![0]!, two![0]!, two![1]!, one![1]!, two![2]!, two![3]!, one![2]!];
      await db.save(...mixed, vote(ttid1, null), ...finish(ttid1, 5));
      await db.save(...storeParts(ttid2, oid1, ["later"]), vote(ttid2, null), ...finish(ttid2, 6));

      assert.deepEqual(await Promise.all([db.parts(1, 5), db.parts(2, 5), db.parts(1, 6)]), [
        ["a", "b"],
        ["c", "d", "e"],
        ["later"],
      ]);
    },
  );

  testWith(`${name}: transactions that store parts for the same object are kept apart`, make, async (kit) => {
    const db = await Driver.open(kit);
    const [one, two] = [storeParts(ttid1, oid1, ["a1", "a2"]), storeParts(ttid2, oid1, ["b1", "b2"])];
    await db.save(one[0]!, two[0]!, one[1]!, two[1]!, two[2]!, one[2]!, vote(ttid1, null), vote(ttid2, null));
    await db.save(...finish(ttid2, 5), ...finish(ttid1, 6));

    assert.deepEqual([await db.parts(1, 5), await db.parts(1, 6)], [["b1", "b2"], ["a1", "a2"]]);
  });
}

function testPartLinks(name: string, make: MakeDatabase): void {
  testWith(`${name}: a link gives the parts of the earlier revision too`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...storeParts(ttid1, oid1, texts), vote(ttid1, null), ...finish(ttid1, 3));
    await db.save(...commit(4, [[1, "small"]]));
    const undo = store(ttid2, oid1, null, { base: tidAt(4), link: tidAt(3) });
    await db.save(...committed(6, [undo]));

    assert.deepEqual((await db.load(1)).revision?.stored, manifestOf(texts));
    assert.deepEqual([await db.parts(1, 3), await db.parts(1, 4), await db.parts(1, 6)], [texts, [], texts]);
  });

  testWith(`${name}: abort of an undo leaves the parts that it shares`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...storeParts(ttid1, oid1, texts), vote(ttid1, null), ...finish(ttid1, 3));
    await db.save(store(ttid2, oid1, null, { link: tidAt(3) }), vote(ttid2, null));
    await db.save({ op: "abort", ttid: ttid2 });

    assert.deepEqual(await db.parts(1, 3), texts);
  });

  testWith(`${name}: a link that can't be resolved keeps the parts that came with it`, make, async (kit) => {
    const db = await Driver.open(kit);
    assert.deepEqual(await partsAfter(db, ...storeParts(ttid1, oid1, texts, { link: tidAt(3) })), texts);
    await db.save(...storeParts(ttid2, oid1, ["not used"], { link: tidAt(9) }));
    await db.save(vote(ttid2, null), ...finish(ttid2, 10));
    assert.deepEqual(await db.parts(1, 10), texts);
  });

  testWith(`${name}: digest covers a value in parts by its manifest`, make, async (kit) => {
    const db = await Driver.open(kit);
    const more = { stored: manifestOf(texts) };
    await db.save(...storeParts(ttid1, oid1, texts), vote(ttid1, null), ...finish(ttid1, 5));
    await db.save(store(ttid2, oidOf(2), null, more), vote(ttid2, null), ...finish(ttid2, 5));

    const [whole, other] = [await db.digest(1), await db.digest(2)];
    assert.deepEqual([whole.count, other.count], [1, 1]);
    const again = make(IDENTITY);
    try {
      const manifestOnly = await Driver.open(again);
      await manifestOnly.save(store(ttid1, oid1, null, more), vote(ttid1, null), ...finish(ttid1, 5));
      assert.deepEqual((await manifestOnly.digest(1)).digest, whole.digest);
    } finally {
      await again.end();
    }
  });
}

function testPartReplacements(name: string, make: MakeDatabase): void {
  for (const { title, writes, parts } of replacements) {
    testWith(`${name}: ${title}, in one round (T19)`, make, async (kit) => {
      const db = await Driver.open(kit);
      assert.deepEqual(await partsAfter(db, ...writes), parts);
    });
    testWith(`${name}: ${title}, write by write`, make, async (kit) => {
      const db = await Driver.open(kit);
      for (const write of writes) await db.saveLazily(write);
      assert.deepEqual(await partsAfter(db), parts);
    });
  }
}

/** What every `Database` does with links and values in parts that come from another copy of a partition. */
import assert from "node:assert/strict";
import {
  Driver,
  finish,
  homeOf,
  type MakeDatabase,
  oidOf,
  storeParts,
  testWith,
  tidAt,
  ttidOf,
  vote,
} from "./database_kit.ts";
import { copy, copyParts, inParts, row } from "./database_replica_kit.ts";

const ttid1 = ttidOf(1);
const texts = ["first", "secnd", "end"];

/** The part of the suite about copied links and parts. */
export function testDatabaseCopiedParts(name: string, make: MakeDatabase): void {
  testCopiedLinks(name, make);
  testCopiedParts(name, make);
  testCopiedPartEnds(name, make);
}

function testCopiedLinks(name: string, make: MakeDatabase): void {
  testWith(
    `${name}: a copied link keeps its data, whatever the earlier revision here is`,
    make,
    async (kit) => {
      const db = await Driver.open(kit);
      await db.save(copy(1, row(1, 3, "same"), row(1, 5, "same", 3), row(4, 5, "alone", 3)));
      await db.save(
        copy(1, row(7, 3, "differs"), row(7, 5, "its own", 3), row(10, 3, null), row(10, 5, "x", 3)),
      );
      await db.save(copy(1, row(13, 3, "deleted"), row(13, 5, null, 3)));

      assert.deepEqual((await db.load(1)).revision?.link, tidAt(3));
      const now = await Promise.all([1, 4, 7, 10, 13].map((oid) => db.text(oid)));
      assert.deepEqual(now, ["same", "alone", "its own", "x", null]);
      await db.save(copy(1, row(1, 3, "changed")));
      assert.deepEqual([await db.text(1, tidAt(3)), await db.text(1)], ["changed", "same"]);
    },
  );

  testWith(`${name}: a copied link shares parts with the earlier revision`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...copyParts(1, 3, texts), copy(1, inParts(1, 3, texts), inParts(1, 5, texts, 3)));
    assert.deepEqual(await db.parts(1, 5), texts);

    const uncopy = { op: "uncopy", partition: homeOf(1), transactions: [] } as const;
    await db.save({ ...uncopy, revisions: [{ oid: oidOf(1), tid: tidAt(3) }] });
    assert.deepEqual([await db.parts(1, 3), await db.parts(1, 5)], [[], texts]);
  });
}

function testCopiedParts(name: string, make: MakeDatabase): void {
  testWith(`${name}: copies of several values in parts may be under way at once (T19)`, make, async (kit) => {
    const db = await Driver.open(kit);
    const [one, two] = [copyParts(1, 3, ["a", "b"]), copyParts(1, 5, ["c", "d", "e"])];
    const [other] = copyParts(4, 3, ["f"]);
    await db.save(one[0]!, two[0]!, other!, two[1]!);
    await db.saveLazily(one[1]!, copy(1, inParts(4, 3, ["f"])), two[2]!);
    await db.save(copy(1, inParts(1, 3, ["a", "b"]), inParts(1, 5, ["c", "d", "e"])));

    const all = await Promise.all([db.parts(1, 3), db.parts(1, 5), db.parts(4, 3)]);
    assert.deepEqual(all, [["a", "b"], ["c", "d", "e"], ["f"]]);
    assert.deepEqual(await db.broken(1), []);
  });

  testWith(`${name}: the first part begins anew, and parts of nothing are gone`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(
      ...copyParts(1, 3, texts),
      ...copyParts(1, 3, ["a", "b"]),
      copy(1, inParts(1, 3, ["a", "b"])),
    );
    assert.deepEqual(await db.parts(1, 3), ["a", "b"]);

    await db.save(...copyParts(1, 5, ["a"]), copy(1, row(1, 5, "whole")), copy(1, inParts(1, 5, ["a"])));
    assert.deepEqual(await db.parts(1, 5), []);
    assert.deepEqual(await db.broken(1), [{ oid: oidOf(1), tid: tidAt(5) }]);
    await db.save(...copyParts(1, 5, ["a"]), copy(1, row(1, 5, null)), copy(1, inParts(1, 5, ["a"])));
    assert.deepEqual(await db.parts(1, 5), []);
  });

  testWith(`${name}: a copied manifest without parts leaves those of the same value`, make, async (kit) => {
    const db = await Driver.open(kit);
    await db.save(...copyParts(1, 3, texts), copy(1, inParts(1, 3, texts)), copy(1, inParts(1, 3, texts, 2)));
    assert.deepEqual(await db.parts(1, 3), texts);
    assert.equal((await db.load(1)).revision?.link, tidAt(2));

    await db.save(copy(1, inParts(1, 3, ["other"])));
    assert.deepEqual(await db.parts(1, 3), []);
    await db.save(...copyParts(1, 3, ["other"]), copy(1, inParts(1, 3, ["other"])));
    assert.deepEqual(await db.parts(1, 3), ["other"]);
  });
}

function testCopiedPartEnds(name: string, make: MakeDatabase): void {
  for (const how of ["a restart", "a crash"]) {
    testWith(`${name}: copied parts that no revision took are gone after ${how}`, make, async (kit) => {
      const db = await Driver.open(kit);
      await db.save(...copyParts(1, 3, ["a", "b"]), ...copyParts(4, 3, texts), copy(1, inParts(4, 3, texts)));
      await (how === "a crash" ? kit.crash() : db.close());

      const again = await Driver.open(kit);
      await again.save(copy(1, inParts(1, 3, ["a", "b"])));
      assert.deepEqual([await again.parts(1, 3), await again.parts(4, 3)], [[], texts]);
      await assert.rejects(again.save(copyParts(1, 9, ["", ""])[1]!), {
        name: "InvariantError",
        message: /part/,
      });
    });
  }

  testWith(`${name}: copied parts and those of a transaction don't meet`, make, async (kit) => {
    const db = await Driver.open(kit);
    const [mine, copied] = [storeParts(ttid1, oidOf(1), ["m", "n"]), copyParts(1, 9, ["c", "d"])];
    await db.save(
      mine[0]!,
      copied[0]!,
      mine[1]!,
      copied[1]!,
      mine[2]!,
      vote(ttid1, null),
      ...finish(ttid1, 8),
    );
    await db.save(copy(1, inParts(1, 9, ["c", "d"])));
    assert.deepEqual([await db.parts(1, 8), await db.parts(1, 9)], [["m", "n"], ["c", "d"]]);
  });
}

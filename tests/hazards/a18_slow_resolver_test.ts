/**
 * A18: a transaction that meets a conflict and holds no lock while it is resolved can be overtaken for ever by faster
 * ones. A conflict keeps the lock for the asker until it stores again, relocks or ends; a retry keeps its first age.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError } from "../../core/errors.ts";
import type { Oid } from "../../core/ids.ts";
import type { Client } from "../../roles/client/library.ts";
import type { ObjectConflict } from "../../roles/client/resolving.ts";
import { Stage } from "./kit.ts";

const PAIR = { storages: 2, replicas: 1, partitions: 1 };
const COUNTER = 11n as Oid;

/** A transaction that adds to the counter; `resolve` makes a promise of the sum that the test keeps. */
async function adding(
  stage: Stage,
  client: Client,
  by: number,
  resolve?: (conflict: ObjectConflict) => Promise<Uint8Array | undefined>,
) {
  const tx = await stage.finish(client.begin(resolve ? { resolve } : {}));
  const found = await stage.finish(tx.load(COUNTER));
  tx.store(COUNTER, Uint8Array.of((found?.data[0] ?? 0) + by));
  return tx;
}

function sumOf({ base, saved, mine }: ObjectConflict): Uint8Array {
  return Uint8Array.of(saved[0]! + mine[0]! - (base?.[0] ?? 0));
}

test("A18: whoever comes while a conflict is resolved waits for it", async () => {
  const stage = await new Stage(PAIR).open();
  const [slow, fast] = [await stage.warm("c1"), await stage.warm("c2")];
  const conflicts: ObjectConflict[] = [];
  const gate = Promise.withResolvers<void>();
  const mine = await adding(stage, slow, 1, async (conflict) => {
    conflicts.push(conflict);
    await gate.promise;
    return sumOf(conflict);
  });
  await stage.pass(5);
  await stage.finish((await adding(stage, fast, 10)).commit());
  const resolving = mine.commit();
  await stage.run();
  assert.equal(conflicts.length, 1);
  const later = await adding(stage, fast, 100, (conflict) => Promise.resolve(sumOf(conflict)));
  const overtaking = later.commit();
  await stage.run();
  assert.equal(await Promise.race([overtaking, "waits"]), "waits");
  gate.resolve();
  const [one, two] = await stage.finish(Promise.all([resolving, overtaking]));
  assert.ok(one! < two!, "the slow one wasn't overtaken");
  assert.equal(conflicts.length, 1, "and resolved once");
  const snapshot = await stage.finish(slow.snapshot());
  assert.equal((await stage.finish(snapshot.load(COUNTER)))?.data[0], 111);
});

test("A18: an older one gets the lock even so, and the slow one resolves what that made", async () => {
  const stage = await new Stage(PAIR).open();
  const [slow, fast, elder] = [await stage.warm("c1"), await stage.warm("c2"), await stage.warm("c3")];
  const old = await adding(stage, elder, 100, (conflict) => Promise.resolve(sumOf(conflict)));
  await stage.pass(5);
  const gate = Promise.withResolvers<void>();
  let resolved = 0;
  const mine = await adding(stage, slow, 1, async (conflict) => {
    resolved += 1;
    await gate.promise;
    return sumOf(conflict);
  });
  await stage.finish((await adding(stage, fast, 10)).commit());
  const resolving = mine.commit();
  await stage.run();
  await stage.finish(old.commit());
  gate.resolve();
  await stage.finish(resolving);
  assert.equal(resolved, 2);
  const snapshot = await stage.finish(slow.snapshot());
  assert.equal((await stage.finish(snapshot.load(COUNTER)))?.data[0], 111);
});

test("A18: a conflict that isn't resolved leaves no lock behind", async () => {
  const stage = await new Stage(PAIR).open();
  const [slow, fast] = [await stage.warm("c1"), await stage.warm("c2")];
  for (
    const resolve of [undefined, () => Promise.resolve(undefined), () => Promise.reject(new Error("no"))]
  ) {
    const mine = await adding(stage, slow, 1, resolve);
    const base = await stage.finish(fast.sync());
    await stage.finish((await adding(stage, fast, 10)).commit());
    const error = await stage.finish(mine.commit().then(() => undefined, (error) => error));
    if (resolve === undefined || error instanceof ConflictError) {
      assert.deepEqual(error.conflicts.map(({ oid }: { oid: Oid }) => oid), [COUNTER]);
      assert.ok(error.conflicts[0].saved > base);
    } else assert.equal(error.message, "no");
    await stage.finish((await adding(stage, fast, 10)).commit());
    for (const name of stage.names) assert.equal(stage.storage(name).machine.load.transactions, 0);
  }
});

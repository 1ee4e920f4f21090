import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MAX_TID } from "../core/ids.ts";
import type { Database, DatabaseAnswers } from "../core/ports.ts";
import {
  commit,
  homeOf,
  IDENTITY,
  oidOf,
  store,
  tidAt,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";
import { cloneDatabase } from "./sqlite_clone.ts";
import type { StoreOpenError } from "./store_errors.ts";

const CLONE = { name: "s9", diskId: "disk-9", complete: () => [] };

/** A source with two transactions that are final, one that is locked and one that is voted, in a folder of its own. */
async function withSource(
  body: (at: { from: string; to: string; folder: string }) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "neo-clone-"));
  const from = join(folder, "s1.db");
  createDatabase(from, IDENTITY);
  const source = openDatabase(from);
  const apply = (writes: Parameters<Database["apply"]>[0]): void =>
    void source.apply(writes, { durable: true });
  apply([
    { op: "epoch", epoch: 4 },
    { op: "image", image: Uint8Array.of(1, 2, 3) },
    { op: "truncate", number: 2, tid: MAX_TID },
    { op: "resume", partition: homeOf(1), since: 7, tid: tidAt(5) },
  ]);
  for (const at of [1, 2]) {
    apply(commit(10 * at, [[at, `text ${at}`]]));
  }
  for (const at of [3, 4]) apply([store(ttidOf(at), oidOf(at), "open"), vote(ttidOf(at), null)]);
  apply([{ op: "lock", ttid: ttidOf(4), tid: tidAt(40) }]);
  await source.close();
  try {
    await body({ from, to: join(folder, "s9.db"), folder });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Digests of all partitions. */
function digestsOf(database: Database): unknown[] {
  return [0, 1, 2].map((partition) => {
    const query = { read: "digest", partition: homeOf(partition), upTo: MAX_TID } as const;
    const { count, digest } = database.read(query) as DatabaseAnswers["digest"];
    return [count, digest];
  });
}

test("cloneDatabase() gives all that is final under a new identity, and says how far it is complete (N4)", async () => {
  await withSource(async ({ from, to, folder }) => {
    const seen: unknown[] = [];
    cloneDatabase(from, to, {
      ...CLONE,
      complete: ({ newest, resumes }) => {
        seen.push(newest, resumes);
        return [{ partition: homeOf(1), tid: tidAt(5) }, { partition: homeOf(2), tid: tidAt(20) }];
      },
    });
    assert.deepEqual(readdirSync(folder).sort(), ["s1.db", "s9.db"], "no file of the work stays");
    const [source, clone] = [openDatabase(from), openDatabase(to)];
    const { identity, epoch, image, held, resumes, newest, truncations } = clone.state;
    assert.deepEqual(identity, { ...IDENTITY, name: "s9", diskId: "disk-9" });
    assert.deepEqual(
      [epoch, image, truncations],
      [4, Uint8Array.of(1, 2, 3), 2],
      "it obeys no older primary",
    );
    assert.deepEqual(held, [], "nobody has promised anything here");
    assert.deepEqual(resumes, [
      { partition: 1, since: 0, tid: 5n },
      { partition: 2, since: 0, tid: 20n },
    ]);
    assert.deepEqual(seen, [newest, [{ partition: 1, since: 7, tid: 5n }]]);
    assert.deepEqual(digestsOf(clone), digestsOf(source));
    assert.deepEqual(source.state.identity, IDENTITY);
    assert.deepEqual(source.state.held.map(({ ttid }) => ttid), [3n, 4n], "the source keeps its promises");
    await Promise.all([source.close(), clone.close()]);
  });
});

test("cloneDatabase() refuses a source that is open, and a place that is taken; it leaves nothing behind", async () => {
  await withSource(async ({ from, to, folder }) => {
    const source = openDatabase(from);
    assert.throws(
      () => cloneDatabase(from, to, CLONE),
      (error) => (error as StoreOpenError).reason === "inUse",
    );
    await source.close();
    const failing = {
      ...CLONE,
      complete: () => {
        throw new RangeError("none");
      },
    };
    assert.throws(() => cloneDatabase(from, to, failing), RangeError);
    assert.deepEqual(readdirSync(folder), ["s1.db"]);
    cloneDatabase(from, to, CLONE);
    assert.ok(existsSync(to));
    assert.throws(
      () => cloneDatabase(from, to, CLONE),
      (error) => (error as StoreOpenError).reason === "exists",
    );
  });
});

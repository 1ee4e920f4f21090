/** What only files have of replication: rows that nobody needs are gone, and damage is found. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { SQLITE_KEYS_ROWS } from "../core/limits.ts";
import type { DatabaseWrite } from "../core/ports.ts";
import {
  BEGINNING,
  bytesOf,
  commit,
  committed,
  Driver,
  finish,
  homeOf,
  IDENTITY,
  oidOf,
  store,
  tidAt,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { copy, copyParts, inParts, keyOf, row } from "../tests/conformance/database_replica_kit.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";

const inFolder = (body: (path: string) => Promise<void>) => async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-copies-"));
  try {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    await body(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** Rows of tables as they stand now, in a copy of the open file and its log. */
function countRows(path: string, ...tables: readonly string[]): number[] {
  for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, `${path}.copy${suffix}`);
  const connection = new DatabaseSync(`${path}.copy`);
  const counts = tables.map((table) => {
    return Number(connection.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"]);
  });
  connection.close();
  return counts;
}

test(
  "SQLite keeps copied data and parts for as long as a row needs them",
  inFolder(async (path) => {
    const db = new Driver(openDatabase(path));
    const uncopy = (...revisions: [oid: number, tid: number][]): DatabaseWrite => {
      const keys = revisions.map(([oid, tid]) => keyOf(oid, tid));
      return { op: "uncopy", partition: homeOf(1), transactions: [], revisions: keys };
    };
    const undo = (ttid: number, link: number) => store(ttidOf(ttid), oidOf(1), null, { link: tidAt(link) });
    const abort = (ttid: number): DatabaseWrite => ({ op: "abort", ttid: ttidOf(ttid) });
    const tables = ["data", "part", "shared", "cpart"];
    const rounds: { title: string; round: readonly DatabaseWrite[]; counts: readonly number[] }[] = [
      {
        title: "copied",
        round: [copy(1, row(1, 3, "a"), row(4, 3, "b"), row(7, 3, null))],
        counts: [2, 0, 0, 0],
      },
      { title: "copied again", round: [copy(1, row(1, 3, "a"), row(4, 3, "b"))], counts: [2, 0, 0, 0] },
      { title: "linked", round: [copy(1, row(1, 5, "a", 3), row(1, 7, "a", 5))], counts: [2, 0, 1, 0] },
      { title: "linked again", round: [copy(1, row(1, 5, "a", 3))], counts: [2, 0, 1, 0] },
      { title: "not the same", round: [copy(1, row(1, 9, "c", 7), row(4, 9, "b", 5))], counts: [4, 0, 1, 0] },
      { title: "held", round: [undo(1, 7), undo(2, 7), vote(ttidOf(2), null)], counts: [4, 0, 1, 0] },
      { title: "uncopied", round: [uncopy([1, 3], [1, 5], [1, 7], [4, 9])], counts: [3, 0, 1, 0] },
      { title: "aborted", round: [abort(1)], counts: [3, 0, 0, 0] },
      { title: "aborted, the last one", round: [abort(2)], counts: [2, 0, 0, 0] },
      { title: "waiting", round: copyParts(1, 11, ["x", "y"]), counts: [2, 2, 0, 1] },
      { title: "begun anew", round: copyParts(1, 11, ["x"]), counts: [2, 1, 0, 1] },
      { title: "taken", round: [copy(1, inParts(1, 11, ["x"]))], counts: [3, 1, 0, 0] },
      {
        title: "shared",
        round: [...copyParts(1, 13, ["x"]), copy(1, inParts(1, 13, ["x"], 11))],
        counts: [3, 1, 1, 0],
      },
      { title: "its owner is gone", round: [uncopy([1, 11])], counts: [3, 1, 0, 0] },
      {
        title: "replaced",
        round: [...copyParts(1, 13, ["z"]), copy(1, row(1, 13, "whole"))],
        counts: [3, 0, 0, 0],
      },
      {
        title: "copied before its unlock",
        round: [store(ttidOf(3), oidOf(1), "mine"), vote(ttidOf(3), null), copy(1, row(1, 15, "other"))],
        counts: [5, 0, 0, 0],
      },
      { title: "unlocked", round: finish(ttidOf(3), 15), counts: [4, 0, 0, 0] },
      {
        title: "left",
        round: [...copyParts(1, 17, ["x"]), undo(4, 15), undo(5, 15), vote(ttidOf(5), null), uncopy([1, 15])],
        counts: [4, 1, 1, 1],
      },
    ];
    for (const { title, round, counts } of rounds) {
      await db.save(...round);
      assert.deepEqual(countRows(path, ...tables), counts, title);
    }
    await db.close();

    const again = new Driver(openDatabase(path));
    assert.deepEqual(countRows(path, ...tables, "tobj"), [4, 0, 0, 0, 1]);
    await again.save(abort(5));
    assert.deepEqual(countRows(path, "data", "tobj"), [3, 0]);
    await again.save({ op: "truncate", number: 1, tid: tidAt(9) });
    assert.deepEqual(countRows(path, "data", "obj"), [2, 3]);
    await again.save({ op: "erase", partition: homeOf(1), rowsMax: 9 });
    assert.deepEqual(countRows(path, "data", "obj"), [0, 0]);
    await again.close();
  }),
);

test(
  "SQLite keeps data that rows share until the last of many that go at once",
  inFolder(async (path) => {
    const db = new Driver(openDatabase(path));
    const links = [6, 7, 8, 9].map((tid) => row(10, tid, "s", tid - 1));
    await db.save(copy(1, row(4, 3, "b"), row(7, 3, null), row(10, 5, "s"), ...links));
    const shared: { title: string; write: DatabaseWrite; counts: readonly number[] }[] = [
      { title: "truncated", write: { op: "truncate", number: 2, tid: tidAt(7) }, counts: [2, 1, 5] },
      { title: "erased", write: { op: "erase", partition: homeOf(1), rowsMax: 4 }, counts: [1, 0, 1] },
      { title: "all erased", write: { op: "erase", partition: homeOf(1), rowsMax: 9 }, counts: [0, 0, 0] },
    ];
    for (const { title, write, counts } of shared) {
      await db.save(write);
      assert.deepEqual(countRows(path, "data", "shared", "obj"), counts, title);
    }
    await db.close();
  }),
);

test(
  "SQLite reads a partition's keys to their end, however many",
  inFolder(async (path) => {
    const db = new Driver(openDatabase(path));
    for (const more of [-1, 0, 1, SQLITE_KEYS_ROWS]) {
      const count = SQLITE_KEYS_ROWS + more;
      const revisions = Array.from({ length: count }, (_, index) => row(3 * index, 5, "x"));
      await db.save({ op: "erase", partition: homeOf(0), rowsMax: 10_000 }, copy(0, ...revisions));
      assert.equal((await db.digest(0)).count, count);
      assert.equal((await db.keys(0, { rowsMax: 1 })).revisions.length, count);
    }
    await db.close();
  }),
);

test(
  "a scrub finds bits that turned, in values and in parts, and a copy puts them right",
  inFolder(async (path) => {
    const db = new Driver(openDatabase(path));
    await db.save(...commit(3, [[0, "first"], [3, "other"]]));
    await db.save(...committed(6, [store(ttidOf(1), oidOf(0), null, { link: tidAt(3) })]));
    await db.save(...copyParts(6, 3, ["part", "last"]), copy(0, inParts(6, 3, ["part", "last"])));
    assert.deepEqual(await db.broken(0), []);
    const { revisions } = await db.rows(0);
    await db.close();
    const connection = new DatabaseSync(path);
    for (const [table, before, after] of [["data", "first", "fjrst"], ["part", "last", "lost"]] as const) {
      connection.prepare(`UPDATE ${table} SET value = ? WHERE value = ?`).run(
        bytesOf(after),
        bytesOf(before),
      );
    }
    connection.close();

    const again = new Driver(openDatabase(path));
    const broken = [keyOf(0, 3), keyOf(6, 3), keyOf(0, 6)];
    assert.deepEqual(await again.broken(0), broken);
    const good = revisions.filter(({ oid, tid }) => broken.some((key) => key.oid === oid && key.tid === tid));
    await again.save(...copyParts(6, 3, ["part", "last"]));
    await again.save({ op: "copy", partition: homeOf(0), transactions: [], revisions: good });
    assert.deepEqual(await again.broken(0), []);
    assert.deepEqual([await again.text(0), await again.parts(6, 3)], ["first", ["part", "last"]]);
    assert.deepEqual(countRows(path, "data", "shared"), [3, 1]);
    await again.close();
  }),
);

test(
  "a scrub counts what SQLite can't read any more as broken, and goes on",
  inFolder(async (path) => {
    const db = new Driver(openDatabase(path));
    const large = "x".repeat(50_000);
    await db.save(...commit(3, [[0, "before"], [3, large], [6, "behind"]]), ...commit(6, [[9, "lost"]]));
    await db.close();
    const connection = new DatabaseSync(path);
    connection.prepare("DELETE FROM data WHERE value = ?").run(bytesOf("lost"));
    connection.close();
    const file = readFileSync(path);
    // A page of nothing but the value, behind the number of the page that follows it.
    const page = Array.from({ length: file.length / 4096 }, (_, index) => 4096 * index)
      .find((at) => file.subarray(at + 4, at + 4096).every((byte) => byte === 0x78))!;
    file.fill(0xff, page, page + 4);
    writeFileSync(path, file);

    const again = new Driver(openDatabase(path));
    assert.throws(() => again.database.read({ read: "load", oid: oidOf(3), at: tidAt(9) }), {
      name: "StoreFailedError",
    });
    const scrub = { read: "scrub", partition: homeOf(0), after: BEGINNING, bytesMax: 1_000_000 } as const;
    const { broken, next } = await again.ask<"scrub">(scrub);
    assert.deepEqual([broken, next], [[keyOf(3, 3), keyOf(9, 6)], null]);
    await again.close();
  }),
);

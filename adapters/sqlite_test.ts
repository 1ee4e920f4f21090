/** SQLite keeps what every store promises, plain and when it answers late, and what only files have. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { InvariantError } from "../core/errors.ts";
import { LAZY_FLUSH_MS } from "../core/limits.ts";
import type { DatabaseWrite } from "../core/ports.ts";
import { testDatabase } from "../tests/conformance/database.ts";
import {
  commit,
  Driver,
  finish,
  IDENTITY,
  oidOf,
  part,
  store,
  storeParts,
  tidAt,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { late, shuffled } from "../tests/conformance/late.ts";
import { testMetadata } from "../tests/conformance/metadata.ts";
import { SimRandom } from "../tests/simulation/random.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";
import { failureOf } from "./sqlite_errors.ts";
import { createMetadata, openMetadata } from "./sqlite_metadata.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";

const inFolder = (body: (folder: string) => void | Promise<void>) => async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-sqlite-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** A place for a file. A crash leaves the bytes that the file and its log have at that moment. */
function kitOf<S extends { close(): void | Promise<void> }>(
  create: (path: string) => void,
  openAt: (path: string) => S,
) {
  const folder = mkdtempSync(join(tmpdir(), "neo-sqlite-"));
  const opened: S[] = [];
  let life = 0;
  const path = () => join(folder, `${life}.db`);
  create(path());
  const closeAll = async () => {
    for (const one of opened.splice(0)) await one.close();
  };
  return {
    open: () => {
      const one = openAt(path());
      opened.push(one);
      return one;
    },
    crash: async () => {
      const before = path();
      life++;
      for (const suffix of ["", "-wal"]) {
        if (existsSync(before + suffix)) copyFileSync(before + suffix, path() + suffix);
      }
      await closeAll();
    },
    end: async () => {
      await closeAll();
      rmSync(folder, { recursive: true });
    },
  };
}

const schedule = shuffled(new SimRandom(1));
testDatabase("SQLite", (identity) => kitOf((path) => createDatabase(path, identity), openDatabase));
testDatabase(
  "late SQLite",
  (identity) => kitOf((path) => createDatabase(path, identity), (path) => late(openDatabase(path), schedule)),
);
testMetadata(
  "SQLite metadata",
  (image, diskId) => kitOf((path) => createMetadata(path, image, diskId), openMetadata),
);
testMetadata(
  "late SQLite metadata",
  (image, diskId) =>
    kitOf((path) => createMetadata(path, image, diskId), (path) => late(openMetadata(path), schedule)),
);

/** Changes a file of ours behind its back. */
function changeFile(path: string, sql: string): void {
  const connection = new DatabaseSync(path);
  connection.exec(sql);
  connection.close();
}

const refusals: { reason: string; title: string; prepare: (path: string) => void }[] = [
  { reason: "missing", title: "nothing", prepare: () => {} },
  { reason: "foreign", title: "an empty file", prepare: (path) => writeFileSync(path, "") },
  {
    reason: "foreign",
    title: "a text",
    prepare: (path) => writeFileSync(path, "no database\n".repeat(1_000)),
  },
  {
    reason: "foreign",
    title: "another program's database",
    prepare: (path) => changeFile(path, "CREATE TABLE t (a)"),
  },
  { reason: "foreign", title: "a master's file", prepare: (path) => createMetadata(path, null) },
  {
    reason: "newer",
    title: "a file of a newer neo",
    prepare: (path) => {
      createDatabase(path, IDENTITY);
      changeFile(path, "UPDATE meta SET value = 6 WHERE name = 'schema'");
    },
  },
  {
    reason: "older",
    title: "a file of an older neo that can't be upgraded",
    prepare: (path) => {
      createDatabase(path, IDENTITY);
      changeFile(path, "UPDATE meta SET value = 0 WHERE name = 'schema'");
    },
  },
];
for (const { reason, title, prepare } of refusals) {
  test(
    `openDatabase() refuses ${title} as ${reason}, and changes nothing`,
    inFolder((folder) => {
      const path = join(folder, "s1.db");
      prepare(path);
      const before = existsSync(path) ? readFileSync(path) : undefined;

      assert.throws(() => openDatabase(path), { name: "StoreOpenError", reason, path });

      assert.deepEqual(existsSync(path) ? readFileSync(path) : undefined, before);
      assert.ok(!existsSync(`${path}-wal`));
    }),
  );
}

test(
  "createDatabase() refuses a place that is taken, and one that can't be",
  inFolder((folder) => {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    assert.throws(() => createDatabase(path, { ...IDENTITY, name: "s2" }), { reason: "exists" });
    assert.throws(() => createMetadata(path, null), { reason: "exists" });
    assert.throws(() => createDatabase(join(folder, "no", "s1.db"), IDENTITY), { reason: "unreadable" });
    assert.equal(openDatabase(path).state.identity.name, "s1");
  }),
);

test("StoreOpenError says what stands in the way and what to do", () => {
  const cause = new Error("disk I/O error");
  assert.match(
    new StoreOpenError("open", "/d", "unreadable", { cause }).message,
    / \(disk I\/O error\); look at/,
  );
  const { message } = new StoreOpenError("open", "/data/s1.db", "inUse", { cause });
  assert.equal(message, 'Cannot open "/data/s1.db": another process has it open; stop that process first');
});

test("failureOf() tells a full disk from a broken one, and both from our own mistakes", () => {
  const error = (errcode: number) => Object.assign(new Error("says SQLite"), { errcode });
  const full = failureOf("write", "s1.db", error(13));
  assert.ok(full instanceof StoreFailedError && full.code === "noSpace" && full.errcode === 13);
  const broken = failureOf("read", "s1.db", error(10 | (1 << 8)));
  assert.ok(broken instanceof StoreFailedError && broken.code === "ioError" && broken.errcode === 266);
  assert.match(broken.message, /^Cannot read "s1.db": .*SQLite 266: says SQLite.*;/);
  assert.ok(failureOf("write", "s1.db", error(1555)) instanceof InvariantError);
  const mistake = new TypeError("ours");
  assert.equal(failureOf("write", "s1.db", mistake), mistake);
});

/** Rows of a table as they stand now, in a copy of the open file and its log. */
function countRows(path: string, table: string): number {
  for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, `${path}.copy${suffix}`);
  const connection = new DatabaseSync(`${path}.copy`);
  const row = connection.prepare(`SELECT count(*) AS count FROM ${table}`).get();
  connection.close();
  return Number(row?.count);
}

test(
  "SQLite keeps data for as long as a row needs it",
  inFolder(async (folder) => {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    const db = new Driver(openDatabase(path));
    const [a, b, c] = [ttidOf(1), ttidOf(2), ttidOf(3)];
    const undo = (ttid: typeof a) => store(ttid, oidOf(1), null, { link: tidAt(3) });
    const rounds: { title: string; round: readonly DatabaseWrite[]; rows: number }[] = [
      { title: "final", round: commit(3, [[1, "old"], [2, "two"], [4, null]]), rows: 2 },
      {
        title: "stored",
        round: [store(a, oidOf(5), "five"), store(a, oidOf(6), "six"), vote(a, null)],
        rows: 4,
      },
      { title: "replaced", round: [{ op: "unvote", ttid: a }, store(a, oidOf(5), "again")], rows: 4 },
      { title: "replaced in a round", round: [store(a, oidOf(5), "x"), store(a, oidOf(5), "y")], rows: 4 },
      { title: "unstored", round: [{ op: "unstore", ttid: a, oid: oidOf(6) }], rows: 3 },
      { title: "linked", round: [undo(a), undo(b), store(c, oidOf(8), null, { mode: "check" })], rows: 3 },
      { title: "aborted", round: [{ op: "abort", ttid: a }], rows: 2 },
      { title: "shared", round: [vote(b, null), ...finish(b, 5), { op: "abort", ttid: c }], rows: 2 },
      { title: "never voted", round: [undo(c), store(c, oidOf(9), "nine")], rows: 3 },
    ];
    for (const { title, round, rows } of rounds) {
      await db.save(...round);
      assert.equal(countRows(path, "data"), rows, title);
    }
    await db.close();

    const again = openDatabase(path);
    assert.equal(countRows(path, "data"), 2);
    assert.equal(countRows(path, "tobj") + countRows(path, "ttrans"), 0);
    await again.close();
  }),
);

test(
  "SQLite keeps parts for as long as their value is there (T19)",
  inFolder(async (folder) => {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    const db = new Driver(openDatabase(path));
    const [a, b, c] = [ttidOf(1), ttidOf(2), ttidOf(3)];
    const one = oidOf(1);
    const rounds: { title: string; round: readonly DatabaseWrite[]; parts: number; waiting: number }[] = [
      { title: "waiting", round: [part(a, one, 0, "x"), part(a, one, 1, "y")], parts: 2, waiting: 1 },
      { title: "begun anew", round: [part(a, one, 0, "x"), part(b, one, 0, "x")], parts: 2, waiting: 2 },
      { title: "stored", round: storeParts(a, one, ["x", "y", "z"]), parts: 4, waiting: 1 },
      { title: "stored again", round: storeParts(a, one, ["x", "y"]), parts: 3, waiting: 1 },
      { title: "stored as a whole", round: [store(b, one, "whole")], parts: 2, waiting: 0 },
      { title: "final", round: [vote(a, null), ...finish(a, 5)], parts: 2, waiting: 0 },
      { title: "linked", round: [store(b, one, null, { link: tidAt(5) })], parts: 2, waiting: 0 },
      { title: "linked for ever", round: [vote(b, null), ...finish(b, 6)], parts: 2, waiting: 0 },
      { title: "of another", round: storeParts(c, one, ["x", "y", "z"]), parts: 5, waiting: 0 },
      {
        title: "and its next",
        round: [part(c, one, 0, "x"), part(c, oidOf(4), 0, "")],
        parts: 7,
        waiting: 2,
      },
      { title: "unstored", round: [{ op: "unstore", ttid: c, oid: one }], parts: 3, waiting: 1 },
      { title: "aborted", round: [{ op: "abort", ttid: c }], parts: 2, waiting: 0 },
      {
        title: "left behind",
        round: [...storeParts(c, one, ["x"]), part(c, one, 0, "x"), part(a, one, 0, "x"), vote(a, null)],
        parts: 5,
        waiting: 2,
      },
    ];
    for (const { title, round, parts, waiting } of rounds) {
      await db.save(...round);
      assert.deepEqual([countRows(path, "part"), countRows(path, "tpart")], [parts, waiting], title);
    }
    await db.close();

    const again = openDatabase(path);
    assert.deepEqual([countRows(path, "part"), countRows(path, "tpart")], [2, 0]);
    await again.close();
  }),
);

test(
  "openDatabase() copies the log of a process that died, so that nothing depends on it any more",
  inFolder(async (folder) => {
    const [path, left] = [join(folder, "s1.db"), join(folder, "left.db")];
    createDatabase(path, IDENTITY);
    const db = new Driver(openDatabase(path));
    await db.save(...commit(1, [[1, "x".repeat(200_000)]]));
    for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, left + suffix);
    await db.close();
    assert.ok(statSync(`${left}-wal`).size > 200_000);

    const again = openDatabase(left);

    assert.ok(statSync(`${left}-wal`).size < 20_000);
    assert.equal((await new Driver(again).text(1))?.length, 200_000);
    await again.close();
  }),
);

test(
  "SqliteFile plans one flush for all that is lazy, and none after its end",
  inFolder(async (folder) => {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    const planned: { ms: number; task: () => void; cancelled: boolean }[] = [];
    const later = (ms: number, task: () => void) => {
      const plan = { ms, task, cancelled: false };
      planned.push(plan);
      return () => void (plan.cancelled = true);
    };
    const db = new Driver(openDatabase(path, { later }));
    await db.save(...commit(1, [[1, "durable"]]));
    await db.saveLazily({ op: "abort", ttid: ttidOf(9) });
    assert.equal(planned.length, 0, "nothing is lazy");

    await db.saveLazily(...commit(2, [[1, "lazy"]]));
    await db.saveLazily(...commit(3, [[1, "lazy too"]]));
    assert.deepEqual(planned.map(({ ms }) => ms), [LAZY_FLUSH_MS]);
    planned[0]?.task();
    await db.saveLazily(...commit(4, [[1, "lazy again"]]));
    assert.deepEqual(planned.map(({ ms }) => ms), [LAZY_FLUSH_MS, LAZY_FLUSH_MS]);
    await db.close();
    assert.equal(planned[1]?.cancelled, true);
  }),
);

test(
  "Statements are cut at the highest number of rows, and their values are bound (T31, T32)",
  inFolder(async (folder) => {
    const path = join(folder, "s1.db");
    createDatabase(path, IDENTITY);
    const db = new Driver(openDatabase(path));
    for (const [index, count] of [1, 2, 63, 64, 65, 127, 128, 129, 300].entries()) {
      const texts = Array.from({ length: count }, (_, i) => [i, `'); -- ${count} ${i}`] as const);
      await db.save(...commit(index + 1, texts));
      for (const [oid, text] of texts) assert.equal(await db.text(oid), text);
    }
    await db.close();
  }),
);

/** Files that older versions wrote are used on, and keep what they hold. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  commit,
  dataOf,
  Driver,
  finish,
  homeOf,
  IDENTITY,
  noteOf,
  oidOf,
  store,
  storeParts,
  tidAt,
  ttidOf,
  vote,
} from "../tests/conformance/database_kit.ts";
import { packIds } from "./row_digest.ts";
import { createDatabase, openDatabase } from "./sqlite.ts";
import { createMetadata, openMetadata } from "./sqlite_metadata.ts";
import { SIZE_COUNTED } from "./sqlite_schema.ts";

/** What version 1 made, as it made it. */
const VERSION_1 = [
  "PRAGMA journal_mode = WAL",
  "PRAGMA application_id = 1852141395",
  "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT",
  `CREATE TABLE trans (partition INTEGER NOT NULL, tid INTEGER NOT NULL, ttid INTEGER NOT NULL, status BLOB NOT NULL,
    user BLOB NOT NULL, description BLOB NOT NULL, extension BLOB NOT NULL, oids BLOB NOT NULL,
    PRIMARY KEY (partition, tid)) WITHOUT ROWID, STRICT`,
  "CREATE INDEX trans_by_ttid ON trans (ttid)",
  `CREATE TABLE obj (partition INTEGER NOT NULL, oid INTEGER NOT NULL, tid INTEGER NOT NULL, data_id INTEGER,
    link INTEGER, PRIMARY KEY (oid, tid)) WITHOUT ROWID, STRICT`,
  "CREATE INDEX obj_by_tid ON obj (partition, tid, oid)",
  `CREATE TABLE data (id INTEGER PRIMARY KEY, compression INTEGER NOT NULL, checksum BLOB NOT NULL,
    value BLOB NOT NULL) STRICT`,
  `CREATE TABLE ttrans (ttid INTEGER PRIMARY KEY, home INTEGER NOT NULL, age_ms INTEGER NOT NULL, tid INTEGER,
    status BLOB, user BLOB, description BLOB, extension BLOB, oids BLOB) STRICT`,
  `CREATE TABLE tobj (ttid INTEGER NOT NULL, oid INTEGER NOT NULL, partition INTEGER NOT NULL, base INTEGER NOT NULL,
    checked INTEGER NOT NULL, lockless INTEGER NOT NULL, data_id INTEGER, owned INTEGER NOT NULL, link INTEGER,
    PRIMARY KEY (ttid, oid)) WITHOUT ROWID, STRICT`,
];

/** A file of version 1: object 1 under tid 5, and a voted transaction 2 that stores object 4. */
function makeVersion1(path: string): void {
  const connection = new DatabaseSync(path);
  for (const statement of VERSION_1) connection.exec(statement);
  const insert = (table: string, ...values: (string | number | Uint8Array | null)[]): void => {
    connection.prepare(`INSERT INTO ${table} VALUES (${values.map(() => "?").join(", ")})`).run(...values);
  };
  const text = (value: string) => new TextEncoder().encode(value);
  const { clusterId, cluster, name, diskId, partitions } = IDENTITY;
  for (const [key, value] of Object.entries({ clusterId, cluster, name, diskId })) {
    insert("meta", key, text(value));
  }
  for (const [key, value] of Object.entries({ partitions, epoch: 3, schema: 1, flushes: 7 })) {
    insert("meta", key, value);
  }
  insert("meta", "image", text("table"));
  const { user, description, extension } = noteOf("one");
  insert("trans", 2, 5, 1, text(" "), user, description, extension, packIds([1n]));
  insert("obj", 1, 1, 5, 1, null);
  insert("data", 1, 0, dataOf("one").checksum, text("one"));
  insert("data", 2, 0, dataOf("four").checksum, text("four"));
  insert("data", 3, 0, dataOf("lost").checksum, text("lost"));
  insert("ttrans", 2, 1, 77, null, null, null, null, null, null);
  insert("tobj", 2, 4, 1, 0, 0, 0, 2, 1, null);
  insert("tobj", 3, 7, 1, 0, 0, 0, 3, 1, null);
  connection.close();
}

/** Every statement that made a file, in a spelling without line ends. */
function shapeOf(path: string): unknown[] {
  const connection = new DatabaseSync(path);
  const rows = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name").all();
  connection.close();
  return rows.map(({ type, name, sql }) => [type, name, String(sql).replaceAll(/\s+/g, "").toLowerCase()]);
}

test("openDatabase() brings a file of version 1 to this one, with all that it holds (T19)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-upgrade-"));
  try {
    const [path, fresh] = [join(folder, "s1.db"), join(folder, "fresh.db")];
    makeVersion1(path);
    createDatabase(fresh, IDENTITY);

    const db = new Driver(openDatabase(path));

    const { state } = db.database;
    assert.deepEqual([state.identity, state.epoch, state.image], [
      IDENTITY,
      3,
      new TextEncoder().encode("table"),
    ]);
    const object = { oid: oidOf(4), partition: homeOf(1), base: tidAt(0), mode: "store", lockless: false };
    const held = { ttid: ttidOf(2), home: homeOf(1), ageMs: 77, tid: null, noted: false };
    assert.deepEqual(state.held, [{ ...held, objects: [{ ...object, checksum: dataOf("four").checksum }] }]);
    assert.equal(await db.text(1), "one");
    assert.deepEqual(await db.transactions(2), [{
      tid: tidAt(5),
      ttid: ttidOf(1),
      ...noteOf("one", [oidOf(1)]),
    }]);
    assert.deepEqual(await db.parts(1, 5), []);

    await db.save(
      ...finish(ttidOf(2), 6),
      ...storeParts(ttidOf(8), oidOf(1), ["a", "b"]),
      vote(ttidOf(8), null),
    );
    await db.save(
      ...finish(ttidOf(8), 7),
      ...commit(9, [[4, "again"]]),
      store(ttidOf(10), oidOf(1), "never"),
    );
    await db.close();
    assert.deepEqual(shapeOf(path), shapeOf(fresh));

    const again = new Driver(openDatabase(path));
    assert.deepEqual([await again.text(4, tidAt(6)), await again.text(4)], ["four", "again"]);
    assert.deepEqual(await again.parts(1, 7), ["a", "b"]);
    await again.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** What version 2 added, as it made it. */
const VERSION_2 = [
  `CREATE TABLE part (data_id INTEGER NOT NULL, seq INTEGER NOT NULL, compression INTEGER NOT NULL,
    checksum BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (data_id, seq)) STRICT`,
  "CREATE TRIGGER part_with_data AFTER DELETE ON data BEGIN DELETE FROM part WHERE data_id = OLD.id; END",
  `CREATE TABLE tpart (ttid INTEGER NOT NULL, oid INTEGER NOT NULL, data_id INTEGER NOT NULL,
    PRIMARY KEY (ttid, oid)) WITHOUT ROWID, STRICT`,
  "UPDATE meta SET value = 2 WHERE name = 'schema'",
];
/** Undos of object 1: two that are final, one that is voted, one that is lost; and one of object 10. Object 7 kept data of its own. */
const LINKS = [
  "INSERT INTO obj VALUES (1, 1, 6, 1, 5), (1, 1, 8, 1, 6), (1, 7, 6, 4, 2), (1, 10, 5, 5, NULL), (1, 10, 6, 5, 5)",
  "INSERT INTO data VALUES (4, 0, x'00', x'00'), (5, 0, x'00', x'61')",
  "INSERT INTO tobj VALUES (2, 1, 1, 0, 0, 0, 1, 0, 8), (3, 1, 1, 0, 0, 0, 1, 0, 5)",
];

test("openDatabase() brings a file of version 2 to this one, and counts what links share, and how large it is (T55)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-upgrade-"));
  try {
    const [path, fresh] = [join(folder, "s1.db"), join(folder, "fresh.db")];
    makeVersion1(path);
    changeFile(path, [...VERSION_2, ...LINKS]);
    createDatabase(fresh, IDENTITY);

    const db = new Driver(openDatabase(path));

    const { resumes, newest, truncations } = db.database.state;
    assert.deepEqual([resumes, truncations], [[], 0]);
    assert.deepEqual(newest, [
      { partition: homeOf(1), tid: tidAt(8) },
      { partition: homeOf(2), tid: tidAt(5) },
    ]);
    const uncopy = { op: "uncopy", partition: homeOf(1), transactions: [] } as const;
    const gone = [5, 8].map((tid) => ({ oid: oidOf(1), tid: tidAt(tid) }));
    await db.save({ ...uncopy, revisions: gone });
    assert.deepEqual([await db.text(1, tidAt(6)), await db.latest(1)], ["one", tidAt(6)]);
    await db.save({ ...uncopy, revisions: [{ oid: oidOf(1), tid: tidAt(6) }] }, ...finish(ttidOf(2), 9));
    assert.equal(await db.text(1), "one");
    await db.save({
      ...uncopy,
      revisions: [
        { oid: oidOf(1), tid: tidAt(9) },
        { oid: oidOf(7), tid: tidAt(6) },
        { oid: oidOf(10), tid: tidAt(5) },
      ],
    });
    assert.equal(await db.text(10), "a");
    const size = await db.ask<"size">({ read: "size" });
    await db.close();

    assert.deepEqual(shapeOf(path), shapeOf(fresh));
    const connection = new DatabaseSync(path);
    const left = connection.prepare("SELECT id FROM data").all().map(({ id }) => id);
    assert.deepEqual(left, [2, 5], "object 4, which the transaction stored, and object 10");
    assert.equal(connection.prepare("SELECT count(*) AS count FROM shared").get()?.["count"], 0);
    const counted = connection.prepare(SIZE_COUNTED).get();
    assert.deepEqual([size.bytes, size.live], [counted?.["bytes"], counted?.["live"]]);
    assert.ok((size.live ?? 0) > 0, "what was there before counts");
    connection.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function changeFile(path: string, statements: readonly string[]): void {
  const connection = new DatabaseSync(path);
  for (const statement of statements) connection.exec(statement);
  connection.close();
}

test("openMetadata() brings a master's file of version 1 to version 2: its log, and a vote that isn't given (T19, X1)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "neo-upgrade-"));
  try {
    const [path, fresh] = [join(folder, "m1.db"), join(folder, "fresh.db")];
    const connection = new DatabaseSync(path);
    const statements = [
      "PRAGMA journal_mode = WAL",
      "PRAGMA application_id = 1852141389",
      "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT",
      "CREATE TABLE log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, entry BLOB NOT NULL) STRICT",
      `CREATE TABLE snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), idx INTEGER NOT NULL, term INTEGER NOT NULL,
        image BLOB NOT NULL) STRICT`,
      "INSERT INTO meta VALUES ('schema', 1), ('flushes', 4)",
      "INSERT INTO snapshot VALUES (1, 2, 1, x'07')",
      "INSERT INTO log VALUES (3, 1, x'08')",
    ];
    for (const statement of statements) connection.exec(statement);
    connection.close();
    createMetadata(fresh, null, "d-1");

    const store = openMetadata(path);
    assert.deepEqual(store.state, {
      snapshot: { index: 2, term: 1, image: Uint8Array.of(7) },
      entries: [{ index: 3, term: 1, entry: Uint8Array.of(8) }],
      ballot: { term: 1, votedFor: null },
      diskId: "",
    });
    await store.apply([{ op: "ballot", term: 2, votedFor: 1 }], { durable: true });
    await store.close();
    assert.deepEqual(shapeOf(path), shapeOf(fresh));
    const again = openMetadata(path);
    assert.deepEqual(again.state.ballot, { term: 2, votedFor: 1 });
    await again.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

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

test("openDatabase() brings a file of version 1 to version 2, with all that it holds (T19)", async () => {
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

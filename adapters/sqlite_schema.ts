/** The tables of a storage's SQLite file. Ids are signed 64-bit integers; texts of users are kept as UTF-8 bytes. */
import type { FileKind } from "./sqlite_file.ts";

/** A transaction that is final, on its home partition. `oids`: 8 bytes each, in the order of their records. */
const TRANS = `CREATE TABLE trans (
  partition INTEGER NOT NULL,
  tid INTEGER NOT NULL,
  ttid INTEGER NOT NULL,
  status BLOB NOT NULL,
  user BLOB NOT NULL,
  description BLOB NOT NULL,
  extension BLOB NOT NULL,
  oids BLOB NOT NULL,
  PRIMARY KEY (partition, tid)
) WITHOUT ROWID, STRICT`;

/** Answers what became of a ttid. */
const TRANS_BY_TTID = "CREATE INDEX trans_by_ttid ON trans (ttid)";

/**
 * A final revision. `data_id` null is a deletion; with a `link`, revisions of one object share their data. The key has
 * no partition: objects that were made together have neighbouring oids and stay neighbours here, so a transaction that
 * makes many writes a third less.
 */
const OBJ = `CREATE TABLE obj (
  partition INTEGER NOT NULL,
  oid INTEGER NOT NULL,
  tid INTEGER NOT NULL,
  data_id INTEGER,
  link INTEGER,
  PRIMARY KEY (oid, tid)
) WITHOUT ROWID, STRICT`;

/** A partition in the order in which it came to be: digests and replication read it so. */
const OBJ_BY_TID = "CREATE INDEX obj_by_tid ON obj (partition, tid, oid)";

/** Bytes of revisions, written once. The value comes last: a checksum is read without it. */
const DATA = `CREATE TABLE data (
  id INTEGER PRIMARY KEY,
  compression INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  value BLOB NOT NULL
) STRICT`;

/** A part of the value whose manifest `data_id` is. The rows are too large to stand in the tree of a key. */
const PART = `CREATE TABLE part (
  data_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  compression INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (data_id, seq)
) STRICT`;

/** Parts go with the data that they belong to. */
const PART_WITH_DATA = `CREATE TRIGGER part_with_data AFTER DELETE ON data BEGIN
  DELETE FROM part WHERE data_id = OLD.id;
END`;

/** Parts of a transaction's object whose manifest hasn't come: `data_id` is what its row in `data` will be. */
const TPART = `CREATE TABLE tpart (
  ttid INTEGER NOT NULL,
  oid INTEGER NOT NULL,
  data_id INTEGER NOT NULL,
  PRIMARY KEY (ttid, oid)
) WITHOUT ROWID, STRICT`;

/** A vote. The fields of the note are null where the transaction has no home cell; `tid` is null until it is locked. */
const TTRANS = `CREATE TABLE ttrans (
  ttid INTEGER PRIMARY KEY,
  home INTEGER NOT NULL,
  age_ms INTEGER NOT NULL,
  tid INTEGER,
  status BLOB,
  user BLOB,
  description BLOB,
  extension BLOB,
  oids BLOB
) STRICT`;

/** An object of a transaction that isn't final. `owned`: its data belongs to no other row, and goes with it. */
const TOBJ = `CREATE TABLE tobj (
  ttid INTEGER NOT NULL,
  oid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  base INTEGER NOT NULL,
  checked INTEGER NOT NULL,
  lockless INTEGER NOT NULL,
  data_id INTEGER,
  owned INTEGER NOT NULL,
  link INTEGER,
  PRIMARY KEY (ttid, oid)
) WITHOUT ROWID, STRICT`;

/** How many rows of `obj` and `tobj` have the same data: only where there are several. */
const SHARED = `CREATE TABLE shared (
  data_id INTEGER PRIMARY KEY,
  rows INTEGER NOT NULL
) STRICT`;

/** Parts of a copied revision whose manifest hasn't come: `data_id` is what its row in `data` will be. */
const CPART = `CREATE TABLE cpart (
  oid INTEGER NOT NULL,
  tid INTEGER NOT NULL,
  data_id INTEGER NOT NULL,
  PRIMARY KEY (oid, tid)
) WITHOUT ROWID, STRICT`;

/** The cell of the partition that was outdated or created at table version `since` is complete up to `tid`. */
const RESUME = `CREATE TABLE resume (
  partition INTEGER PRIMARY KEY,
  since INTEGER NOT NULL,
  tid INTEGER NOT NULL
) STRICT`;

/**
 * Bytes of all final revisions, as they are compressed, and of those of them that are the newest of their object. Kept by the triggers
 * below, in the transaction that changes a row.
 */
const SIZE =
  "CREATE TABLE size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, live INTEGER NOT NULL) STRICT";

/** What `size.bytes` was before the first commit of a day, counted since 1970. */
const SIZE_DAY = "CREATE TABLE size_day (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT";

/** Bytes of the data with an id, those of its parts with them; of none 0. */
function lengthOf(id: string): string {
  const parts = "iif(compression = 2, (SELECT total(length(value)) FROM part WHERE data_id = data.id), 0)";
  return `coalesce((SELECT CAST(length(value) + ${parts} AS INTEGER) FROM data WHERE id = ${id}), 0)`;
}

/**
 * Counts a row that comes or goes: its bytes are live unless there is a newer one, and those of the row below are so no more. The limit
 * keeps SQLite from looking the data up for each use of its length.
 */
function counting(row: "NEW" | "OLD", sign: "+" | "-"): string {
  const newer = `EXISTS (SELECT 1 FROM obj WHERE oid = ${row}.oid AND tid > ${row}.tid)`;
  const below =
    `(SELECT data_id FROM obj WHERE oid = ${row}.oid AND tid < ${row}.tid ORDER BY tid DESC LIMIT 1)`;
  return `UPDATE size SET (bytes, live) = (
    SELECT bytes ${sign} length, live ${sign} iif(${newer}, 0, length - ${lengthOf(below)})
    FROM (SELECT ${lengthOf(`${row}.data_id`)} AS length LIMIT 1));`;
}

const SIZE_IN = `CREATE TRIGGER size_in AFTER INSERT ON obj BEGIN ${counting("NEW", "+")} END`;
const SIZE_OUT = `CREATE TRIGGER size_out AFTER DELETE ON obj BEGIN ${counting("OLD", "-")} END`;

/** The same by looking at all rows: for a file that had no counters. */
export const SIZE_COUNTED = `SELECT
  (SELECT CAST(total(${lengthOf("obj.data_id")}) AS INTEGER) FROM obj) AS bytes,
  (SELECT CAST(total(${
  lengthOf("newest.data_id")
}) AS INTEGER) FROM (SELECT oid, max(tid), data_id FROM obj GROUP BY oid) AS newest) AS live`;

/** The columns of tables in the order in which rows are written. */
export const TRANS_COLUMNS = [
  "partition",
  "tid",
  "ttid",
  "status",
  "user",
  "description",
  "extension",
  "oids",
] as const;
export const OBJ_COLUMNS = ["partition", "oid", "tid", "data_id", "link"] as const;
export const TOBJ_COLUMNS = [
  "ttid",
  "oid",
  "partition",
  "base",
  "checked",
  "lockless",
  "data_id",
  "owned",
  "link",
] as const;
export const DATA_COLUMNS = ["id", "compression", "checksum", "value"] as const;
export const PART_COLUMNS = ["data_id", "seq", "compression", "checksum", "value"] as const;
export const TPART_COLUMNS = ["ttid", "oid", "data_id"] as const;
export const CPART_COLUMNS = ["oid", "tid", "data_id"] as const;

/** One row more has the data of this id. */
export const DATA_SHARE =
  "INSERT INTO shared (data_id, rows) VALUES (?, 2) ON CONFLICT (data_id) DO UPDATE SET rows = rows + 1";
/** The first partition above one that has final rows, null if there is none. */
export const STOCKED_NEXT = `SELECT min(partition) AS partition FROM (
  SELECT min(partition) AS partition FROM trans WHERE partition > ?
  UNION ALL SELECT min(partition) FROM obj WHERE partition > ?)`;
/** The final row of a partition at a place, counted from 0; a transaction stands under an oid before all others. */
export const ROW_AT = `SELECT tid, -1 AS oid FROM trans WHERE partition = ?
  UNION ALL SELECT tid, oid FROM obj WHERE partition = ? ORDER BY 1, 2 LIMIT 1 OFFSET ?`;

/** What version 2 has and version 1 hadn't. */
const VERSION_2 = [PART, PART_WITH_DATA, TPART];
/** What version 3 has and version 2 hadn't. */
const VERSION_3 = [SHARED, CPART, RESUME];
/** What version 4 has and version 3 hadn't; the triggers come last, behind the first count. */
const VERSION_4 = [
  SIZE,
  SIZE_DAY,
  `INSERT INTO size (one, bytes, live) SELECT 1, bytes, live FROM (${SIZE_COUNTED})`,
  SIZE_IN,
  SIZE_OUT,
];

/** Counts the rows of data that links share: only theirs is looked at. */
const COUNT_SHARED = `INSERT INTO shared (data_id, rows)
  SELECT data_id, count(*) FROM (SELECT data_id FROM obj UNION ALL SELECT data_id FROM tobj)
  WHERE data_id IN (SELECT data_id FROM obj WHERE link IS NOT NULL UNION SELECT data_id FROM tobj WHERE link IS NOT NULL)
  GROUP BY data_id HAVING count(*) > 1`;

/** A storage's file: "neoS" in its head. */
export const STORAGE_FILE: FileKind = {
  applicationId: 0x6e656f53,
  tables: [
    TRANS,
    TRANS_BY_TTID,
    OBJ,
    OBJ_BY_TID,
    DATA,
    TTRANS,
    TOBJ,
    ...VERSION_2,
    ...VERSION_3,
    ...VERSION_4,
  ],
  schemaVersion: 5,
  upgrades: {
    1: (file) => VERSION_2.forEach((statement) => file.run(statement)),
    2: (file) => {
      for (const statement of [...VERSION_3, COUNT_SHARED]) file.run(statement);
      file.setMeta("truncations", 0);
    },
    3: (file) => VERSION_4.forEach((statement) => file.run(statement)),
    4: (file) => {
      for (const name of ["packBound", "packed"]) file.setMeta(name, 0n);
      for (const name of ["packedOid", "packedTid"]) file.setMeta(name, null);
    },
  },
};

/**
 * The tables of a storage in PostgreSQL, in a schema of its own, so that several nodes can share a server. As in SQLite's
 * (`sqlite_schema.ts`), but for two things: texts are bytes here too, and who shares data isn't counted. Data is shared
 * between revisions of one object only, so that a look at that object's rows says whether anybody needs it.
 */

/** The version of these tables. 3 has what 2 has, and knows of packs: an older neo would read below their bound. */
export const POSTGRES_SCHEMA_VERSION = 3;

/** Bytes of the data with an id, those of its parts with them; of none 0. */
function lengthOf(id: string): string {
  return `coalesce((SELECT length(d.value) + CASE d.compression WHEN 2
    THEN (SELECT coalesce(sum(length(p.value)), 0) FROM part p WHERE p.data_id = d.id) ELSE 0 END
    FROM data d WHERE d.id = ${id}), 0)::int8`;
}

/**
 * Counts rows that have come or gone, once for each statement. Of an object's rows only the newest is live: the newest of those that
 * moved counts for or against the newest of those that didn't. A row is never changed where it stands. Its plans are kept
 * while tables grow: they mustn't be those of a table that is small, and aren't worth compiling. Nor of a statement that moved
 * one row: each object is looked up by itself, and nothing is joined that could be compared all with all.
 */
const COUNT_ROWS =
  `CREATE FUNCTION count_rows() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
  sign int8 := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
  all_bytes int8;
  live_bytes int8;
BEGIN
  WITH m AS MATERIALIZED (SELECT oid, tid, ${lengthOf("data_id")} AS bytes FROM moved),
    tops AS (SELECT oid, max(tid) AS tid, array_agg(tid) AS tids, sum(bytes) AS bytes,
      (array_agg(bytes ORDER BY tid DESC))[1] AS top FROM m GROUP BY oid)
  SELECT coalesce(sum(t.bytes), 0),
      coalesce(sum(t.top - ${lengthOf("r.data_id")}) FILTER (WHERE r.tid IS NULL OR t.tid > r.tid), 0)
    INTO all_bytes, live_bytes FROM tops t LEFT JOIN LATERAL (
      SELECT o.tid, o.data_id FROM obj o WHERE o.oid = t.oid AND o.tid <> ALL (t.tids) ORDER BY o.tid DESC LIMIT 1
    ) r ON true;
  IF all_bytes <> 0 OR live_bytes <> 0 THEN
    UPDATE size SET bytes = bytes + sign * all_bytes, live = live + sign * live_bytes;
  END IF;
  RETURN NULL;
END
$$`;

/** What version 2 has and version 1 hadn't: how large all final revisions are, and how much of that is live (T55). */
export const POSTGRES_VERSION_2: readonly string[] = [
  "CREATE TABLE size (one bool PRIMARY KEY CHECK (one), bytes int8 NOT NULL, live int8 NOT NULL)",
  "CREATE TABLE size_day (day int4 PRIMARY KEY, bytes int8 NOT NULL)",
  `INSERT INTO size (one, bytes, live) SELECT true,
    (SELECT coalesce(sum(${lengthOf("o.data_id")}), 0) FROM obj o),
    (SELECT coalesce(sum(${lengthOf("n.data_id")}), 0)
      FROM (SELECT DISTINCT ON (oid) data_id FROM obj ORDER BY oid, tid DESC) n)`,
  COUNT_ROWS,
  `CREATE TRIGGER rows_came AFTER INSERT ON obj REFERENCING NEW TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows()`,
  `CREATE TRIGGER rows_gone AFTER DELETE ON obj REFERENCING OLD TABLE AS moved
    FOR EACH STATEMENT EXECUTE FUNCTION count_rows()`,
];

/** Statements that make the tables, in the schema of the connection. */
export const POSTGRES_TABLES: readonly string[] = [
  "CREATE TABLE meta (name text PRIMARY KEY, value bytea)",
  `CREATE TABLE trans (
    partition int4 NOT NULL,
    tid int8 NOT NULL,
    ttid int8 NOT NULL,
    status bytea NOT NULL,
    username bytea NOT NULL,
    description bytea NOT NULL,
    extension bytea NOT NULL,
    oids bytea NOT NULL,
    PRIMARY KEY (partition, tid)
  )`,
  "CREATE INDEX trans_by_ttid ON trans (ttid)",
  `CREATE TABLE obj (
    partition int4 NOT NULL,
    oid int8 NOT NULL,
    tid int8 NOT NULL,
    data_id int8,
    link int8,
    PRIMARY KEY (oid, tid)
  )`,
  "CREATE INDEX obj_by_tid ON obj (partition, tid, oid)",
  `CREATE TABLE data (
    id int8 PRIMARY KEY,
    compression int4 NOT NULL,
    checksum bytea NOT NULL,
    value bytea NOT NULL
  )`,
  `CREATE TABLE part (
    data_id int8 NOT NULL,
    seq int4 NOT NULL,
    compression int4 NOT NULL,
    checksum bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (data_id, seq)
  )`,
  `CREATE TABLE ttrans (
    ttid int8 PRIMARY KEY,
    home int4 NOT NULL,
    age_ms int8 NOT NULL,
    tid int8,
    status bytea,
    username bytea,
    description bytea,
    extension bytea,
    oids bytea
  )`,
  `CREATE TABLE tobj (
    ttid int8 NOT NULL,
    oid int8 NOT NULL,
    partition int4 NOT NULL,
    base int8 NOT NULL,
    checked bool NOT NULL,
    lockless bool NOT NULL,
    data_id int8,
    owned bool NOT NULL,
    link int8,
    PRIMARY KEY (ttid, oid)
  )`,
  "CREATE TABLE tpart (ttid int8 NOT NULL, oid int8 NOT NULL, data_id int8 NOT NULL, PRIMARY KEY (ttid, oid))",
  "CREATE TABLE cpart (oid int8 NOT NULL, tid int8 NOT NULL, data_id int8 NOT NULL, PRIMARY KEY (oid, tid))",
  "CREATE TABLE resume (partition int4 PRIMARY KEY, since int8 NOT NULL, tid int8 NOT NULL)",
  ...POSTGRES_VERSION_2,
];

/** Values are stored as they come: most are compressed already. */
export const POSTGRES_SETTINGS: readonly string[] = [
  "ALTER TABLE data ALTER COLUMN value SET STORAGE EXTERNAL",
  "ALTER TABLE part ALTER COLUMN value SET STORAGE EXTERNAL",
];

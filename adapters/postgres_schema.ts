/**
 * The tables of a storage in PostgreSQL, in a schema of its own, so that several nodes can share a server. As in SQLite's
 * (`sqlite_schema.ts`), but for two things: texts are bytes here too, and who shares data isn't counted. Data is shared
 * between revisions of one object only, so that a look at that object's rows says whether anybody needs it.
 */

/** The version of these tables. */
export const POSTGRES_SCHEMA_VERSION = 1;

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
];

/** Values are stored as they come: most are compressed already. */
export const POSTGRES_SETTINGS: readonly string[] = [
  "ALTER TABLE data ALTER COLUMN value SET STORAGE EXTERNAL",
  "ALTER TABLE part ALTER COLUMN value SET STORAGE EXTERNAL",
];

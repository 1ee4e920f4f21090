/** Databases in and out of clusters of real processes: what comes out, after a restart, is what went in. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openRecordFile } from "../../adapters/record_files.ts";
import type { TransactionRecord } from "../../core/records.ts";
import { CliCluster, initArguments, testWith } from "./kit.ts";
import type { Shape } from "./kit.ts";

const VECTORS = fileURLToPath(new URL("../vectors/", import.meta.url));
const DATA = process.env["NEO_TEST_DATA"];
const HAS_DATA = { met: DATA !== undefined, reason: "needs NEO_TEST_DATA=DIR, with real databases" };

const SHAPES: readonly Shape[] = [
  { storages: 1, replicas: 0 },
  { storages: 2, replicas: 1 },
  { storages: 3, replicas: 0 },
].flatMap((storages) => [1, 240].map((partitions) => ({ ...storages, partitions })));
function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The digest of what a correct zodbdump of `file` is. */
function dumpDigestOf(file: string): string {
  const stem = file.replace(/\.fs$/, "");
  if (existsSync(`${stem}.zdump`)) return sha256(readFileSync(`${stem}.zdump`));
  return readFileSync(`${stem}.zdump.sha256`, "utf8").trim().slice(0, 64);
}

/** What a file holds; of an object that a transaction names twice, the last record. */
function transactionsOf(file: string): TransactionRecord[] {
  const reader = openRecordFile(file);
  try {
    return [...reader].map(({ records, ...transaction }) => {
      const last = new Map(records.map((record, index) => [record.oid, index]));
      return { ...transaction, records: records.filter(({ oid }, index) => last.get(oid) === index) };
    });
  } finally {
    reader.close();
  }
}

/** init, start, import, stop, start, and a look at what a client reads; the cluster then still runs. */
async function imported(file: string, shape: Shape): Promise<CliCluster> {
  const cluster = await CliCluster.started(shape);
  try {
    await cluster.ok("import", file);
    await cluster.stop();
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/** Everything, as a client iterates it. */
async function recordsOf(cluster: CliCluster): Promise<TransactionRecord[]> {
  const client = await cluster.connect();
  const read = await Array.fromAsync(client.records());
  await client.close();
  return read;
}

/** Compares one by one, so that a failure shows one transaction and not a whole database. */
function assertSameHistory(read: readonly TransactionRecord[], file: string): void {
  const expected = transactionsOf(file);
  expected.forEach((transaction, index) => assert.deepEqual(read[index], transaction));
  assert.equal(read.length, expected.length);
}

async function roundTrip(file: string, shape: Shape): Promise<void> {
  await using cluster = await imported(file, shape);

  assertSameHistory(await recordsOf(cluster), file);
  await cluster.ok("export", cluster.beside("out.fs"));
  await cluster.ok("export", cluster.beside("out.zdump"), "--format", "zodbdump");

  assert.equal(sha256(readFileSync(cluster.beside("out.zdump"))), dumpDigestOf(file));
  assert.equal(sha256(readFileSync(cluster.beside("out.fs"))), sha256(readFileSync(file)));
}

for (const shape of SHAPES) {
  const shown = initArguments(shape).join(" ");
  test(`history.fs comes back byte for byte with ${shown} (T48, T60)`, () =>
    roundTrip(join(VECTORS, "history.fs"), shape));

  for (const name of ["wiki.fs", "undo-history-py2.fs", "undo-history-py3.fs", "plone-site.fs"]) {
    testWith(
      HAS_DATA,
      `${name} comes back byte for byte with ${shown} (T48, T60)`,
      () => roundTrip(join(DATA!, name), shape),
    );
  }
}

testWith(
  HAS_DATA,
  "wiki.fs comes back byte for byte from init --single, one process with kept data (T59, T60)",
  () => roundTrip(join(DATA!, "wiki.fs"), { single: true }),
);

test("an FS21 file stays one: python2.fs comes back byte for byte (T60)", async () => {
  const file = join(VECTORS, "python2.fs");
  await using cluster = await imported(file, { storages: 1 });

  await cluster.ok("export", cluster.beside("out.fs"));

  assert.deepEqual(readFileSync(cluster.beside("out.fs")), readFileSync(file));
});

test("a text dump comes back as it was, and as the Data.fs that it was made of (T48, T60)", async () => {
  await using cluster = await imported(join(VECTORS, "history.zdump"), { storages: 2, replicas: 1 });

  await cluster.ok("export", cluster.beside("out.zdump"), "--format", "zodbdump");
  await cluster.ok("export", cluster.beside("out.fs"));

  const textOf = (path: string) => readFileSync(path, "latin1");
  assert.equal(textOf(cluster.beside("out.zdump")), textOf(join(VECTORS, "history.zdump")));
  const withoutLinksToNothing = transactionsOf(join(VECTORS, "history.fs")).map(({ records, ...rest }) => ({
    ...rest,
    // a dump says of a link to a deletion only that it deletes
    records: records.map((record) => record.data === null ? { oid: record.oid, data: null } : record),
  }));
  assert.deepEqual(transactionsOf(cluster.beside("out.fs")), withoutLinksToNothing);
});

for (const name of ["same_oid_twice.fs", "unfinished.fs"]) {
  test(`${name} comes in as ZODB shows it: the last record of an object, finished transactions (T60)`, async () => {
    const file = join(VECTORS, name);
    await using cluster = await imported(file, { storages: 1 });

    await cluster.ok("export", cluster.beside("out.fs"));

    assertSameHistory(await recordsOf(cluster), file);
    assert.deepEqual(transactionsOf(cluster.beside("out.fs")), transactionsOf(file));
  });
}

test("a database with later tids refuses an import with 6, says why, and stays as it was (T48)", async () => {
  await using cluster = await imported(join(VECTORS, "history.fs"), { storages: 2, replicas: 1 });

  const older = await cluster.neo("import", join(VECTORS, "python2.fs"));
  const client = await cluster.connect();
  const tid = await client.newOid().then(async (oid) => {
    const tx = await client.begin();
    tx.store(oid, new Uint8Array([1]));
    return await tx.commit();
  });

  assert.equal(older.exitCode, 6);
  assert.match(
    older.stderr,
    /^Error: Cannot finish with tid .*: the last one is .*\nHint: import into an empty/,
  );
  const expected = transactionsOf(join(VECTORS, "history.fs")).map((transaction) => transaction.tid);
  const there = await Array.fromAsync(client.transactions());
  assert.deepEqual(there.map((transaction) => transaction.tid), [...expected, tid]);
});

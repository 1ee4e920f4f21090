import fc from "fast-check";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { toOid, toTid } from "../core/ids.ts";
import type { ObjectRecord, ReadOptions, TransactionRecord } from "../core/records.ts";
import { histories, realData, realPath, vector, written } from "../tests/record_histories.ts";
import { bytesSource } from "./file_io.ts";
import { FileStorageReader, openFileStorage } from "./filestorage_reader.ts";
import { writeFileStorage } from "./filestorage_writer.ts";
import { openZodbdump, ZodbdumpReader } from "./zodbdump_reader.ts";
import { writeZodbdump } from "./zodbdump_writer.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const history = () => new FileStorageReader(bytesSource("history.fs", vector("history.fs")));

function read(bytes: Uint8Array, options: ReadOptions = {}): TransactionRecord[] {
  return [...new ZodbdumpReader(bytesSource("dump", bytes), options)];
}

/** What the text keeps of a record: a link names no data, and one that ends in a deletion is a deletion. */
function kept({ oid, data, from }: ObjectRecord): ObjectRecord {
  return from === undefined || data === null ? { oid, data } : { oid, data: undefined, from };
}

test("T60 writeZodbdump() writes every kind of record of a Data.fs as it was written down by hand", async () => {
  const text = await written((sink) => writeZodbdump(history(), sink));

  assert.deepEqual(decode(text), decode(vector("history.zdump")));
  assert.deepEqual(text, vector("history.zdump"));
});

test("T60 ZodbdumpReader gives what the text keeps of every kind of record", () => {
  const expected = [...history()].map((each) => ({ ...each, records: each.records.map(kept) }));

  assert.deepEqual(read(vector("history.zdump")), expected);
});

test("T60 a zodbdump becomes the Data.fs it came from, but for links to deletions", async () => {
  const bytes = await written((sink) => writeFileStorage(read(vector("history.zdump")), sink));

  const records = [...new FileStorageReader(bytesSource("Data.fs", bytes))].flatMap(({ records }) => records);
  const expected = [...history()].flatMap(({ records }) => records)
    .map((record) => record.data === null ? kept(record) : record);
  assert.deepEqual(records, expected);
});

test("T60 writeZodbdump() and ZodbdumpReader are inverse for any history, but for links to deletions", async () => {
  await fc.assert(fc.asyncProperty(histories, async (any) => {
    const text = await written((sink) => writeZodbdump(any, sink));

    assert.deepEqual(read(text), any.map((each) => ({ ...each, records: each.records.map(kept) })));
    assert.deepEqual(await written((sink) => writeZodbdump(read(text), sink)), text);
  }));
});

test("writeZodbdump() keeps data of no bytes and data that looks like the dump itself", async () => {
  const records = [{ oid: toOid(1n), data: new Uint8Array() }, {
    oid: toOid(2n),
    data: vector("history.zdump"),
  }];
  const user = encode("x".repeat(65_535));
  const any = [{ tid: toTid(7n), status: " " as const, user, description: user, extension: user, records }];

  const summary = { transactions: 1, records: 2, bytes: 0 };
  const text = await written(async (sink) => summary.bytes = (await writeZodbdump(any, sink)).bytes);

  assert.deepEqual(read(text), any);
  assert.equal(summary.bytes, text.length);
});

test("writeZodbdump() refuses tids that don't grow", async () => {
  const [first] = [...history()];
  assert.ok(first);
  await assert.rejects(written((sink) => writeZodbdump([first, first], sink)), RangeError);
});

test("ZodbdumpReader reads a dump of no transactions, and an iteration can be repeated", () => {
  assert.deepEqual(read(new Uint8Array()), []);
  const reader = new ZodbdumpReader(bytesSource("dump", vector("history.zdump")));
  assert.deepEqual([...reader], [...reader]);
});

test("ZodbdumpReader leaves links to transactions before the file to the importer", () => {
  const later = encode(`${decode(vector("history.zdump")).split("\n\n")[3]}\n\n`);

  for (const salvage of [false, true]) {
    const [only] = read(later, { salvage });
    assert.deepEqual(only?.records, [{ oid: 1n, data: undefined, from: 0x03e0000100000000n }]);
  }
});

for (const name of ["undo-history-py2", "undo-history-py3", "wiki"]) {
  test(
    `T60 real ${name}.fs becomes its zodbdump, byte for byte${realData.suffix}`,
    realData.options,
    async () => {
      const reader = openFileStorage(realPath(`${name}.fs`));
      const text = await written((sink) => writeZodbdump(reader, sink));
      reader.close();

      assert.deepEqual(text, new Uint8Array(readFileSync(realPath(`${name}.zdump`))));
    },
  );

  test(
    `T60 real ${name}.zdump becomes itself and its Data.fs, byte for byte${realData.suffix}`,
    realData.options,
    async () => {
      const magic = name.endsWith("py2") ? "FS21" : "FS30";
      const reader = openZodbdump(realPath(`${name}.zdump`));
      const text = await written((sink) => writeZodbdump(reader, sink));
      const bytes = await written((sink) => writeFileStorage(reader, sink, { magic }));
      reader.close();

      assert.deepEqual(text, new Uint8Array(readFileSync(realPath(`${name}.zdump`))));
      assert.deepEqual(bytes, new Uint8Array(readFileSync(realPath(`${name}.fs`))));
    },
  );
}

test(
  `T60 real plone-site.fs becomes its zodbdump, digest for digest${realData.suffix}`,
  realData.options,
  async () => {
    const digest = createHash("sha256");
    const reader = openFileStorage(realPath("plone-site.fs"));
    await writeZodbdump(reader, { write: (bytes) => void digest.update(bytes) });
    reader.close();

    assert.equal(digest.digest("hex"), readFileSync(realPath("plone-site.zdump.sha256"), "utf8").trim());
  },
);

import fc from "fast-check";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { toOid, toTid } from "../core/ids.ts";
import { FileFormatError, type ReadOptions, type TransactionRecord } from "../core/records.ts";
import { histories, realData, realPath, vector, written } from "../tests/record_histories.ts";
import { vectors } from "../tests/vectors/make_vectors.ts";
import { bytesSource } from "./file_io.ts";
import { FileStorageReader, openFileStorage } from "./filestorage_reader.ts";
import { writeFileStorage } from "./filestorage_writer.ts";

const none = new Uint8Array();
const text = (value: string) => new TextEncoder().encode(value);

function read(bytes: Uint8Array, options: ReadOptions = {}): TransactionRecord[] {
  return [...new FileStorageReader(bytesSource("Data.fs", bytes), options)];
}

function transaction(tid: bigint, rest: Partial<TransactionRecord> = {}): TransactionRecord {
  return {
    tid: toTid(tid),
    status: " ",
    user: none,
    description: none,
    extension: none,
    records: [],
    ...rest,
  };
}

for (const [name, bytes] of Object.entries(vectors)) {
  test(`tests/vectors/${name} is what its script makes`, () => {
    assert.deepEqual(vector(name), bytes);
  });
}

test("T60 FileStorageReader gives every kind of record with its data and its immediate link", () => {
  const records = read(vector("history.fs")).flatMap(({ tid, records }) =>
    records.map((
      { oid, data, from },
    ) => [tid >> 32n & 0xffn, oid, data && new TextDecoder().decode(data), from && from >> 32n & 0xffn])
  );

  assert.deepEqual(records.slice(0, -1), [
    [0n, 0n, "root one", undefined],
    [1n, 0n, "root two", undefined],
    [1n, 1n, "a one", undefined],
    [2n, 1n, "a two", undefined],
    [3n, 1n, "a one", 1n],
    [4n, 2n, "b one", undefined],
    [4n, 1n, "a four", undefined],
    [5n, 2n, null, undefined],
    [5n, 1n, "a one", 3n], // a link to a link
    [6n, 2n, "b three", undefined],
    [7n, 2n, null, 5n], // a link to a deletion
    [8n, 2n, null, 7n], // a link to that link
    [9n, 1n, null, undefined],
  ]);
});

test("T60 FileStorageReader keeps status, notes and tids as they are, and transactions without records", () => {
  const transactions = read(vector("history.fs"));

  assert.deepEqual(transactions.map(({ status }) => status).join(""), "pp         ");
  assert.deepEqual(transactions[2]?.tid, 0x03e0000200000001n);
  assert.deepEqual(transactions[2]?.user, Uint8Array.of(0x4a, 0xf6, 0x72, 0x67, 0xff));
  assert.deepEqual(transactions[2]?.extension.slice(0, 4), Uint8Array.of(0x80, 0x02, 0x7d, 0x71));
  assert.deepEqual(
    transactions[6],
    transaction(0x03e0000500000001n, { description: text("nothing but words") }),
  );
});

for (const name of ["history.fs", "python2.fs", "same_oid_twice.fs"]) {
  test(`T60 ${name} read and written again is identical`, async () => {
    const reader = new FileStorageReader(bytesSource(name, vector(name)));

    const bytes = await written((sink) => writeFileStorage(reader, sink, { magic: reader.magic }));

    assert.deepEqual(bytes, vector(name));
  });
}

test("FileStorageReader ends before a transaction that was never finished, however it is cut off", () => {
  const bytes = vector("unfinished.fs");
  for (const missing of [0, 1, 20, 50]) {
    assert.deepEqual(read(bytes.subarray(0, bytes.length - missing)).length, 1);
  }
});

test("FileStorageReader reads a database without transactions, and an iteration can be repeated", async () => {
  assert.deepEqual(read(await written((sink) => writeFileStorage([], sink))), []);
  const reader = new FileStorageReader(bytesSource("Data.fs", vector("history.fs")));
  assert.deepEqual([...reader], [...reader]);
});

test("T60 writeFileStorage() and FileStorageReader are inverse for any history", async () => {
  await fc.assert(fc.asyncProperty(histories, async (history) => {
    const bytes = await written((sink) => writeFileStorage(history, sink));

    assert.deepEqual(read(bytes), history);
    assert.deepEqual(await written((sink) => writeFileStorage(read(bytes), sink)), bytes);
  }));
});

test("writeFileStorage() takes an asynchronous source, waits for its sink and counts", async () => {
  const history = read(vector("history.fs"));
  async function* late() {
    for (const each of history) yield await Promise.resolve(each);
  }
  let running = 0;
  const sink = {
    async write() {
      assert.equal(++running, 1);
      await Promise.resolve();
      running--;
    },
  };

  const summary = await writeFileStorage(late(), sink);

  assert.deepEqual(summary, { transactions: 11, records: 14, bytes: vector("history.fs").length });
});

test("writeFileStorage() writes data longer than a block, and FileStorageReader reads it", async () => {
  const data = new Uint8Array(700_000).map((_, at) => at * 7);
  const history = [
    transaction(1n, { records: [{ oid: toOid(1n), data: text("short") }, { oid: toOid(2n), data }] }),
    transaction(2n, { records: [{ oid: toOid(2n), data, from: toTid(1n) }] }),
  ];

  assert.deepEqual(read(await written((sink) => writeFileStorage(history, sink))), history);
});

test("writeFileStorage() writes a link's data when what it repeats isn't in the file", async () => {
  const history = [
    transaction(5n, {
      records: [{ oid: toOid(1n), data: text("kept"), from: toTid(2n) }, {
        oid: toOid(2n),
        data: null,
        from: toTid(2n),
      }],
    }),
  ];

  const [only] = read(await written((sink) => writeFileStorage(history, sink)));

  assert.deepEqual(only?.records, [{ oid: toOid(1n), data: text("kept") }, { oid: toOid(2n), data: null }]);
});

const refusals: { what: string; rest: Partial<TransactionRecord>; says: RegExp }[] = [
  { what: "data of no bytes", rest: { records: [{ oid: toOid(1n), data: none }] }, says: /zodbdump/ },
  { what: "a user of 65,536 bytes", rest: { user: new Uint8Array(65_536) }, says: /65535 bytes.*zodbdump/ },
  {
    what: "a link without data to a record that isn't there",
    rest: { records: [{ oid: toOid(1n), data: undefined, from: toTid(3n) }] },
    says: /0000000000000003.*export from an earlier/,
  },
];
for (const { what, rest, says } of refusals) {
  test(`writeFileStorage() refuses ${what} and says what to do`, async () => {
    const write = written((sink) => writeFileStorage([transaction(5n, rest)], sink));

    await assert.rejects(write, (error) => error instanceof FileFormatError && says.test(error.message));
  });
}

test("writeFileStorage() takes notes of 65,535 bytes", async () => {
  const user = new Uint8Array(65_535).fill(0x61);
  const history = [transaction(5n, { user, description: user, extension: user })];

  assert.deepEqual(read(await written((sink) => writeFileStorage(history, sink))), history);
});

test("writeFileStorage() refuses tids that don't grow", async () => {
  await assert.rejects(
    written((sink) => writeFileStorage([transaction(5n), transaction(5n)], sink)),
    RangeError,
  );
});

for (const name of ["undo-history-py2.fs", "undo-history-py3.fs", "wiki.fs", "plone-site.fs"]) {
  test(
    `T60 real ${name} read and written again is identical${realData.suffix}`,
    realData.options,
    async () => {
      const reader = openFileStorage(realPath(name));
      try {
        const bytes = await written((sink) => writeFileStorage(reader, sink, { magic: reader.magic }));
        assert.ok(new Uint8Array(readFileSync(realPath(name))).every((byte, at) => byte === bytes[at]));
        assert.equal(readFileSync(realPath(name)).length, bytes.length);
      } finally {
        reader.close();
      }
    },
  );
}

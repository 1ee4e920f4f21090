import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexOf, type Oid, type Tid, toOid, toTid } from "../core/ids.ts";
import { FileFormatError, type ReadOptions, type TransactionRecord } from "../core/records.ts";
import { histories, vector, written } from "../tests/record_histories.ts";
import { bytesSource } from "./file_io.ts";
import { MAGIC_BYTES, RECORD_HEADER_BYTES, TRANSACTION_HEADER_BYTES } from "./filestorage.ts";
import { FileStorageReader, openFileStorage } from "./filestorage_reader.ts";
import { writeFileStorage } from "./filestorage_writer.ts";

const whole = vector("history.fs");
/** Where the transactions begin, and the file's end. */
const starts: number[] = [4];
for (let at = 4; at < whole.length; starts.push(at)) {
  at += Number(new DataView(whole.buffer).getBigUint64(at + 8)) + 8;
}
const lastStart = starts.at(-2) ?? 0;

function read(bytes: Uint8Array, options: ReadOptions = {}): TransactionRecord[] {
  return [...new FileStorageReader(bytesSource("Data.fs", bytes), options)];
}

/** The numbers of the transactions that are left, 0 to 10, and the bytes of the damage. */
function salvage(bytes: Uint8Array): { left: number[]; damage: number[] } {
  const tids = read(whole).map(({ tid }) => tid);
  const damage: number[] = [];
  const found = read(bytes, { salvage: true, onDamage: ({ byte }) => damage.push(byte) });
  return { left: found.map(({ tid }) => tids.indexOf(tid)), damage };
}

function changed(at: number, ...values: number[]): Uint8Array {
  const bytes = whole.slice();
  bytes.set(values, at);
  return bytes;
}

const first = starts[0] ?? 0;
const rootRecord = first + 23 + "eva".length + "root".length;
const undo = starts[3] ?? 0; // one record, a link
const undoRecord = undo + 23 + "undo".length;
const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const without = (...lost: number[]) => all.filter((n) => !lost.includes(n));
// 5 repeats the record of 3, so it is lost too where that record can't be trusted.
const cases: { what: string; bytes: Uint8Array; byte: number; says: RegExp; left: number[] }[] = [
  {
    what: "a tail cut off in a record",
    bytes: whole.subarray(0, -20),
    byte: lastStart,
    says: /past the file's end/,
    left: without(10),
  },
  {
    what: "a tail cut off in a header",
    bytes: whole.subarray(0, lastStart + 12),
    byte: lastStart,
    says: /ends within/,
    left: without(10),
  },
  {
    what: "zeros behind the end",
    bytes: new Uint8Array([...whole, ...new Uint8Array(100)]),
    byte: whole.length,
    says: /status/,
    left: all,
  },
  {
    what: "a wrong length at the beginning",
    bytes: changed(undo + 15, 1),
    byte: undo,
    says: /shorter/,
    left: without(3, 5),
  },
  {
    what: "a length beyond the file",
    bytes: changed(undo + 10, 1),
    byte: undo,
    says: /past the file's end/,
    left: without(3, 5),
  },
  {
    what: "a length beyond all numbers",
    bytes: changed(undo + 8, 255, 255),
    byte: undo,
    says: /past the file's end/,
    left: without(3, 5),
  },
  {
    what: "a wrong length at the end",
    bytes: changed((starts[4] ?? 0) - 1, 99),
    byte: (starts[4] ?? 0) - 8,
    says: /another length/,
    left: without(3),
  },
  {
    what: "an unknown status",
    bytes: changed(undo + 16, 0x75),
    byte: undo,
    says: /status/,
    left: without(3),
  },
  {
    what: "a tid below the one before",
    bytes: changed(undo, 2),
    byte: undo,
    says: /isn't between 03e0000200000001/,
    left: without(3, 5),
  },
  {
    what: "a tid above 2^63",
    bytes: changed(undo, 0xff),
    byte: undo,
    says: /isn't between/,
    left: without(3, 5),
  },
  {
    what: "notes longer than the transaction",
    bytes: changed(undo + 21, 9),
    byte: undo,
    says: /shorter than its own/,
    left: without(3),
  },
  {
    what: "a record with another tid",
    bytes: changed(undoRecord + 8, 9),
    byte: undoRecord,
    says: /another tid/,
    left: without(3, 5),
  },
  {
    what: "a record of another transaction",
    bytes: changed(undoRecord + 31, 9),
    byte: undoRecord,
    says: /another transaction/,
    left: without(3, 5),
  },
  {
    what: "a record with a version",
    bytes: changed(undoRecord + 33, 1),
    byte: undoRecord,
    says: /version/,
    left: without(3, 5),
  },
  {
    what: "a record longer than its transaction",
    bytes: changed(undoRecord + 41, 200),
    byte: undoRecord,
    says: /longer than its/,
    left: without(3, 5),
  },
  {
    what: "a record header cut off",
    bytes: changed(rootRecord + 41, 1),
    byte: rootRecord + 43,
    says: /cut off/,
    left: without(0),
  },
  {
    what: "an oid above 2^63",
    bytes: changed(undoRecord, 0x80),
    byte: undoRecord,
    says: /oid 80/,
    left: without(3, 5),
  },
  {
    what: "a back pointer into the middle of a record",
    bytes: changed(undoRecord + 49, 111),
    byte: undoRecord + 42,
    says: /leads to 111/,
    left: without(3, 5),
  },
  {
    what: "a back pointer before the first record",
    bytes: changed(undoRecord + 48, 0, 1),
    byte: undoRecord + 42,
    says: /leads to 1,/,
    left: without(3, 5),
  },
  {
    what: "a back pointer past the file",
    bytes: changed(undoRecord + 43, 1),
    byte: undoRecord + 42,
    says: /leads to 2814/,
    left: without(3, 5),
  },
  {
    what: "a back pointer to another object",
    bytes: changed(undoRecord + 49, rootRecord),
    byte: undoRecord + 42,
    says: /leads to/,
    left: without(3, 5),
  },
  {
    what: "a back pointer to itself",
    bytes: changed(undoRecord + 48, undoRecord >> 8, undoRecord & 255),
    byte: undoRecord + 42,
    says: /leads to/,
    left: without(3, 5),
  },
];
for (const { what, bytes, byte, says, left } of cases) {
  test(`FileStorageReader names file, byte and remedy for ${what}, and salvages what is whole`, () => {
    assert.throws(() => read(bytes), (error) => {
      assert.ok(error instanceof FileFormatError);
      assert.equal(error.file, "Data.fs");
      assert.equal(error.byte, byte);
      assert.match(error.message, says);
      assert.match(error.message, /^Cannot read Data\.fs: .* \(byte \d+\); import it with --salvage/);
      return true;
    });

    assert.deepEqual(salvage(bytes).left, left);
  });
}

for (const magic of ["", "FS", "FS31", "PK\x03\x04", "txn "]) {
  test(`FileStorageReader refuses a file that begins with ${JSON.stringify(magic)}, salvaging or not`, () => {
    const bytes = new TextEncoder().encode(magic);

    assert.throws(() => read(bytes), FileFormatError);
    assert.throws(() => read(bytes, { salvage: true }), /FS21 or FS30/);
  });
}

test("FileStorageReader with salvage turns a link to what it skipped into plain data", () => {
  const found = read(changed(undo + 16, 0x75), { salvage: true });

  const linked = found.find(({ tid }) => hexOf(tid) === "03e0000500000000")?.records[1];
  assert.deepEqual(linked, { oid: 1n, data: new TextEncoder().encode("a one") });
});

test("FileStorageReader with salvage drops a transaction whose link leads to nothing readable", () => {
  const target = starts[1] ?? 0; // holds the data that 3 repeats, and 5 through it
  const bytes = whole.slice();
  bytes.fill(0xee, target, starts[2]);

  const { left, damage } = salvage(bytes);

  assert.deepEqual(left, without(1, 3, 5));
  assert.deepEqual(damage.slice(0, 2), [target, undoRecord + 42]);
});

test("FileStorageReader takes no link to a record that a damaged length made the data of another", async () => {
  const about = {
    status: " " as const,
    user: new Uint8Array(),
    description: new Uint8Array(),
    extension: new Uint8Array(),
  };
  const [x, y] = [1n, 2n].map(toOid) as [Oid, Oid];
  const [one, two] = [1n, 2n].map(toTid) as [Tid, Tid];
  const data = new Uint8Array([7]);
  const history = [
    { ...about, tid: one, records: [{ oid: x, data }, { oid: y, data }] },
    { ...about, tid: two, records: [{ oid: y, data, from: one }] },
  ];
  const bytes = (await written((sink) => writeFileStorage(history, sink))).slice();
  const firstRecord = MAGIC_BYTES + TRANSACTION_HEADER_BYTES;
  const recordBytes = RECORD_HEADER_BYTES + data.length;
  bytes[firstRecord + RECORD_HEADER_BYTES - 1] = data.length + recordBytes;

  assert.throws(() => read(bytes), /leads to 70/);
  const found = read(bytes, { salvage: true });
  assert.deepEqual(found.map(({ tid, records }) => [tid, records.length]), [[one, 1]]);
});

test("FileStorageReader with salvage finds the next transaction far behind damage", async () => {
  const garbage = new Uint8Array(300_000).map((_, at) => at * 31 >> 3);
  const head = whole.subarray(0, starts[1]);
  const history = read(whole).slice(2, 3);
  const tail = await written((sink) => writeFileStorage(history, sink));
  // The tail's positions must be those of where it stands: one record, whose transaction begins there.
  const start = head.length + garbage.length;
  const moved = tail.slice(4);
  const notes = (history[0]?.user.length ?? 0) + (history[0]?.description.length ?? 0)
    + (history[0]?.extension.length ?? 0);
  new DataView(moved.buffer).setBigUint64(23 + notes + 24, BigInt(start));

  assert.deepEqual(salvage(new Uint8Array([...head, ...garbage, ...moved])).left, [0, 2]);
});

test("FileStorageReader throws nothing but FileFormatError for any damage, and salvages in order with links intact", async () => {
  const damages = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(histories, damages, fc.nat(), async (history, places, cut) => {
      const bytes = (await written((sink) => writeFileStorage(history, sink))).slice();
      for (const { at, value } of places) if (bytes.length > 4) bytes[4 + at % (bytes.length - 4)] = value;
      const damaged = bytes.subarray(0, cut % 3 === 0 ? Math.max(4, bytes.length - cut % 50) : bytes.length);
      try {
        read(damaged);
      } catch (error) {
        assert.ok(error instanceof FileFormatError, String(error));
      }

      const yielded = new Set<string>();
      let last = 0n;
      for (const { tid, records } of read(damaged, { salvage: true })) {
        assert.ok(tid > last);
        last = tid;
        for (const { oid, from } of records) assert.ok(from === undefined || yielded.has(`${oid} ${from}`));
        for (const { oid } of records) yielded.add(`${oid} ${tid}`);
      }
    }),
    { numRuns: 300 },
  );
});

test("openFileStorage() passes on that there is no such file", () => {
  assert.throws(() => openFileStorage("no-such-file.fs"), /ENOENT|No such file/i);
});

import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { FileFormatError, type ReadOptions, type TransactionRecord } from "../core/records.ts";
import { histories, vector, written } from "../tests/record_histories.ts";
import { bytesSource } from "./file_io.ts";
import { ZodbdumpReader } from "./zodbdump_reader.ts";
import { writeZodbdump } from "./zodbdump_writer.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function read(bytes: Uint8Array, options: ReadOptions = {}): TransactionRecord[] {
  return [...new ZodbdumpReader(bytesSource("dump", bytes), options)];
}

const first = ['txn 00000000000000a0 " "', 'user ""', 'description ""', 'extension ""'];
const sound = [...first, "obj 0000000000000001 3 sha1:a9993e364706816aba3e25717850c26c9cd0d89d", "abc", ""];
const last = [
  'txn 00000000000000f0 " "',
  'user ""',
  'description ""',
  'extension ""',
  "obj 0000000000000001 delete",
  "",
  "",
];
/** The damaged transaction stands between a sound one and the last one; `line` is of the dump. */
const head = ['txn 00000000000000c0 " "', 'user ""', 'description ""', 'extension ""'];
const cases: { what: string; lines: string[]; line: number; says: RegExp }[] = [
  {
    what: "an unknown status",
    lines: ['txn 00000000000000c0 "c"', ...head.slice(1), ""],
    line: 8,
    says: /expected txn/,
  },
  {
    what: "a tid that is too short",
    lines: ['txn c0 " "', ...head.slice(1), ""],
    line: 8,
    says: /expected txn/,
  },
  {
    what: "a tid that doesn't grow",
    lines: ['txn 00000000000000a0 " "', ...head.slice(1), ""],
    line: 8,
    says: /isn't between 00000000000000a0/,
  },
  {
    what: "a tid above 2^63",
    lines: ['txn 80000000000000a0 " "', ...head.slice(1), ""],
    line: 8,
    says: /isn't between/,
  },
  {
    what: "a user without quotes",
    lines: ['txn 00000000000000c0 " "', "user eva", ...head.slice(2), ""],
    line: 9,
    says: /expected user/,
  },
  {
    what: "a description that is missing",
    lines: [...head.slice(0, 2), 'extension ""', ""],
    line: 10,
    says: /expected description/,
  },
  {
    what: "an extension with an unknown escape",
    lines: [...head.slice(0, 3), 'extension "\\q"', ""],
    line: 11,
    says: /expected extension/,
  },
  {
    what: "an object line that is none",
    lines: [...head, "obj 1 delete", ""],
    line: 12,
    says: /expected obj/,
  },
  {
    what: "an oid above 2^63",
    lines: [...head, "obj 8000000000000001 delete", ""],
    line: 12,
    says: /oid 8000000000000001/,
  },
  {
    what: "another sha1",
    lines: [...head, "obj 0000000000000001 3 sha1:a9993e364706816aba3e25717850c26c9cd0d89e", "abc", ""],
    line: 12,
    says: /another sha1/,
  },
  {
    what: "fewer bytes than the data has",
    lines: [...head, "obj 0000000000000001 3 sha1:a9993e364706816aba3e25717850c26c9cd0d89d", "abcd", ""],
    line: 12,
    says: /no line ends after 3/,
  },
  {
    what: "more bytes than the file has",
    lines: [...head, "obj 0000000000000001 3000 sha1:a9993e364706816aba3e25717850c26c9cd0d89d", "abc", ""],
    line: 12,
    says: /3000 bytes of data go past/,
  },
  {
    what: "more bytes than numbers can say",
    lines: [
      ...head,
      "obj 0000000000000001 999999999999999 sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
      "abc",
      "",
    ],
    line: 12,
    says: /go past/,
  },
  {
    what: "a link to itself",
    lines: [...head, "obj 0000000000000001 from 00000000000000c0", ""],
    line: 12,
    says: /isn't an earlier transaction/,
  },
  {
    what: "a link to no transaction",
    lines: [...head, "obj 0000000000000001 from 0000000000000000", ""],
    line: 12,
    says: /isn't an earlier transaction/,
  },
  {
    what: "digests in place of data",
    lines: [...head, "obj 0000000000000001 3 sha1:a9993e364706816aba3e25717850c26c9cd0d89d -", ""],
    line: 12,
    says: /without --hashonly/,
  },
  {
    what: "a line that never ends",
    lines: [...head.slice(0, 1), `user "${"x".repeat(300_000)}"`, ""],
    line: 9,
    says: /longer than 262172 bytes/,
  },
];
for (const { what, lines, line, says } of cases) {
  test(`ZodbdumpReader names file, line, byte and remedy for ${what}, and salvages the rest`, () => {
    const all = [...sound, ...lines, ...last];
    const bytes = encode(all.join("\n"));
    assert.throws(() => read(bytes), (error) => {
      assert.ok(error instanceof FileFormatError);
      assert.equal(error.file, "dump");
      assert.equal(error.line, line);
      assert.equal(error.byte, encode(all.slice(0, line - 1).join("\n") + "\n").length);
      assert.match(error.message, says);
      assert.match(error.message, /^Cannot read dump: .* \(line \d+, byte \d+\); \w+/);
      return true;
    });

    const resumed: number[] = [];
    const left = read(bytes, { salvage: true, onDamage: (_, at) => resumed.push(at) });

    assert.deepEqual(left.map(({ tid }) => tid), [0xa0n, 0xf0n]);
    assert.deepEqual(resumed, [bytes.length - encode(last.join("\n")).length]);
  });
}

for (const missing of [1, 2, 10, 60]) {
  test(`ZodbdumpReader refuses a dump whose last ${missing} bytes are cut off, and salvages what is before`, () => {
    const bytes = encode([...sound, ...last].join("\n")).subarray(0, -missing);

    assert.throws(() => read(bytes), FileFormatError);
    assert.deepEqual(read(bytes, { salvage: true }).map(({ tid }) => tid), [0xa0n]);
  });
}

test("ZodbdumpReader counts lines through binary data", () => {
  const bytes = new Uint8Array([...vector("history.zdump"), ...encode("nonsense\n")]);
  const lines = decode(vector("history.zdump")).split("\n").length;

  assert.throws(() => read(bytes), (error) => error instanceof FileFormatError && error.line === lines);
});

test("ZodbdumpReader with salvage drops what repeats a transaction that was dropped", () => {
  const damaged = vector("history.zdump").slice();
  damaged[decode(damaged).indexOf('"eva"\ndescription "kept')] = 0x20; // the second transaction, which 3 and so 5 repeat

  const dropped: string[] = [];
  const left = read(damaged, { salvage: true, onDamage: ({ message }) => dropped.push(message) });

  const whole = read(vector("history.zdump"));
  assert.deepEqual(left, [0, 2, 4, 6, 7, 8, 9, 10].map((at) => whole[at]));
  assert.equal(dropped.length, 3);
  assert.match(dropped[1] ?? "", /repeats transaction 03e0000100000000/);
  assert.match(dropped[2] ?? "", /repeats transaction 03e0000300000000/);
});

test("ZodbdumpReader throws nothing but FileFormatError for any damage, and salvages in order", async () => {
  const damages = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(histories, damages, fc.nat(60), async (any, places, cut) => {
      const bytes = (await written((sink) => writeZodbdump(any, sink))).slice();
      for (const { at, value } of places) if (bytes.length > 0) bytes[at % bytes.length] = value;
      const damaged = bytes.subarray(0, Math.max(0, bytes.length - (cut > 30 ? cut : 0)));
      try {
        read(damaged);
      } catch (error) {
        assert.ok(error instanceof FileFormatError, String(error));
      }

      const tids = read(damaged, { salvage: true }).map(({ tid }) => tid);

      assert.ok(tids.every((tid, at) => at === 0 || tid > (tids[at - 1] ?? 0n)));
    }),
    { numRuns: 300 },
  );
});

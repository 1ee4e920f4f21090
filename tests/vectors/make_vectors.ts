/**
 * Makes the files of this folder: small databases with every kind of record. Their bytes are put together here by
 * hand, with no code of neo's, so that they can show when its readers and writers are wrong.
 *
 *     deno run -A tests/vectors/make_vectors.ts
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";

interface Part {
  /** By which later records point here. */
  readonly label?: string;
  readonly oid: bigint;
  /** Label of the object's previous record. */
  readonly previous?: string;
  /** A character is a byte. */
  readonly data?: string;
  /** Label of the record that this one repeats. Neither data nor this: a deletion. */
  readonly repeats?: string;
}

interface Step {
  readonly tid: string;
  readonly status?: string;
  readonly user?: string;
  readonly description?: string;
  readonly extension?: string;
  readonly parts: readonly Part[];
}

/** A chapter's worth of text lines that look like another transaction, and bytes that are no text. */
const TRICKY = '\n\ntxn 03ff000000000000 " "\nuser ""\n\0\r\n\xff\xfe';

/** Every kind of record in one history. */
const history: readonly Step[] = [
  // Packed: a pack writes no previous positions.
  {
    tid: "03e0000000000000",
    status: "p",
    user: "eva",
    description: "root",
    parts: [{ label: "r1", oid: 0n, data: "root one" }],
  },
  {
    tid: "03e0000100000000",
    status: "p",
    user: "eva",
    description: "kept for an undo",
    parts: [{ label: "r2", oid: 0n, data: "root two" }, { label: "a1", oid: 1n, data: "a one" }],
  },
  {
    tid: "03e0000200000001",
    user: "J\xf6rg\xff", // Latin-1, as Python 2 wrote it
    description: "raw notes",
    extension: "\x80\x02}q\x01U\x03keyq\x02U\x01\xe9s.",
    parts: [{ label: "a2", oid: 1n, previous: "a1", data: "a two" }],
  },
  {
    tid: "03e0000300000000",
    description: "undo",
    parts: [{ label: "a3", oid: 1n, previous: "a2", repeats: "a1" }],
  },
  {
    tid: "03e0000400000000",
    description: "create",
    parts: [{ label: "b1", oid: 2n, data: "b one" }, {
      label: "a4",
      oid: 1n,
      previous: "a3",
      data: "a four",
    }],
  },
  {
    tid: "03e0000500000000",
    description: "undo: a link to a link, and a creation undone",
    parts: [{ label: "b2", oid: 2n, previous: "b1" }, {
      label: "a5",
      oid: 1n,
      previous: "a4",
      repeats: "a3",
    }],
  },
  { tid: "03e0000500000001", description: "nothing but words", parts: [] },
  { tid: "03e0000600000000", parts: [{ label: "b3", oid: 2n, previous: "b2", data: "b three" }] },
  {
    tid: "03e0000700000000",
    description: "a link to a deletion",
    parts: [{ label: "b4", oid: 2n, previous: "b3", repeats: "b2" }],
  },
  {
    tid: "03e0000800000000",
    description: "a link to that",
    parts: [{ label: "b5", oid: 2n, previous: "b4", repeats: "b4" }],
  },
  {
    tid: "03e0000900000000",
    user: '"quoted" \\ \x01\x7f',
    description: "tab\there\r\n\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0\xe2\x80\x8b\xed\xa0\x80",
    parts: [{ label: "a6", oid: 1n, previous: "a5" }, {
      label: "c1",
      oid: 0x0102030405060708n,
      data: TRICKY,
    }],
  },
];

/** What Python 2 wrote begins otherwise, and is the same behind that. */
const python2: readonly Step[] = [
  { tid: "0370000000000000", user: "eva", parts: [{ label: "r1", oid: 0n, data: "root" }] },
];

/** A store and an undo in one transaction leave two records of an object; the last one counts. */
const twice: readonly Step[] = [
  { tid: "03e0000000000000", parts: [{ label: "a1", oid: 1n, data: "one" }] },
  {
    tid: "03e0000100000000",
    parts: [{ label: "a2", oid: 1n, previous: "a1", data: "two" }, {
      label: "a3",
      oid: 1n,
      previous: "a1",
      data: "three",
    }],
  },
  { tid: "03e0000200000000", parts: [{ label: "a4", oid: 1n, previous: "a3", data: "four" }] },
  { tid: "03e0000300000000", parts: [{ label: "a5", oid: 1n, previous: "a4", repeats: "a3" }] },
];

/** The machine stopped while the second transaction was being written. */
const unfinished: readonly Step[] = [
  { tid: "03e0000000000000", parts: [{ label: "a1", oid: 1n, data: "one" }] },
  { tid: "03e0000100000000", status: "c", parts: [{ label: "a2", oid: 1n, previous: "a1", data: "two" }] },
];

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function number(value: number | bigint, bytes: number): string {
  const digits = BigInt(value).toString(16).padStart(bytes * 2, "0");
  return digits.replaceAll(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16)));
}

/** A Data.fs, as a text in which a character is a byte. */
function fileStorage(magic: string, steps: readonly Step[]): string {
  const positions = new Map<string, number>();
  const positionOf = (label: string | undefined) => label === undefined ? 0 : positions.get(label) ?? NaN;
  let file = magic;
  for (const { tid, status = " ", user = "", description = "", extension = "", parts } of steps) {
    const start = file.length;
    const notes = user + description + extension;
    const lengths = number(user.length, 2) + number(description.length, 2) + number(extension.length, 2);
    const beforeRecords = start + 23 + notes.length;
    let records = "";
    for (const { label, oid, previous, data = "", repeats } of parts) {
      if (label !== undefined) positions.set(label, beforeRecords + records.length);
      const head = number(oid, 8) + number(BigInt(`0x${tid}`), 8);
      const places = number(positionOf(previous), 8) + number(start, 8) + number(0, 2);
      const body = data === "" ? number(positionOf(repeats), 8) : data;
      records += head + places + number(data.length, 8) + body;
    }
    const length = number(23 + notes.length + records.length, 8);
    file += number(BigInt(`0x${tid}`), 8) + length + status + lengths + notes + records + length;
  }
  return file;
}

/** The zodbdump of `history`, written down rather than computed, but for the digests. */
const dump = [
  'txn 03e0000000000000 "p"',
  'user "eva"',
  'description "root"',
  'extension ""',
  object("0000000000000000", "root one"),
  "",
  'txn 03e0000100000000 "p"',
  'user "eva"',
  'description "kept for an undo"',
  'extension ""',
  object("0000000000000000", "root two"),
  object("0000000000000001", "a one"),
  "",
  'txn 03e0000200000001 " "',
  'user "J\\xf6rg\\xff"',
  'description "raw notes"',
  'extension "\\x80\\x02}q\\x01U\\x03keyq\\x02U\\x01\\xe9s."',
  object("0000000000000001", "a two"),
  "",
  'txn 03e0000300000000 " "',
  'user ""',
  'description "undo"',
  'extension ""',
  "obj 0000000000000001 from 03e0000100000000",
  "",
  'txn 03e0000400000000 " "',
  'user ""',
  'description "create"',
  'extension ""',
  object("0000000000000002", "b one"),
  object("0000000000000001", "a four"),
  "",
  'txn 03e0000500000000 " "',
  'user ""',
  'description "undo: a link to a link, and a creation undone"',
  'extension ""',
  "obj 0000000000000002 delete",
  "obj 0000000000000001 from 03e0000300000000",
  "",
  'txn 03e0000500000001 " "',
  'user ""',
  'description "nothing but words"',
  'extension ""',
  "",
  'txn 03e0000600000000 " "',
  'user ""',
  'description ""',
  'extension ""',
  object("0000000000000002", "b three"),
  "",
  'txn 03e0000700000000 " "',
  'user ""',
  'description "a link to a deletion"',
  'extension ""',
  "obj 0000000000000002 delete",
  "",
  'txn 03e0000800000000 " "',
  'user ""',
  'description "a link to that"',
  'extension ""',
  "obj 0000000000000002 delete",
  "",
  'txn 03e0000900000000 " "',
  'user "\\"quoted\\" \\\\ \\x01\\x7f"',
  'description "tab\\there\\r\\n\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \\xc2\\xa0\\xe2\\x80\\x8b\\xed\\xa0\\x80"',
  'extension ""',
  "obj 0000000000000001 delete",
  object("0102030405060708", TRICKY),
  "",
  "",
].join("\n");

function object(oid: string, data: string): string {
  const sha1 = createHash("sha1").update(bytesOf(data)).digest("hex");
  return `obj ${oid} ${data.length} sha1:${sha1}\n${data}`;
}

/** The files by name. */
export const vectors: Readonly<Record<string, Uint8Array>> = {
  "history.fs": bytesOf(fileStorage("FS30", history)),
  "history.zdump": bytesOf(dump),
  "python2.fs": bytesOf(fileStorage("FS21", python2)),
  "same_oid_twice.fs": bytesOf(fileStorage("FS30", twice)),
  "unfinished.fs": bytesOf(fileStorage("FS30", unfinished)),
};

if (import.meta.main) {
  for (const [name, bytes] of Object.entries(vectors)) writeFileSync(new URL(name, import.meta.url), bytes);
}

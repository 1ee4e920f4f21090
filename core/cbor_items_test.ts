/** Bytes that are CBOR, and no message. */
import { encode } from "cborg";
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, hexOf } from "../tests/samples.ts";
import { decodePacket } from "./codec.ts";
import { LIST_LENGTH_MAX, MESSAGE_ITEMS_MAX, NESTING_MAX } from "./limits.ts";
import { messages } from "./messages.ts";

function malformed(payload: Uint8Array, message: RegExp): void {
  assert.throws(() => decodePacket(payload), { name: "MalformedError", code: "malformed", message });
}

/** The code of a message in CBOR. */
function codeOf(name: keyof typeof messages): string {
  return hexOf(encode(messages[name].code));
}

/** `shutdown {epoch}` and `settle {ttid}`, each with one item in place of its field. */
const shutdown = (item: string) => bytesOf(`84 00 03 ${codeOf("shutdown")} ${item}`);
const settle = (item: string) => bytesOf(`85 01 00 ${codeOf("settle")} 00 ${item}`);
/** A `shutdown` with one more field. */
const withField = (field: string) => bytesOf(`85 00 03 ${codeOf("shutdown")} 05 ${field}`);

test("decodePacket() reads shutdown and settle with good items: those below are wrong for one reason only", () => {
  const told = { kind: "tell", message: { name: "shutdown", body: { epoch: 5 } } };
  assert.deepEqual(decodePacket(shutdown("05")), told);
  assert.deepEqual(decodePacket(withField("05")), told);
  for (
    const [item, ttid] of [["05", 5n], ["18 18", 24n], ["1b 00 20 00 00 00 00 00 00", 2n ** 53n]] as const
  ) {
    const message = { name: "settle", body: { ttid, asks: false } };
    assert.deepEqual(decodePacket(settle(item)), { kind: "ask", id: 1, withinMs: 0, message });
  }
});

const strange = [
  {
    what: "a number in more bytes than it needs",
    items: ["18 05", "19 00 05", "1a 00 00 00 05", "1b 00 00 00 00 00 00 00 05"],
  },
  { what: "a negative number", items: ["20", "38 18", "3b 00 20 00 00 00 00 00 00"] },
  { what: "an id of 64 bits", items: ["1b 80 00 00 00 00 00 00 00", "1b ff ff ff ff ff ff ff ff"] },
  {
    what: "a float",
    items: [
      "f9 00 00",
      "f9 3c 00",
      "fa 00 00 00 00",
      "fb 00 00 00 00 00 00 00 00",
      "fb 3f f0 00 00 00 00 00 00",
    ],
  },
  { what: "not a number, or infinity", items: ["f9 7e 00", "f9 7c 00", "fb 7f f0 00 00 00 00 00 00"] },
  { what: "undefined", items: ["f7"] },
  { what: "another simple value", items: ["e0", "f3", "f8 14", "f8 20", "f8 ff"] },
  { what: "a map", items: ["a0", "a1 00 00", "bf ff"] },
  { what: "a tag", items: ["c0 05", "c2 41 05", "d8 20 61 61"] },
  { what: "an open-ended item", items: ["9f ff", "9f 05 ff", "5f 41 05 ff", "7f 61 61 ff"] },
  { what: "a break", items: ["ff"] },
  { what: "a reserved head", items: ["1c", "1d", "1e", "1f", "3f", "fc", "fd", "fe"] },
  { what: "another type", items: ["f4", "f6", "40", "60", "80", "41 05", "61 35", "81 05"] },
];
for (const { what, items } of strange) {
  test(`decodePacket() refuses ${what} where a number should be: ${items.join(", ")}`, () => {
    for (const item of items) {
      malformed(settle(item), /./);
      malformed(shutdown(item), /./);
    }
  });
  if (what === "another type" || what === "an id of 64 bits") continue;
  test(`decodePacket() refuses ${what} in a field that it doesn't know, too`, () => {
    for (const item of items) malformed(withField(item), /./);
  });
}

const headless = ["", "00", "40", "60", "f6", "80", "8100", "820003", "830003f6", "83200318", "8300031c"];
for (const hex of headless) {
  test(`decodePacket() refuses [${hex}]: no array of id, kind and code`, () => malformed(bytesOf(hex), /./));
}

const misfits = [
  { hex: `84 00 03 ${codeOf("shutdown")} 05 00`, message: /1 bytes follow/ },
  { hex: `84 00 06 ${codeOf("shutdown")} 05`, message: /6 is no kind/ },
  { hex: `85 00 00 ${codeOf("shutdown")} 00 05`, message: /is no ask/ },
  { hex: `84 00 03 ${codeOf("settle")} 05`, message: /is no tell/ },
  { hex: "84 00 03 19 ff ff 05", message: /65535 is no tell/ },
  { hex: `84 01 00 ${codeOf("ping")} f6`, message: /deadline/ },
  { hex: "84 01 02 19 ff ff 60", message: /error 65535/ },
  { hex: "84 01 02 01 05", message: /error 1/ },
  { hex: "85 01 04 00 f4 60", message: /a chunk/ },
  { hex: "85 01 04 04 f4 40", message: /belongs to nothing/ },
  { hex: "85 1b 00 1f ff ff ff ff ff ff 04 00 f4 40", message: /belongs to nothing/ },
];
for (const { hex, message } of misfits) {
  test(`decodePacket() refuses [${hex}] and says why`, () => malformed(bytesOf(hex), message));
}

const bombs = [
  { what: "a list of 2^64-1", payload: bytesOf("9b ff ff ff ff ff ff ff ff"), message: /a list of/ },
  { what: "a list of 2^32-1 within", payload: shutdown("9a ff ff ff ff"), message: /a list of 4294967295/ },
  {
    what: "the longest list, without its elements",
    payload: shutdown("9a 00 1f ff ff"),
    message: /ends early/,
  },
  { what: "bytes of 2^64-1", payload: shutdown("5b ff ff ff ff ff ff ff ff"), message: /ends early/ },
  { what: "bytes of 2^32-1", payload: shutdown("5a ff ff ff ff"), message: /ends early/ },
  { what: "a text of 2^32-1", payload: shutdown("7a ff ff ff ff"), message: /a text of 4294967295/ },
  { what: "100,000 levels", payload: new Uint8Array(100_000).fill(0x81), message: /nested deeper/ },
];
for (const { what, payload, message } of bombs) {
  test(`decodePacket() refuses ${what}, before it builds anything`, () => malformed(payload, message));
}

test("decodePacket() takes as many levels as the limit says, and no more", () => {
  const nested = (levels: number) => withField("81".repeat(levels - 2) + "80");
  assert.equal(decodePacket(nested(NESTING_MAX)).kind, "tell");
  malformed(nested(NESTING_MAX + 1), /nested deeper/);
});

/** A `shutdown` with one more field: `rows` lists of nulls. */
function withLists(rows: number, length: number): Uint8Array {
  const row = new Uint8Array(5 + length).fill(0xf6);
  row.set([0x9a, length >>> 24, length >>> 16, length >>> 8, length]);
  const head = withField((0x80 + rows).toString(16));
  const payload = new Uint8Array(head.length + rows * row.length);
  payload.set(head);
  for (let i = 0; i < rows; i++) payload.set(row, head.length + i * row.length);
  return payload;
}

test("decodePacket() takes lists as long as the limit says, and no longer", () => {
  assert.equal(decodePacket(withLists(1, LIST_LENGTH_MAX)).kind, "tell");
  malformed(withLists(1, LIST_LENGTH_MAX + 1), /a list of/);
});

test("decodePacket() takes no more items in all than the limit says", () => {
  assert.ok(3 * LIST_LENGTH_MAX > MESSAGE_ITEMS_MAX);
  malformed(withLists(3, LIST_LENGTH_MAX), /more than \d+ items/);
});

// deno-lint-ignore-file no-console
/**
 * A program that streams one large value into a cluster and out again, for tests. It says when it is connected and waits
 * for a line, then says what it has found, and how far its memory grew.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { connect } from "../../mod.ts";

const PIECE_BYTES = 65_536;
const [uri = "", pieces = "0"] = process.argv.slice(2);

/** A piece that nothing makes smaller, another one for each place. */
function pieceAt(place: number): Uint8Array {
  const words = new Uint32Array(PIECE_BYTES / 4);
  let word = place + 1;
  for (let i = 0; i < words.length; i++) words[i] = word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
  const bytes = new Uint8Array(words.buffer);
  bytes[0] = place;
  bytes[1] = place >> 8;
  return bytes;
}

function* all(): Generator<Uint8Array> {
  for (let place = 0; place < Number(pieces); place++) yield pieceAt(place);
}

function bytesOf(kind: "VmRSS" | "VmHWM"): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return 1024 * Number(new RegExp(`${kind}:\\s+(\\d+)`).exec(status)![1]);
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const client = await connect(uri);
const oid = await client.newOid();
console.log("connected");
await lines.next();
const before = bytesOf("VmRSS");

await client.transact((tx) => tx.storeStream(oid, all(), { withinMs: 120_000 }), { withinMs: 120_000 });
const value = await (await client.snapshot()).loadStream(oid);
assert.equal(value?.size, Number(pieces) * PIECE_BYTES);
let place = 0;
for await (const part of value.body) { // a part has a whole number of pieces
  for (let at = 0; at < part.length; at += PIECE_BYTES) {
    const piece = part.subarray(at, at + PIECE_BYTES);
    assert.ok(pieceAt(place).every((byte, i) => byte === piece[i]), `piece ${place} is what was stored`);
    place += 1;
  }
}
assert.equal(place, Number(pieces));
console.log(JSON.stringify({ grewBytes: bytesOf("VmHWM") - before }));
lines.return?.();
await client.close();

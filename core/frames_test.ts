import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { anyPacket } from "../tests/arbitraries.ts";
import { encodePacket } from "../tests/samples.ts";
import {
  decodePacket,
  Deframer,
  encodeAnswer,
  encodeAsk,
  encodeError,
  encodeTell,
  framesOf,
  Joiner,
} from "./codec.ts";
import type { Packet } from "./codec.ts";
import { toOid, toTid, toTtid } from "./ids.ts";
import type { NodeIndex } from "./ids.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNK_BYTES_MIN,
  FRAME_BYTES_MAX,
  HELLO_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from "./limits.ts";

const malformed = { name: "MalformedError", code: "malformed" };

/** All whole frames that a stream in these pieces holds. */
function framesIn(pieces: Iterable<Uint8Array>, deframer = new Deframer()): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const piece of pieces) {
    deframer.push(piece);
    for (let frame = deframer.next(); frame; frame = deframer.next()) frames.push(frame);
  }
  return frames;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

/** The same bytes, in pieces of these sizes, over and over. */
function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.slice(at, at + size);
    at += size;
  }
}

const wide = () => {
  const deframer = new Deframer();
  deframer.widen();
  return deframer;
};

test("Deframer gives the frames of a stream however it is cut", () => {
  const sizes = fc.array(fc.oneof(fc.constant(1), fc.nat(20), fc.nat(6_000)), { minLength: 1 })
    .filter((list) => list.some((size) => size > 0));
  const packets = fc.array(anyPacket.map(encodePacket), { maxLength: 20 });
  fc.assert(
    fc.property(packets, sizes, (messages, pieces) => {
      const stream = joined(messages.flatMap((message) => framesOf(message, 1, "ask")));
      const deframer = wide();

      const frames = framesIn(cut(stream, pieces), deframer);

      assert.deepEqual(frames.map((frame) => [...frame]), messages.map((message) => [...message]));
      assert.equal(deframer.waiting, 0);
    }),
    { numRuns: 200 },
  );
});

test("Deframer holds what is incomplete, and an empty frame is a frame", () => {
  const deframer = new Deframer();
  deframer.push(Uint8Array.from([0, 0, 0]));
  assert.equal(deframer.next(), undefined);
  deframer.push(Uint8Array.from([2, 7]));
  assert.equal(deframer.next(), undefined);
  assert.equal(deframer.waiting, 5);
  deframer.push(Uint8Array.from([8, 0, 0, 0, 0, 9]));
  assert.deepEqual(deframer.next(), Uint8Array.from([7, 8]));
  assert.deepEqual(deframer.next(), new Uint8Array());
  assert.equal(deframer.next(), undefined);
  assert.equal(deframer.waiting, 1);
});

test("Deframer.next() refuses a longer frame as soon as its length is known", () => {
  const header = (length: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length);
    return bytes;
  };
  assert.deepEqual(framesIn([header(HELLO_BYTES_MAX)]), []);
  assert.throws(() => framesIn([header(HELLO_BYTES_MAX + 1)]), malformed);
  assert.deepEqual(framesIn([header(FRAME_BYTES_MAX)], wide()), []);
  assert.throws(() => framesIn([header(FRAME_BYTES_MAX + 1)], wide()), malformed);
  assert.throws(() => framesIn([header(0xffff_ffff)], wide()), malformed);
});

test("Deframer takes a frame byte by byte", () => {
  const message = new Uint8Array(50_000).map((_, i) => i);
  const [frame] = framesIn(cut(joined(framesOf(message, 1, "ask")), [1]), wide());
  assert.deepEqual([...frame!], [...message]);
});

/** A message whose encoding has this many bytes. */
function messageOf(bytes: number): Uint8Array {
  const make = (length: number) =>
    encodeAnswer(5, "askTable", { image: new Uint8Array(length).map((_, i) => i * 7) });
  return make(bytes - (make(bytes).length - bytes));
}

/** The packets of frames, chunks joined. */
function received(frames: readonly Uint8Array[], joiner = new Joiner()): Packet[] {
  return frames.flatMap((frame) => {
    const packet = decodePacket(frame);
    if (packet.kind !== "chunk") return [packet];
    const whole = joiner.push(packet.stream, packet.last, packet.bytes);
    return whole ? [decodePacket(whole)] : [];
  });
}

const sizes = [
  { bytes: FRAME_BYTES_MAX, frames: 1 },
  { bytes: FRAME_BYTES_MAX + 1, frames: 5 },
  { bytes: FRAME_BYTES_MAX + CHUNK_BYTES_MAX, frames: 5 },
  { bytes: FRAME_BYTES_MAX + CHUNK_BYTES_MAX + 1, frames: 6 },
];
for (const { bytes, frames: count } of sizes) {
  test(`framesOf() sends ${bytes} bytes in ${count} frames, and Joiner makes them one message (T19)`, () => {
    const message = messageOf(bytes);
    assert.equal(message.length, bytes);

    const frames = framesIn(cut(joined(framesOf(message, 5, "answer")), [70_000]), wide());

    assert.equal(frames.length, count);
    assert.ok(frames.every((frame) => frame.length <= FRAME_BYTES_MAX));
    assert.deepEqual(received(frames), [decodePacket(message)]);
  });
}

test("Joiner takes the largest object that a client may store (T19)", () => {
  const data = new Uint8Array(64 * 1024 * 1024);
  data.set([1, 2, 3], data.length - 3);
  const message = encodeAsk(5, "store", {
    ttid: toTtid(1),
    version: 1,
    ageMs: 0,
    oid: toOid(1),
    base: toTid(0),
    compression: 0,
    checksum: new Uint8Array(32),
    data,
    link: null,
    restore: false,
  }, 1_000);
  assert.ok(message.length <= MESSAGE_BYTES_MAX);

  const frames = framesOf(message, 5, "ask").map((frame) => frame.subarray(4));
  const [packet] = received(frames);

  assert.ok(packet?.kind === "ask" && packet.message.name === "store");
  assert.ok(globalThis.Buffer.from(data.buffer).equals(packet.message.body.data!));
});

test("Joiner keeps chunks of different messages apart, in both directions and all kinds (T19)", () => {
  const image = new Uint8Array(FRAME_BYTES_MAX + 1).fill(3);
  const conflict = { oid: toOid(2n ** 60n), base: toTid(2n ** 61n), saved: toTid(2n ** 62n) };
  const detail = { conflicts: new Array<typeof conflict>(40_000).fill(conflict) };
  const packets = [
    {
      id: 7,
      kind: "ask",
      bytes: encodeAsk(7, "fence", { epoch: 1, session: 1, node: 1 as NodeIndex, image }, 9),
    },
    { id: 7, kind: "answer", bytes: encodeAnswer(7, "askTable", { image }) },
    { id: 7, kind: "tell", bytes: encodeTell("table", { image, epoch: 1 }) },
    { id: 7, kind: "error", bytes: encodeError(7, { code: "conflict", message: "m", detail }) },
    { id: 8, kind: "answer", bytes: encodeAnswer(8, "askTable", { image }) },
  ] as const;
  const queues = packets.map(({ id, kind, bytes }) =>
    framesOf(bytes, id, kind).map((frame) => frame.subarray(4))
  );
  assert.ok(queues.every((frames) => frames.length > 1));
  fc.assert(
    fc.property(fc.infiniteStream(fc.nat(4)), (order) => {
      const left = queues.map((frames) => [...frames]);
      const mixed: Uint8Array[] = [];
      while (left.some((frames) => frames.length > 0)) {
        const frame = left[order.next().value!]!.shift();
        if (frame) mixed.push(frame);
      }
      const found = received(mixed).map((packet) => globalThis.Buffer.from(encodePacket(packet)));
      assert.equal(found.length, packets.length);
      for (const { bytes } of packets) assert.ok(found.some((other) => other.equals(bytes)));
    }),
    { numRuns: 3 },
  );
});

test("Joiner.push() refuses more than one message may have, over all that wait (T19)", () => {
  const joiner = new Joiner();
  const chunk = new Uint8Array(CHUNK_BYTES_MAX);
  const fits = MESSAGE_BYTES_MAX / CHUNK_BYTES_MAX;
  for (let i = 0; i < fits; i++) joiner.push(i, false, chunk);
  assert.throws(() => joiner.push(0, false, chunk), malformed);
  assert.throws(() => joiner.push(0, true, new Uint8Array(1)), malformed);
});

test("Joiner.push() forgets what it has given away: any number of messages may follow each other (T19)", () => {
  const joiner = new Joiner();
  const chunk = new Uint8Array(MESSAGE_BYTES_MAX / 2);
  for (let i = 0; i < 3; i++) {
    assert.equal(joiner.push(1, false, chunk), undefined);
    assert.equal(joiner.push(1, true, chunk)?.length, MESSAGE_BYTES_MAX);
  }
});

test("Joiner.push() refuses small chunks before the last: remembering them would cost more than they hold (T19)", () => {
  assert.throws(() => new Joiner().push(1, false, new Uint8Array()), malformed);
  assert.throws(() => new Joiner().push(1, false, new Uint8Array(CHUNK_BYTES_MIN - 1)), malformed);
  const joiner = new Joiner();
  assert.equal(joiner.push(1, false, new Uint8Array(CHUNK_BYTES_MIN)), undefined);
  assert.equal(joiner.push(1, true, new Uint8Array())?.length, CHUNK_BYTES_MIN);
});

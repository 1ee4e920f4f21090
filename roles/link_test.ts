import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { decodePacket, encodeTell } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import {
  CHUNK_BYTES_MAX,
  FRAME_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  QUEUED_BYTES_MAX,
  SOCKET_BYTES_MAX,
} from "../core/limits.ts";
import { messages } from "../core/messages.ts";
import type { Lane } from "../core/messages.ts";
import { helloOf } from "./hello.ts";
import { Link, parcelOf } from "./link.ts";

const hello = helloOf({ role: "storage" });

function linkOf(): Link<string> {
  return new Link<string>({
    conn: 1 as Conn,
    incoming: true,
    remote: "",
    hello,
    nowMs: 0,
  });
}

/** A message of about `bytes` bytes whose frames begin with `mark`. */
function parcel(lane: Lane, bytes: number, mark: number = 0) {
  const message = encodeTell("table", { image: new Uint8Array(bytes).fill(mark), epoch: 0 });
  return parcelOf(message, { lane, id: 0, kind: "tell" });
}

/** What the next writes carry: the length of each. */
function writesOf(link: Link<string>): Uint8Array[] {
  const writes: Uint8Array[] = [];
  for (let bytes = link.nextWrite(); bytes !== undefined; bytes = link.nextWrite()) writes.push(bytes);
  return writes;
}

test("Link.nextWrite() takes what is urgent before what is large, whatever came first", () => {
  const link = linkOf();
  const lanes: Lane[] = ["bulk", "commit", "bulk", "liveness", "commit"];
  const parcels = lanes.map((lane, mark) => parcel(lane, 10, mark));
  for (const one of parcels) link.queue(one);

  const marks = writesOf(link).map((bytes) =>
    parcels.flatMap(({ frames }, mark) => (indexOf(bytes, frames[0]!) >= 0 ? [mark] : []))
  );

  assert.deepEqual(marks, [[3], [1, 4], [0, 2]], "one write a lane, each in its own order");
  assert.equal(link.hasOutput, false);
});

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  for (let at = 0; at + part.length <= bytes.length; at++) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

test("Link.nextWrite() lets a heartbeat overtake the chunks of one large message", () => {
  const link = linkOf();
  link.queue(parcel("bulk", 3 * FRAME_BYTES_MAX));
  const first = link.nextWrite()!;
  const urgent = parcel("liveness", 1, 7);
  link.queue(urgent);

  assert.ok(
    first.length <= SOCKET_BYTES_MAX + CHUNK_BYTES_MAX,
    `${first.length} bytes are handed over at once`,
  );
  assert.deepEqual(link.nextWrite(), urgent.frames[0]);
  assert.ok(link.nextWrite()!.length > CHUNK_BYTES_MAX, "then the rest goes on");
});

test("Link.nextWrite() hands a socket no more than it should hold, but at least one frame", () => {
  const link = linkOf();
  for (let i = 0; i < 40; i++) link.queue(parcel("bulk", 50_000));
  link.queue(parcel("bulk", FRAME_BYTES_MAX - 100));

  const sizes = writesOf(link).map(({ length }) => length);

  assert.ok(sizes.slice(0, -1).every((size) => size <= SOCKET_BYTES_MAX), String(sizes));
  assert.ok(sizes.at(-1)! > SOCKET_BYTES_MAX, "a frame that is larger than that goes alone");
});

test("Link.queue() says when more waits than one peer may have waiting", () => {
  const link = linkOf();
  const one = parcel("bulk", FRAME_BYTES_MAX - 100);
  const fitting = Math.floor(QUEUED_BYTES_MAX / one.bytes);
  for (let i = 0; i < fitting; i++) assert.equal(link.queue(one), true, `message ${i}`);

  assert.equal(link.queue(one), false);

  link.nextWrite();
  link.nextWrite();
  assert.equal(link.queue(one), true, "what was written waits no more");
});

test("parcelOf() cuts a message into frames within the limit, all under its request id (T19)", () => {
  const { frames, bytes } = parcelOf(new Uint8Array(3 * FRAME_BYTES_MAX), {
    lane: "bulk",
    id: 9,
    kind: "answer",
  });

  assert.equal(frames.length, (3 * FRAME_BYTES_MAX) / CHUNK_BYTES_MAX);
  assert.equal(bytes, frames.reduce((sum, frame) => sum + frame.length, 0));
  const packets = frames.map((frame) => decodePacket(frame.subarray(4)));
  const streams = new Set(packets.map((packet) => packet.kind === "chunk" && packet.stream));
  assert.equal(streams.size, 1);
  assert.ok(frames.every(({ length }) => length <= FRAME_BYTES_MAX + 4));
});

test("Link.nextPacket() gives a message that came in chunks once, as if it had come whole (T19)", () => {
  const link = linkOf();
  link.widen();
  const image = new Uint8Array(2 * FRAME_BYTES_MAX).map((_, at) => at % 251);
  const { frames } = parcelOf(encodeTell("table", { image, epoch: 4 }), {
    lane: "bulk",
    id: 0,
    kind: "tell",
  });
  for (const frame of frames) {
    assert.equal(link.nextPacket(), undefined);
    link.receive(frame);
  }

  const got = link.nextPacket();

  assert.deepEqual(got?.packet, { kind: "tell", message: { name: "table", body: { image, epoch: 4 } } });
  assert.equal(link.nextPacket(), undefined);
  assert.ok(got!.bytes < MESSAGE_BYTES_MAX);
});

test("Link.nextPacket() joins two messages whose chunks come by turns (T19)", () => {
  const link = linkOf();
  link.widen();
  const image = (mark: number) => new Uint8Array(2 * FRAME_BYTES_MAX).fill(mark);
  const frames = [3, 4].map((id) =>
    parcelOf(encodeTell("table", { image: image(id), epoch: id }), { lane: "bulk", id, kind: "answer" })
      .frames
  );
  const seen: number[] = [];
  for (let at = 0; at < frames[0]!.length; at++) {
    for (const one of frames) link.receive(one[at]!);
    for (let got = link.nextPacket(); got !== undefined; got = link.nextPacket()) {
      if (got.packet.kind === "tell" && got.packet.message.name === "table") {
        seen.push(got.packet.message.body.image[0]!);
      }
    }
  }
  assert.deepEqual(seen, [3, 4]);
});

test("Notifications share one lane, because their chunks share one stream (T19)", () => {
  const lanesOf = (isMasters: boolean) =>
    Object.values(messages).flatMap((row) =>
      row.kind === "tell" && (row.route === "M>M") === isMasters ? [row.lane] : []
    );
  assert.deepEqual([...new Set(lanesOf(false))], ["commit"]);
  assert.deepEqual([...new Set(lanesOf(true))], ["liveness"], "masters tell each other nothing else");
});

test("Link.takeId() gives no id that an open question has, and 0 to none", () => {
  const link = linkOf();
  const ids = Array.from({ length: 5 }, () => {
    const id = link.takeId();
    link.questions.set(id, { link, id, name: "ping", context: "" });
    return id;
  });
  assert.equal(new Set(ids).size, 5);
  assert.ok(!ids.includes(0));
});

/** Sources of the product, with what they import. */
function sources(): { path: string; text: string }[] {
  const root = new URL("..", import.meta.url);
  return ["core", "roles", "adapters", "cli"].flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith("_test.ts"))
      .map((name) => ({
        path: `${folder}/${name}`,
        text: readFileSync(new URL(`${folder}/${name}`, root), "utf8"),
      }))
  );
}

test("CBOR is known to the codec and to what is kept, and to no one else (T20)", () => {
  const users = sources().filter(({ text }) => /["']cborg["']/.test(text)).map(({ path }) => path);
  assert.deepEqual(users.sort(), ["core/cbor.ts", "core/codec.ts"]);
});

test("Messages become bytes, and bytes messages, at the connection only (T20)", () => {
  const users = sources().filter(({ path, text }) =>
    !path.startsWith("core/") && /from "[./]*core\/(codec|frames|cbor_items)\.ts"/.test(text)
  );
  assert.deepEqual(users.map(({ path }) => path).sort(), [
    "roles/ear.ts",
    "roles/link.ts",
    "roles/multicast.ts",
    "roles/peer.ts",
  ]);
});

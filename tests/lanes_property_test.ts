/** T61, C4: a connection's lanes, with words of any lane and size, queued and written in any order. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeAnswer } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import { FRAME_BYTES_MAX, SOCKET_BYTES_MAX } from "../core/limits.ts";
import { lanes } from "../core/messages.ts";
import type { Lane } from "../core/messages.ts";
import { Link, parcelOf } from "../roles/link.ts";
import { tidAt } from "./hazards/words.ts";
import { helloAs } from "./machines.ts";

/** What happens to a connection: something is said, or its socket takes as many writes more. */
type Step =
  | { readonly does: "say"; readonly lane: Lane; readonly bytes: number }
  | { readonly does: "write"; readonly count: number };

const laneNames = Object.keys(lanes) as Lane[];
/** Small ones, some that fill a write, and some that travel in chunks. */
const anySize = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: SOCKET_BYTES_MAX / 4, max: SOCKET_BYTES_MAX }) },
  { weight: 1, arbitrary: fc.integer({ min: FRAME_BYTES_MAX - 200, max: 2 * FRAME_BYTES_MAX }) },
);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant("say" as const),
      lane: fc.constantFrom(...laneNames),
      bytes: anySize,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant("write" as const), count: fc.integer({ min: 1, max: 4 }) }),
  },
);

function linkOf(): Link<string> {
  const link = new Link<string>({
    conn: 1 as Conn,
    incoming: true,
    remote: "elsewhere",
    hello: helloAs("storage"),
    nowMs: 0,
  });
  link.widen();
  return link;
}

/** A connection, its other end, and what a list says of both. */
class Model {
  readonly #near = linkOf();
  readonly #far = linkOf();
  /** Frames that wait in each lane, by the word that they are of. */
  readonly #waiting: { word: number; bytes: number }[][] = laneNames.map(() => []);
  readonly #said: number[][] = laneNames.map(() => []);
  readonly #laneOf: number[] = [];
  readonly heard: number[][] = laneNames.map(() => []);

  say(lane: Lane, bytes: number): void {
    const word = this.#laneOf.length;
    const data = new Uint8Array(bytes);
    const revision = {
      tid: tidAt(word),
      next: null,
      compression: 0,
      checksum: data.subarray(0, 0),
      data,
      link: null,
    };
    const parcel = parcelOf(encodeAnswer(word + 1, "load", { revision }), {
      lane,
      id: word + 1,
      kind: "answer",
    });
    this.#near.queue(parcel);
    const at = lanes[lane];
    this.#laneOf.push(at);
    this.#said[at]!.push(word);
    for (const frame of parcel.frames) this.#waiting[at]!.push({ word, bytes: frame.length });
  }

  /** One write: the frames that stand first in the most urgent lane where something waits, and no others. */
  write(): boolean {
    const bytes = this.#near.nextWrite();
    const first = this.#waiting.find((frames) => frames.length > 0);
    assert.equal(bytes === undefined, first === undefined, "something is written while something waits");
    if (bytes === undefined || first === undefined) return false;
    let size = 0;
    let frames = 0;
    while (size < bytes.length) {
      size += first.shift()?.bytes ?? assert.fail("more is written than waits in the most urgent lane");
      frames += 1;
    }
    assert.equal(size, bytes.length, "a write is whole frames of one lane");
    assert.ok(frames === 1 || size <= SOCKET_BYTES_MAX, `${frames} frames of ${size} bytes go at once`);
    assert.equal(this.#near.hasOutput, this.#waiting.some(({ length }) => length > 0));
    this.#receive(bytes);
    return true;
  }

  /** Everything that was said is heard, and each lane in its order. */
  end(): void {
    while (this.write());
    assert.deepEqual(this.heard, this.#said);
    assert.equal(this.#near.hasOutput, false);
  }

  #receive(bytes: Uint8Array): void {
    this.#far.receive(bytes);
    for (let got = this.#far.nextPacket(); got !== undefined; got = this.#far.nextPacket()) {
      const { packet } = got;
      assert.ok(packet.kind === "answer" && packet.message.name === "load");
      const word = Number(packet.message.body.revision.tid);
      assert.equal(packet.id, word + 1);
      this.heard[this.#laneOf[word]!]!.push(word);
    }
  }
}

test("Link lets only lanes overtake each other, the urgent ones always, whatever is said and written when (C4, T61)", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      const model = new Model();
      for (const step of steps) {
        if (step.does === "say") model.say(step.lane, step.bytes);
        else for (let left = step.count; left > 0; left--) model.write();
      }
      model.end();
    }),
    { numRuns: 200 },
  );
});

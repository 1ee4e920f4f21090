import { decode, encode } from "cborg";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { anyCount, anyPacket, packetKinds } from "../tests/arbitraries.ts";
import { encodePacket } from "../tests/samples.ts";
import { decodePacket, encodeAsk, encodeError, encodeTell } from "./codec.ts";
import type { Packet } from "./codec.ts";
import { MalformedError } from "./errors.ts";
import { toOid, toTid, toTtid } from "./ids.ts";
import { TEXT_LENGTH_MAX } from "./limits.ts";
import { details, helloFields, messages } from "./messages.ts";
import type { Type } from "./schema.ts";

/** Decodes, or gives undefined for `malformed`; every other error fails the test. */
function decoded(payload: Uint8Array): Packet | undefined {
  try {
    return decodePacket(payload);
  } catch (error) {
    assert.ok(error instanceof MalformedError && error.code === "malformed", String(error));
    return undefined;
  }
}

function malformed(payload: Uint8Array, message: RegExp): void {
  assert.throws(() => decodePacket(payload), { name: "MalformedError", code: "malformed", message });
}

for (const { title, packet } of packetKinds()) {
  test(`decodePacket() reads back ${title} (T20)`, () => {
    fc.assert(fc.property(packet, (given) => assert.deepEqual(decodePacket(encodePacket(given)), given)), {
      numRuns: 30,
    });
  });
}

test("decodePacket() gives bytes of its own, not views of what it was given", () => {
  const digest = new Uint8Array(8).fill(7);
  const cells = { generation: 1, base: 1, version: 2, digest, cells: [], epoch: 1 };
  const payload = encodeTell("tableChange", cells);
  const packet = decodePacket(payload);
  payload.fill(0);
  assert.deepEqual(packet, { kind: "tell", message: { name: "tableChange", body: cells } });
});

test("decodePacket() decodes any bytes or throws malformed, and nothing else", () => {
  const heads = fc.constantFrom(
    0x00,
    0x01,
    0x18,
    0x1b,
    0x40,
    0x5b,
    0x62,
    0x80,
    0x83,
    0x84,
    0x9b,
    0xa1,
    0xf4,
    0xf6,
    0xff,
  );
  const almostCbor = fc.array(fc.oneof(heads, fc.nat(255)), { maxLength: 60 }).map((bytes) =>
    Uint8Array.from([0x84, ...bytes])
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), almostCbor), (bytes) => {
      decoded(bytes);
    }),
    { numRuns: 2_000 },
  );
});

/** What may happen to the bytes of a message. */
const damages: readonly ((bytes: number[], at: number, value: number) => void)[] = [
  (bytes, at, value) => bytes[at] = value,
  (bytes, at, value) => bytes[at] = bytes[at]! ^ (1 << (value % 8)),
  (bytes, at, value) => bytes.splice(at, 0, value),
  (bytes, at, value) => bytes.splice(at, 1 + (value % 4)),
  (bytes, at) => bytes.splice(at),
  (bytes, at, value) => bytes.push(...bytes.slice(at, at + value)),
];

test("decodePacket() survives damaged messages: what it still reads is a message", () => {
  let [read, refused] = [0, 0];
  const damage = fc.tuple(fc.constantFrom(...damages), fc.nat(), fc.nat(255));
  fc.assert(
    fc.property(anyPacket, fc.array(damage, { minLength: 1, maxLength: 3 }), (packet, changes) => {
      const bytes = [...encodePacket(packet)];
      for (const [change, at, value] of changes) change(bytes, at % Math.max(1, bytes.length), value);
      const found = decoded(Uint8Array.from(bytes));
      if (found === undefined) refused += 1;
      else if (found.kind !== "chunk") {
        read += 1;
        assert.deepEqual(decodePacket(encodePacket(found)), found);
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(read > 0 && refused > 0, "both kinds of damage were met");
});

test("decodePacket() refuses an error with a longer text than its limit", () => {
  const error = (length: number) => encodeError(1, { code: "denied", message: "x".repeat(length) });
  assert.ok(decoded(error(TEXT_LENGTH_MAX)));
  malformed(error(TEXT_LENGTH_MAX + 1), /error 28/);
});

test("decodePacket() reads an id that was sent as a number or as a bigint, to the same value", () => {
  const wire = (oid: unknown) => encode([1, 1, messages.newOids.code, oid, 1], { float64: true });
  fc.assert(fc.property(anyCount, (count) => {
    assert.deepEqual(wire(count), wire(BigInt(count)));
    const message = { name: "newOids", body: { first: BigInt(count), count: 1 } };
    assert.deepEqual(decodePacket(wire(BigInt(count))), { kind: "answer", id: 1, message });
  }));
});

test("encodeTell() writes bytes that come as a Buffer or a view of something larger", () => {
  const large = new Uint8Array(100).fill(1).fill(2, 10, 90);
  const body = { generation: 1, base: 1, version: 2, cells: [], epoch: 1 };
  const expected = encodeTell("tableChange", { ...body, digest: new Uint8Array(80).fill(2) });
  for (const digest of [large.subarray(10, 90), globalThis.Buffer.from(large.buffer, 10, 80)]) {
    assert.deepEqual([...encodeTell("tableChange", { ...body, digest })], [...expected]);
  }
});

/** Every list of fields of the protocol, with what stands before them in a message. */
const layouts: { title: string; head: number[]; fields: { readonly [name: string]: Type<unknown> } }[] = [
  ...Object.entries(messages).flatMap(([name, row]) =>
    row.kind === "tell"
      ? [{ title: `tell ${name}`, head: [0, 3, row.code], fields: row.body }]
      : [
        { title: `ask ${name}`, head: [1, 0, row.code, 1000], fields: row.body },
        { title: `answer ${name}`, head: [1, 1, row.code], fields: row.answer },
      ]
  ),
  { title: "hello", head: [0, 5, 0], fields: helloFields },
];
/** Which packet's arbitrary a layout has. */
const arbitraries = new Map(packetKinds().map(({ title, packet }) => [title, packet]));

test("decodePacket() ignores fields that it doesn't know, after its own (T20)", () => {
  const extras = fc.array(fc.constantFrom<unknown>(7, "new", null, [1, [2]], true, new Uint8Array(2)), {
    minLength: 1,
  });
  for (const { packet } of packetKinds().filter(({ title }) => !title.startsWith("error"))) {
    fc.assert(
      fc.property(packet, extras, (given, more) => {
        const longer = encode([...decode(encodePacket(given)) as unknown[], ...more]);
        assert.deepEqual(decodePacket(longer), given);
      }),
      { numRuns: 5 },
    );
  }
});

test("decodePacket() gives missing fields their defaults, and refuses messages that lack others (T20)", () => {
  let [defaults, refusals] = [0, 0];
  for (const { title, head, fields } of layouts) {
    const types = Object.values(fields);
    const [given] = fc.sample(arbitraries.get(title)!, 1);
    const wire = decode(encodePacket(given!)) as unknown[];
    for (let kept = 0; kept < types.length; kept++) {
      const cut = encode(wire.slice(0, head.length + kept));
      if (types.slice(kept).some((type) => !type.absent)) {
        malformed(cut, /expected/);
        refusals += 1;
        continue;
      }
      const filled = [
        ...wire.slice(0, head.length + kept),
        ...types.slice(kept).map((type) => type.write(type.absent!.value)),
      ];
      assert.deepEqual(decodePacket(cut), decodePacket(encode(filled)), title);
      defaults += 1;
    }
  }
  assert.ok(defaults > 5 && refusals > 50);
});

test("decodePacket() fills in what older peers don't send", () => {
  const abort = decodePacket(encode([0, 3, messages.abort.code, 7]));
  assert.deepEqual(abort, {
    kind: "tell",
    message: { name: "abort", body: { ttid: 7n, epoch: 0, nodes: [] } },
  });
  const store = encodeAsk(1, "store", {
    ttid: toTtid(1),
    version: 1,
    ageMs: 0,
    oid: toOid(1),
    base: toTid(0),
    compression: 0,
    checksum: new Uint8Array(),
    data: null,
    link: null,
    restore: true,
  }, 1);
  const packet = decodePacket(encode((decode(store) as unknown[]).slice(0, -1)));
  assert.ok(
    packet.kind === "ask" && packet.message.name === "store" && packet.message.body.restore === false,
  );
});

test("decodePacket() needs the facts of an error whose code has some", () => {
  const packet = decodePacket(encode([1, 2, 16, "gone", 1]));
  assert.deepEqual(packet, { kind: "error", id: 1, error: { code: "noSuchRevision", message: "gone" } });
  assert.ok("conflict" in details);
  malformed(encode([1, 2, 17, "changed"]), /conflict\.conflicts/);
});

/** Values of any shape and messages of every row, for property tests. */
import fc from "fast-check";
import type { Packet } from "../core/codec.ts";
import { errorCodes } from "../core/errors.ts";
import { ID_MAX } from "../core/ids.ts";
import { details, helloFields, messages } from "../core/messages.ts";
import type { Shape, Type } from "../core/schema.ts";

/** Where the encoding of a number changes its length. */
const EDGES = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER];

/** Whole numbers that a message may carry. */
export const anyCount: fc.Arbitrary<number> = fc.oneof(fc.constantFrom(...EDGES), fc.nat(), fc.maxSafeNat());
/** Ids, below and above what a number can hold. */
export const anyId: fc.Arbitrary<bigint> = fc.oneof(
  anyCount.map(BigInt),
  fc.bigInt(0n, ID_MAX),
  fc.constantFrom(2n ** 53n, ID_MAX),
);
/** Texts; a decoder takes a byte order mark at the start for no part of the text. */
export const anyText: fc.Arbitrary<string> = fc.string({ unit: "binary", maxLength: 40 })
  .filter((text) => !text.startsWith("\ufeff"));

/** Values of a shape. */
export function anyOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.is) {
    case "integer":
      return anyCount;
    case "id":
      return anyId;
    case "bytes":
      return fc.uint8Array({ maxLength: 300 });
    case "text":
      return anyText;
    case "flag":
      return fc.boolean();
    case "list":
      return fc.array(anyOf(shape.of), { maxLength: 3 });
    case "maybe":
      return fc.option(anyOf(shape.of));
    case "record":
      return fc.record(
        Object.fromEntries(Object.entries(shape.fields).map(([name, field]) => [name, anyOf(field)])),
        { noNullPrototype: true },
      );
  }
}

/** Values of named fields. */
export function anyFields(fields: { readonly [name: string]: Type<unknown> }): fc.Arbitrary<unknown> {
  const shapes = Object.entries(fields).map(([name, type]) => [name, type.shape]);
  return anyOf({ is: "record", fields: Object.fromEntries(shapes) });
}

/** Packets of every row of the table, by a title each: `ask store`, `error conflict`, `hello`. */
export function packetKinds(): { title: string; packet: fc.Arbitrary<Packet> }[] {
  const kinds: { title: string; packet: fc.Arbitrary<Packet> }[] = [];
  const add = (title: string, fields: { readonly [field: string]: fc.Arbitrary<unknown> }): void => {
    const packet = fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<unknown>;
    kinds.push({ title, packet: packet as fc.Arbitrary<Packet> });
  };
  const message = (name: string, fields: { readonly [name: string]: Type<unknown> }) =>
    fc.record({ name: fc.constant(name), body: anyFields(fields) }, { noNullPrototype: true });
  for (const [name, row] of Object.entries(messages)) {
    if (row.kind === "tell") {
      add(`tell ${name}`, { kind: fc.constant("tell"), message: message(name, row.body) });
      continue;
    }
    const ask = {
      kind: fc.constant("ask"),
      id: anyCount,
      withinMs: anyCount,
      message: message(name, row.body),
    };
    add(`ask ${name}`, ask);
    add(`answer ${name}`, { kind: fc.constant("answer"), id: anyCount, message: message(name, row.answer) });
  }
  for (const code of Object.keys(errorCodes)) {
    const facts = (details as { readonly [code: string]: { readonly [name: string]: Type<unknown> } })[code];
    const fields: { [field: string]: fc.Arbitrary<unknown> } = { code: fc.constant(code), message: anyText };
    if (facts) fields["detail"] = anyFields(facts);
    const error = fc.record(fields, { noNullPrototype: true });
    add(`error ${code}`, { kind: fc.constant("error"), id: anyCount, error });
  }
  add("hello", { kind: fc.constant("hello"), hello: anyFields(helloFields) });
  return kinds;
}

/** Any packet that isn't a chunk. */
export const anyPacket: fc.Arbitrary<Packet> = fc.oneof(...packetKinds().map(({ packet }) => packet));

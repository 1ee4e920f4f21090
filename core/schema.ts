/**
 * The types that a message field may have. Each checks what came from a peer, and knows how it looks on the wire.
 * A field that a peer doesn't send takes `absent`, when the type has one: that is how versions mix.
 */
import { MalformedError } from "./errors.ts";
import { ID_MAX } from "./ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "./ids.ts";
import { LIST_LENGTH_MAX, TEXT_LENGTH_MAX } from "./limits.ts";

/** How a value of type T travels. */
export interface Type<T> {
  /** What it is, for errors, documentation and generated samples. */
  readonly shape: Shape;
  /** From what CBOR gave to the value. Throws `MalformedError`. */
  read(wire: unknown, where: string): T;
  /** From the value to what CBOR takes. */
  write(value: T): unknown;
  /** The value of a missing field. */
  readonly absent?: { readonly value: T };
}

/** What a type is made of. */
export type Shape =
  | { readonly is: "integer" | "id" | "bytes" | "text" | "flag" }
  | { readonly is: "list" | "maybe"; readonly of: Shape }
  | { readonly is: "record"; readonly fields: { readonly [name: string]: Shape } };

/** The value that a type carries. */
export type Value<T> = T extends Type<infer V> ? V : never;
/** The values of a record of types. */
export type Values<F> = { readonly [K in keyof F]: Value<F[K]> };

function malformed(where: string, expected: string): never {
  throw new MalformedError(`Cannot read ${where}: expected ${expected}`);
}

const same = <T>(value: T): unknown => value;

/** A whole number from 0 to 2^53-1. */
export const integer: Type<number> = {
  shape: { is: "integer" },
  read: (wire, where) =>
    typeof wire === "number" && Number.isSafeInteger(wire) && wire >= 0
      ? wire
      : malformed(where, "an integer"),
  write: same,
};

function id<T extends bigint>(): Type<T> {
  return {
    shape: { is: "id" },
    read: (wire, where) => {
      if (typeof wire === "number" && Number.isSafeInteger(wire) && wire >= 0) return BigInt(wire) as T;
      if (typeof wire === "bigint" && 0n <= wire && wire <= ID_MAX) return wire as T;
      return malformed(where, "an id of 63 bits");
    },
    write: same,
  };
}

export const oid: Type<Oid> = id<Oid>();
export const tid: Type<Tid> = id<Tid>();
export const ttid: Type<Ttid> = id<Ttid>();
export const node = integer as Type<unknown> as Type<NodeIndex>;
export const partition = integer as Type<unknown> as Type<Partition>;

export const bytes: Type<Uint8Array> = {
  shape: { is: "bytes" },
  read: (wire, where) => (wire instanceof Uint8Array ? wire : malformed(where, "bytes")),
  write: same,
};

export const text: Type<string> = {
  shape: { is: "text" },
  read: (wire, where) =>
    typeof wire === "string" && wire.length <= TEXT_LENGTH_MAX
      ? wire
      : malformed(where, `a text of ${TEXT_LENGTH_MAX} characters at most`),
  write: same,
};

export const flag: Type<boolean> = {
  shape: { is: "flag" },
  read: (wire, where) => (typeof wire === "boolean" ? wire : malformed(where, "true or false")),
  write: same,
};

/** Any number of the same, up to `LIST_LENGTH_MAX`. */
export function list<T>(of: Type<T>): Type<readonly T[]> {
  return {
    shape: { is: "list", of: of.shape },
    read(wire, where) {
      if (!Array.isArray(wire) || wire.length > LIST_LENGTH_MAX) return malformed(where, "a list");
      const values: T[] = [];
      try {
        for (const element of wire) values.push(of.read(element, where));
      } catch (error) {
        of.read(wire[values.length], `${where}[${values.length}]`); // says which: naming each costs more than reading it
        throw error;
      }
      return values;
    },
    write: (value) => value.map((element) => of.write(element)),
  };
}

/** A value or null; a missing field is null. */
export function maybe<T>(of: Type<T>): Type<T | null> {
  return {
    shape: { is: "maybe", of: of.shape },
    read: (wire, where) => (wire === null || wire === undefined ? null : of.read(wire, where)),
    write: (value) => (value === null ? null : of.write(value)),
    absent: { value: null },
  };
}

/** The same type, with a value for peers that don't send the field. */
export function withDefault<T>(of: Type<T>, value: T): Type<T> {
  return { ...of, absent: { value } };
}

/** Named fields; an array of their values in this order on the wire. Trailing fields that we don't know are ignored. */
export function record<F extends { readonly [name: string]: Type<unknown> }>(fields: F): Type<Values<F>> {
  const entries = Object.entries(fields);
  return {
    shape: { is: "record", fields: Object.fromEntries(entries.map(([name, type]) => [name, type.shape])) },
    read(wire, where) {
      if (!Array.isArray(wire)) return malformed(where, "a list of fields");
      return readFields(entries, wire, 0, where) as Values<F>;
    },
    write: (value) => writeFields(entries, value, []),
  };
}

/** Reads the named fields from `wire[start]` on. */
export function readFields(
  entries: readonly (readonly [string, Type<unknown>])[],
  wire: readonly unknown[],
  start: number,
  where: string,
): unknown {
  const body: { [name: string]: unknown } = {};
  for (let i = 0; i < entries.length; i++) {
    const [name, type] = entries[i]!;
    const given = wire[start + i];
    if (given === undefined && type.absent) body[name] = type.absent.value;
    else body[name] = type.read(given, `${where}.${name}`);
  }
  return body;
}

/** Appends the named fields of `value` to `out`. */
export function writeFields(
  entries: readonly (readonly [string, Type<unknown>])[],
  value: unknown,
  out: unknown[],
): unknown[] {
  const body = value as { readonly [name: string]: unknown };
  for (const [name, type] of entries) out.push(type.write(body[name]));
  return out;
}

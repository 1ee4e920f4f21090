/**
 * What commands answer with `--json`, declared once as data: a JSON Schema for `docs/cli.json`, and a type for the compiler. Each
 * module in `commands/` exports its own as `answer`, and prints with `output.printJson<Of<typeof answer>>(...)`. Fields are only
 * ever added; so a schema allows more than it names, while tests don't.
 */

/** A JSON Schema, draft 2020-12, as far as it is needed here. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: { readonly [name: string]: JsonSchema };
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema;
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly pattern?: string;
  readonly format?: string;
  readonly contentEncoding?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The shape of values that are `T` before they become JSON. */
export interface Schema<out T> {
  readonly json: JsonSchema;
  /** For the compiler only: it is never there. */
  readonly of?: T;
}

/** A field that may be left out. */
export interface Optional<out T> extends Schema<T> {
  readonly isOptional: true;
}

/** What a schema describes. */
export type Of<S> = S extends Schema<infer T> ? T : never;

/** Fields of an object, by name. */
export type Fields = { readonly [name: string]: Schema<unknown> };
/** The object with these fields. */
export type ObjectOf<F extends Fields> =
  & { readonly [K in keyof F as F[K] extends Optional<unknown> ? never : K]: Of<F[K]> }
  & { readonly [K in keyof F as F[K] extends Optional<unknown> ? K : never]?: Of<F[K]> | undefined };

/** Text of any kind. */
export const text: Schema<string> = { json: { type: "string" } };
/** A whole number, not negative. */
export const count: Schema<number> = { json: { type: "integer", minimum: 0 } };
/** Any number. */
export const number: Schema<number> = { json: { type: "number" } };
/** A number, not negative. */
export const amount: Schema<number> = { json: { type: "number", minimum: 0 } };
/** Yes or no. */
export const flag: Schema<boolean> = { json: { type: "boolean" } };
/** An oid or a tid: 16 hexadecimal digits, as ZODB's tools show them. */
export const id: Schema<string> = { json: { type: "string", pattern: "^[0-9a-f]{16}$" } };
/** A moment, as ISO 8601 in UTC. */
export const time: Schema<string> = { json: { type: "string", format: "date-time" } };
/** Bytes, as base64. */
export const base64: Schema<Uint8Array> = { json: { type: "string", contentEncoding: "base64" } };
/** Anything. */
export const anything: Schema<unknown> = { json: {} };

/** With words for a reader. */
export function said<T>(description: string, schema: Schema<T>): Schema<T> {
  return { json: { ...schema.json, description } };
}

/** What to type next. */
export const step: Schema<string> = said("A command to go on with", text);

/** One of some words. */
export function word<const W extends string>(...words: readonly W[]): Schema<W> {
  return { json: { enum: words } };
}

/** One value only. */
export function exactly<const V extends string | boolean>(value: V): Schema<V> {
  return { json: { const: value } };
}

/** Several of one kind. */
export function list<T>(of: Schema<T>): Schema<readonly T[]> {
  return { json: { type: "array", items: of.json } };
}

/** Values by names that aren't known before. */
export function byName<T>(of: Schema<T>): Schema<{ readonly [name: string]: T }> {
  return { json: { type: "object", additionalProperties: of.json } };
}

/** A value, or null where there is none. */
export function nullable<T>(of: Schema<T>): Schema<T | null> {
  return either(of, { json: { type: "null" } } as Schema<null>);
}

/** A field that may be left out. */
export function optional<T>(of: Schema<T>): Optional<T> {
  return { json: of.json, isOptional: true };
}

/** The one or the other. */
export function either<A, B>(a: Schema<A>, b: Schema<B>): Schema<A | B> {
  return { json: { anyOf: [...a.json.anyOf ?? [a.json], ...b.json.anyOf ?? [b.json]] } };
}

/**
 * An object with these fields.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { count, object, optional, text } from "./answers.ts";
 * import type { Of } from "./answers.ts";
 * const answer = object({ name: text, pid: optional(count) });
 * const value: Of<typeof answer> = { name: "s1" };
 * assert.deepEqual(answer.json.required, Object.keys(value));
 * ```
 */
export function object<F extends Fields>(fields: F): Schema<ObjectOf<F>> {
  const entries = Object.entries(fields);
  return {
    json: {
      type: "object",
      properties: Object.fromEntries(entries.map(([name, { json }]) => [name, json])),
      required: entries.filter(([, schema]) => !("isOptional" in schema)).map(([name]) => name),
    },
  };
}

/** Whether a value is what a JSON Schema says; stricter than the standard: a field that isn't named is a mistake. */
import { Buffer } from "node:buffer";
import type { JsonSchema } from "../cli/answers.ts";

/** What is wrong with a value, each with the place in it. */
export function mistakesIn(value: unknown, schema: JsonSchema, at = "$"): string[] {
  const { anyOf } = schema;
  if (anyOf !== undefined) {
    const all = anyOf.map((one) => mistakesIn(value, one, at));
    if (all.some((mistakes) => mistakes.length === 0)) return [];
    // those of the alternative that fits best say most
    return all.sort((a, b) => a.length - b.length)[0] ?? [`${at}: nothing fits`];
  }
  if ("const" in schema) {
    return value === schema.const ? [] : [`${at}: ${shown(value)} isn't ${shown(schema.const)}`];
  }
  if (schema.enum !== undefined) {
    return schema.enum.includes(value) ? [] : [`${at}: ${shown(value)} is none of ${shown(schema.enum)}`];
  }
  if (schema.type === undefined) return [];
  const type = typeOf(value);
  if (type !== schema.type && !(schema.type === "number" && type === "integer")) {
    return [`${at}: ${shown(value)} is no ${schema.type}`];
  }
  if (typeof value === "string") return textMistakes(value, schema, at);
  if (typeof value === "number") return boundMistakes(value, schema, at);
  if (Array.isArray(value)) {
    return value.flatMap((item, i) => mistakesIn(item, schema.items ?? {}, `${at}[${i}]`));
  }
  return type === "object" ? fieldMistakes(value as { readonly [name: string]: unknown }, schema, at) : [];
}

function shown(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 200) ?? "undefined";
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value;
}

function textMistakes(value: string, { pattern, format, contentEncoding }: JsonSchema, at: string): string[] {
  const mistakes: string[] = [];
  if (pattern !== undefined && !new RegExp(pattern).test(value)) {
    mistakes.push(`${at}: ${shown(value)} doesn't match ${pattern}`);
  }
  if (format === "date-time" && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)) {
    mistakes.push(`${at}: ${shown(value)} is no time`);
  }
  if (contentEncoding === "base64" && Buffer.from(value, "base64").toString("base64") !== value) {
    mistakes.push(`${at}: ${shown(value)} isn't base64`);
  }
  return mistakes;
}

function boundMistakes(value: number, { minimum = -Infinity, maximum = Infinity }: JsonSchema, at: string) {
  return minimum <= value && value <= maximum ? [] : [`${at}: ${value} is out of ${minimum} to ${maximum}`];
}

function fieldMistakes(
  value: { readonly [name: string]: unknown },
  { properties = {}, required = [], additionalProperties }: JsonSchema,
  at: string,
): string[] {
  const missing = required.filter((name) => !(name in value)).map((name) => `${at}.${name}: missing`);
  const wrong = Object.entries(value).flatMap(([name, field]) => {
    const schema = properties[name] ?? additionalProperties;
    return schema === undefined
      ? [`${at}.${name}: not in the schema`]
      : mistakesIn(field, schema, `${at}.${name}`);
  });
  return [...missing, ...wrong];
}

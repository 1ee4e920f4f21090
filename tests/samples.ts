/** One packet of each kind with values that tell its fields apart, and packets as text: the golden bytes are made of these. */
import { encodeAnswer, encodeAsk, encodeError, encodeHello, encodeTell } from "../core/codec.ts";
import type { Packet } from "../core/codec.ts";
import { errorCodes } from "../core/errors.ts";
import { details, helloFields, messages } from "../core/messages.ts";
import type { Shape, Type } from "../core/schema.ts";

type Fields = { readonly [name: string]: Type<unknown> };

/** A packet of each row by its title; rows with values that may be null have a second one, in which they are. */
export function samples(): Map<string, Packet> {
  const found = new Map<string, Packet>();
  const add = (title: string, fields: Fields, packet: (values: unknown) => unknown): void => {
    found.set(title, packet(valuesOf(fields, false)) as Packet);
    if (Object.values(fields).some(({ shape }) => holdsMaybe(shape))) {
      found.set(`${title}, nulls`, packet(valuesOf(fields, true)) as Packet);
    }
  };
  add("hello", helloFields, (hello) => ({ kind: "hello", hello }));
  for (const [name, row] of Object.entries(messages)) {
    if (row.kind === "tell") {
      add(`tell ${name}`, row.body, (body) => ({ kind: "tell", message: { name, body } }));
      continue;
    }
    add(
      `ask ${name}`,
      row.body,
      (body) => ({ kind: "ask", id: 300, withinMs: 30_000, message: { name, body } }),
    );
    add(`answer ${name}`, row.answer, (body) => ({ kind: "answer", id: 300, message: { name, body } }));
  }
  for (const code of Object.keys(errorCodes)) {
    const facts = (details as { readonly [code: string]: Fields })[code];
    const error = { code, message: "why" };
    add(
      `error ${code}`,
      facts ?? {},
      (detail) => ({ kind: "error", id: 300, error: facts ? { ...error, detail } : error }),
    );
  }
  return found;
}

/** Values that count up from field to field, so that no two fields of one type can be exchanged unseen. */
function valuesOf(fields: Fields, nulls: boolean): unknown {
  let count = 0;
  const valueOf = (shape: Shape, name: string): unknown => {
    switch (shape.is) {
      case "integer":
        return ++count;
      case "id":
        return (1n << 56n) + BigInt(++count);
      case "bytes":
        return Uint8Array.of(++count, 0xff);
      case "text":
        return name;
      case "flag":
        return ++count % 2 === 1;
      case "list":
        return [valueOf(shape.of, name), valueOf(shape.of, name)];
      case "maybe":
        return nulls ? null : valueOf(shape.of, name);
      case "record":
        return Object.fromEntries(
          Object.entries(shape.fields).map(([key, field]) => [key, valueOf(field, key)]),
        );
    }
  };
  return Object.fromEntries(Object.entries(fields).map(([name, { shape }]) => [name, valueOf(shape, name)]));
}

function holdsMaybe(shape: Shape): boolean {
  if (shape.is === "record") return Object.values(shape.fields).some(holdsMaybe);
  return shape.is === "maybe" || (shape.is === "list" && holdsMaybe(shape.of));
}

/** The bytes of a packet that isn't a chunk. */
export function encodePacket(packet: Packet): Uint8Array {
  switch (packet.kind) {
    case "ask":
      return encodeAsk(packet.id, packet.message.name, packet.message.body as never, packet.withinMs);
    case "answer":
      return encodeAnswer(packet.id, packet.message.name, packet.message.body as never);
    case "error":
      return encodeError(packet.id, packet.error);
    case "tell":
      return encodeTell(packet.message.name, packet.message.body as never);
    case "hello":
      return encodeHello(packet.hello);
    case "chunk":
      throw new TypeError("Cannot encode a chunk alone: framesOf() makes them");
  }
}

/** A packet as JSON: `7n` for an id, `0x07` for bytes. */
export function printed(packet: Packet): string {
  return JSON.stringify(packet, (_, value) => {
    if (typeof value === "bigint") return `${value}n`;
    return value instanceof Uint8Array ? `0x${hexOf(value)}` : value;
  });
}

/** What `printed()` printed. */
export function scanned(line: string): Packet {
  return JSON.parse(line, (_, value) => {
    if (typeof value !== "string") return value;
    if (/^\d+n$/.test(value)) return BigInt(value.slice(0, -1));
    return /^0x([0-9a-f]{2})*$/.test(value) ? bytesOf(value.slice(2)) : value;
  });
}

/** `07ff` for bytes. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes from their hexadecimal digits; spaces don't count. */
export function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/**
 * Messages to bytes and back. A frame is a 4-byte big-endian length and one CBOR array
 * `[request id, kind, code, ...fields]`. A message longer than a frame travels as `chunk` frames under its request
 * id and ends with a `chunk` whose `last` is true; joined, their bytes are the array. The only file that knows this.
 */
import { decode, encode } from "cborg";
import { checkItems } from "./cbor_items.ts";
import { errorCodes, MalformedError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";
import { CHUNK_BYTES_MAX, FRAME_BYTES_MAX, TEXT_LENGTH_MAX } from "./limits.ts";
import { details, helloFields, messages } from "./messages.ts";
import type {
  Answer,
  AnswerMessage,
  AskMessage,
  AskName,
  Body,
  Hello,
  Name,
  TellMessage,
  TellName,
  WireError,
} from "./messages.ts";
import { readFields, writeFields } from "./schema.ts";
import type { Type } from "./schema.ts";

export { Deframer, Joiner } from "./frames.ts";

/** What a frame carries. */
export type Packet =
  | { readonly kind: "hello"; readonly hello: Hello }
  | { readonly kind: "ask"; readonly id: number; readonly withinMs: number; readonly message: AskMessage }
  | { readonly kind: "answer"; readonly id: number; readonly message: AnswerMessage }
  | { readonly kind: "error"; readonly id: number; readonly error: WireError }
  | { readonly kind: "tell"; readonly message: TellMessage }
  | { readonly kind: "chunk"; readonly stream: number; readonly last: boolean; readonly bytes: Uint8Array };

const kinds = { ask: 0, answer: 1, error: 2, tell: 3, chunk: 4, hello: 5 } as const;

type Entries = readonly (readonly [string, Type<unknown>])[];
interface Row {
  readonly name: Name;
  readonly kind: "ask" | "tell";
  readonly body: Entries;
  readonly answer: Entries;
}

const rows = new Map<number, Row>();
const rowOf = new Map<string, Row & { readonly code: number }>();
for (const [name, row] of Object.entries(messages)) {
  const entry = {
    name: name as Name,
    kind: row.kind,
    code: row.code,
    body: Object.entries(row.body) as Entries,
    answer: row.kind === "ask" ? (Object.entries(row.answer) as Entries) : [],
  };
  rows.set(row.code, entry);
  rowOf.set(name, entry);
}
const helloEntries = Object.entries(helloFields) as Entries;
const detailEntries = new Map<string, Entries>(
  Object.entries(details).map(([code, fields]) => [code, Object.entries(fields) as Entries]),
);
const codeNames = new Map<number, ErrorCode>(
  Object.entries(errorCodes).map(([name, { number }]) => [number, name as ErrorCode]),
);

const encodeOptions = { float64: true } as const;

/** A request as one message; `withinMs` tells the receiver how long the asker waits. */
export function encodeAsk<N extends AskName>(
  id: number,
  name: N,
  body: Body<N>,
  withinMs: number,
): Uint8Array {
  const row = rowOf.get(name)!;
  return encode(writeFields(row.body, body, [id, kinds.ask, row.code, withinMs]), encodeOptions);
}

/** The answer to request `id`. */
export function encodeAnswer<N extends AskName>(id: number, name: N, body: Answer<N>): Uint8Array {
  const row = rowOf.get(name)!;
  return encode(writeFields(row.answer, body, [id, kinds.answer, row.code]), encodeOptions);
}

/** The refusal of request `id`; 0 refuses the connection itself. */
export function encodeError(id: number, error: WireError): Uint8Array {
  const out: unknown[] = [id, kinds.error, errorCodes[error.code].number, error.message];
  const fields = detailEntries.get(error.code);
  if (fields && "detail" in error) writeFields(fields, error.detail, out);
  return encode(out, encodeOptions);
}

/** A notification. */
export function encodeTell<N extends TellName>(name: N, body: Body<N>): Uint8Array {
  const row = rowOf.get(name)!;
  return encode(writeFields(row.body, body, [0, kinds.tell, row.code]), encodeOptions);
}

/** The first frame of a connection. */
export function encodeHello(hello: Hello): Uint8Array {
  return encode(writeFields(helloEntries, hello, [0, kinds.hello, 0]), encodeOptions);
}

/**
 * The frames of one encoded message: itself, or its chunks under its request id. Both sides number their requests,
 * so that chunks say in `code` what they belong to: a request, an answer, an error or a notification.
 */
export function framesOf(
  message: Uint8Array,
  id: number,
  kind: "ask" | "answer" | "error" | "tell",
): Uint8Array[] {
  if (message.length <= FRAME_BYTES_MAX) return [framed(message)];
  const frames: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += CHUNK_BYTES_MAX) {
    const part = message.subarray(at, at + CHUNK_BYTES_MAX);
    const last = at + CHUNK_BYTES_MAX >= message.length;
    frames.push(framed(encode([id, kinds.chunk, kinds[kind], last, part], encodeOptions)));
  }
  return frames;
}

function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setUint32(0, payload.length);
  frame.set(payload, 4);
  return frame;
}

const decodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: true,
  rejectDuplicateMapKeys: true,
} as const;

/**
 * Reads one message.
 *
 * @param payload a frame without its length, or the joined chunks of a message
 * @throws MalformedError for anything that isn't a message of the table within its limits
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodePacket, encodeTell } from "./codec.ts";
 * import { toTid } from "./ids.ts";
 * const packet = decodePacket(encodeTell("invalidate", { tid: toTid(5n), oids: [] }));
 * assert.deepEqual(packet, { kind: "tell", message: { name: "invalidate", body: { tid: 5n, oids: [] } } });
 * assert.throws(() => decodePacket(new Uint8Array([0xff])), { code: "malformed" });
 * ```
 */
export function decodePacket(payload: Uint8Array): Packet {
  checkItems(payload);
  let wire: unknown;
  try {
    wire = decode(payload, decodeOptions);
  } catch (cause) {
    throw new MalformedError(
      `Cannot decode a message of ${payload.length} bytes: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!Array.isArray(wire)) throw new MalformedError("Cannot read a message: expected an array");
  const [id, kind, code] = wire;
  if (!isCount(id) || !isCount(kind) || !isCount(code)) {
    throw new MalformedError("Cannot read a message: expected request id, kind and code");
  }
  return packetOf(id, kind, code, wire);
}

function packetOf(id: number, kind: number, code: number, wire: readonly unknown[]): Packet {
  switch (kind) {
    case kinds.ask: {
      const row = knownRow(code, "ask");
      const withinMs = wire[3];
      if (!isCount(withinMs)) throw new MalformedError(`Cannot read ${row.name}: expected a deadline`);
      const message = { name: row.name, body: readFields(row.body, wire, 4, row.name) } as AskMessage;
      return { kind: "ask", id, withinMs, message };
    }
    case kinds.answer: {
      const row = knownRow(code, "ask");
      const message = { name: row.name, body: readFields(row.answer, wire, 3, row.name) } as AnswerMessage;
      return { kind: "answer", id, message };
    }
    case kinds.error:
      return { kind: "error", id, error: readError(code, wire) };
    case kinds.tell: {
      const row = knownRow(code, "tell");
      return {
        kind: "tell",
        message: { name: row.name, body: readFields(row.body, wire, 3, row.name) } as TellMessage,
      };
    }
    case kinds.chunk: {
      const [last, bytes] = [wire[3], wire[4]];
      if (typeof last !== "boolean" || !(bytes instanceof Uint8Array)) {
        throw new MalformedError("Cannot read a chunk");
      }
      const stream = id * 4 + code;
      if (code > kinds.tell || !isCount(stream)) {
        throw new MalformedError("Cannot read a chunk: it belongs to nothing");
      }
      return { kind: "chunk", stream, last, bytes };
    }
    case kinds.hello:
      return { kind: "hello", hello: readFields(helloEntries, wire, 3, "hello") as Hello };
    default:
      throw new MalformedError(`Cannot read a message: ${kind} is no kind`);
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function knownRow(code: number, kind: "ask" | "tell"): Row {
  const row = rows.get(code);
  if (row?.kind === kind) return row;
  throw new MalformedError(`Cannot read a message: ${code} is no ${kind}`);
}

function readError(number: number, wire: readonly unknown[]): WireError {
  const code = codeNames.get(number);
  const message = wire[3];
  if (code === undefined || typeof message !== "string" || message.length > TEXT_LENGTH_MAX) {
    throw new MalformedError(`Cannot read error ${number}`);
  }
  const fields = detailEntries.get(code);
  if (!fields) return { code, message } as WireError;
  return { code, message, detail: readFields(fields, wire, 4, code) } as WireError;
}

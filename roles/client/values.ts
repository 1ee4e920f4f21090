/** Values that are kept in parts: put together, or as streams that hold a few parts at a time. */
import { DatabaseError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { hexOf } from "../../core/ids.ts";
import { OBJECT_BYTES_MAX, PART_BYTES_MAX, PARTS_IN_FLIGHT_MAX } from "../../core/limits.ts";
import { partCount } from "../../core/parts.ts";
import type { Manifest } from "../../core/parts.ts";
import type { Calling, CallOptions } from "./caller.ts";
import type { LoadedRevision } from "./calls.ts";
import { orAborted } from "./scope.ts";

/** What a value may be streamed from: a file's stream, a response's body, a generator. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array> | ReadableStream<Uint8Array>;

/** A revision with its data. */
export type WholeRevision = Omit<LoadedRevision, "data" | "parts"> & { readonly data: Uint8Array };

/** A value as a stream. */
export interface StreamedValue {
  readonly tid: Tid;
  /** Bytes of the whole value. */
  readonly size: number;
  /** The value, in order; each byte is checked against what was stored before it comes. Cancel it when you need no more. */
  readonly body: ReadableStream<Uint8Array>;
}

/**
 * A revision with its data in memory; undefined for none and for deletions.
 *
 * @throws DatabaseError `tooLarge` when the value is meant to be streamed
 */
export async function wholeOf(
  calling: Calling,
  oid: Oid,
  revision: LoadedRevision | undefined,
  options: CallOptions = {},
): Promise<WholeRevision | undefined> {
  const filled = await filledOf(calling, oid, revision, options);
  return filled?.data ? { ...filled, data: filled.data } : undefined;
}

/**
 * A revision whose data, if it has any, is in memory.
 *
 * @throws DatabaseError `tooLarge` when the value is meant to be streamed
 */
export async function filledOf(
  calling: Calling,
  oid: Oid,
  revision: LoadedRevision | undefined,
  options: CallOptions = {},
): Promise<LoadedRevision | undefined> {
  if (revision?.parts === undefined) return revision;
  const { tid, next, link, parts } = revision;
  if (parts.size > OBJECT_BYTES_MAX) {
    const message =
      `Cannot load object ${oid}: its value has ${parts.size} bytes, ${OBJECT_BYTES_MAX} are loaded at once; use loadStream()`;
    throw new DatabaseError("tooLarge", message);
  }
  const whole = new Uint8Array(parts.size);
  let at = 0;
  for await (const part of partsOf(calling, { oid, tid, parts }, options)) {
    whole.set(part, at);
    at += part.length;
  }
  return { tid, next, link, data: whole };
}

/** A revision's value as a stream; undefined for none and for deletions. */
export function streamOf(
  calling: Calling,
  oid: Oid,
  revision: LoadedRevision | undefined,
  options: CallOptions = {},
): StreamedValue | undefined {
  if (revision === undefined) return undefined;
  const { tid, data, parts } = revision;
  if (parts) {
    const pieces = partsOf(calling, { oid, tid, parts }, options);
    return { tid, size: parts.size, body: readable(pieces) };
  }
  return data === null ? undefined : { tid, size: data.length, body: readable([data][Symbol.iterator]()) };
}

/** Cuts what comes into parts: `PART_BYTES_MAX` bytes each, the last one fewer. Each is the caller's own. */
export async function* inParts(source: ByteSource, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  takeOnce(source);
  let part = new Uint8Array(PART_BYTES_MAX);
  let filled = 0;
  for await (const piece of untilAborted(piecesOf(source), signal)) {
    if (!(piece instanceof Uint8Array)) {
      throw new TypeError("Cannot store a stream: each piece of it must be a Uint8Array");
    }
    for (let at = 0; at < piece.length;) {
      const count = Math.min(piece.length - at, PART_BYTES_MAX - filled);
      part.set(piece.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled < PART_BYTES_MAX) continue;
      yield part;
      part = new Uint8Array(PART_BYTES_MAX);
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

/** Sources that can be read once, and were. */
const read = new WeakSet<object>();

/** What was read before has nothing more: it must not look like an empty value. */
function takeOnce(source: ByteSource): void {
  if (source instanceof Uint8Array) {
    throw new TypeError("Cannot store a stream: this is a Uint8Array; use store(), or put it into a list");
  }
  const isOnce = source instanceof ReadableStream || "next" in Object(source);
  if (!isOnce) return;
  if (read.has(source)) {
    const hint = "make it within the function that is run again";
    throw new RangeError(
      `Cannot store a stream: it was read already, perhaps by an earlier attempt; ${hint}`,
    );
  }
  read.add(source);
}

/** Its pieces; a source that is silent doesn't outlast the signal. */
async function* untilAborted<T>(pieces: AsyncGenerator<T>, signal?: AbortSignal): AsyncGenerator<T> {
  if (!signal) return yield* pieces;
  try {
    for (;;) {
      const next = await orAborted(pieces.next(), signal);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    pieces.return(undefined).catch(() => undefined); // ends the source, once it has spoken
  }
}

/** A web stream isn't iterable everywhere. */
async function* piecesOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  if (!(source instanceof ReadableStream)) {
    if (Symbol.asyncIterator in Object(source) || Symbol.iterator in Object(source)) return yield* source;
    throw new TypeError("Cannot store a stream: expected a ReadableStream or an iterable of Uint8Array");
  }
  const reader = source.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    await reader.cancel(); // nothing happens when it has ended by itself
    reader.releaseLock();
  }
}

/** The parts of a value in order, some of them asked for ahead. */
export async function* partsOf(
  calling: Calling,
  { oid, tid, parts }: { readonly oid: Oid; readonly tid: Tid; readonly parts: Manifest },
  options: CallOptions,
): AsyncGenerator<Uint8Array> {
  const count = partCount(parts);
  const load = (seq: number): Promise<Uint8Array | undefined> =>
    calling.call("loadPart", { oid, tid, seq, parts }, options);
  const asked: Promise<Uint8Array | undefined>[] = [];
  for (let seq = 0; seq < count; seq++) {
    for (let next = seq + asked.length; next < Math.min(seq + PARTS_IN_FLIGHT_MAX, count); next++) {
      const part = load(next);
      part.catch(() => undefined); // who reads no further needn't hear of it
      asked.push(part);
    }
    const part = await asked.shift();
    if (part === undefined) {
      const message = `Cannot read object ${oid}: part ${seq} of its revision ${hexOf(tid)} is gone`;
      throw new DatabaseError("noSuchRevision", message);
    }
    yield part;
  }
}

function readable(pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await pieces.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await pieces.return?.(undefined);
    },
  }, { highWaterMark: 0 });
}

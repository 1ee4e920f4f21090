/** From a stream of bytes to frames, and from chunks to messages, within bounds. `codec.ts` knows what is in them. */
import { MalformedError } from "./errors.ts";
import {
  CHUNK_BYTES_MIN,
  FRAME_BYTES_MAX,
  HELLO_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  PIECE_BYTES_MIN,
} from "./limits.ts";

/** Cuts a stream of bytes into frames; holds what is incomplete, within `FRAME_BYTES_MAX`. */
export class Deframer {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #limit = HELLO_BYTES_MAX; // until the peer has said who it is

  /** Lifts the bound of the first frame. */
  widen(): void {
    this.#limit = FRAME_BYTES_MAX;
  }

  /** Bytes that wait for the rest of their frame. */
  get waiting(): number {
    return this.#bytes;
  }

  /** Takes bytes in. They must not change afterwards. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#bytes += bytes.length;
    const last = this.#parts.at(-1);
    if (last && last.length < PIECE_BYTES_MIN) this.#parts[this.#parts.length - 1] = concat([last, bytes]);
    else this.#parts.push(bytes);
  }

  /**
   * The next whole frame without its length, or undefined.
   *
   * @throws MalformedError when a frame is announced that is longer than the bound
   */
  next(): Uint8Array | undefined {
    if (this.#bytes < 4) return undefined;
    const head = this.#joined(4);
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
    if (length > this.#limit) {
      throw new MalformedError(`Cannot take a frame of ${length} bytes: ${this.#limit} is the limit`);
    }
    if (this.#bytes < 4 + length) return undefined;
    const all = this.#joined(4 + length);
    const rest = all.subarray(4 + length);
    this.#parts[0] = rest;
    if (rest.length === 0) this.#parts.shift();
    this.#bytes -= 4 + length;
    return all.subarray(4, 4 + length);
  }

  /** The first part, after joining as many as `length` bytes need. */
  #joined(length: number): Uint8Array {
    const first = this.#parts[0]!;
    if (first.length >= length) return first;
    let count = 0;
    let size = 0;
    while (size < length) size += this.#parts[count++]!.length;
    const joined = concat(this.#parts.splice(0, count));
    this.#parts.unshift(joined);
    return joined;
  }
}

/** Joins the chunks of the messages that a peer sends, within `MESSAGE_BYTES_MAX` in all. */
export class Joiner {
  #parts = new Map<number, Uint8Array[]>();
  #bytes = 0;

  /**
   * Takes a chunk in, and keeps `bytes`; gives the whole message after its last one.
   *
   * @throws MalformedError when more waits than a message may have, or in too small pieces
   */
  push(stream: number, last: boolean, bytes: Uint8Array): Uint8Array | undefined {
    if (!last && bytes.length < CHUNK_BYTES_MIN) {
      throw new MalformedError(
        `Cannot join chunks: one of ${bytes.length} bytes that isn't the last; ${CHUNK_BYTES_MIN} is the least`,
      );
    }
    this.#bytes += bytes.length;
    if (this.#bytes > MESSAGE_BYTES_MAX) {
      throw new MalformedError(`Cannot join chunks: more than ${MESSAGE_BYTES_MAX} bytes`);
    }
    const parts = this.#parts.get(stream) ?? [];
    parts.push(bytes);
    if (!last) {
      this.#parts.set(stream, parts);
      return undefined;
    }
    this.#parts.delete(stream);
    const joined = concat(parts);
    this.#bytes -= joined.length;
    return joined;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

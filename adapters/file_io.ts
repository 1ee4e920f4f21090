/** Bytes of files for readers and writers of record files: read in blocks by descriptor, written through a buffer. */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { FILE_BLOCK_BYTES, FILE_READ_BYTES_MAX } from "../core/limits.ts";
import { type ByteSink, FileFormatError } from "../core/records.ts";

/** Bytes that can be read at any position. */
export interface ByteSource {
  /** What errors call it. */
  readonly name: string;
  readonly byteLength: number;
  /** Fills `target` with what stands at `position`. The caller stays within `byteLength`. */
  read(position: number, target: Uint8Array): void;
  close(): void;
}

/**
 * Opens a file. Its length is taken now: what another process appends later isn't seen.
 *
 * @throws the system's error when it can't be opened
 */
export function fileSource(path: string): ByteSource {
  const descriptor = openSync(path, "r");
  const byteLength = fstatSync(descriptor).size;
  const read = (position: number, target: Uint8Array) => {
    for (let done = 0; done < target.length;) {
      const wanted = Math.min(target.length - done, FILE_READ_BYTES_MAX);
      const got = readSync(descriptor, target, done, wanted, position + done);
      if (got === 0) {
        const place = { file: path, byte: position + done };
        throw new FileFormatError(
          "read",
          place,
          "the file became shorter meanwhile",
          "stop what writes to it",
        );
      }
      done += got;
    }
  };
  return { name: path, byteLength, read, close: () => closeSync(descriptor) };
}

/** Lets bytes that are in memory already be read like a file. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  const read = (position: number, target: Uint8Array) =>
    target.set(bytes.subarray(position, position + target.length));
  return { name, byteLength: bytes.length, read, close: () => {} };
}

/** Reads a source block by block: small reads next to one another cost one system call. */
export class BlockReader {
  readonly #source: ByteSource;
  readonly #block: Uint8Array;
  #start = 0;
  #length = 0;

  constructor(source: ByteSource, blockBytes: number = FILE_BLOCK_BYTES) {
    this.#source = source;
    this.#block = new Uint8Array(blockBytes);
  }

  /** The bytes from `position` on, at most a block; the view is valid until the next call. */
  view(position: number, length: number): Uint8Array {
    const offset = position - this.#start;
    if (offset < 0 || offset + length > this.#length) return this.#fill(position).subarray(0, length);
    return this.#block.subarray(offset, offset + length);
  }

  /** A copy of its own of any length. */
  copy(position: number, length: number): Uint8Array {
    if (length <= this.#block.length / 2) return this.view(position, length).slice();
    const bytes = new Uint8Array(length);
    this.#source.read(position, bytes);
    return bytes;
  }

  /** A big-endian 64-bit number. */
  uint64(position: number): bigint {
    const bytes = this.view(position, 8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
  }

  /** Where `byte` stands first from `position` on, before `end`; -1: nowhere. */
  indexOf(byte: number, position: number, end: number): number {
    for (let at = position; at < end;) {
      const offset = at - this.#start;
      const isRead = 0 <= offset && offset < this.#length;
      const bytes = isRead ? this.#block.subarray(offset, this.#length) : this.#fill(at);
      const found = bytes.subarray(0, end - at).indexOf(byte);
      if (found >= 0) return at + found;
      at += bytes.length;
    }
    return -1;
  }

  #fill(position: number): Uint8Array {
    const block = this.#block.subarray(0, Math.min(this.#block.length, this.#source.byteLength - position));
    this.#length = 0; // a read that fails leaves nothing that could be taken for bytes of this position
    this.#source.read(position, block);
    this.#start = position;
    this.#length = block.length;
    return block;
  }
}

/** Gathers small writes into blocks for a sink, and counts bytes. */
export class BufferedSink {
  readonly #sink: ByteSink;
  #block = new Uint8Array(FILE_BLOCK_BYTES);
  #used = 0;
  #flushed = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Bytes so far. */
  get position(): number {
    return this.#flushed + this.#used;
  }

  /** Takes bytes that may be changed after the promise is fulfilled, unless they are a block or longer. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#used + bytes.length > this.#block.length) await this.flush();
    if (bytes.length >= this.#block.length) {
      await this.#sink.write(bytes);
      this.#flushed += bytes.length;
    } else {
      this.#block.set(bytes, this.#used);
      this.#used += bytes.length;
    }
  }

  /** Hands everything to the sink. */
  async flush(): Promise<void> {
    if (this.#used === 0) return;
    const full = this.#block.subarray(0, this.#used);
    this.#block = new Uint8Array(FILE_BLOCK_BYTES);
    this.#used = 0;
    await this.#sink.write(full);
    this.#flushed += full.length;
  }
}

/** A file that appears under its name only when it is whole and on disk. */
export class FileSink implements ByteSink {
  readonly #path: string;
  readonly #partialPath: string;
  readonly #descriptor: number;

  /** @throws the system's error when `path` with `.partial` behind it can't be created */
  constructor(path: string) {
    this.#path = path;
    this.#partialPath = `${path}.partial`;
    this.#descriptor = openSync(this.#partialPath, "w");
  }

  write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += writeSync(this.#descriptor, bytes, done);
  }

  /** Flushes the file and gives it its name, in place of an older one. */
  commit(): void {
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
    renameSync(this.#partialPath, this.#path);
  }

  /** Removes what has been written. */
  discard(): void {
    closeSync(this.#descriptor);
    rmSync(this.#partialPath);
  }
}

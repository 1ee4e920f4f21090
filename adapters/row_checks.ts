/** Whether stored data is still what it was: bits on a disk turn, and blocks of it are lost. */
import { sameBytes } from "../core/bytes.ts";
import { MalformedError } from "../core/errors.ts";
import { SCRUB_ROW_BYTES } from "../core/limits.ts";
import { COMPRESSION_PARTS, decodeManifest, type Manifest } from "../core/parts.ts";
import type { DatabaseAnswers, Digest, RevisionKey, RowPlace, StoredData } from "../core/ports.ts";

/** What a look at a revision's data has found. */
export interface Finding {
  readonly whole: boolean;
  /** Bytes that were read. */
  readonly bytes: number;
}

/**
 * Whether data still matches its checksum, and, if it is a manifest, whether all of its parts are there and are what
 * it says.
 *
 * @param partAt gives one part, null when it isn't there or can't be read
 */
export function inspect(
  stored: StoredData,
  partAt: (seq: number) => StoredData | null,
  digest: Digest,
): Finding {
  const looking = inspection(stored, digest);
  let next = looking.next();
  while (!next.done) next = looking.next(partAt(next.value));
  return next.value;
}

/** The same, asking for the parts one by one: for databases that answer later. */
export function* inspection(
  stored: StoredData,
  digest: Digest,
): Generator<number, Finding, StoredData | null> {
  let bytes = stored.data.length;
  if (!sameBytes(digest(stored.data), stored.checksum)) return { whole: false, bytes };
  if (stored.compression !== COMPRESSION_PARTS) return { whole: true, bytes };
  const manifest = manifestOf(stored.data);
  if (manifest === undefined) return { whole: false, bytes };
  for (const [seq, checksum] of manifest.checksums.entries()) {
    const part = yield seq;
    bytes += part?.data.length ?? 0;
    const whole = part !== null && sameBytes(part.checksum, checksum)
      && sameBytes(digest(part.data), checksum);
    if (!whole) return { whole, bytes };
  }
  return { whole: true, bytes };
}

function manifestOf(data: Uint8Array): Manifest | undefined {
  try {
    return decodeManifest(data);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/** Looks at revisions in their order until enough has been read. */
export class ScrubPage {
  readonly #broken: RevisionKey[] = [];
  readonly #bytesMax: number;
  #bytes = 0;
  #cost = 0;
  #last: RowPlace | null = null;
  #full = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The next revision; it is looked at unless the page is full. False: it was. */
  look(key: RevisionKey, look: () => Finding): boolean {
    if (!this.takes()) return false;
    this.looked(key, look());
    return true;
  }

  /** Whether one more revision is looked at. */
  takes(): boolean {
    this.#full = this.#last !== null && this.#cost >= this.#bytesMax;
    return !this.#full;
  }

  /** What a look at the next revision has found. */
  looked({ oid, tid }: RevisionKey, { whole, bytes }: Finding): void {
    if (!whole) this.#broken.push({ oid, tid });
    this.#bytes += bytes;
    this.#cost += bytes + SCRUB_ROW_BYTES;
    this.#last = { tid, oid };
  }

  end(): DatabaseAnswers["scrub"] {
    return {
      read: "scrub",
      broken: this.#broken,
      bytes: this.#bytes,
      next: this.#full ? this.#last : null,
    };
  }
}

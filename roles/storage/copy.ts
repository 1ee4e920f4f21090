/**
 * Makes a range of one partition equal to what another storage has: the receiving end of a copy (T35, X5).
 *
 * The range is compared before anything is sent. `measuring`: what have we there? Nothing: `paging`, all rows of the source
 * come page by page. Else `slicing`: the source cuts the range into slices with digests; equal ones are done, others are
 * measured in turn, and small ones are `naming`: both sides' rows are listed, and only what differs is `picking`. Values
 * in parts have their parts fetched first (`gathering`). So equal ranges cost one message, and one different row
 * among n costs O(log n) of them.
 *
 * Rows are saved lazily; who believes that the range is complete saves that durably behind them. Data is checked against its
 * checksum before it is saved. Both sides show what is left behind a pack to `bound`, so that what was packed on one of them is
 * neither missed nor brought back. With `settled` the source waits until nothing up to the range's end is locked there, and
 * rows that it hasn't are deleted here; without, rows are only added.
 */
import { sameBytes } from "../../core/bytes.ts";
import type { Oid, Partition, Tid } from "../../core/ids.ts";
import { hexOf } from "../../core/ids.ts";
import { COPY_KEYS_MAX, COPY_LOOK_ROWS_MAX, COPY_SLICES } from "../../core/limits.ts";
import type {
  AnswerMessage,
  AskName,
  Body,
  CopiedRow,
  TransactionInfo,
  WireError,
} from "../../core/messages.ts";
import { COMPRESSION_PARTS, decodeManifest } from "../../core/parts.ts";
import type {
  CopiedRevision,
  DatabaseAnswer,
  DatabaseQuery,
  RevisionKey,
  RowPlace,
} from "../../core/ports.ts";
import type { Site } from "./site.ts";

/** What is copied. */
export interface CopyRange {
  readonly partition: Partition;
  /** Complete up to here. */
  readonly after: Tid;
  readonly upTo: Tid;
  readonly settled: boolean;
  /** Both sides are compared as they are behind a pack to here. */
  readonly bound: Tid;
}

/** How a copy reaches its source and its own database. */
export interface CopyPorts {
  readonly site: Site;
  ask<N extends AskName>(name: N, body: Body<N>): void;
  read(query: DatabaseQuery): void;
  /** The source has packed further: what was compared counts for nothing. */
  packedTo(bound: Tid): void;
  /** Everything is here. */
  done(): void;
  /** This source is of no use for it. */
  failed(error: WireError): void;
}

/** A stretch of tids, and what the source has there as far as it is known. */
interface Stretch {
  readonly after: Tid;
  readonly upTo: Tid;
  readonly theirs: { readonly rows: number; readonly digest: Uint8Array } | undefined;
}

interface Wanted {
  readonly transactions: readonly Tid[];
  readonly revisions: readonly RevisionKey[];
}

/** What a page has brought and isn't saved yet. */
interface Page {
  readonly transactions: readonly TransactionInfo[];
  revisions: readonly CopiedRow[];
  /** Manifests whose parts are still to come. */
  readonly manifests: { readonly row: CopiedRow; readonly checksums: readonly Uint8Array[]; seq: number }[];
  /** What follows. */
  readonly then: () => void;
  /** A row that isn't what its checksum says: the others are kept, then another source is asked. */
  broken: CopiedRow | undefined;
}

type Keys = Extract<DatabaseAnswer, { read: "keys" }>;

/** One copy of one range from one source. */
export class Copy {
  readonly range: CopyRange;
  /** Bytes of data that came. */
  bytes = 0;
  /** Rows that came. */
  rows = 0;
  #paid = 0;
  #ports: CopyPorts;
  #todo: Stretch[];
  #page: Page | undefined;
  #theirKeys: Extract<AnswerMessage, { name: "keys" }>["body"] | undefined;
  #wanted: Wanted = { transactions: [], revisions: [] };

  constructor(range: CopyRange, ports: CopyPorts) {
    this.range = range;
    this.#ports = ports;
    this.#todo = [{ after: range.after, upTo: range.upTo, theirs: undefined }];
  }

  /** Bytes that came since this was asked last. */
  takeUnpaid(): number {
    const unpaid = this.bytes - this.#paid;
    this.#paid = this.bytes;
    return unpaid;
  }

  /** Begins. */
  begin(): void {
    this.#measure();
  }

  /** The source has answered. */
  answered(message: AnswerMessage): void {
    if (message.name === "slices" || message.name === "keys" || message.name === "rows") {
      const { packBound } = message.body;
      if (packBound > this.range.bound) return this.#ports.packedTo(packBound);
    }
    switch (message.name) {
      case "slices":
        return this.#sliced(message.body.slices);
      case "keys":
        return this.#named(message.body);
      case "rows": {
        const { next, packBound: _, ...page } = message.body;
        return this.#take(page, () => (next === null ? this.#next() : this.#askRows(next)));
      }
      case "pick": {
        const { seen, ...page } = message.body;
        if (seen === 0) return this.#fail("its answer has none of the rows that were asked for");
        const { transactions, revisions } = this.#wanted;
        const rest = {
          transactions: transactions.slice(seen),
          revisions: revisions.slice(Math.max(0, seen - transactions.length)),
        };
        return this.#take(page, () => this.#pick(rest));
      }
      case "loadPart":
        return this.#part(message.body);
      default:
        return this.#fail(`it answers ${message.name}`);
    }
  }

  /** Our database has answered. */
  read(result: DatabaseAnswer): void {
    if (result.read === "slices") this.#measured(result.slices[0]!);
    else if (result.read === "keys") this.#compare(result);
  }

  /** The next stretch, if there is one. */
  #next(): void {
    this.#todo.pop();
    this.#measure();
  }

  #measure(): void {
    const stretch = this.#todo.at(-1);
    if (!stretch) return this.#ports.done();
    const { partition, bound } = this.range;
    const { after, upTo } = stretch;
    const looks = { count: 1, rowsMax: COPY_LOOK_ROWS_MAX, bound };
    this.#ports.read({ read: "slices", partition, after, upTo, ...looks });
  }

  #measured(ours: { readonly upTo: Tid; readonly rows: number; readonly digest: Uint8Array }): void {
    const { after, upTo, theirs } = this.#todo.at(-1)!;
    if (ours.upTo < upTo) {
      // more than is looked at at once: first this much of it
      this.#todo.splice(-1, 1, { after: ours.upTo, upTo, theirs: undefined });
      this.#todo.push({ after, upTo: ours.upTo, theirs: undefined });
      return this.#askSlices();
    }
    if (theirs && theirs.rows === ours.rows && sameBytes(theirs.digest, ours.digest)) return this.#next();
    if (ours.rows === 0) return this.#askRows({ tid: after, oid: null });
    if (theirs && Math.max(theirs.rows, ours.rows) <= COPY_KEYS_MAX) return this.#askKeys();
    this.#askSlices();
  }

  #askSlices(): void {
    const { after, upTo } = this.#todo.at(-1)!;
    this.#ports.ask("slices", { ...this.#common, after, upTo, count: COPY_SLICES });
  }

  #askKeys(): void {
    const { after, upTo } = this.#todo.at(-1)!;
    this.#ports.ask("keys", { ...this.#common, after, upTo });
  }

  #askRows(after: RowPlace): void {
    this.#ports.ask("rows", { ...this.#common, after, upTo: this.#todo.at(-1)!.upTo });
  }

  get #common(): { partition: Partition; version: number; settled: boolean; packBound: Tid } {
    const { partition, settled, bound: packBound } = this.range;
    return { partition, settled, packBound, version: this.#ports.site.table!.version };
  }

  #sliced(
    slices: readonly { readonly upTo: Tid; readonly rows: number; readonly digest: Uint8Array }[],
  ): void {
    const stretch = this.#todo.pop()!;
    let { after } = stretch;
    const parts = slices.map(({ upTo, rows, digest }): Stretch => {
      const part = { after, upTo, theirs: { rows, digest } };
      after = upTo;
      return part;
    });
    const grows = parts.length > 0 && parts.every((part) => part.after <= part.upTo);
    if (after > stretch.upTo || !grows) return this.#fail("its slices don't cover the range");
    if (after < stretch.upTo) this.#todo.push({ after, upTo: stretch.upTo, theirs: undefined });
    this.#todo.push(...parts.toReversed());
    // one tid with more rows than a slice should have can't be cut: its rows are named
    if (parts.length === 1 && stretch.theirs) this.#askKeys();
    else this.#measure();
  }

  #named(theirs: Extract<AnswerMessage, { name: "keys" }>["body"]): void {
    const { after, upTo } = this.#todo.at(-1)!;
    if (theirs.upTo > upTo || theirs.upTo <= after) return this.#fail("its rows are beyond the range");
    this.#theirKeys = theirs;
    const { partition, bound } = this.range;
    const range = { partition, after, upTo: theirs.upTo } as const;
    this.#ports.read({ read: "keys", ...range, rowsMax: COPY_KEYS_MAX, bound });
  }

  /** Both sides' rows of the stretch, or of its beginning, are known. */
  #compare(ours: Keys): void {
    const theirs = this.#theirKeys!;
    const { partition } = this.range;
    const upTo = ours.upTo < theirs.upTo ? ours.upTo : theirs.upTo;
    const within = ({ tid }: { readonly tid: Tid }): boolean => tid <= upTo;
    const transactions = differences(ours.transactions.filter(within), theirs.transactions.filter(within));
    const revisions = differences(ours.revisions.filter(within), theirs.revisions.filter(within));
    if (this.range.settled && transactions.extra.length + revisions.extra.length > 0) {
      const rows = {
        transactions: transactions.extra.map(({ tid }) => tid),
        revisions: revisions.extra.map(({ oid, tid }) => ({ oid, tid })),
      };
      const count = rows.transactions.length + rows.revisions.length;
      this.#ports.site.log("copies", "warning", "Deleting rows that no readable copy has", {
        partition,
        count,
      });
      this.#ports.site.save({ op: "uncopy", partition, ...rows }, { durable: false });
    }
    const stretch = this.#todo.pop()!;
    if (upTo < stretch.upTo) this.#todo.push({ after: upTo, upTo: stretch.upTo, theirs: undefined });
    this.#todo.push({ after: upTo, upTo, theirs: undefined }); // stands for what is picked now
    this.#pick({
      transactions: transactions.lacking.map(({ tid }) => tid),
      revisions: revisions.lacking.map(({ oid, tid }) => ({ oid, tid })),
    });
  }

  #pick(wanted: Wanted): void {
    this.#wanted = wanted;
    if (wanted.transactions.length + wanted.revisions.length === 0) return this.#next();
    const { partition, version } = this.#common;
    this.#ports.ask("pick", { partition, version, ...wanted });
  }

  /** A page of rows is here: it is saved when the parts of its large values are. */
  #take(page: Pick<Page, "transactions" | "revisions">, then: () => void): void {
    const taken: Page = { ...page, manifests: [], then, broken: undefined };
    for (const row of page.revisions) {
      const { data, checksum, compression } = row;
      if (data === null) continue;
      this.bytes += data.length;
      if (!sameBytes(this.#ports.site.digest(data), checksum)) leaveOut(taken, row);
      else if (compression === COMPRESSION_PARTS) {
        taken.manifests.push({ row, checksums: decodeManifest(data).checksums, seq: 0 });
      }
    }
    this.rows += page.transactions.length + taken.revisions.length;
    this.#page = taken;
    this.#gather();
  }

  #gather(): void {
    const page = this.#page!;
    const manifest = page.manifests.at(-1);
    if (manifest) {
      const { oid, tid } = manifest.row;
      const { version } = this.#common;
      return this.#ports.ask("loadPart", { oid, tid, seq: manifest.seq, version });
    }
    this.#page = undefined;
    const { partition } = this.range;
    const { transactions } = page;
    const revisions = page.revisions.map(revisionOf);
    if (transactions.length + revisions.length > 0) {
      this.#ports.site.save({ op: "copy", partition, transactions, revisions }, { durable: false });
    }
    if (page.broken) return this.#broken(page.broken);
    page.then();
  }

  #part(
    stored: { readonly compression: number; readonly checksum: Uint8Array; readonly data: Uint8Array },
  ): void {
    const manifest = this.#page?.manifests.at(-1);
    if (!manifest) return this.#fail("it sends a part that nobody asked for");
    const { row, checksums, seq } = manifest;
    const { oid, tid } = row;
    const isWhole = sameBytes(this.#ports.site.digest(stored.data), stored.checksum)
      && sameBytes(stored.checksum, checksums[seq]!);
    if (!isWhole) {
      leaveOut(this.#page!, row);
      this.#page!.manifests.pop();
      return this.#gather();
    }
    this.bytes += stored.data.length;
    this.#ports.site.save({ op: "copyPart", oid, tid, seq, stored }, { durable: false });
    manifest.seq += 1;
    if (manifest.seq === checksums.length) this.#page!.manifests.pop();
    this.#gather();
  }

  #broken({ oid, tid }: CopiedRow): void {
    const message = `Cannot copy object ${oid} of tid ${hexOf(tid)}: its data doesn't match its checksum`;
    this.#ports.failed({ code: "badChecksum", message });
  }

  #fail(why: string): void {
    const message = `Cannot copy partition ${this.range.partition}: the source breaks the protocol; ${why}`;
    this.#ports.failed({ code: "malformed", message });
  }
}

function leaveOut(page: Page, broken: CopiedRow): void {
  page.broken = broken;
  page.revisions = page.revisions.filter((row) => row !== broken);
}

function revisionOf({ oid, tid, compression, checksum, data, link }: CopiedRow): CopiedRevision {
  return { oid, tid, link, stored: data === null ? null : { compression, checksum, data } };
}

/** What the other side has and we lack or have differently, and what only we have. */
function differences<R extends { readonly tid: Tid; readonly oid?: Oid; readonly digest: Uint8Array }>(
  ours: readonly R[],
  theirs: readonly R[],
): { lacking: R[]; extra: R[] } {
  const keyOf = ({ tid, oid }: R): string => `${tid} ${oid ?? ""}`;
  const left = new Map(ours.map((row) => [keyOf(row), row]));
  const lacking = theirs.filter((row) => {
    const own = left.get(keyOf(row));
    left.delete(keyOf(row));
    return own === undefined || !sameBytes(own.digest, row.digest);
  });
  return { lacking, extra: [...left.values()] };
}

/** What replication changes in a database in memory: final rows that come from another copy, or go. */
import { sameBytes } from "../core/bytes.ts";
import { invariant, unreachable } from "../core/errors.ts";
import type { Partition, Tid } from "../core/ids.ts";
import { MAX_TID, ZERO_TID } from "../core/ids.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { CopiedRevision, DatabaseState, DatabaseWrite, PackPlace, StoredData } from "../core/ports.ts";
import { CopiedParts } from "./copied_parts.ts";
import type { FinalRows, Revision } from "./memory_rows.ts";

type Write<O extends DatabaseWrite["op"]> = Extract<DatabaseWrite, { op: O }>;
/** What changes final rows other than a transaction does. */
export type CopyWrite = Write<
  "copy" | "copyPart" | "uncopy" | "resume" | "erase" | "truncate" | "packBound" | "pack"
>;
type Resume = Omit<Write<"resume">, "op">;

/** Rows of copies, and how far they are complete. */
export class MemoryCopies {
  readonly #final: FinalRows;
  #parts = new CopiedParts<StoredData[]>();
  #resumes = new Map<Partition, Resume>();
  #truncations = 0;
  #packBound = ZERO_TID;
  #packed: PackPlace = { bound: ZERO_TID, after: null };

  constructor(final: FinalRows) {
    this.#final = final;
  }

  /** The number of the last truncation. */
  get truncations(): number {
    return this.#truncations;
  }

  /** The highest bound of a pack that is known. */
  get packBound(): Tid {
    return this.#packBound;
  }

  /** How far the last pack has come. */
  get packed(): PackPlace {
    return this.#packed;
  }

  copy(final: FinalRows): MemoryCopies {
    const copy = new MemoryCopies(final);
    for (const { oid, tid, kept } of this.#parts.entries()) {
      kept.forEach((stored, seq) => copy.#part({ op: "copyPart", oid, tid, seq, stored }));
    }
    copy.#resumes = new Map(this.#resumes);
    copy.#truncations = this.#truncations;
    copy.#packBound = this.#packBound;
    copy.#packed = this.#packed;
    return copy;
  }

  /** Drops the parts whose revision didn't come. */
  forgetParts(): void {
    this.#parts = new CopiedParts();
  }

  resumes(): DatabaseState["resumes"] {
    return [...this.#resumes.values()].sort((a, b) => a.partition - b.partition);
  }

  apply(write: CopyWrite): void {
    switch (write.op) {
      case "copy":
        return this.#copy(write);
      case "copyPart":
        return this.#part(write);
      case "uncopy":
        for (const tid of write.transactions) this.#final.removeTransaction(write.partition, tid);
        for (const key of write.revisions) {
          if (this.#final.partitionOf(key.oid) === write.partition) this.#final.removeRevision(key);
        }
        return;
      case "resume": {
        const { partition, since, tid } = write;
        this.#resumes.set(partition, { partition, since, tid });
        return;
      }
      case "erase":
        return this.#erase(write);
      case "truncate":
        return this.#truncate(write);
      case "packBound":
        this.#packBound = write.tid;
        return;
      case "pack":
        for (const key of write.revisions) this.#final.removeRevision(key);
        this.#packed = { bound: write.bound, after: write.after };
        return;
      default:
        return unreachable(write);
    }
  }

  #part({ oid, tid, seq, stored }: Write<"copyPart">): void {
    if (seq === 0) this.#parts.take({ oid, tid });
    this.#parts.part({ oid, tid, seq }, () => []).push(stored);
  }

  #copy({ partition, transactions, revisions }: Write<"copy">): void {
    for (const info of transactions) this.#final.addTransaction(partition, info);
    for (const row of revisions) {
      invariant(this.#final.partitionOf(row.oid) === partition, "an object is copied into its partition");
      this.#final.addRevision(row.oid, this.#revisionOf(row));
    }
  }

  #revisionOf(row: CopiedRevision): Revision {
    const { oid, tid, stored, link } = row;
    const brought = this.#parts.take(row);
    const revision = { tid, stored, link, parts: [] };
    if (stored === null) return revision;
    const linked = link === null ? undefined : this.#final.revision({ oid, tid: link });
    if (linked !== undefined && isSameData(linked.stored, stored)) {
      return { ...revision, parts: linked.parts };
    }
    if (stored.compression !== COMPRESSION_PARTS) return revision;
    const known = this.#final.revision(row);
    const kept = isSameData(known?.stored, stored) ? known?.parts : undefined;
    return { ...revision, parts: brought ?? kept ?? [] };
  }

  #erase({ partition, rowsMax }: Write<"erase">): void {
    const rows = this.#final.rows(partition, { tid: ZERO_TID, oid: null }, MAX_TID);
    this.#final.remove(partition, rows.slice(0, rowsMax));
    this.#dropParts(({ oid }) => this.#final.partitionOf(oid) === partition);
    this.#resumes.delete(partition);
  }

  #truncate({ number, tid }: Write<"truncate">): void {
    for (const partition of this.#final.stocked()) {
      this.#final.remove(partition, this.#final.rows(partition, { tid, oid: null }, MAX_TID));
    }
    this.#dropParts((waiting) => waiting.tid > tid);
    for (const resume of this.#resumes.values()) {
      if (resume.tid > tid) this.#resumes.set(resume.partition, { ...resume, tid });
    }
    this.#truncations = number;
  }

  #dropParts(which: (key: { readonly oid: CopiedRevision["oid"]; readonly tid: Tid }) => boolean): void {
    for (const key of this.#parts.entries().filter(which)) this.#parts.take(key);
  }
}

function isSameData(a: StoredData | null | undefined, b: StoredData): boolean {
  if (a === null || a === undefined) return false;
  return a.compression === b.compression && sameBytes(a.checksum, b.checksum) && sameBytes(a.data, b.data);
}

/**
 * Counts what each cell is used for (T41), and tells the primary now and then; a storage that nobody uses tells nothing and
 * wants no time. What was an hour ago counts half.
 */
import { partitionOf } from "../../core/ids.ts";
import type { Conn, Oid, Partition } from "../../core/ids.ts";
import { USE_HALF_LIFE_MS, USE_REPORT_MS } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { AskMessage } from "../../core/messages.ts";
import type { DatabaseAnswer } from "../../core/ports.ts";
import type { Site, StorageRead } from "./site.ts";

interface Count {
  reads: number;
  writes: number;
  bytes: number;
}

/** The use of the cells of one storage. */
export class Use {
  #site: Site;
  #fresh = new Map<Partition, Count>(); // since the last report
  #faded = new Map<Partition, Count>(); // as of the last report
  #reportedMs = 0;
  #dueMs: number | undefined;

  constructor(site: Site) {
    this.#site = site;
  }

  /** When the next report is due. */
  get dueMs(): number | undefined {
    return this.#dueMs;
  }

  /** A client asks for something. */
  asked(message: AskMessage, nowMs: number): void {
    const { name, body } = message;
    switch (name) {
      case "store":
      case "part":
        return this.#count(body.oid, { reads: 0, writes: 1, bytes: body.data?.length ?? 0 }, nowMs);
      case "check":
        return this.#count(body.oid, { reads: 0, writes: 1, bytes: 0 }, nowMs);
      case "load":
      case "loadExact":
      case "loadPart":
        return this.#count(body.oid, { reads: 1, writes: 0, bytes: 0 }, nowMs);
      case "loadMany":
        for (const oid of body.oids) this.#count(oid, { reads: 1, writes: 0, bytes: 0 }, nowMs);
    }
  }

  /** The database has answered a client's question. */
  read(context: StorageRead, result: DatabaseAnswer, nowMs: number): void {
    const sent = (oid: Oid, data: Uint8Array | undefined): void => {
      if (data) this.#count(oid, { reads: 0, writes: 0, bytes: data.length }, nowMs);
    };
    if (context.for === "loadMany" && result.read === "loadMany") {
      for (const { oid, revision } of result.objects) sent(oid, revision?.stored?.data);
    } else if (context.for === "loadPart" && result.read === "loadPart") {
      sent(context.oid, result.part?.data);
    } else if (
      (context.for === "load" || context.for === "loadExact")
      && (result.read === "load" || result.read === "loadExact")
    ) {
      sent(context.oid, result.revision?.stored?.data);
    }
  }

  /** A primary has begun to lead: it hears all that is known. */
  begin(primary: Conn, nowMs: number): void {
    this.#fade(nowMs);
    this.#tell(primary, [...this.#faded.keys()]);
  }

  /** Time has passed. Without a primary it is told later. */
  due(primary: Conn | undefined, nowMs: number): void {
    if (this.#dueMs === undefined || nowMs < this.#dueMs) return;
    this.#dueMs = primary === undefined ? nowMs + USE_REPORT_MS : undefined;
    if (primary === undefined) return;
    const used = [...this.#fresh.keys()];
    this.#fade(nowMs);
    this.#tell(primary, used);
  }

  #count(oid: Oid, { reads, writes, bytes }: Count, nowMs: number): void {
    const partitions = this.#site.table?.partitions;
    if (partitions === undefined) return;
    const partition = partitionOf(oid, partitions);
    const count = this.#fresh.get(partition) ?? { reads: 0, writes: 0, bytes: 0 };
    this.#fresh.set(partition, count);
    count.reads += reads;
    count.writes += writes;
    count.bytes += bytes;
    this.#dueMs ??= nowMs + USE_REPORT_MS;
  }

  /** What is fresh joins what has faded; what is next to nothing is forgotten. */
  #fade(nowMs: number): void {
    const factor = 2 ** (-(nowMs - this.#reportedMs) / USE_HALF_LIFE_MS);
    this.#reportedMs = nowMs;
    for (const partition of new Set([...this.#faded.keys(), ...this.#fresh.keys()])) {
      const old = this.#faded.get(partition);
      const fresh = this.#fresh.get(partition);
      const sum = (field: keyof Count): number => (old?.[field] ?? 0) * factor + (fresh?.[field] ?? 0);
      const count = { reads: sum("reads"), writes: sum("writes"), bytes: sum("bytes") };
      if (count.reads + count.writes + count.bytes < 1) this.#faded.delete(partition);
      else this.#faded.set(partition, count);
    }
    this.#fresh.clear();
  }

  #tell(primary: Conn, partitions: readonly Partition[]): void {
    const cells = partitions.flatMap((partition) => {
      const count = this.#faded.get(partition);
      if (!count || this.#site.cell(partition) === undefined) return [];
      const { reads, writes, bytes } = count;
      return [{ partition, reads: Math.round(reads), writes: Math.round(writes), bytes: Math.round(bytes) }];
    });
    if (cells.length > 0) this.#site.emit(tell(primary, "use", { cells }));
  }
}

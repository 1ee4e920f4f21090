/**
 * Append logs, and how two that appended at the same time are made one.
 *
 * A log is a chain of objects: its head holds the newest entries and the id of the object with those before them. An
 * entry is a worker's name and a counter. A head that has grown is cut: its entries move to a new object, in the transaction
 * that appends the next one. So objects stay small however long the log.
 */
import { toOid } from "../../mod.ts";
import type { ObjectConflict, Oid } from "../../mod.ts";

/** Entries that a head has at most before it is cut. */
export const HEAD_ENTRIES_MAX = 64;

/** What somebody has appended. */
export interface Entry {
  readonly worker: string;
  readonly counter: number;
}

/** One object of a log. */
export interface Segment {
  /** The object with the entries before these. */
  readonly before: Oid | undefined;
  readonly entries: readonly string[];
}

/** A log of which nothing is there. */
export const EMPTY: Segment = { before: undefined, entries: [] };

/** An entry as it stands in a log. */
export function entryText({ worker, counter }: Entry): string {
  return `${worker} ${counter}`;
}

/** Reads an entry. */
export function parseEntry(text: string): Entry {
  const at = text.lastIndexOf(" ");
  return { worker: text.slice(0, at), counter: Number(text.slice(at + 1)) };
}

/** A segment as the data of an object: a line for what is before it, a line for each entry. */
export function encodeSegment({ before, entries }: Segment): Uint8Array {
  return new TextEncoder().encode([before ?? "-", ...entries].join("\n"));
}

/** Reads the data of an object; one that isn't there is an empty log. */
export function decodeSegment(data: Uint8Array | undefined): Segment {
  if (data === undefined) return EMPTY;
  const [before = "-", ...entries] = new TextDecoder().decode(data).split("\n");
  return { before: before === "-" ? undefined : toOid(BigInt(before)), entries };
}

/** Whether a head is to be cut before the next entry. */
export function isFull({ entries }: Segment): boolean {
  return entries.length >= HEAD_ENTRIES_MAX;
}

/**
 * What a head becomes when an entry is appended.
 *
 * @param movedTo the object that the older entries are moved to, as they are; unless told, they stay
 */
export function append(head: Segment, entry: Entry, movedTo?: Oid): Segment {
  const text = entryText(entry);
  if (movedTo !== undefined) return { before: movedTo, entries: [text] };
  return { before: head.before, entries: [...head.entries, text] };
}

/**
 * Both have appended: what the other has saved comes first, then mine, which is the last entry of `mine`: before it may stand
 * what an earlier merge of the same commit brought. Undefined when both have cut the head, which can't be
 * made one: the transaction is to be run again.
 */
export function mergeAppends({ base, saved, mine }: ObjectConflict): Uint8Array | undefined {
  const [old, theirs, ours] = [decodeSegment(base), decodeSegment(saved), decodeSegment(mine)];
  const [theyCut, weCut] = [theirs.before !== old.before, ours.before !== old.before];
  if (theyCut && weCut) return undefined;
  const own = ours.entries.slice(-1);
  if (!weCut) return encodeSegment({ before: theirs.before, entries: [...theirs.entries, ...own] });
  const [merged, added] = [ours.entries.slice(0, -1), theirs.entries.slice(old.entries.length)];
  return encodeSegment({ before: ours.before, entries: [...merged, ...added, ...own] });
}

/**
 * What is wrong with logs, a line each: every counter of a worker stands in them exactly twice, in two logs, in order
 * and without a gap.
 *
 * @param logs all entries of each log, in its order
 * @param counts how far each worker has counted
 * @param hanging workers that may be about to hear that one more is there
 */
export function breachesOf(
  logs: readonly (readonly Entry[])[],
  counts: ReadonlyMap<string, number>,
  hanging: ReadonlySet<string> = new Set(),
): string[] {
  const breaches: string[] = [];
  const seen = new Map([...counts].map(([worker, count]) => [worker, new Uint8Array(count + 1)]));
  logs.forEach((entries, log) => {
    const last = new Map<string, number>();
    for (const { worker, counter } of entries) {
      if (hanging.has(worker) && counter === (counts.get(worker) ?? 0) + 1) continue;
      const times = seen.get(worker);
      if (times === undefined || !(counter >= 1 && counter < times.length)) {
        breaches.push(`log ${log} holds ${worker} ${counter}, which nobody was told is there`);
        continue;
      }
      const before = last.get(worker) ?? 0;
      if (counter <= before) breaches.push(`log ${log} holds ${worker} ${counter} behind ${before}`);
      last.set(worker, counter);
      times[counter]! += 1;
    }
  });
  for (const [worker, times] of seen) {
    times.forEach((count, counter) => {
      if (counter > 0 && count !== 2) {
        breaches.push(`${worker} ${counter} stands ${count} times in the logs, not twice`);
      }
    });
  }
  return breaches;
}

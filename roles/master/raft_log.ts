/**
 * A master's own copy of the log: a snapshot, and the entries behind it. It says what the store must be told, and which
 * roster of masters the newest entries name, whether they are held or not.
 */
import { invariant } from "../../core/errors.ts";
import { APPEND_BYTES_MAX } from "../../core/limits.ts";
import type { LogEntry, MetadataState, MetadataWrite } from "../../core/ports.ts";

/** Who is asked, of the masters. */
export interface Voters {
  readonly voters: readonly number[];
}

/** How rosters are found in what is opaque here otherwise. */
export interface Reading<R extends Voters> {
  ofImage(image: Uint8Array): R;
  /** The roster that an entry brings; undefined: it brings none. */
  ofEntry(entry: Uint8Array): R | undefined;
}

/** A log. */
export class RaftLog<R extends Voters> {
  #reading: Reading<R>;
  #snapshot: { readonly index: number; readonly term: number; readonly image: Uint8Array } | undefined;
  #entries: LogEntry[];
  #rosters: { readonly index: number; readonly roster: R }[] = []; // the snapshot's, then those of entries

  constructor({ snapshot, entries }: MetadataState, reading: Reading<R>) {
    this.#reading = reading;
    this.#snapshot = snapshot ?? undefined;
    this.#entries = [...entries];
    const first = snapshot?.index ?? 0;
    invariant(entries.every(({ index }, at) => index === first + 1 + at), "log entries are consecutive");
    if (snapshot) this.#rosters.push({ index: snapshot.index, roster: reading.ofImage(snapshot.image) });
    for (const entry of entries) this.#note(entry);
  }

  /** Undefined in an empty store. */
  get snapshot(): { readonly index: number; readonly term: number; readonly image: Uint8Array } | undefined {
    return this.#snapshot;
  }

  get first(): number {
    return this.#snapshot?.index ?? 0;
  }

  get lastIndex(): number {
    return this.first + this.#entries.length;
  }

  get lastTerm(): number {
    return this.termAt(this.lastIndex) ?? 0;
  }

  /** The newest roster; undefined in an empty store. */
  get roster(): R | undefined {
    return this.#rosters.at(-1)?.roster;
  }

  /** The index of the entry that brought it. */
  get rosterIndex(): number {
    return this.#rosters.at(-1)?.index ?? 0;
  }

  /** The newest roster, and with it older ones for as long as one behind them isn't known to be held; newest first. */
  rosters(commit: number): R[] {
    const start = this.#rosters.findLastIndex(({ index }) => index <= commit);
    return this.#rosters.slice(Math.max(start, 0)).map(({ roster }) => roster).reverse();
  }

  /** Whether an entry would change the roster. */
  isRoster(entry: Uint8Array): boolean {
    return this.#reading.ofEntry(entry) !== undefined;
  }

  /** The term of an entry; undefined when it isn't here, or only its result is. */
  termAt(index: number): number | undefined {
    if (index === this.#snapshot?.index) return this.#snapshot.term;
    return this.#entries[index - this.first - 1]?.term;
  }

  /** Entries after < index <= upTo. */
  between(after: number, upTo: number): LogEntry[] {
    return this.#entries.slice(after - this.first, upTo - this.first);
  }

  /** Entries from an index on that go in one message, one at least if there is one. */
  batch(from: number): LogEntry[] {
    const start = from - this.first - 1;
    let bytes = 0;
    let end = start;
    while (end < this.#entries.length && (end === start || bytes < APPEND_BYTES_MAX)) {
      bytes += this.#entries[end++]!.entry.length;
    }
    return this.#entries.slice(start, end);
  }

  /** The first index of the run of entries with one term that this one ends. */
  runStart(index: number): number {
    const term = this.termAt(index);
    let start = index;
    while (start - 1 > this.first && this.termAt(start - 1) === term) start -= 1;
    return start;
  }

  /** Puts entries in place of all from the first of them on. */
  append(entries: readonly LogEntry[]): MetadataWrite {
    const from = entries[0]!.index;
    this.#entries.length = from - this.first - 1;
    this.#rosters = this.#rosters.filter(({ index }) => index < from);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#note(entry);
    }
    return { op: "append", entries };
  }

  /** Replaces what is held, up to an index, by its result. */
  compact(index: number, image: Uint8Array): MetadataWrite {
    const term = this.termAt(index);
    invariant(term !== undefined, "a snapshot is taken of what is here");
    const { roster } = this.#rosters.findLast((one) => one.index <= index)!;
    this.#entries = this.between(index, this.lastIndex);
    this.#snapshot = { index, term, image };
    this.#rosters = [{ index, roster }, ...this.#rosters.filter((one) => one.index > index)];
    return { op: "snapshot", index, term, image };
  }

  /** Takes another master's snapshot in place of what is here; what follows from it stays. */
  install(
    snapshot: { readonly index: number; readonly term: number; readonly image: Uint8Array },
  ): MetadataWrite {
    const { index, term, image } = snapshot;
    const follows = this.termAt(index) === term;
    const entries = follows ? this.between(index, this.lastIndex) : [];
    this.#snapshot = snapshot;
    this.#entries = entries;
    this.#rosters = [{ index, roster: this.#reading.ofImage(image) }];
    for (const entry of entries) this.#note(entry);
    return { op: "snapshot", index, term, image, ...(follows ? {} : { alone: true }) };
  }

  #note({ index, entry }: LogEntry): void {
    const roster = this.#reading.ofEntry(entry);
    if (roster) this.#rosters.push({ index, roster });
  }
}

/**
 * Looks for data that isn't what its checksum says: bits on a disk turn, and blocks of it are lost (N8, X5).
 *
 * A slow pass goes over all readable cells, page by page, within `storage.scrubPassMs`; it reads no faster than its limit, and only
 * while a primary lets us serve. What it finds in a cell is kept here and told to the primary (`damaged`), again to each
 * new one. The primary asks other copies whether they have these rows whole (`vouch`), and if so has our cell outdated; with
 * that go the broken rows (`mend`, `progress.ts`), and they are copied as everything is that a cell lacks. A crash in
 * between forgets what was found, and the next pass finds it again.
 *
 * An operator who waits has a partition looked at now (`inspect`); one after the other, and without a pause.
 */
import type { Conn, Partition, Tid } from "../../core/ids.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import { SCRUB_DELAY_MS, SCRUB_PAGE_BYTES, SCRUB_PAUSE_MS_MIN, SCRUB_ROWS_MAX } from "../../core/limits.ts";
import { answer, tell } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { DatabaseAnswer, DatabaseQuery, RevisionKey, RowPlace } from "../../core/ports.ts";
import type { Asker, Site } from "./site.ts";

/** How fast data is looked at, and how often. */
export interface ScrubPace {
  readonly delayMs: number;
  readonly passMs: number;
  readonly bytesPerS: number;
}

type Page = Extract<DatabaseAnswer, { read: "scrub" }>;
/** What is done with an answer of our database. */
type Then = (result: DatabaseAnswer) => void;

/** Where the pass is: within a cell that is readable since then. */
interface Place {
  readonly partition: Partition;
  readonly since: number;
  readonly after: RowPlace;
}

/** Broken rows of a cell. */
interface Damage {
  readonly since: number;
  readonly rows: RevisionKey[];
}

/** An operator waits for it. */
interface Inspection {
  readonly asker: Asker;
  readonly body: Body<"inspect">;
}

const BEGINNING: RowPlace = { tid: ZERO_TID, oid: null };

/** Finds damage. */
export class Scrubber {
  #site: Site;
  #given: Partial<ScrubPace>;
  #primary: Conn | undefined;
  #now: Now = { monoMs: 0, wallMs: 0 };
  #looks = new Map<number, Then>();
  #lookMark = 0;
  #place: Place | undefined; // of the pass that is under way
  #isReading = false;
  #passMs: number | undefined; // when the pass began
  #dueMs = 0;
  #damage = new Map<Partition, Damage>();
  #inspections: Inspection[] = []; // the first one is under way

  constructor(parts: { site: Site; pace?: Partial<ScrubPace> }) {
    this.#site = parts.site;
    this.#given = parts.pace ?? {};
  }

  get #pace(): ScrubPace {
    const { settings } = this.#site;
    return {
      delayMs: SCRUB_DELAY_MS,
      passMs: settings.number("storage.scrubPassMs"),
      bytesPerS: settings.number("storage.scrubBytesPerS"),
      ...this.#given,
    };
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    return this.#primary === undefined || this.#isReading ? undefined : this.#dueMs;
  }

  /** Broken rows that are known. */
  get found(): { readonly partition: Partition; readonly rows: readonly RevisionKey[] }[] {
    return [...this.#damage].map(([partition, { rows }]) => ({ partition, rows }));
  }

  /** A primary lets us serve: it hears of what is known, and the pass goes on after a while. */
  begin(primary: Conn, now: Now): void {
    this.halt();
    this.#primary = primary;
    this.#dueMs = Math.max(this.#dueMs, now.monoMs + this.#pace.delayMs);
    this.tableChanged();
    for (const partition of this.#damage.keys()) this.#tell(partition);
  }

  /** No primary, or the end: nobody waits any more. */
  halt(): void {
    this.#primary = undefined;
    this.#looks.clear();
    this.#isReading = false;
    this.#inspections = [];
  }

  /** Cells that aren't readable as they were are mended, or gone. */
  tableChanged(): void {
    for (const [partition, { since }] of this.#damage) {
      if (!this.#isStill(partition, since)) this.#damage.delete(partition);
    }
  }

  /** A truncation: broken rows behind this tid are gone. */
  truncate(upTo: Tid): void {
    this.#keep(({ tid }) => tid <= upTo);
  }

  /** A pack has taken these: if they were broken, nobody misses them. */
  dropped(gone: readonly RevisionKey[]): void {
    const before = new Map([...this.#damage].map(([partition, { rows }]) => [partition, rows.length]));
    if (before.size > 0) this.#keep((row) => !gone.some((one) => isSameRow(one, row)));
    for (const [partition, count] of before) {
      if ((this.#damage.get(partition)?.rows.length ?? 0) < count) this.#tell(partition);
    }
  }

  #keep(stays: (row: RevisionKey) => boolean): void {
    for (const [partition, { since, rows }] of this.#damage) {
      const left = rows.filter(stays);
      if (left.length > 0) this.#damage.set(partition, { since, rows: left });
      else this.#damage.delete(partition);
    }
  }

  /** Time has come for the next page. */
  due(now: Now): void {
    this.#now = now;
    if (this.dueMs === undefined || this.dueMs > now.monoMs) return;
    const place = this.#place && this.#isStill(this.#place.partition, this.#place.since)
      ? this.#place
      : this.#nextCell();
    this.#place = place;
    if (!place) return this.#rest();
    this.#passMs ??= now.monoMs;
    this.#isReading = true;
    const { partition, after } = place;
    this.#lookAt(partition, after, (page) => this.#looked(place, page));
  }

  /** Our database has answered. */
  read(look: number, result: DatabaseAnswer, now: Now): void {
    this.#now = now;
    const then = this.#looks.get(look);
    this.#looks.delete(look);
    then?.(result);
  }

  /** The primary asks which of these rows are here and whole. */
  vouch(asker: Asker, { partition, rows }: Body<"vouch">): void {
    const whole = rows.slice(0, SCRUB_ROWS_MAX).map(() => false);
    let left = isReadable(this.#site.cell(partition)) ? whole.length : 0;
    const done = (): void => this.#site.emit(answer(asker, "vouch", { whole }));
    if (left === 0) return done();
    const one = (): void => void (--left === 0 && done());
    for (const [at, row] of rows.slice(0, whole.length).entries()) {
      this.#look({ read: "loadExact", ...row }, (found) => {
        if (found.read !== "loadExact" || found.revision === null) return one();
        // a page has one revision at least: with no room for more, it has this one
        this.#look({ read: "scrub", partition, after: before(row), bytesMax: 1 }, (result) => {
          whole[at] = result.read === "scrub" && !result.broken.some((broken) => isSameRow(broken, row));
          one();
        });
      });
    }
  }

  /** The primary wants a partition looked at now. */
  inspect(asker: Asker, body: Body<"inspect">): void {
    this.#inspections.push({ asker, body });
    if (this.#inspections.length === 1) this.#inspect();
  }

  /** Begins with the first inspection. What is published up to its tid is unlocked here: that was told before. */
  #inspect(): void {
    const inspection = this.#inspections[0];
    if (!inspection) return;
    const { asker, body: { partition, upTo } } = inspection;
    if (!isReadable(this.#site.cell(partition))) {
      const message = `Cannot inspect partition ${partition}: this storage has no readable copy of it`;
      this.#site.refuse(asker, { code: "notReadable", message });
      return this.#nextInspection();
    }
    const { packBound } = this.#site;
    this.#look({ read: "digest", partition, upTo, bound: packBound }, (result) => {
      if (result.read !== "digest") return;
      // rows may have gone already under a bound that has risen since
      if (packBound < this.#site.packBound) return this.#inspect();
      const { count: rows, digest } = result;
      this.#lookThrough(partition, BEGINNING, { bytes: 0, broken: [] }, ({ bytes, broken }) => {
        this.#site.emit(answer(asker, "inspect", { packBound, rows, digest, bytes, broken }));
        this.#nextInspection();
      });
    });
  }

  #nextInspection(): void {
    this.#inspections.shift();
    this.#inspect();
  }

  /** Looks at a whole partition, page after page. */
  #lookThrough(
    partition: Partition,
    after: RowPlace,
    sum: { readonly bytes: number; readonly broken: readonly RevisionKey[] },
    done: (sum: { readonly bytes: number; readonly broken: readonly RevisionKey[] }) => void,
  ): void {
    this.#lookAt(partition, after, (page) => {
      const broken = [...sum.broken, ...page.broken].slice(0, SCRUB_ROWS_MAX);
      const next = { bytes: sum.bytes + page.bytes, broken };
      if (page.next === null) done(next);
      else this.#lookThrough(partition, page.next, next, done);
    });
  }

  /** A page of the pass is here. */
  #looked(place: Place, page: Page): void {
    this.#isReading = false;
    const { partition, since } = place;
    const pauseMs = (page.bytes * 1_000) / this.#pace.bytesPerS;
    this.#dueMs = this.#now.monoMs + Math.max(SCRUB_PAUSE_MS_MIN, pauseMs);
    if (!this.#isStill(partition, since)) return;
    this.#note(partition, since, page.broken);
    if (page.next !== null) {
      this.#place = { ...place, after: page.next };
      return;
    }
    if (this.#damage.has(partition)) this.#tell(partition);
    this.#place = this.#nextCell();
    if (!this.#place) this.#rest();
  }

  #note(partition: Partition, since: number, broken: readonly RevisionKey[]): void {
    if (broken.length === 0) return;
    const known = this.#damage.get(partition) ?? { since, rows: [] };
    const rows = broken.filter((row) => !known.rows.some((other) => isSameRow(other, row)));
    known.rows.push(...rows.slice(0, SCRUB_ROWS_MAX - known.rows.length));
    this.#damage.set(partition, known);
    if (rows.length === 0) return;
    const some = rows.slice(0, 5).map(({ oid, tid }) => `${oid}@${tid}`);
    this.#site.log("scrub", "error", `Partition ${partition} has data that isn't what its checksum says`, {
      rows: rows.length,
      some,
    });
  }

  #tell(partition: Partition): void {
    const since = this.#site.cell(partition)?.since ?? 0;
    const rows = this.#damage.get(partition)?.rows ?? [];
    if (this.#primary === undefined) return;
    this.#site.emit(tell(this.#primary, "damaged", { epoch: this.#site.epoch, partition, since, rows }));
  }

  /** The first readable cell behind the place where the pass is. */
  #nextCell(): Place | undefined {
    const { table, index } = this.#site;
    const last = this.#place?.partition ?? -1;
    const next = table?.cellsOf(index).find(({ partition, cell }) => partition > last && isReadable(cell));
    return next && { partition: next.partition, since: next.cell.since, after: BEGINNING };
  }

  /** The pass is over: the next one begins when its time has come. */
  #rest(): void {
    const { monoMs } = this.#now;
    this.#dueMs = Math.max((this.#passMs ?? monoMs) + this.#pace.passMs, monoMs + this.#pace.delayMs);
    this.#passMs = undefined;
    this.#place = undefined;
  }

  #isStill(partition: Partition, since: number): boolean {
    const cell = this.#site.cell(partition);
    return isReadable(cell) && cell?.since === since;
  }

  /**
   * Looks at a page. What a pack takes by and by doesn't count as broken: nobody reads it, and the others may not have it any more.
   */
  #lookAt(partition: Partition, after: RowPlace, then: (page: Page) => void): void {
    this.#look({ read: "scrub", partition, after, bytesMax: SCRUB_PAGE_BYTES }, (page) => {
      if (page.read !== "scrub") return;
      const { packBound } = this.#site;
      const counts = page.broken.map(({ tid }) => tid > packBound);
      let left = 1;
      const done = (): void => {
        if (--left === 0) then({ ...page, broken: page.broken.filter((_, at) => counts[at]) });
      };
      for (const [at, row] of page.broken.entries()) {
        if (counts[at]) continue;
        left += 1;
        this.#look({ read: "loadExact", ...row }, (found) => {
          const revision = found.read === "loadExact" ? found.revision : null; // null: it is gone meanwhile
          counts[at] = revision !== null && (revision.next === null || revision.next > packBound);
          done();
        });
      }
      done();
    });
  }

  #look(query: DatabaseQuery, then: Then): void {
    const look = ++this.#lookMark;
    this.#looks.set(look, then);
    this.#site.emit({ do: "read", query, context: { for: "scrub", look } });
  }
}

/** The place in front of a row. */
function before({ oid, tid }: RevisionKey): RowPlace {
  if (oid > 0n) return { tid, oid: (oid - 1n) as RevisionKey["oid"] };
  return { tid: tid > 1n ? toTid(tid - 1n) : ZERO_TID, oid: null };
}

function isSameRow(a: RevisionKey, b: RevisionKey): boolean {
  return a.oid === b.oid && a.tid === b.tid;
}

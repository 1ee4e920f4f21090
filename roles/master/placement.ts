/**
 * Chooses which places have which rows, a pure search. It begins with what is there and changes as little as it must,
 * in three steps: each row gets its number of copies, spread by the topology; each place gets its quota, with the fewest
 * new cells (negative cycles of exchanges are cancelled until there are none: then no other choice is cheaper); then
 * hot cells are exchanged for cold ones while a place has too much use. What satisfies all of it isn't changed, so a
 * second search does nothing. Every choice is in a fixed order, so equal inputs give equal results.
 */
import { invariant } from "../../core/errors.ts";
import { TWEAK_USE_AIM, TWEAK_USE_LIMIT, TWEAK_WORK_MAX } from "../../core/limits.ts";
import { sum } from "./topology.ts";
import type { Spread } from "./topology.ts";

/** What is there, and what should be. Places and rows are numbers from 0. */
export interface PlacementInput {
  /** Places of each row that stay, unless there is a reason. */
  readonly rows: readonly (readonly number[])[];
  /** Whether a place has the row already, at least in part: then nothing is moved to have it there. */
  readonly has: (row: number, place: number) => boolean;
  readonly reads: (row: number, place: number) => boolean;
  /** Places that each row should have; at most as many as there are. */
  readonly copies: number;
  readonly quotas: readonly number[];
  readonly spread: Spread;
  /** What a cell of each row asks of its place; missing: nothing. */
  readonly use: readonly number[];
}

/** An exchange is worth more than any number of moves if it brings a place to its quota. */
const QUOTA_WORTH = 1e6;
const EPSILON = 1e-9;
/** Rows in an order in which each beginning is spread over all. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;
/** Of a place with many cells, the hottest, or coldest, are looked at for an exchange. */
const EXCHANGED_MAX = 32;

interface Edge {
  readonly row: number;
  readonly cost: number;
  readonly reads: boolean;
}

/** Finds places for all rows. */
export class Placement {
  readonly rows: number[][];
  /** The search ended before its end: it would have taken too long. */
  cut = false;
  readonly #input: PlacementInput;
  readonly #counts: number[];
  readonly #order: readonly number[];
  readonly #banned = new Set<string>();
  #work = 0;

  constructor(input: PlacementInput) {
    invariant(input.copies <= input.quotas.length, "a place has one cell of a row at most");
    this.#input = input;
    this.rows = input.rows.map((row) => [...row]);
    this.#counts = input.quotas.map(() => 0);
    for (const row of this.rows) for (const place of row) this.#counts[place]! += 1;
    const rank = (row: number) => (row * GOLDEN) % 1;
    this.#order = this.rows.map((_, row) => row).sort((a, b) => rank(a) - rank(b) || a - b);
    for (const row of this.#order) this.#shape(row);
    this.#fill();
    this.#settle();
    this.#cool();
  }

  /** The use of each place. */
  get loads(): number[] {
    const loads = this.#counts.map(() => 0);
    this.rows.forEach((places, row) => {
      for (const place of places) loads[place]! += this.#use(row);
    });
    return loads;
  }

  #use(row: number): number {
    return this.#input.use[row] ?? 0;
  }

  #cost(row: number, place: number): number {
    return this.#input.has(row, place) ? 0 : 1;
  }

  /** Cells beyond the quota; below 0: too few. */
  #excess(place: number): number {
    return this.#counts[place]! - this.#input.quotas[place]!;
  }

  #least(place: number): number {
    return Math.floor(this.#input.quotas[place]! + EPSILON);
  }

  #most(place: number): number {
    return Math.ceil(this.#input.quotas[place]! - EPSILON);
  }

  /** Whether the row may have `into`, once it hasn't `out` any more. */
  #allows(row: number, into: number, out?: number): boolean {
    const places = this.rows[row]!;
    if (places.includes(into)) return false;
    const { groups, caps } = this.#input.spread;
    return groups[into]!.every((group) => {
      const there = places.filter((place) => place !== out && groups[place]!.includes(group)).length;
      return there < caps[group]!;
    });
  }

  #add(row: number, place: number): void {
    this.rows[row]!.push(place);
    this.#counts[place]! += 1;
  }

  #remove(row: number, place: number): void {
    this.rows[row]!.splice(this.rows[row]!.indexOf(place), 1);
    this.#counts[place]! -= 1;
  }

  /** Gives a row its number of copies, within the rules. */
  #shape(row: number): void {
    const { copies, reads, has } = this.#input;
    const places = this.rows[row]!;
    for (;;) {
      const crowded = this.#crowded(row);
      const surplus = crowded.length === 0 && places.length > copies ? places : crowded;
      if (surplus.length === 0) break;
      const readable = (place: number) => (reads(row, place) ? 1 : 0);
      this.#remove(
        row,
        best(surplus, (a, b) => readable(a) - readable(b) || this.#excess(b) - this.#excess(a) || b - a)!,
      );
    }
    while (places.length < copies) {
      const free = this.#counts.flatMap((_, place) => (this.#allows(row, place) ? [place] : []));
      const missing = (place: number) => (has(row, place) ? 0 : 1);
      const chosen = best(
        free,
        (a, b) => missing(a) - missing(b) || this.#excess(a) - this.#excess(b) || a - b,
      );
      invariant(chosen !== undefined, "the topology's rules leave room for every copy");
      this.#add(row, chosen);
    }
  }

  /** Places of a row in a group that has too many of them. */
  #crowded(row: number): number[] {
    const { groups, caps } = this.#input.spread;
    const counts = new Map<number, number>();
    const places = this.rows[row]!;
    for (const place of places) {
      for (const group of groups[place]!) counts.set(group, (counts.get(group) ?? 0) + 1);
    }
    return places.filter((place) => groups[place]!.some((group) => counts.get(group)! > caps[group]!));
  }

  /** The plain moves of many, without a search: from places with too much to places with too little, the cheapest first. */
  #fill(): void {
    const { reads } = this.#input;
    for (const [costMax, readable] of [[0, false], [0, true], [1, false], [1, true]] as const) {
      for (const row of this.#order) {
        for (const out of [...this.rows[row]!]) {
          if (this.#counts[out]! <= this.#most(out) || (!readable && reads(row, out))) continue;
          const free = this.#counts.flatMap((count, place) =>
            count < this.#least(place) && this.#allows(row, place, out)
              && this.#cost(row, place) - this.#cost(row, out) <= costMax
              ? [place]
              : []
          );
          const into = best(free, (a, b) => this.#excess(a) - this.#excess(b) || a - b);
          if (into === undefined) continue;
          this.#remove(row, out);
          this.#add(row, into);
        }
      }
    }
  }

  /** Cancels exchanges that are worth it, until there are none. */
  #settle(): void {
    for (;;) {
      this.#work += this.rows.length * this.#input.copies * this.#counts.length;
      if (this.#work > TWEAK_WORK_MAX) {
        this.cut = true;
        return;
      }
      const edges = this.#edges();
      const cycle = this.#cycle(edges);
      if (cycle === undefined) return;
      this.#exchange(cycle, edges);
    }
  }

  /** The cheapest row that may go from one place to another, for each pair of places. */
  #edges(): (Edge | undefined)[][] {
    const { reads } = this.#input;
    const edges = this.#counts.map(() => this.#counts.map((): Edge | undefined => undefined));
    for (const row of this.#order) {
      for (const out of this.rows[row]!) {
        const leaving = this.#cost(row, out);
        const edge = { row, reads: reads(row, out) };
        for (let into = 0; into < this.#counts.length; into++) {
          const known = edges[out]![into];
          const cost = this.#cost(row, into) - leaving;
          if (known && (cost > known.cost || (cost === known.cost && (edge.reads || !known.reads)))) continue;
          if (!this.#allows(row, into, out) || this.#banned.has(`${row} ${out} ${into}`)) continue;
          edges[out]![into] = { ...edge, cost };
        }
      }
    }
    return edges;
  }

  /**
   * A circle of places, each of which gives a row to the next, that is worth it (Bellman and Ford). The last number stands for
   * all that have room within their quota.
   */
  #cycle(edges: readonly (readonly (Edge | undefined)[])[]): number[] | undefined {
    const room = this.#counts.length;
    const cost = (from: number, to: number): number | undefined => {
      if (from < room && to < room) return edges[from]![to]?.cost;
      if (from < room) {
        if (this.#counts[from]! < this.#least(from)) return -QUOTA_WORTH;
        return this.#counts[from]! < this.#most(from) ? 0 : undefined;
      }
      if (this.#counts[to]! > this.#most(to)) return -QUOTA_WORTH;
      return this.#counts[to]! > this.#least(to) ? 0 : undefined;
    };
    const dist = new Array<number>(room + 1).fill(0);
    const before = new Array<number>(room + 1).fill(-1);
    let last = -1;
    for (let round = 0; round <= room; round++) {
      last = -1;
      for (let from = 0; from <= room; from++) {
        for (let to = 0; to <= room; to++) {
          const step = from === to ? undefined : cost(from, to);
          if (step === undefined || dist[from]! + step >= dist[to]!) continue;
          dist[to] = dist[from]! + step;
          before[to] = from;
          last = to;
        }
      }
      if (last < 0) return undefined;
    }
    for (let i = 0; i <= room; i++) last = before[last]!;
    const cycle = [last];
    for (let at = before[last]!; at !== last; at = before[at]!) cycle.unshift(at);
    return cycle;
  }

  /** Moves the rows of a circle; if one can't go together with another, that exchange isn't tried again. */
  #exchange(cycle: readonly number[], edges: readonly (readonly (Edge | undefined)[])[]): void {
    const done: { row: number; out: number; into: number }[] = [];
    for (let i = 0; i < cycle.length; i++) {
      const [out, into] = [cycle[i]!, cycle[(i + 1) % cycle.length]!];
      const edge = edges[out]?.[into];
      if (edge === undefined) continue; // to or from the room that is left
      const { row } = edge;
      if (!this.rows[row]!.includes(out) || !this.#allows(row, into, out)) {
        this.#banned.add(`${row} ${out} ${into}`);
        for (const { row, out, into } of done.reverse()) {
          this.#remove(row, into);
          this.#add(row, out);
        }
        return;
      }
      this.#remove(row, out);
      this.#add(row, into);
      done.push({ row, out, into });
    }
  }

  /** Exchanges hot cells for cold ones, from the place with the most use for its quota. */
  #cool(): void {
    const all = sum(this.#input.quotas);
    const total = sum(this.loads);
    if (total <= 0) return;
    const fair = this.#input.quotas.map((quota) => total * quota / all);
    const loads = this.loads;
    const ratio = (place: number, by = 0) => (loads[place]! + by) / fair[place]!;
    const places = loads.flatMap((_, place) => (fair[place]! > 0 ? [place] : []));
    let limit = TWEAK_USE_LIMIT;
    for (;;) {
      const hot = best(places, (a, b) => ratio(b) - ratio(a) || a - b)!;
      if (ratio(hot) <= limit) return;
      limit = TWEAK_USE_AIM; // once begun it goes on a little further, so that it needn't begin again soon
      this.#work += EXCHANGED_MAX * EXCHANGED_MAX * places.length + this.rows.length;
      if (this.#work > TWEAK_WORK_MAX) {
        this.cut = true;
        return;
      }
      const swap = this.#swap(hot, places, ratio);
      if (swap === undefined) return;
      const { into, row, back } = swap;
      this.#remove(row, hot);
      this.#add(row, into);
      if (back !== undefined) {
        this.#remove(back, into);
        this.#add(back, hot);
      }
      const by = this.#use(row) - (back === undefined ? 0 : this.#use(back));
      loads[hot]! -= by;
      loads[into]! += by;
    }
  }

  /** The exchange that leaves the less to the worse of both places. */
  #swap(
    hot: number,
    places: readonly number[],
    ratio: (place: number, by?: number) => number,
  ): { into: number; row: number; back: number | undefined } | undefined {
    const byUse = this.#order.slice().sort((a, b) => this.#use(b) - this.#use(a));
    const cellsOf = (place: number) => byUse.filter((row) => this.rows[row]!.includes(place));
    const given = cellsOf(hot).slice(0, EXCHANGED_MAX);
    let found: { into: number; row: number; back: number | undefined } | undefined;
    let worst = ratio(hot) - EPSILON;
    let moves = 0;
    for (const into of places.filter((place) => place !== hot)) {
      const cold: (number | undefined)[] = cellsOf(into).slice(-EXCHANGED_MAX);
      if (this.#counts[into]! < this.#most(into) && this.#counts[hot]! > this.#least(hot)) {
        cold.push(undefined);
      }
      for (const row of given) {
        if (!this.#allows(row, into, hot)) continue;
        for (const back of cold) {
          const by = this.#use(row) - (back === undefined ? 0 : this.#use(back));
          const after = Math.max(ratio(hot, -by), ratio(into, by));
          const cost = this.#cost(row, into) + (back === undefined ? 0 : this.#cost(back, hot));
          const better = after < worst - EPSILON || (found && after <= worst && cost < moves);
          if (!better || (back !== undefined && !this.#allows(back, hot, into))) continue;
          [found, worst, moves] = [{ into, row, back }, after, cost];
        }
      }
    }
    return found;
  }
}

/** The first in an order; undefined of none. */
function best<T>(all: readonly T[], order: (a: T, b: T) => number): T | undefined {
  let found = all[0];
  for (const one of all.slice(1)) if (order(one, found!) < 0) found = one;
  return found;
}

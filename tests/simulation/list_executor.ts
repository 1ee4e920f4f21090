/** Makes histories of lists: a small database under snapshot isolation, or with one of some well-known mistakes. */
import type { ListHistory, ListStep, ListTransaction } from "./list_history.ts";
import type { SimRandom } from "./random.ts";

/** What the executor does wrong. */
export const mistakes = [
  /** Commits don't look whether what they change is newer than their snapshot. */
  "lostUpdate",
  /** Reads see what others haven't committed, and may never commit. */
  "dirtyRead",
  /** Reads see what is newest at their moment. */
  "fracturedSnapshot",
  /** A transaction that was refused is stored all the same. */
  "halfRefused",
  /** What a transaction appended before isn't in what it reads. */
  "forgottenAppend",
  /** Snapshots may be older than what had ended. */
  "staleSnapshot",
  /** A commit stores only a part of what was appended. */
  "tornCommit",
] as const;
/** One of them. */
export type Mistake = (typeof mistakes)[number];

interface Version {
  readonly tid: bigint;
  readonly list: readonly number[];
}

/** A transaction that is under way. */
interface Running {
  readonly session: string;
  readonly begunMs: number;
  readonly at: bigint;
  readonly steps: ListStep[];
  readonly appends: Map<string, number[]>;
  left: number;
}

const KEYS = ["x", "y", "z"];

/** Runs some sessions at random. */
export class ListExecutor {
  readonly #random: SimRandom;
  readonly #mistake: Mistake | undefined;
  readonly #versions = new Map<string, Version[]>(KEYS.map((key) => [key, []]));
  readonly #running = new Map<string, Running>();
  readonly #done: (ListTransaction & { readonly began: number })[] = [];
  #tid = 0n;
  #nowMs = 0;
  #element = 0;

  /** `mistake`: undefined for none. */
  constructor(random: SimRandom, mistake: Mistake | undefined) {
    this.#random = random;
    this.#mistake = mistake;
  }

  /** A history of about that many transactions. */
  run(count: number, sessions = 5): ListHistory {
    while (this.#done.length < count) {
      this.#nowMs += 1;
      this.#step(`s${this.#random.int(1, sessions)}`);
    }
    const transactions = this.#done.toSorted((a, b) => a.began - b.began);
    const stored = new Map(KEYS.map((key) => [key, this.#newest(key)]));
    return { transactions, stored };
  }

  #step(session: string): void {
    const running = this.#running.get(session);
    if (running === undefined) return this.#begin(session);
    running.left -= 1;
    if (running.left < 0) return this.#end(running);
    const key = this.#random.pick(KEYS);
    if (this.#random.chance(0.5)) running.steps.push({ do: "read", key, list: this.#read(running, key) });
    else {
      const element = this.#element++;
      running.steps.push({ do: "append", key, element });
      running.appends.set(key, [...running.appends.get(key) ?? [], element]);
    }
  }

  #begin(session: string): void {
    const isStale = this.#mistake === "staleSnapshot" && this.#tid > 3n && this.#random.chance(0.3);
    const at = isStale ? this.#tid - 3n : this.#tid;
    const left = this.#random.int(1, 5);
    const begunMs = this.#nowMs;
    this.#running.set(session, { session, begunMs, at, steps: [], appends: new Map(), left });
  }

  #read(running: Running, key: string): number[] {
    const own = running.appends.get(key) ?? [];
    const isNewest = this.#mistake === "fracturedSnapshot" && this.#random.chance(0.5);
    const seen = isNewest ? this.#newest(key) : this.#listAt(key, running.at);
    if (this.#mistake === "forgottenAppend" && this.#random.chance(0.5)) return [...seen];
    const others = [...this.#running.values()].filter((other) => other !== running && other.appends.has(key));
    if (this.#mistake !== "dirtyRead" || others.length === 0 || this.#random.chance(0.5)) {
      return [...seen, ...own];
    }
    return [...seen, ...this.#random.pick(others).appends.get(key)!, ...own];
  }

  #end(running: Running): void {
    const { session, steps, begunMs, at, appends } = running;
    this.#running.delete(session);
    const isNewer = [...appends.keys()].some((key) => (this.#versions.get(key)!.at(-1)?.tid ?? 0n) > at);
    const isRefused = isNewer && this.#mistake !== "lostUpdate";
    const isUnknown = this.#random.chance(0.1);
    const isStored = !isRefused || (this.#mistake === "halfRefused" && this.#random.chance(0.5));
    const tid = isStored && appends.size > 0 ? this.#commit(running) : undefined;
    const fate = isUnknown ? "unknown" : isRefused ? "refused" : "committed";
    const facts = { session, steps, begunMs, at, endedMs: this.#nowMs, began: begunMs };
    const known = fate === "committed" ? { tid } : {};
    this.#done.push({ name: `T${this.#done.length + 1}`, fate, ...facts, ...known });
  }

  #commit({ appends, at }: Running): bigint {
    this.#tid += 1n;
    for (const [key, elements] of appends) {
      if (this.#mistake === "tornCommit" && appends.size > 1 && this.#random.chance(0.3)) continue;
      const base = this.#mistake === "lostUpdate" ? this.#listAt(key, at) : this.#newest(key);
      this.#versions.get(key)!.push({ tid: this.#tid, list: [...base, ...elements] });
    }
    return this.#tid;
  }

  #newest(key: string): readonly number[] {
    return this.#versions.get(key)!.at(-1)?.list ?? [];
  }

  #listAt(key: string, at: bigint): readonly number[] {
    return this.#versions.get(key)!.findLast(({ tid }) => tid <= at)?.list ?? [];
  }
}

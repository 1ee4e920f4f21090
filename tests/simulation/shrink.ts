/** Makes the history of a seed that failed shorter: fewer faults, clients and programs, as long as the same is broken. */
import type { Mutant, RunOptions, SeedReport, SeedRun } from "./report.ts";
import { runSeed } from "./run.ts";

/** What is left of a history. */
export interface Shrunk {
  readonly options: RunOptions;
  readonly run: SeedRun;
  /** Runs that it took. */
  readonly tries: number;
  /** Numbers of the strikes that are left. */
  readonly strikes: readonly number[];
}

/** What is broken, without the numbers in it. */
export function kindOf(breach: string): string {
  return breach.split("\n", 1)[0]!.replace(/\[[^\]]*\]/g, "[]").replace(/-?\d+/g, "#").slice(0, 60);
}

/** Numbers as ranges: `1-3,7`. */
export function rangesOf(numbers: Iterable<number>): string {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join();
}

/** The numbers in ranges. */
export function numbersIn(ranges: string): number[] {
  return ranges.split(",").filter((range) => range !== "").flatMap((range) => {
    const [from, to = from] = range.split("-").map(Number);
    return Array.from({ length: to! - from! + 1 }, (_, i) => from! + i);
  });
}

/** Shortens the history of a seed for that long, in real time. */
export async function shrink(
  seed: number,
  failed: SeedReport,
  { mutant, limitMs }: { readonly mutant?: Mutant; readonly limitMs: number },
): Promise<Shrunk | undefined> {
  const shrinking = new Shrinking(seed, failed, mutant, performance.now() + limitMs);
  return await shrinking.all();
}

class Shrinking {
  readonly #seed: number;
  readonly #kinds: ReadonlySet<string>;
  readonly #strikes: number;
  readonly #mutant: Mutant | undefined;
  readonly #untilMs: number;
  #options: RunOptions;
  #run: SeedRun | undefined;
  #tries = 0;

  constructor(seed: number, failed: SeedReport, mutant: Mutant | undefined, untilMs: number) {
    this.#seed = seed;
    this.#kinds = new Set(failed.breaches.map(kindOf));
    this.#strikes = failed.strikes;
    this.#mutant = mutant;
    this.#untilMs = untilMs;
    this.#options = { disturbedMs: failed.disturbedMs };
  }

  /** Undefined: it doesn't fail when it is only cut off where the faults ended. */
  async all(): Promise<Shrunk | undefined> {
    if (!(await this.#try({}))) return undefined;
    await this.#lower("clientsMax", [1, 2, 3]);
    await this.#lower("workersMax", [1, 2]);
    await this.#drop();
    for (const share of [0.25, 0.5, 0.75]) {
      if (await this.#try({ disturbedMs: this.#options.disturbedMs! * share })) break;
    }
    const without = this.#options.without ?? new Set();
    const strikes = numbersIn(`1-${this.#strikes}`).filter((number) => !without.has(number));
    return { options: this.#options, run: this.#run!, tries: this.#tries, strikes };
  }

  async #lower(what: "clientsMax" | "workersMax", to: readonly number[]): Promise<void> {
    for (const count of to) if (await this.#try({ [what]: count })) return;
  }

  /** Leaves strikes out, in halves, quarters and so on, down to one by one. */
  async #drop(): Promise<void> {
    for (let size = Math.ceil(this.#strikes / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 1; from <= this.#strikes; from += size) {
        const without = new Set(this.#options.without);
        const before = without.size;
        for (let i = from; i < from + size && i <= this.#strikes; i++) without.add(i);
        if (without.size > before) await this.#try({ without });
      }
    }
  }

  /** Whether the same is broken still; if so it stays like this. */
  async #try(change: Partial<RunOptions>): Promise<boolean> {
    if (performance.now() > this.#untilMs) return false;
    this.#tries += 1;
    const options = { ...this.#options, ...change };
    const run = await runSeed(this.#seed, { ...options, ...(this.#mutant ? { mutant: this.#mutant } : {}) });
    if (!run.report.breaches.some((breach) => this.#kinds.has(kindOf(breach)))) return false;
    this.#options = options;
    this.#run = run;
    return true;
  }
}

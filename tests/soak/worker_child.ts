/**
 * A client program of the soak: workers that append to random logs, each transaction until it is committed. What was
 * acknowledged is written to a journal, one file a worker, before the next begins.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { pause } from "../../cli/wait.ts";
import { connect, DatabaseError, OutcomePendingError } from "../../mod.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { runProgram } from "../integration/programs.ts";
import { SimRandom } from "../simulation/random.ts";
import { append, decodeSegment, encodeSegment, isFull, mergeAppends } from "./logs.ts";

/** What it is told. */
export interface WorkerStart {
  readonly uri: string;
  readonly name: string;
  /** The object that lists the logs. */
  readonly root: Oid;
  readonly workers: number;
  /** Where journals are written. */
  readonly folder: string;
  readonly seed: number;
}

/** A line of a journal: a transaction that was acknowledged. */
export interface Acknowledged {
  readonly counter: number;
  /** The logs that it appended to, by their numbers. */
  readonly logs: readonly [number, number];
  readonly tid: string;
}

/** What it says in the end. */
export interface WorkerResult {
  readonly counts: readonly { readonly worker: string; readonly count: number }[];
  /** Codes of what commits failed with before they were tried again, and how often. */
  readonly errors: { readonly [code: string]: number };
  readonly merged: number;
}

/** Before a transaction that failed for a reason that others don't share is tried again. */
const AGAIN_MS = 100;
/** Ids for new objects that are fetched at once. */
const SPARE_OIDS = 20;

/** One worker: counts for as long as it may. */
class Worker {
  readonly name: string;
  count = 0;
  merged = 0;
  readonly errors = new Map<string, number>();
  readonly #client: Client;
  readonly #logs: readonly Oid[];
  readonly #journal: string;
  readonly #random: SimRandom;
  readonly #spare: Oid[] = [];

  constructor(client: Client, logs: readonly Oid[], name: string, start: WorkerStart) {
    this.name = name;
    this.#client = client;
    this.#logs = logs;
    this.#journal = join(start.folder, `${name}.journal`);
    this.#random = new SimRandom(start.seed, name);
  }

  /** Commits a transaction, whatever happens, and notes it. */
  async step(): Promise<void> {
    const counter = this.count + 1;
    const first = this.#random.int(0, this.#logs.length - 1);
    const second = (first + this.#random.int(1, this.#logs.length - 1)) % this.#logs.length;
    const tid = await this.#untilCommitted([first, second], counter);
    const line: Acknowledged = { counter, logs: [first, second], tid: `${tid}` };
    appendFileSync(this.#journal, `${JSON.stringify(line)}\n`);
    this.count = counter;
  }

  async #untilCommitted(logs: readonly number[], counter: number): Promise<Tid> {
    for (;;) {
      try {
        return await this.#commit(logs, counter);
      } catch (error) {
        const tid = error instanceof OutcomePendingError ? await this.#outcome(error) : undefined;
        if (tid !== undefined) return tid;
        await this.#failed(error);
      }
    }
  }

  async #commit(logs: readonly number[], counter: number): Promise<Tid> {
    const resolve: typeof mergeAppends = (conflict) => {
      this.merged += 1;
      return mergeAppends(conflict);
    };
    const { tid } = await this.#client.transact(async (tx) => {
      for (const oid of logs.map((log) => this.#logs[log]!)) {
        const head = decodeSegment((await tx.load(oid))?.data);
        const movedTo = isFull(head) ? await this.#newOid() : undefined;
        const entry = { worker: this.name, counter };
        if (movedTo !== undefined) tx.store(movedTo, encodeSegment(head));
        tx.store(oid, encodeSegment(append(head, entry, movedTo)));
      }
    }, { resolve });
    return tid;
  }

  async #newOid(): Promise<Oid> {
    if (this.#spare.length === 0) this.#spare.push(...await this.#client.newOids(SPARE_OIDS));
    return this.#spare.shift()!;
  }

  async #outcome(pending: OutcomePendingError): Promise<Tid | undefined> {
    for (;;) {
      try {
        return await this.#client.outcome(pending);
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  async #failed(error: unknown): Promise<void> {
    if (!(error instanceof DatabaseError)) throw error;
    this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1);
    await pause(AGAIN_MS);
  }
}

/** Names of the workers of a client. */
export function workersOf(client: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${client}-${at + 1}`);
}

/** The oids that the root lists. */
export function logsOf(root: Uint8Array): Oid[] {
  return new TextDecoder().decode(root).split("\n").map((text) => BigInt(text) as Oid);
}

async function main(
  start: WorkerStart,
  parent: { say(word: unknown): void; hear(): Promise<unknown> },
): Promise<void> {
  const client = await connect(start.uri, { name: start.name });
  const root = await (await client.snapshot()).load(start.root);
  if (root === undefined) throw new Error("Cannot begin: the root isn't there");
  const logs = logsOf(root.data);
  const workers = workersOf(start.name, start.workers).map((name) => new Worker(client, logs, name, start));
  parent.say("ready");
  await parent.hear();
  let stops = false;
  void parent.hear().then(() => stops = true);
  await Promise.all(workers.map(async (worker) => {
    while (!stops) await worker.step();
  }));
  const errors: Record<string, number> = {};
  for (const [code, count] of workers.flatMap((worker) => [...worker.errors])) {
    errors[code] = (errors[code] ?? 0) + count;
  }
  const result: WorkerResult = {
    counts: workers.map(({ name, count }) => ({ worker: name, count })),
    errors,
    merged: workers.reduce((sum, worker) => sum + worker.merged, 0),
  };
  parent.say(result);
  await client.close();
}

if (import.meta.main) await runProgram<WorkerStart>(main);

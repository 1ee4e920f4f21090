/**
 * The acceptance test with real processes (N15): programs append to logs while nodes are killed, stopped, cut off and slowed
 * down; in the end every acknowledged transaction is there, exactly once, on every copy.
 */
import { mkdirSync } from "node:fs";
import { monoMs, pause } from "../../cli/wait.ts";
import { connect } from "../../mod.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { Program } from "../integration/programs.ts";
import { SimRandom } from "../simulation/random.ts";
import { checkCopies, checkHistory, checkLogs, problemsAfter, readJournals } from "./checks.ts";
import type { Promised } from "./checks.ts";
import type { FaultKind } from "./faults.ts";
import { Nemesis } from "./nemesis.ts";
import { growthOf, useOf, Uses, WARM_UP_PART } from "./resources.ts";
import type { Course } from "./resources.ts";
import { mastersAccepted, SoakCluster } from "./soak_cluster.ts";
import type { SoakShape } from "./soak_cluster.ts";
import { workersOf } from "./worker_child.ts";
import type { WorkerResult, WorkerStart } from "./worker_child.ts";

/** How a soak is run. */
export interface SoakOptions extends SoakShape {
  readonly seed: number;
  /** For how long nodes fail at random; or how often each kind is done once, one after the other. */
  readonly faults: { readonly ms: number } | { readonly rounds: number };
  readonly clients: number;
  /** Of each client. */
  readonly workers: number;
  /** No fault lasts longer. */
  readonly faultMsMax: number;
  /** Kinds of faults that may happen. */
  readonly kinds?: readonly FaultKind[];
  /** Whether memory and files are measured, which takes a run of minutes. */
  readonly measures: boolean;
  /** Hears what happens. */
  readonly say: (line: string) => void;
  /** Ends it early; everything is cleaned away. */
  readonly signal?: AbortSignal;
}

/** What a soak has come to. */
export interface SoakReport {
  readonly seed: number;
  readonly shape: Omit<SoakShape, "smallDisk" | "clocks">;
  /** What it couldn't do here, and why. */
  readonly skipped: readonly string[];
  readonly breaches: readonly string[];
  readonly commits: number;
  /** Conflicts of which the programs made one write. */
  readonly merged: number;
  /** How often history was packed, up to what was newest some seconds before. */
  readonly packs: number;
  /** What commits failed with before they were tried again. */
  readonly errors: { readonly [code: string]: number };
  /** The chance of a fault, each second. */
  readonly chance: number;
  readonly faults: { readonly [kind: string]: number };
  /** The longest time without a commit, while nodes failed. */
  readonly pauseMsMax: number;
  readonly memory: { readonly [node: string]: Course };
  readonly files: { readonly [node: string]: Course };
  /** Where everything is left to look at; undefined when nothing was wrong. */
  readonly kept: string | undefined;
}

/** After all is healed, programs end and copies are readable within this time, or something is wrong. */
const READY_MS_MAX = 180_000;
/** A run of rounds takes less than this, or something is wrong. */
const ROUNDS_MS_MAX = 600_000;
const SAMPLE_MS = 2_000;
/** How often history is packed. */
const PACK_MS = 10_000;
/** A pack waits no longer than this behind a recovery: clients are back by then, or hear that what they read is gone. */
const QUIET_MS = 2_000;

/** Runs one. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const random = new SimRandom(options.seed, "soak");
  const masters = mastersAccepted(options.masters);
  const shape = {
    masters,
    storages: options.storages,
    replicas: options.replicas,
    partitions: options.partitions,
  };
  const skipped = masters < options.masters ? [`${options.masters} masters: init takes ${masters}`] : [];
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(
    await SoakCluster.started(
      { ...shape, smallDisk: options.smallDisk, clocks: options.clocks },
      random.fork("network"),
    ),
  );
  const run = new Run(options, cluster, random);
  const abort = () => void run.end();
  options.signal?.addEventListener("abort", abort);
  stack.defer(() => options.signal?.removeEventListener("abort", abort));
  const report = await run.all(stack);
  const kept = report.breaches.length > 0 ? cluster.keep() : undefined;
  return { ...report, seed: options.seed, shape, skipped: [...skipped, ...report.skipped], kept };
}

/** What has happened so far. */
class Run {
  readonly #options: SoakOptions;
  readonly #cluster: SoakCluster;
  readonly #random: SimRandom;
  readonly #breaches: string[] = [];
  readonly #uses = new Map<string, Uses>();
  #nemesis: Nemesis | undefined;
  #ended = false;

  constructor(options: SoakOptions, cluster: SoakCluster, random: SimRandom) {
    this.#options = options;
    this.#cluster = cluster;
    this.#random = random;
  }

  /** From the first program to the last check. */
  async all(stack: AsyncDisposableStack): Promise<Omit<SoakReport, "seed" | "shape" | "kept">> {
    const { clients, workers, seed, faults } = this.#options;
    const client = stack.use(await connect(this.#cluster.uri, { name: "checker" }));
    const { root, logs, tid } = await makeLogs(client, 2 * clients * workers);
    const folder = this.#cluster.beside("journals");
    mkdirSync(folder);
    const names = Array.from({ length: clients }, (_, at) => `client-${at + 1}`);
    const { uri } = this.#cluster;
    const programs = names.map((name, at) => {
      const start: WorkerStart = { uri, name, root, workers, folder, seed: seed * clients + at };
      return stack.use(new Program("../soak/worker_child.ts", start, name));
    });
    for (const program of programs) await program.hear();
    const nemesis = this.#nemesis = this.#makeNemesis(client, names);
    const pauses = watchPauses(client);
    for (const program of programs) program.tell("go");

    const ends = programs.map((program) =>
      program.hear<WorkerResult>(("ms" in faults ? faults.ms : ROUNDS_MS_MAX) + READY_MS_MAX)
    );
    for (const end of ends) end.catch(() => this.end());
    const beganMs = monoMs();
    const [sampling, packing] = [this.#sample(beganMs), this.#pack(client)];
    if ("ms" in faults) await nemesis.run(faults.ms);
    else await nemesis.runEach(faults.rounds);
    await nemesis.heal();
    const pauseMsMax = pauses.end();
    const ranMs = monoMs() - beganMs;
    this.#ended = true;
    await sampling;
    const packs = await packing;
    this.#options.signal?.throwIfAborted();

    for (const program of programs) program.tell("stop");
    const hanging = new Set<string>();
    const results = (await this.#unlessAborted(Promise.allSettled(ends))).flatMap((end, at) => {
      if (end.status === "fulfilled") return [end.value];
      this.#breaches.push(`${names[at]} has died or hangs: ${end.reason}`);
      for (const worker of workersOf(names[at]!, workers)) hanging.add(worker);
      return [];
    });
    const journals = readJournals(folder, names.flatMap((name) => workersOf(name, workers)));
    await this.#check(client, logs, tid, { journals, hanging });
    return {
      skipped: nemesis.skipped,
      breaches: [...this.#breaches, ...nemesis.breaches, ...this.#growth(ranMs)],
      ...sumOf(results),
      packs,
      chance: nemesis.chance,
      faults: Object.fromEntries(nemesis.counts),
      pauseMsMax,
      memory: this.#courses("memory", ranMs),
      files: this.#courses("files", ranMs),
    };
  }

  /** Ends the faults at once. */
  async end(): Promise<void> {
    await this.#nemesis?.heal();
  }

  #makeNemesis(client: Client, clients: readonly string[]): Nemesis {
    const { kinds, faultMsMax, say } = this.#options;
    return new Nemesis({
      cluster: this.#cluster,
      client,
      random: this.#random.fork("nemesis"),
      clients,
      faultMsMax,
      ...(kinds === undefined ? {} : { kinds }),
      journal: this.#cluster.beside("nemesis.jsonl"),
      say,
    });
  }

  async #check(
    client: Client,
    logs: readonly Oid[],
    after: Tid,
    promised: Promised,
  ): Promise<void> {
    const problems = await problemsAfter(this.#cluster, READY_MS_MAX, this.#options.signal);
    this.#breaches.push(
      ...problems.map((problem) => `${READY_MS_MAX / 1_000} s after the last fault ${problem}`),
    );
    this.#breaches.push(
      ...await checkLogs(client, logs, promised),
      ...await checkHistory(client, logs, after, promised),
      ...await checkCopies(client),
    );
    const unsound = await this.#cluster.verify();
    if (unsound !== undefined) this.#breaches.push(`neo table verify: ${unsound}`);
  }

  async #unlessAborted<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this.#options;
    if (signal === undefined) return await promise;
    signal.throwIfAborted();
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      return await Promise.race([promise, aborted]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #sample(beganMs: number): Promise<void> {
    while (!this.#ended) {
      for (const { name } of this.#cluster.nodes()) {
        const pid = this.#cluster.pid(name);
        const use = pid === undefined ? undefined : useOf(pid);
        if (use === undefined) continue;
        const uses = this.#uses.get(name) ?? new Uses();
        this.#uses.set(name, uses);
        uses.add(monoMs() - beganMs, use);
      }
      await pause(SAMPLE_MS);
    }
  }

  /** Lets history go, again and again, whatever else happens; gives how often it went. */
  async #pack(client: Client): Promise<number> {
    let [packs, dueMs] = [0, monoMs()];
    const isSet = await this.#cluster.config(`master.packQuietMs=${QUIET_MS}`);
    if (!isSet) this.#breaches.push("the configuration can't be changed");
    let bound: Tid | undefined; // nearly all that was open then has ended
    while (!this.#ended) {
      await pause(SAMPLE_MS / 4);
      if (monoMs() < dueMs) continue;
      dueMs = monoMs() + PACK_MS;
      if (bound !== undefined && await this.#cluster.pack(bound)) packs += 1;
      bound = await client.lastTid().catch(() => undefined);
    }
    return packs;
  }

  #courses(what: "memory" | "files", ranMs: number): { readonly [node: string]: Course } {
    const courses = [...this.#uses].map(([name, uses]) =>
      [name, uses.course(what, WARM_UP_PART * ranMs)] as const
    );
    return Object.fromEntries(
      courses.flatMap(([name, course]) => (course === undefined ? [] : [[name, course]])),
    );
  }

  #growth(ranMs: number): string[] {
    if (!this.#options.measures) return [];
    const [memory, files] = [this.#courses("memory", ranMs), this.#courses("files", ranMs)];
    return [...this.#uses.keys()].flatMap((name) => growthOf(name, memory[name], files[name]));
  }
}

/** A root that lists new logs. */
async function makeLogs(
  client: Client,
  count: number,
): Promise<{ readonly root: Oid; readonly logs: readonly Oid[]; readonly tid: Tid }> {
  const [root, ...logs] = await client.newOids(1 + count);
  const { tid } = await client.transact((tx) => tx.store(root!, new TextEncoder().encode(logs.join("\n"))));
  return { root: root!, logs, tid };
}

/** Measures the longest time without a commit of anybody. */
function watchPauses(client: Client): { end(): number } {
  let lastMs = monoMs();
  let longestMs = 0;
  const look = () => {
    const nowMs = monoMs();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const off = client.onPublish(look);
  return {
    end() {
      off();
      look();
      return Math.round(longestMs);
    },
  };
}

function sumOf(results: readonly WorkerResult[]): Pick<SoakReport, "commits" | "merged" | "errors"> {
  const errors: Record<string, number> = {};
  for (const [code, count] of results.flatMap((result) => Object.entries(result.errors))) {
    errors[code] = (errors[code] ?? 0) + count;
  }
  return {
    commits: results.flatMap(({ counts }) => counts).reduce((sum, { count }) => sum + count, 0),
    merged: results.reduce((sum, { merged }) => sum + merged, 0),
    errors,
  };
}

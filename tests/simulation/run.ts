/** One seed: builds a cluster, lets clients work and things go wrong, heals it, and looks at what is left. */
import { ZERO_TID } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import { breachesOf } from "./checkers.ts";
import { Cluster, drawShape } from "./cluster.ts";
import type { Shape, SimClient } from "./cluster.ts";
import { Faults } from "./faults.ts";
import type { FaultKind } from "./faults.ts";
import type { Job, Objects } from "./jobs.ts";
import type { AnyNode, Ending } from "./node_plan.ts";
import { compareCopies, copiesOf, writeAll } from "./probes.ts";
import { SimRandom } from "./random.ts";
import type { Session } from "./sessions.ts";
import { storedIn } from "./stored.ts";
import { masterOf, remainsOf, watchPublication } from "./watch.ts";
import { drawObjects, drawWork, workBreaches, workersOf } from "./workloads.ts";
import type { Work } from "./workloads.ts";

/** Kinds of faults that must hit work in flight before a seed counts. */
const KINDS_MIN = 3;
/** A cluster that nothing disturbs is up, and answers, within this time. */
const HEALTHY_MS_MAX = 200_000;
/** What was on its way when the last commit was acknowledged arrives within this time. */
const QUIET_MS = 2_000;
/** Workers end within this time once nothing goes wrong any more: their calls do, and most begin nothing new. */
const WORKERS_MS_MAX = 120_000;
/** Nothing is left of any work within this time after that: what a client that hung has locked stays longest. */
const QUIET_MS_MAX = TRANSACTION_TIMEOUT_MS + REQUEST_TIMEOUT_MS;
/** A seed that hasn't been hit often enough goes on until then. */
const DISTURBED_MS_MAX = 1_200_000;

/** What a seed gave. */
export interface SeedReport {
  readonly seed: number;
  /** Promises that were broken; none when it passed. */
  readonly breaches: readonly string[];
  readonly hash: string;
  readonly shape: Shape;
  readonly work: readonly Work[];
  readonly simulatedMs: number;
  readonly steps: number;
  readonly commits: { readonly acknowledged: number; readonly refused: number; readonly unknown: number };
  readonly reads: number;
  /** Groups of transactions on lists that depend on each other in a way that snapshot isolation allows. */
  readonly writeSkews: number;
  /** How often faults hit work in flight, by kind. */
  readonly hits: { readonly [kind in FaultKind]?: number };
  /** How often they happened at all. */
  readonly faults: { readonly [kind in FaultKind]?: number };
}

/** A seed's run, and the last lines of its trace. */
export interface SeedRun {
  readonly report: SeedReport;
  trace(): string[];
}

/** Changes a cluster before it starts: how mutants break a promise. */
export type Mutant = (cluster: Cluster) => void;

/** Runs one seed. `linesMax`: steps that its trace keeps. */
export function runSeed(
  seed: number,
  options: { readonly mutant?: Mutant; readonly linesMax?: number } = {},
): SeedRun {
  const run = new Run(seed, options.linesMax ?? 300);
  options.mutant?.(run.cluster);
  run.all();
  return { report: run.report(), trace: () => run.cluster.trace.print() };
}

class Run {
  readonly seed: number;
  readonly cluster: Cluster;
  readonly #random: SimRandom;
  readonly #faults: Faults;
  readonly #work: readonly Work[];
  readonly #objects: Objects;
  #isEnding = false;
  #writeSkews = 0;
  #failure: string | undefined;

  constructor(seed: number, linesMax: number) {
    this.seed = seed;
    this.#random = new SimRandom(seed);
    const shape = drawShape(this.#random.fork("shape"));
    this.cluster = new Cluster(shape, this.#random, linesMax, (node, why) => this.#ended(node, why));
    this.#work = drawWork(this.#random.fork("work"));
    this.#objects = drawObjects(this.#random.fork("objects"), this.#work);
    const { world, network, trace, nodes, history, operator } = this.cluster;
    const random = this.#random.fork("faults");
    const inFlight = (client?: string) => history.inFlight(client);
    const stopAll = () => operator.call({ type: "command", name: "stop" });
    this.#faults = new Faults({ world, network, random, trace, nodes, stopAll, inFlight });
    trace.watch = watchPublication(history);
  }

  /** Each phase, as long as nothing is broken. */
  all(): void {
    this.cluster.start();
    const phases = [this.#makeObjects, this.#disturb, this.#settle, this.#probe, this.#quiet, this.#check];
    for (const phase of phases) {
      phase.call(this);
      if (this.#isBroken) return;
    }
  }

  report(): SeedReport {
    const { world, history, shape } = this.cluster;
    const count = (fate: string) =>
      history.transactions.filter((transaction) => transaction.fate === fate).length;
    return {
      seed: this.seed,
      breaches: [...history.breaches],
      hash: world.hash,
      shape,
      work: this.#work,
      simulatedMs: Math.round(world.nowMs),
      steps: world.steps,
      commits: { acknowledged: count("acknowledged"), refused: count("refused"), unknown: count("unknown") },
      reads: history.reads.length,
      writeSkews: this.#writeSkews,
      hits: Object.fromEntries(this.#faults.hits),
      faults: Object.fromEntries(this.#faults.all),
    };
  }

  get #isBroken(): boolean {
    return this.cluster.history.breaches.length > 0;
  }

  /** Runs until something holds or is broken; says what didn't happen otherwise. */
  #until(holds: () => boolean, withinMs: number, otherwise: () => string): void {
    const { world, history } = this.cluster;
    if (world.runUntil(() => this.#isBroken || holds(), world.nowMs + withinMs)) return;
    history.breach(otherwise());
  }

  #job(client: SimClient): Job {
    const { world, history } = this.cluster;
    return {
      client: client.name,
      world,
      random: this.#random.fork(`${client.name} work ${client.node.starts}`),
      history,
      objects: this.#objects,
      seen: { lastTid: ZERO_TID },
      ends: () => this.#isEnding,
    };
  }

  /** The first transaction makes all objects; some seeds are disturbed already. */
  #makeObjects(): void {
    if (this.#random.chance(0.2)) this.#faults.begin();
    const [client] = this.cluster.clients;
    let isDone = false;
    client!.begin = (session) => session.run(this.#write(client!, () => (isDone = true)));
    const limitMs = this.#faults.isOn ? DISTURBED_MS_MAX : HEALTHY_MS_MAX;
    this.#until(() => isDone, limitMs, () => `the cluster didn't take its first commit; ${this.#state()}`);
  }

  /** Clients work while things go wrong. */
  #disturb(): void {
    const { clients, world, history } = this.cluster;
    for (const client of clients) {
      client.begin = (session) => this.#begin(session, client);
      if (client.session !== undefined) this.#begin(client.session, client);
    }
    if (!this.#faults.isOn) this.#faults.begin();
    const [leastMs, enough] = [world.nowMs + this.#random.between(1_000, 5_000), this.#random.int(15, 40)];
    const isEnough = () => {
      if (world.nowMs < leastMs || this.#faults.kinds < KINDS_MIN) return false;
      return history.acknowledged.length >= enough || world.nowMs > leastMs + 60_000;
    };
    this.#until(
      isEnough,
      DISTURBED_MS_MAX,
      () => `faults of only ${this.#faults.kinds} kinds hit work in flight`,
    );
  }

  #begin(session: Session, client: SimClient): void {
    const job = this.#job(client);
    const workers = workersOf(this.#work);
    session.isImpatient = true;
    for (let i = job.random.int(1, 3); i > 0; i--) session.run(job.random.pick(workers)(job));
  }

  /** Nothing goes wrong any more, everything is started again, workers come to their end. */
  #settle(): void {
    const { clients, network, nodes } = this.cluster;
    this.#faults.end();
    network.heal();
    this.#isEnding = true;
    for (const client of clients) client.begin = () => {};
    for (const { session } of clients) if (session) session.isImpatient = false;
    for (const node of nodes) {
      node.start();
      if (node.role === "storage") node.fillDisk(false);
    }
    const isIdle = () => clients.every(({ session }) => session?.running === 0);
    this.#until(isIdle, WORKERS_MS_MAX, () => `workers wait for ever; ${this.#state()}`);
  }

  /** Each client can commit all objects at once: nothing is locked for ever. */
  #probe(): void {
    for (const client of this.cluster.clients) {
      let isDone = false;
      client.session?.run(this.#write(client, () => (isDone = true)));
      this.#until(() => isDone, HEALTHY_MS_MAX, () => {
        return `${client.name} can't commit though nothing is wrong any more; ${this.#state()}`;
      });
    }
  }

  /** Nothing is locked, parked or under way anywhere. */
  #quiet(): void {
    const { world } = this.cluster;
    world.runUntil(() => this.#isBroken, world.nowMs + QUIET_MS); // late answers, and what follows them
    const remains = () => remainsOf(this.cluster);
    this.#until(() => remains().length === 0, QUIET_MS_MAX, () => `not all is over: ${remains().join("; ")}`);
  }

  /** What the disks hold keeps every promise, and clients see the copies as equal too. */
  #check(): void {
    const { history, shape, clients } = this.cluster;
    const { accounts, lists, counters } = this.#objects;
    const written = history.transactions.flatMap(({ writes }) => writes.map(({ oid }) => oid));
    const oids = new Set([...written, ...accounts, ...lists, ...counters]);
    const stored = storedIn(copiesOf(this.cluster), oids, shape.partitions);
    const work = workBreaches(history, this.#objects, stored);
    this.#writeSkews = work.writeSkews;
    for (const breach of [...breachesOf(history, stored), ...work.breaches]) history.breach(breach);
    const [client] = clients;
    let isDone = false;
    client!.session?.run(compareCopies(this.cluster, client!.name, () => (isDone = true)));
    this.#until(() => isDone, HEALTHY_MS_MAX, () => `${client!.name} can't compare the copies`);
  }

  #write(client: SimClient, done: () => void) {
    return writeAll(this.#job(client), { done, refused: (code) => (this.#failure = code) });
  }

  /** A process has ended without being killed. */
  #ended(node: AnyNode, why: Ending): void {
    if (why.by === "mistake") {
      this.cluster.history.breach(`${node.name}: ${why.message}\n${why.stack ?? ""}`);
      return;
    }
    if (why.by === "disk") this.#faults.diskFailed();
    this.#faults.restart(node);
  }

  /** For the person who reads why it didn't come up. */
  #state(): string {
    const { clients, nodes } = this.cluster;
    const down = nodes.filter((node) => !node.isUp).map(({ name }) => name);
    const view = masterOf(this.cluster);
    const last = this.#failure === undefined ? "" : `, last refusal: ${this.#failure}`;
    const master = `the master is ${
      view?.phase ?? "down"
    }, epoch ${view?.epoch}, ${view?.pending} finishes pending`;
    return `${master}, down: [${down}], table:\n${view?.table}${last}; ${clients.length} clients`;
  }
}

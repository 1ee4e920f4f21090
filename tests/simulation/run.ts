/** One seed: builds a cluster, lets clients work and things go wrong, heals it, and looks at what is left. */
import { MAX_TID, ZERO_TID } from "../../core/ids.ts";
import type { Partition } from "../../core/ids.ts";
import { breachesOf } from "./checkers.ts";
import type { Copy } from "./checkers.ts";
import { Cluster, drawShape } from "./cluster.ts";
import type { Shape, SimClient } from "./cluster.ts";
import { Faults } from "./faults.ts";
import type { FaultKind } from "./faults.ts";
import type { Job, Objects } from "./jobs.ts";
import { commit, drawObjects, read, sync } from "./jobs.ts";
import type { AnyNode, Ending } from "./node_plan.ts";
import { SimRandom } from "./random.ts";
import type { Session, Worker } from "./sessions.ts";
import { call, wait } from "./sessions.ts";
import { loadsOf, masterOf, watchPublication } from "./watch.ts";
import { workers } from "./workloads.ts";

/** Kinds of faults that must hit work in flight before a seed counts. */
const KINDS_MIN = 3;
/** A cluster that nothing disturbs is up, and answers, within this time. */
const HEALTHY_MS_MAX = 200_000;
/** Objects made by the run that are written again at its end. */
const FRESH_MAX = 50;
/** What was on its way when the last commit was acknowledged arrives within this time. */
const QUIET_MS = 2_000;
/** A seed that hasn't been hit often enough goes on until then. */
const DISTURBED_MS_MAX = 1_200_000;

/** What a seed gave. */
export interface SeedReport {
  readonly seed: number;
  /** Promises that were broken; none when it passed. */
  readonly breaches: readonly string[];
  readonly hash: string;
  readonly shape: Shape;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly commits: { readonly acknowledged: number; readonly refused: number; readonly unknown: number };
  readonly reads: number;
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
  readonly #objects: Objects;
  #isEnding = false;
  #failure: string | undefined;

  constructor(seed: number, linesMax: number) {
    this.seed = seed;
    this.#random = new SimRandom(seed);
    const shape = drawShape(this.#random.fork("shape"));
    this.cluster = new Cluster(shape, this.#random, linesMax, (node, why) => this.#ended(node, why));
    this.#objects = drawObjects(this.#random.fork("objects"));
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
      simulatedMs: Math.round(world.nowMs),
      steps: world.steps,
      commits: { acknowledged: count("acknowledged"), refused: count("refused"), unknown: count("unknown") },
      reads: history.reads.length,
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
    client!.begin = (session) => session.run(this.#write(this.#job(client!), () => (isDone = true)));
    const limitMs = this.#faults.isOn ? DISTURBED_MS_MAX : HEALTHY_MS_MAX;
    this.#until(() => isDone, limitMs, () => `the cluster didn't take its first commit; ${this.#state()}`);
  }

  /** Clients work while things go wrong. */
  #disturb(): void {
    const { clients, world, history } = this.cluster;
    for (const client of clients) {
      client.begin = (session) => this.#work(session, client);
      if (client.session !== undefined) this.#work(client.session, client);
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

  #work(session: Session, client: SimClient): void {
    const job = this.#job(client);
    for (let i = job.random.int(1, 3); i > 0; i--) session.run(job.random.pick(workers)(job));
  }

  /** Nothing goes wrong any more, everything is started again, workers come to their end. */
  #settle(): void {
    const { clients, network, nodes } = this.cluster;
    this.#faults.end();
    network.heal();
    this.#isEnding = true;
    for (const client of clients) client.begin = () => {};
    for (const node of nodes) {
      node.start();
      if (node.role === "storage") node.fillDisk(false);
    }
    const isIdle = () => clients.every(({ session }) => session?.running === 0);
    this.#until(isIdle, HEALTHY_MS_MAX, () => `workers wait for ever; ${this.#state()}`);
  }

  /** Each client can commit all objects at once: nothing is locked for ever. */
  #probe(): void {
    for (const client of this.cluster.clients) {
      let isDone = false;
      client.session?.run(this.#write(this.#job(client), () => (isDone = true)));
      this.#until(() => isDone, HEALTHY_MS_MAX, () => {
        return `${client.name} can't commit though nothing is wrong any more; ${this.#state()}`;
      });
    }
  }

  /** Storages forget what isn't final. */
  #quiet(): void {
    const loads = () => loadsOf(this.cluster);
    const isQuiet = () =>
      loads().every((load) => load !== undefined && load.transactions + load.parked + load.reads === 0);
    const { world } = this.cluster;
    world.runUntil(() => this.#isBroken, world.nowMs + QUIET_MS); // late answers, and what follows them
    this.#until(isQuiet, HEALTHY_MS_MAX, () => `storages still hold something: ${JSON.stringify(loads())}`);
  }

  /** What the disks hold keeps every promise, and clients see the copies as equal too. */
  #check(): void {
    const { history, shape, clients } = this.cluster;
    for (const breach of breachesOf(history, this.#copies(), shape.partitions)) history.breach(breach);
    const [client] = clients;
    let isDone = false;
    client!.session?.run(this.#compare(client!.name, () => (isDone = true)));
    this.#until(() => isDone, HEALTHY_MS_MAX, () => `${client!.name} can't compare the copies`);
  }

  *#compare(client: string, done: () => void): Worker {
    const { history, shape } = this.cluster;
    for (let p = 0; p < shape.partitions; p++) {
      const request = { partition: p as Partition, upTo: MAX_TID };
      const outcome = yield* call("digests", request, 30_000);
      const copies = outcome.ok ? outcome.result.map(({ count, digest }) => `${count} ${digest}`) : [];
      if (new Set(copies).size !== 1) {
        history.breach(`${client} sees copies of partition ${p} as [${copies}]`);
      }
    }
    done();
  }

  /** The storages' rows, and which of their cells the master's table calls readable. */
  #copies(): Copy[] {
    const rows = masterOf(this.cluster)?.table.split("\n") ?? [];
    return this.cluster.storages.map((storage, i) => {
      const store = storage.plan.disk!.store!;
      const isHere = new RegExp(`\\b${i + 2}[UF]`); // the master is node 1
      const readable = rows.flatMap((
        row,
        partition,
      ) => (isHere.test(row.split(":")[1]!) ? [partition as Partition] : []));
      return { node: storage.name, readable, read: (query) => store.read(query) };
    });
  }

  /** Commits all objects at once, again and again until it succeeds. */
  *#write(job: Job, done: () => void): Worker {
    const { pairs, singles, fresh } = this.#objects;
    const oids = [...pairs.flat(), ...singles, ...fresh.slice(-FRESH_MAX)];
    for (;;) {
      const begun = yield* sync(job);
      const found = begun && (yield* read(job, begun.at, oids, { apart: false }));
      if (found) {
        const drafts = oids.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID }));
        const transaction = yield* commit(job, drafts, { ageMs: begun.ageMs, withinMs: 60_000 });
        if (transaction.fate === "acknowledged") return done();
        this.#failure = transaction.code;
      }
      yield* wait(100);
    }
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

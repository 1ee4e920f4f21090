/** One seed: builds a cluster, lets clients work and things go wrong, heals it, and looks at what is left. */
import { ZERO_TID } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import { breachesOf } from "./checkers.ts";
import { Cluster, drawShape } from "./cluster.ts";
import type { SimClient } from "./cluster.ts";
import { Configured } from "./configured.ts";
import { Faults } from "./faults.ts";
import { FeedReader } from "./feeds.ts";
import { History } from "./history.ts";
import { drawImport, importAll } from "./imports.ts";
import type { Job, Objects } from "./jobs.ts";
import type { AnyNode, Ending } from "./node_plan.ts";
import { isOperated, People } from "./people.ts";
import { compareCopies, copiesOf, readAll, writeAll, writeOne } from "./probes.ts";
import { SimRandom } from "./random.ts";
import type { RunOptions, SeedReport, SeedRun } from "./report.ts";
import { Rot } from "./rot.ts";
import type { Session, Worker } from "./sessions.ts";
import { Points } from "./sometimes/points.ts";
import { storedIn } from "./stored.ts";
import type { Stored } from "./stored.ts";
import { drawCut, newestOf, truncate, truncationBreaches } from "./truncation.ts";
import { masterOf, remainsOf, watchAgreement, watchMembers, watchPublication } from "./watch.ts";
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
/** Steps that a trace keeps, unless told. */
const LINES_DEFAULT = 300;
/** How many seeds follow the change feed, and how many import before all else. */
const FEED_SHARE = 0.3;
const IMPORT_SHARE = 0.15;
/** Seeds in which bits turn on disks: nobody has copies deleted there. */
const ROT_SHARE = 0.4;
/** Seeds in which notices to many go by multicast. */
const MULTICAST_SHARE = 0.2;
/** Commits beyond those that are drawn: 2,000 seeds are to have 200,000, and a little to spare. */
const MORE_COMMITS = 5;
/** Seeds that end with a truncation. */
const TRUNCATED_SHARE = 0.15;
/** The same where history is packed: the one must not go into the other. */
const TRUNCATED_AND_PACKED_SHARE = 0.5;
/** Seeds whose storages come and go: each partition has several. */
const FLAPPING_SHARE = 0.3;
/** What a master says that was removed: it doesn't come again. */
const REMOVED = /master \w+ was removed from the cluster/;
/** A seed that hasn't been hit often enough goes on until then. */
const DISTURBED_MS_MAX = 1_200_000;

/** Runs one seed. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<SeedRun> {
  const run = new Run(seed, options);
  options.mutant?.(run.cluster);
  await run.all();
  return { report: run.report(), trace: () => run.cluster.trace.print() };
}

class Run {
  readonly seed: number;
  readonly cluster: Cluster;
  readonly #random: SimRandom;
  readonly #faults: Faults;
  readonly #work: readonly Work[];
  readonly #objects: Objects;
  readonly #options: RunOptions;
  readonly #points = new Points();
  readonly #hasFeeds: boolean;
  readonly #rot: Rot | undefined;
  readonly #people: People;
  readonly #configured: Configured;
  #isEnding = false;
  #disturbedMs = 0;
  #imported = 0;
  #stored: Stored | undefined;
  #writeSkews = 0;
  #failure: string | undefined;

  constructor(seed: number, options: RunOptions) {
    this.seed = seed;
    this.#options = options;
    this.#random = new SimRandom(seed);
    const drawn = drawShape(this.#random.fork("shape"));
    const masters = options.mutant ? options.masters ?? 1 : drawn.masters; // most mutants are of the one
    const clients = Math.min(drawn.clients, options.clientsMax ?? Infinity);
    const isFlapping = options.isFlapping || this.#random.fork("flapping").chance(FLAPPING_SHARE);
    const copies = isFlapping
      ? { storages: Math.max(2, drawn.storages), replicas: Math.max(1, drawn.replicas) }
      : {};
    const bare = { ...drawn, ...copies, masters, clients };
    const isDrawn = !options.mutant && this.#random.fork("rot").chance(ROT_SHARE);
    const rots = (options.isRotting || isDrawn) && !isOperated(this.#random, bare);
    const spareMasters = masters > 1 && isOperated(this.#random, bare) ? 1 : 0;
    const multicasts = !options.mutant && this.#random.fork("multicast").chance(MULTICAST_SHARE);
    const shape = { ...bare, rots, spareMasters, multicasts };
    const linesMax = options.linesMax ?? LINES_DEFAULT;
    this.cluster = new Cluster(shape, this.#random, linesMax, (node, why) => this.#ended(node, why));
    this.#hasFeeds = this.#random.fork("feeds").chance(FEED_SHARE);
    this.#people = new People(this.cluster, this.#random, options);
    const { packs } = this.#people;
    if (packs) packs.jobOf = (client) => this.#job(client);
    this.#rot = rots
      ? new Rot(
        this.cluster,
        this.#random.fork("turns"),
        (oid, tid) => packs?.took(oid, tid) ?? false,
      )
      : undefined;
    this.#configured = new Configured(this.cluster);
    this.#work = options.work ?? drawWork(this.#random.fork("work"));
    this.#objects = drawObjects(this.#random.fork("objects"), this.#work);
    const { world, network, trace, nodes, history, operator } = this.cluster;
    const faults = this.#random.fork("faults");
    const inFlight = (client?: string) => history.inFlight(client);
    const stopAll = () => operator.call({ type: "command", id: 0, message: { name: "stop", body: {} } });
    const ports = { world, network, random: faults, trace, nodes, stopAll, inFlight };
    this.#faults = new Faults(ports, options.without, isFlapping);
    const watch = watchPublication(history, (name) => nodes.find((node) => node.name === name)?.starts ?? 0);
    const members = watchMembers(this.cluster.indexes);
    const agreement = watchAgreement(history, this.cluster.masters);
    trace.watch = (step) => {
      agreement(step);
      watch(step);
      members(step);
      this.#configured.see(step);
      this.#people.packs?.see(step);
      this.#points.see(step);
    };
  }

  /** Each phase, as long as nothing is broken. */
  async all(): Promise<void> {
    if (this.#random.chance(0.2)) this.#faults.begin(); // some seeds are disturbed from the beginning
    const phases = [
      this.#start,
      this.#makeObjects,
      this.#disturb,
      this.#settle,
      this.#probe,
      this.#quiet,
      this.#check,
      this.#truncate,
    ];
    for (const phase of phases) {
      await phase.call(this);
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
      strikes: this.#faults.strikes,
      disturbedMs: this.#disturbedMs || world.nowMs,
      changes: history.changes.reduce((sum, { entries }) => sum + entries.length, 0),
      imported: this.#imported,
      rotten: this.#rot?.count ?? 0,
      operations: this.#people.done,
      points: this.#points.reached,
    };
  }

  get #isBroken(): boolean {
    return this.cluster.history.breaches.length > 0;
  }

  /** Runs until something holds or is broken; says what didn't happen otherwise. */
  async #until(holds: () => boolean, withinMs: number, otherwise: () => string): Promise<void> {
    const { world, history } = this.cluster;
    if (await world.runAll(() => this.#isBroken || holds(), world.nowMs + withinMs)) return;
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

  /** All nodes come up; in some seeds one client imports a history first, and the others come when it is done. */
  async #start(): Promise<void> {
    const { cluster } = this;
    const random = this.#random.fork("import");
    const [first, ...others] = cluster.clients;
    const late = random.chance(IMPORT_SHARE) ? others.map(({ node }) => node) : undefined;
    cluster.start(late);
    if (late === undefined) return;
    const imported = drawImport({ random });
    let isDone = false;
    this.#beginWith(
      first!,
      () => importAll(this.#job(first!), imported, () => (isDone = true)),
      () => !isDone,
    );
    await this.#until(() => isDone, this.#limitMs, () => `the import doesn't end; ${this.#state()}`);
    this.#imported = imported.length;
    for (const node of late) node.start();
  }

  /** The first transaction of all makes all objects. */
  async #makeObjects(): Promise<void> {
    const [client] = this.cluster.clients;
    let isDone = false;
    this.#beginWith(client!, () => this.#write(client!, () => (isDone = true)), () => !isDone);
    await this.#until(
      () => isDone,
      this.#limitMs,
      () => `the cluster didn't take its first commit; ${this.#state()}`,
    );
  }

  get #limitMs(): number {
    return this.#faults.isOn ? DISTURBED_MS_MAX : HEALTHY_MS_MAX;
  }

  /** A program runs in the process that is there, and in each later one while it has something to do. */
  #beginWith(client: SimClient, worker: () => Worker, isWanted: () => boolean): void {
    client.begin = (session) => {
      if (isWanted()) session.run(worker());
    };
    if (client.session !== undefined) client.begin(client.session, client);
  }

  /** Clients work while things go wrong. */
  async #disturb(): Promise<void> {
    const { clients, world, history } = this.cluster;
    for (const client of clients) {
      client.feed = this.#hasFeeds ? this.#reader(client) : undefined;
      client.begin = (session) => this.#begin(session, client);
      if (client.session !== undefined) this.#begin(client.session, client);
    }
    if (!this.#faults.isOn) this.#faults.begin();
    this.cluster.isDisturbed = true;
    this.#people.begin();
    this.#rot?.begin();
    const more = this.#options.mutant ? 0 : MORE_COMMITS;
    const [leastMs, enough] = [
      world.nowMs + this.#random.between(1_000, 5_000),
      this.#random.int(17, 42) + more,
    ];
    const { disturbedMs } = this.#options;
    const isEnough = () => {
      if (disturbedMs !== undefined) return world.nowMs >= disturbedMs;
      if (world.nowMs < leastMs || this.#faults.kinds < KINDS_MIN) return false;
      return history.acknowledged.length >= enough || world.nowMs > leastMs + 60_000;
    };
    await this.#until(
      isEnough,
      DISTURBED_MS_MAX,
      () => `faults of only ${this.#faults.kinds} kinds hit work in flight`,
    );
    this.#disturbedMs = world.nowMs;
  }

  #reader(client: SimClient): FeedReader {
    const { world, history } = this.cluster;
    const { name } = client;
    return new FeedReader({ client: name, world, history, random: this.#random.fork(`${name} feed`) });
  }

  #begin(session: Session, client: SimClient): void {
    const job = this.#job(client);
    const workers = workersOf(this.#work);
    session.isImpatient = true;
    const count = Math.min(job.random.int(1, 3), this.#options.workersMax ?? Infinity);
    for (let i = count; i > 0; i--) session.run(job.random.pick(workers)(job));
    client.feed?.follow(session);
  }

  /** Nothing goes wrong any more, everything is started again, workers come to their end. */
  async #settle(): Promise<void> {
    const { clients, network, nodes, world } = this.cluster;
    this.#faults.end();
    this.cluster.isDisturbed = false;
    this.#people.end();
    this.#rot?.end();
    network.heal();
    this.#isEnding = true;
    for (const client of clients) client.begin = (session) => client.feed?.follow(session);
    for (const { session } of clients) if (session) session.isImpatient = false;
    for (const node of nodes) {
      node.start();
      node.slow(0);
      node.slowDisk(0);
      if (node.role === "storage") node.fillDisk(false);
    }
    const pausedMs = Math.max(0, ...nodes.map(({ busyUntilMs }) => busyUntilMs - world.nowMs));
    const isIdle = () =>
      nodes.every((node) => !node.isPaused) && clients.every(({ session }) => session?.running === 0);
    await this.#until(isIdle, pausedMs + WORKERS_MS_MAX, () => `workers wait for ever; ${this.#state()}`);
    const isConfigured = () => this.#people.isIdle;
    await this.#until(
      isConfigured,
      HEALTHY_MS_MAX,
      () => "a change of the configuration, or a pack, doesn't end",
    );
    const { operations } = this.cluster;
    if (operations === undefined || this.#isBroken) return;
    let isSpread = false;
    await this.#until(() => operations.isIdle, HEALTHY_MS_MAX, () => "a command of the operator doesn't end");
    operations.finish(() => (isSpread = true));
    await this.#until(() => isSpread, HEALTHY_MS_MAX, () => `the cells can't be spread; ${this.#state()}`);
  }

  /** Each client can commit all objects at once: nothing is locked for ever. */
  async #probe(): Promise<void> {
    for (const client of this.cluster.clients) {
      let isDone = false;
      const begin = (session: Session): void => session.run(this.#write(client, () => (isDone = true)));
      // what was asked to end while it paused ends only now: the next process tries again
      client.begin = (session) => {
        client.feed?.follow(session);
        if (!isDone) begin(session);
      };
      if (client.session !== undefined) begin(client.session);
      await this.#until(() => isDone, HEALTHY_MS_MAX, () => {
        return `${client.name} can't commit though nothing is wrong any more; ${this.#state()}`;
      });
    }
  }

  /** Nothing is locked, parked or under way anywhere. */
  async #quiet(): Promise<void> {
    const { world } = this.cluster;
    await world.runAll(() => this.#isBroken, world.nowMs + QUIET_MS); // late answers, and what follows them
    const { packs } = this.#people;
    const remains = () => [
      ...remainsOf(this.cluster),
      ...this.#configured.remains(),
      ...packs?.remains() ?? [],
    ];
    const pausedMs = Math.max(0, ...this.cluster.nodes.map(({ busyUntilMs }) => busyUntilMs - world.nowMs));
    await this.#until(
      () => remains().length === 0 && (this.#rot?.remains() ?? []).length === 0,
      pausedMs + QUIET_MS_MAX,
      () => `not all is over: ${[...remains(), ...(this.#rot?.remains() ?? [])].join("; ")}`,
    );
  }

  /** What the disks hold keeps every promise, and clients see the copies as equal too. */
  async #check(): Promise<void> {
    const { history, clients } = this.cluster;
    const [client] = clients;
    let isDone = false;
    client!.session?.run(compareCopies(this.cluster, client!.name, () => (isDone = true)));
    await this.#until(() => isDone, HEALTHY_MS_MAX, () => `${client!.name} can't compare the copies`);
    let readers = clients.length;
    for (const each of clients) each.session?.run(readAll(this.#job(each), () => (readers -= 1)));
    await this.#until(() => readers === 0, HEALTHY_MS_MAX, () => "not all clients can read");
    const stored = this.#read();
    this.#stored = stored;
    const work = workBreaches(history, this.#objects, stored);
    this.#writeSkews = work.writeSkews;
    const { attempts = [], reads = [] } = this.#people.configurers ?? {};
    const configured = this.#configured.verdict(attempts, reads);
    for (
      const breach of [
        ...breachesOf(history, stored),
        ...work.breaches,
        ...configured,
        ...this.#people.packs?.breaches(stored) ?? [],
      ]
    ) {
      history.breach(breach);
    }
  }

  /** What the disks hold of all objects. */
  #read(): Stored {
    const { history, shape } = this.cluster;
    const { accounts, lists, counters, guards, bulk } = this.#objects;
    const written = history.transactions.flatMap(({ writes }) => writes.map(({ oid }) => oid));
    const oids = new Set([...written, ...accounts, ...lists, ...counters, ...guards.flat(), ...bulk]);
    const bound = this.#people.packs?.bound ?? ZERO_TID;
    const stored = storedIn(copiesOf(this.cluster), oids, { partitions: shape.partitions, bound });
    if (this.#people.packs === undefined) return stored;
    const revisions = [...stored.revisions].map(([oid, left]) =>
      [oid, this.#people.packs!.withGone(oid, left, stored)] as const
    );
    return { ...stored, revisions: new Map(revisions) };
  }

  /** In some seeds the last transactions are deleted; what was before stays, and clients go on from there. */
  async #truncate(): Promise<void> {
    const random = this.#random.fork("truncation");
    const { packs } = this.#people;
    const share = packs ? TRUNCATED_AND_PACKED_SHARE : TRUNCATED_SHARE;
    const isDrawn = this.#options.isTruncated ?? (!this.#options.mutant && random.chance(share));
    const before = this.#stored!;
    const cut = isDrawn ? drawCut(random, before, packs?.bound ?? ZERO_TID) : undefined;
    if (cut === undefined) return;
    const { cluster } = this;
    const last = newestOf(before);
    let isCut: boolean | undefined;
    const restart = (node: AnyNode): void => this.#faults.restart(node);
    truncate({ cluster, random, packs, restart }, { tid: cut, last }, (yes) => (isCut = yes));
    const isDecided = (): boolean => isCut !== undefined && (packs?.isIdle ?? true);
    await this.#until(isDecided, HEALTHY_MS_MAX, () => `a truncation isn't decided; ${this.#state()}`);
    if (isCut) this.#rot?.truncated(cut);
    const history = new History();
    const probe = async (
      client: SimClient,
      worker: (job: Job, done: () => void) => Worker,
    ): Promise<void> => {
      let isDone = false;
      client.session?.run(worker({ ...this.#job(client), history }, () => (isDone = true)));
      await this.#until(() => isDone, HEALTHY_MS_MAX, () => {
        return `${client.name} can't go on behind a truncation; ${this.#state()}`;
      });
    };
    await probe(cluster.clients[0]!, writeOne); // what was cached seems to be older than that
    for (const node of cluster.nodes) node.disarm();
    for (const client of cluster.clients) await probe(client, readAll);
    for (const client of cluster.clients) {
      await probe(client, (job, done) => writeAll(job, { done, refused: () => {} }));
    }
    if (this.#isBroken) return;
    await this.#quiet();
    if (this.#isBroken) return;
    const after = this.#read();
    const breaches = truncationBreaches({ cut: isCut ? cut : last, before, after }, history);
    for (const breach of [...breaches, ...packs?.breaches(after) ?? [], ...history.breaches]) {
      cluster.history.breach(breach);
    }
  }

  #write(client: SimClient, done: () => void) {
    return writeAll(this.#job(client), { done, refused: (code) => (this.#failure = code) });
  }

  /** A process has ended without being killed. */
  #ended(node: AnyNode, why: Ending): void {
    if (why.by === "mistake" && REMOVED.test(why.message)) return;
    if (why.by === "mistake") {
      this.cluster.history.breach(`${node.name}: ${why.message}\n${why.stack ?? ""}`);
      return;
    }
    if (why.by === "disk") this.#faults.diskFailed(why.at);
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

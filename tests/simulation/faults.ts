/** What goes wrong in a simulated cluster, when, and whether it hit work that was on its way. */
import type { SimNetwork } from "./network.ts";
import type { AnyNode, Death } from "./node_plan.ts";
import type { SimRandom } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

/** Kinds of faults. */
export const faultKinds = [
  "crashStorage",
  "crashMaster",
  "crashClient",
  "restartAll",
  "lostWrites",
  "failedSave",
  "diskFull",
  "stopStorage",
  "stopMaster",
  "stopAll",
  "stopClient",
  "hangClient",
  "reset",
  "halfOpen",
  "partition",
  "delay",
  "pause",
  "clockJump",
] as const;
/** One of them. */
export type FaultKind = (typeof faultKinds)[number];

/** `lostWrites` comes with crashes; a clock may jump beside them, which hits no work. */
const drawn = faultKinds.filter((kind) => kind !== "lostWrites");
const harmless: ReadonlySet<FaultKind> = new Set(["clockJump"]);

/** Faults after which a seed that has few kinds of them gets all. */
const STRIKES_MAX = 60;

/** Effects after which a role's process is worth killing. */
const moments: { readonly [role: string]: readonly string[] } = {
  storage: [
    "save store",
    "save vote",
    "save lock",
    "save unlock",
    "save image",
    "answer vote",
    "answer lock",
    "answer fence",
  ],
  master: [
    "save append",
    "ask fence",
    "ask lock",
    "ask start",
    "tell unlock",
    "tell tableChange",
    "answer finish",
  ],
  client: ["ask store", "ask vote", "ask finish", "ask outcome"],
};

/** What faults need of the cluster. */
export interface FaultPorts {
  readonly world: World;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly nodes: readonly AnyNode[];
  /** An operator stops the cluster. */
  stopAll(): void;
  /** Commits that wait for their answer; of one client, or all. */
  inFlight(client?: string): number;
}

/** Lets things go wrong at random until told to stop. */
export class Faults {
  /** How often each kind hit work in flight. */
  readonly hits = new Map<FaultKind, number>();
  /** How often each kind happened at all. */
  readonly all = new Map<FaultKind, number>();
  readonly #ports: FaultPorts;
  #kinds: readonly FaultKind[];
  #strikes = 0;
  readonly #meanMs: number;
  #isOn = false;

  constructor(ports: FaultPorts) {
    this.#ports = ports;
    const { random } = ports;
    const some = random.some(drawn, 0.6);
    this.#kinds = some.filter((kind) => !harmless.has(kind)).length < 4 ? drawn : some;
    this.#meanMs = random.pick([60, 200, 600]);
  }

  /** Kinds that have hit work in flight. */
  get kinds(): number {
    return this.hits.size;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  begin(): void {
    this.#isOn = true;
    this.#next();
  }

  /** No more faults; what is broken stays so until `heal`. */
  end(): void {
    this.#isOn = false;
    for (const node of this.#ports.nodes) node.disarm();
  }

  /** A process ended because its disk failed. */
  diskFailed(): void {
    this.#count("failedSave", this.#ports.inFlight() > 0);
  }

  /** Starts a node again after a while. */
  restart(node: AnyNode): void {
    const { world, random } = this.#ports;
    // what ends late, when nothing goes wrong any more, isn't left lying
    if (!this.isOn) return world.after(random.between(1, 200), () => node.start());
    const downMs = random.pick([
      random.between(1, 200),
      random.between(1, 200),
      random.between(200, 4_000),
      random.between(4_000, random.chance(0.9) ? 25_000 : 100_000),
    ]);
    world.after(downMs, () => node.start());
  }

  #next(): void {
    const { world, random } = this.#ports;
    // Now and then the cluster is left alone for long enough to come up.
    const gapMs = random.chance(0.12)
      ? random.between(4_000, 15_000)
      : random.between(0.1, 1.9) * this.#meanMs;
    world.after(gapMs, () => {
      if (!this.#isOn) return;
      this.#strikes += 1;
      if (this.#strikes === STRIKES_MAX) this.#kinds = drawn; // these few kinds don't hit often enough
      this.#strike(random.pick(this.#kinds));
      this.#next();
    });
  }

  #count(kind: FaultKind, hitsWork: boolean): void {
    this.all.set(kind, (this.all.get(kind) ?? 0) + 1);
    if (hitsWork && !harmless.has(kind)) this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
  }

  #strike(kind: FaultKind): void {
    switch (kind) {
      case "crashStorage":
        return this.#crash(kind, this.#pick("storage"));
      case "crashMaster":
        return this.#crash(kind, this.#pick("master"));
      case "crashClient":
        return this.#crash(kind, this.#pick("client"));
      case "restartAll":
        return this.#restartAll();
      case "failedSave":
        return this.#ports.random.pick(this.#ports.nodes.filter((node) => node.hasDisk)).failDisk();
      case "stopStorage":
        return this.#stop(kind, this.#pick("storage"));
      case "stopMaster":
        return this.#stop(kind, this.#pick("master"));
      case "stopAll":
        this.#count(kind, this.#ports.inFlight() > 0);
        return this.#ports.stopAll();
      case "stopClient":
        return this.#stop(kind, this.#pick("client"));
      case "hangClient":
        return this.#pick("client")?.hang(() => this.#count(kind, true));
      case "diskFull":
        return this.#fill(this.#pick("storage"));
      case "reset":
      case "halfOpen":
        return this.#breakLink(kind);
      case "partition":
      case "delay":
        return this.#hold(kind);
      case "pause":
        return this.#pause();
      case "clockJump": {
        const { random, nodes } = this.#ports;
        this.#count(kind, false);
        return random.pick(nodes).jump(random.pick([-3_600_000, -1_500, -20, 20, 1_500]));
      }
    }
  }

  #pick(role: string): AnyNode | undefined {
    const up = this.#ports.nodes.filter((node) => node.role === role && node.isUp);
    return up.length === 0 ? undefined : this.#ports.random.pick(up);
  }

  #hitsWork(node: AnyNode): boolean {
    return this.#ports.inFlight(node.role === "client" ? node.name : undefined) > 0;
  }

  /** A process dies, at once or at a call that it is about to make. */
  #crash(kind: FaultKind, node: AnyNode | undefined): void {
    if (node === undefined) return;
    const { random } = this.#ports;
    const death: Death = random.chance(0.6) ? "killed" : "dark";
    const hitsWork = this.#hitsWork(node);
    if (random.chance(0.25)) {
      this.#died(kind, node, hitsWork, node.crash(death));
      return;
    }
    node.trap({
      after: random.chance(0.7) ? random.pick(moments[node.role]!) : undefined,
      at: random.pick([undefined, "apply", "write"]),
      calls: random.chance(0.6) ? 1 : random.int(1, 20),
      done: random.chance(0.5),
      death,
      dying: () => this.#hitsWork(node),
      sprung: (lost, hitsWork) => this.#died(kind, node, hitsWork, lost),
    });
  }

  #died(kind: FaultKind, node: AnyNode, hitsWork: boolean, lostRounds: number): void {
    this.#count(kind, hitsWork);
    if (lostRounds > 0) this.#count("lostWrites", hitsWork);
    this.restart(node);
  }

  #restartAll(): void {
    const { random, nodes } = this.#ports;
    const hitsWork = this.#ports.inFlight() > 0;
    const death: Death = random.chance(0.5) ? "killed" : "dark";
    let lost = 0;
    for (const node of nodes) {
      if (node.role === "client" && random.chance(0.7)) continue;
      lost += node.crash(death);
      this.restart(node);
    }
    this.#count("restartAll", hitsWork);
    if (lost > 0) this.#count("lostWrites", hitsWork);
  }

  #stop(kind: FaultKind, node: AnyNode | undefined): void {
    if (node === undefined) return;
    this.#count(kind, this.#hitsWork(node));
    node.terminate();
  }

  /** A disk has no room for a while. */
  #fill(node: AnyNode | undefined): void {
    if (node === undefined) return;
    const { random, world } = this.#ports;
    this.#count("diskFull", this.#hitsWork(node));
    node.fillDisk(true);
    world.after(random.between(200, 15_000), () => node.fillDisk(false));
  }

  /** One connection is reset, or goes silent: one on which something is on its way, if there is any. */
  #breakLink(kind: "reset" | "halfOpen"): void {
    const { random, network, trace } = this.#ports;
    const alive = network.links.filter((link) => link.alive);
    const busy = alive.filter((link) => link.bytes > 0);
    if (alive.length === 0) return;
    const link = random.pick(busy.length > 0 ? busy : alive);
    trace.line("net", `${kind} ${link.ends.map((end) => end.transport.node).join(" ")}`);
    this.#count(kind, busy.length > 0 && this.#ports.inFlight() > 0);
    if (kind === "reset") link.reset();
    else link.silent = true;
  }

  #hold(kind: "partition" | "delay"): void {
    const { random, network, nodes, world, trace } = this.#ports;
    const [one, two] = [random.pick(nodes), random.pick(nodes)];
    if (one === two || (one.role === "client" && two.role === "client")) return;
    const forMs = kind === "delay" ? random.between(50, 3_000) : random.between(5_000, 40_000);
    trace.line("net", `${kind} ${one.name} ${two.name} for ${forMs.toFixed(0)} ms`);
    this.#count(kind, this.#ports.inFlight() > 0);
    network.hold(one.name, two.name, world.nowMs + forMs);
  }

  #pause(): void {
    const { random, nodes, world } = this.#ports;
    const up = nodes.filter((node) => node.isUp);
    if (up.length === 0) return;
    const node = random.pick(up);
    const forMs = random.pick([
      random.between(10, 500),
      random.between(500, 4_000),
      random.between(10_000, 40_000),
    ]);
    this.#count("pause", this.#hitsWork(node));
    node.pause(world.nowMs + forMs);
  }
}

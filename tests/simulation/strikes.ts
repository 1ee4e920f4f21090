/** What each kind of fault does to a simulated cluster. */
import { clockJumpsMs, moments, saying } from "./fault_kinds.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { SimNetwork } from "./network.ts";
import type { AnyNode, Death } from "./node_plan.ts";
import type { SimRandom } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

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

/** What a strike tells of itself. */
export interface StrikeHooks {
  count(kind: FaultKind, hitsWork: boolean): void;
  /** Starts a node again after a while. */
  restart(node: AnyNode): void;
}

/** Lets one thing go wrong. All that is drawn comes from its own sequence. */
export class Strike {
  readonly #ports: FaultPorts;
  readonly #random: SimRandom;
  readonly #hooks: StrikeHooks;

  constructor(ports: FaultPorts, random: SimRandom, hooks: StrikeHooks) {
    this.#ports = ports;
    this.#random = random;
    this.#hooks = hooks;
  }

  run(kind: FaultKind): void {
    switch (kind) {
      case "lostWrites": // comes with crashes
        return;
      case "crashStorage":
        return this.#crash(kind, this.#pick("storage"));
      case "crashMaster":
        return this.#crash(kind, this.#pick("master"));
      case "crashClient":
        return this.#crash(kind, this.#pick("client"));
      case "crashTogether":
        return this.#crashTogether(this.#pick("master"), this.#pick("storage"));
      case "restartAll":
        return this.#restartAll();
      case "tornWrite":
        return this.#tear(this.#random.pick(this.#withDisk()));
      case "failedSave":
        return this.#random.pick(this.#withDisk()).failDisk();
      case "failedRead":
        return this.#pick("storage")?.failRead();
      case "slowDisk":
        return this.#slowDisk(this.#random.pick(this.#withDisk()));
      case "slowNode":
        return this.#slowNode(this.#random.pick(this.#ports.nodes));
      case "stopStorage":
        return this.#stop(kind, this.#pick("storage"));
      case "stopMaster":
        return this.#stop(kind, this.#pick("master"));
      case "stopAll":
        this.#hooks.count(kind, this.#ports.inFlight() > 0);
        return this.#ports.stopAll();
      case "stopClient":
        return this.#stop(kind, this.#pick("client"));
      case "hangClient":
        return this.#pick("client")?.hang(() => this.#hooks.count(kind, true));
      case "diskFull":
        return this.#fill(this.#pick("storage"));
      case "reset":
      case "halfOpen":
        return this.#breakLink(kind);
      case "brokenAt":
        return this.#breakAt();
      case "partition":
      case "oneWay":
      case "delay":
        return this.#hold(kind);
      case "pause":
        return this.#pause();
      case "clockJump":
        this.#hooks.count(kind, false);
        return this.#random.pick(this.#ports.nodes).jump(this.#random.pick(clockJumpsMs));
    }
  }

  #pick(role: string): AnyNode | undefined {
    const up = this.#ports.nodes.filter((node) => node.role === role && node.isUp);
    return up.length === 0 ? undefined : this.#random.pick(up);
  }

  #withDisk(): readonly AnyNode[] {
    return this.#ports.nodes.filter((node) => node.hasDisk);
  }

  #hitsWork(node: AnyNode): boolean {
    return this.#ports.inFlight(node.role === "client" ? node.name : undefined) > 0;
  }

  /** A process dies, at once or at a call that it is about to make. */
  #crash(kind: FaultKind, node: AnyNode | undefined): void {
    if (node === undefined) return;
    const random = this.#random;
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

  /** A master dies at some call behind something that matters, and a storage with it, for longer. */
  #crashTogether(master: AnyNode | undefined, storage: AnyNode | undefined): void {
    if (master === undefined || storage === undefined) return;
    const random = this.#random;
    master.trap({
      after: random.pick(moments["master"]!),
      at: random.pick(["apply", "write"]),
      calls: random.int(1, 4),
      done: random.chance(0.6),
      death: "killed",
      dying: () => this.#ports.inFlight() > 0,
      sprung: (lost, hitsWork) => {
        const all = lost + storage.crash(random.chance(0.5) ? "killed" : "dark");
        this.#died("crashTogether", storage, hitsWork, all);
        this.#ports.world.after(random.between(1, 200), () => master.start());
      },
    });
  }

  /** Power goes while a round is written: nothing of it is there afterwards, and maybe not all that came before. */
  #tear(node: AnyNode): void {
    node.trap({
      after: undefined,
      at: "apply",
      calls: this.#random.int(1, 12),
      done: false,
      death: "dark",
      dying: () => this.#hitsWork(node),
      sprung: (lost, hitsWork) => this.#died("tornWrite", node, hitsWork, lost),
    });
  }

  #died(kind: FaultKind, node: AnyNode, hitsWork: boolean, lostRounds: number): void {
    this.#hooks.count(kind, hitsWork);
    if (lostRounds > 0) this.#hooks.count("lostWrites", hitsWork);
    this.#hooks.restart(node);
  }

  #restartAll(): void {
    const hitsWork = this.#ports.inFlight() > 0;
    const death: Death = this.#random.chance(0.5) ? "killed" : "dark";
    let lost = 0;
    for (const node of this.#ports.nodes) {
      if (node.role === "client" && this.#random.chance(0.7)) continue;
      if (node.starts === 0) continue; // its time hasn't come
      lost += node.crash(death);
      this.#hooks.restart(node);
    }
    this.#hooks.count("restartAll", hitsWork);
    if (lost > 0) this.#hooks.count("lostWrites", hitsWork);
  }

  #stop(kind: FaultKind, node: AnyNode | undefined): void {
    if (node === undefined) return;
    this.#hooks.count(kind, this.#hitsWork(node));
    node.terminate();
  }

  /** A disk has no room for a while. */
  #fill(node: AnyNode | undefined): void {
    if (node === undefined) return;
    this.#hooks.count("diskFull", this.#hitsWork(node));
    node.fillDisk(true);
    this.#ports.world.after(this.#random.between(200, 15_000), () => node.fillDisk(false));
  }

  #slowDisk(node: AnyNode): void {
    this.#hooks.count("slowDisk", this.#hitsWork(node));
    node.slowDisk(this.#random.pick([50, 400, 4_000]));
    this.#ports.world.after(this.#random.between(500, 20_000), () => node.slowDisk(0));
  }

  #slowNode(node: AnyNode): void {
    this.#hooks.count("slowNode", this.#hitsWork(node));
    node.slow(this.#random.pick([2, 15, 60]));
    this.#ports.world.after(this.#random.between(500, 10_000), () => node.slow(0));
  }

  /** One connection is reset, or goes silent: one on which something is on its way, if there is any. */
  #breakLink(kind: "reset" | "halfOpen"): void {
    const { network, trace } = this.#ports;
    const alive = network.links.filter((link) => link.alive);
    const busy = alive.filter((link) => link.bytes > 0);
    if (alive.length === 0) return;
    const link = this.#random.pick(busy.length > 0 ? busy : alive);
    trace.line("net", `${kind} ${link.ends.map((end) => end.transport.node).join(" ")}`);
    this.#hooks.count(kind, busy.length > 0 && this.#ports.inFlight() > 0);
    if (kind === "reset") link.reset();
    else link.silent = true;
  }

  /** The connections of a node, or one of them, end or go silent right behind something that it says. */
  #breakAt(): void {
    const { network, trace } = this.#ports;
    const random = this.#random;
    const node = this.#pick(random.pick(["storage", "master", "client"]));
    if (node === undefined) return;
    const [share, isSilent] = [random.pick([1, 0.3]), random.chance(0.25)];
    node.behind(random.pick(saying[node.role]!), () => {
      const links = network.links.filter((link) =>
        link.alive && link.ends.some((end) => end.transport.node === node.name)
      );
      const some = random.some(links, share);
      if (some.length === 0) return;
      trace.line("net", `${isSilent ? "silence" : "reset"} of ${some.length} connections of ${node.name}`);
      this.#hooks.count("brokenAt", this.#hitsWork(node));
      for (const link of some) {
        if (isSilent) link.silent = true;
        else link.reset();
      }
    });
  }

  #hold(kind: "partition" | "oneWay" | "delay"): void {
    const { network, nodes, world, trace } = this.#ports;
    const random = this.#random;
    const [one, two] = [random.pick(nodes), random.pick(nodes)];
    if (one === two || (one.role === "client" && two.role === "client")) return;
    const forMs = kind === "delay" ? random.between(50, 3_000) : random.between(5_000, 40_000);
    trace.line("net", `${kind} ${one.name} ${two.name} for ${forMs.toFixed(0)} ms`);
    this.#hooks.count(kind, this.#ports.inFlight() > 0);
    if (kind === "oneWay") network.holdOneWay(one.name, two.name, world.nowMs + forMs);
    else network.hold(one.name, two.name, world.nowMs + forMs);
  }

  #pause(): void {
    const { nodes, world } = this.#ports;
    const random = this.#random;
    const up = nodes.filter((node) => node.isUp);
    if (up.length === 0) return;
    const node = random.pick(up);
    const forMs = random.pick([
      random.between(10, 500),
      random.between(500, 4_000),
      random.between(10_000, random.chance(0.8) ? 40_000 : 180_000),
    ]);
    this.#hooks.count("pause", this.#hitsWork(node));
    node.pause(world.nowMs + forMs);
  }
}

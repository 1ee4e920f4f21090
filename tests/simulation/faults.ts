/**
 * What goes wrong in a simulated cluster, when, and whether it hit work that was on its way. Strikes have numbers, and each
 * draws from a sequence of its own: one that is left out changes nothing about the others.
 */
import { drawnKinds, flappingKinds, harmlessKinds } from "./fault_kinds.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { AnyNode } from "./node_plan.ts";
import type { SimRandom } from "./random.ts";
import { Strike } from "./strikes.ts";
import type { FaultPorts } from "./strikes.ts";

/** Faults after which a seed that has few kinds of them gets all. */
const STRIKES_MAX = 60;
/** From so many on they come ever less often: a cluster that never comes up shows nothing. */
const STRIKES_SPARSE = 100;
/** Fewer kinds than this would hardly hit anything. */
const KINDS_DRAWN_MIN = 4;

/** Lets things go wrong at random until told to stop. */
export class Faults {
  /** How often each kind hit work in flight. */
  readonly hits = new Map<FaultKind, number>();
  /** How often each kind happened at all. */
  readonly all = new Map<FaultKind, number>();
  readonly #ports: FaultPorts;
  readonly #without: ReadonlySet<number>;
  #kinds: readonly FaultKind[];
  #strikes = 0;
  readonly #meanMs: number;
  /** Who ends is soon there again. */
  readonly #isFlapping: boolean;
  readonly #restarts: SimRandom;
  #isOn = false;

  /** `without`: numbers of strikes that are left out; `isFlapping`: storages come and go, and little else. */
  constructor(ports: FaultPorts, without: ReadonlySet<number> = new Set(), isFlapping = false) {
    this.#ports = ports;
    this.#without = without;
    const { random } = ports;
    this.#restarts = random.fork("restarts");
    const some = random.some(drawnKinds, 0.6);
    const isEnough = some.filter((kind) => !harmlessKinds.has(kind)).length >= KINDS_DRAWN_MIN;
    this.#isFlapping = isFlapping;
    this.#kinds = this.#isFlapping ? flappingKinds : isEnough ? some : drawnKinds;
    this.#meanMs = random.pick([60, 200, 600]);
  }

  /** Kinds that have hit work in flight. */
  get kinds(): number {
    return this.hits.size;
  }

  /** Strikes so far: their numbers are 1 to this. */
  get strikes(): number {
    return this.#strikes;
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
  diskFailed(at: "save" | "read"): void {
    this.#count(at === "save" ? "failedSave" : "failedRead", this.#ports.inFlight() > 0);
  }

  /** Starts a node again after a while. */
  restart(node: AnyNode, random: SimRandom = this.#restarts): void {
    const { world } = this.#ports;
    // what ends late, when nothing goes wrong any more, isn't left lying
    if (!this.isOn) return world.after(random.between(1, 200), () => node.start());
    const downMs = this.#isFlapping ? random.between(1, random.pick([200, 1_500])) : random.pick([
      random.between(1, 200),
      random.between(1, 200),
      random.between(200, 4_000),
      random.between(4_000, random.chance(0.9) ? 25_000 : 100_000),
    ]);
    world.after(downMs, () => node.start());
  }

  #next(): void {
    const { world } = this.#ports;
    const number = this.#strikes + 1;
    const random = this.#ports.random.fork(`strike ${number}`);
    // Now and then the cluster is left alone for long enough to come up.
    const gapMs = random.chance(0.12)
      ? random.between(4_000, 15_000)
      : random.between(0.1, 1.9) * this.#meanMs * Math.max(1, number / STRIKES_SPARSE);
    world.after(gapMs, () => {
      if (!this.#isOn) return;
      this.#strikes = number;
      if (number === STRIKES_MAX) this.#kinds = drawnKinds; // these few kinds don't hit often enough
      if (!this.#without.has(number)) this.#strike(random);
      this.#next();
    });
  }

  #strike(random: SimRandom): void {
    const hooks = {
      count: (kind: FaultKind, hitsWork: boolean) => this.#count(kind, hitsWork),
      restart: (node: AnyNode) => this.restart(node, random),
    };
    const kind = random.pick(this.#kinds);
    this.#ports.trace.line("sim", `strike ${this.#strikes}: ${kind}`);
    new Strike(this.#ports, random, hooks).run(kind);
  }

  #count(kind: FaultKind, hitsWork: boolean): void {
    this.all.set(kind, (this.all.get(kind) ?? 0) + 1);
    if (hitsWork && !harmlessKinds.has(kind)) this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1);
  }
}

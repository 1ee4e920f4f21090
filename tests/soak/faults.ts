/** What can be done to one node of a cluster of real processes, and undone. */
import type { SimRandom } from "../simulation/random.ts";
import { ANYBODY } from "./fault_network.ts";
import type { SoakCluster } from "./soak_cluster.ts";

/** Kinds of faults. */
export const faultKinds = ["kill", "pause", "reset", "partition", "delay", "diskFull", "clock"] as const;
/** One of them. */
export type FaultKind = (typeof faultKinds)[number];

/** What a fault is given. */
export interface FaultSite {
  readonly cluster: SoakCluster;
  readonly random: SimRandom;
  /** Programs that use the cluster. */
  readonly clients: readonly string[];
  /** No fault lasts longer. */
  readonly faultMsMax: number;
  /** Waits; comes back early when all is to be healed. */
  wait(ms: number): Promise<void>;
  /** Notes what is done now. */
  note(what: string): void;
}

/** Does it to a node, and undoes it after a while. */
type Fault = (site: FaultSite, node: string) => Promise<void>;

/** A killed process is started again within this time. */
const DEAD_MS_MAX = 3_000;
/** A process stops, or a link is cut, for this time at least. */
const AWAY_MS_MIN = 1_000;
/** What a slow link adds to the way of each packet. */
const DELAY_MS_MAX = 10;
/** Clocks jump by this much at most, either way. */
const JUMP_S_MAX = 86_400;

/** Why a kind of faults can't be had on this machine; undefined: it can. */
export function whyNot(kind: FaultKind, cluster: SoakCluster): string | undefined {
  if (kind === "diskFull" && cluster.diskOwner === undefined) return "a tmpfs can't be mounted here";
  if (kind === "clock" && !cluster.hasClocks) return "libfaketime isn't installed";
  return undefined;
}

/** Each kind. */
export const faults: { readonly [K in FaultKind]: Fault } = {
  async kill(site, node) {
    const { cluster, random } = site;
    await cluster.kill9(node);
    await site.wait(Math.min(random.between(0, DEAD_MS_MAX), site.faultMsMax));
    await cluster.startOrThrow(node);
  },

  async pause(site, node) {
    const ms = awayMs(site);
    site.note(`for ${ms.toFixed(0)} ms`);
    site.cluster.signal(node, "SIGSTOP");
    try {
      await site.wait(ms);
    } finally {
      site.cluster.signal(node, "SIGCONT");
    }
  },

  reset(site, node) {
    const ends = site.cluster.network.resetOne(node);
    site.note(ends ? ends.join(" to ") : "it had no connection");
    return Promise.resolve();
  },

  async partition(site, node) {
    const ms = awayMs(site);
    const { ways, what } = cutOf(site, node);
    site.note(`${what} for ${ms.toFixed(0)} ms`);
    const heal = site.cluster.network.cut(...ways);
    try {
      await site.wait(ms);
    } finally {
      heal();
    }
  },

  async delay(site, node) {
    const heal = site.cluster.network.slow(node, DELAY_MS_MAX);
    try {
      await site.wait(awayMs(site));
    } finally {
      heal();
    }
  },

  async diskFull(site, node) {
    const { cluster } = site;
    cluster.setDiskFull(true);
    try {
      await site.wait(awayMs(site));
    } finally {
      cluster.setDiskFull(false);
    }
    if (cluster.pid(node) === undefined) {
      site.note("it had ended");
      await cluster.startOrThrow(node);
    }
  },

  async clock(site, node) {
    const jump = site.random.int(-JUMP_S_MAX, JUMP_S_MAX);
    site.note(`by ${jump} s`);
    site.cluster.setClock(node, jump);
    try {
      await site.wait(awayMs(site));
    } finally {
      site.cluster.setClock(node, 0);
    }
  },
};

/** Nodes to which a kind can be done. */
export function candidatesFor(kind: FaultKind, cluster: SoakCluster): string[] {
  if (kind === "diskFull") return cluster.diskOwner === undefined ? [] : [cluster.diskOwner];
  return [...cluster.nodes("master"), ...cluster.nodes("storage")].map(({ name }) => name);
}

function awayMs({ random, faultMsMax }: FaultSite): number {
  return random.between(Math.min(AWAY_MS_MIN, faultMsMax), faultMsMax);
}

/** From everybody or from one other, both ways or one way. */
function cutOf(
  { cluster, random, clients }: FaultSite,
  node: string,
): { readonly ways: readonly (readonly [string, string])[]; readonly what: string } {
  const others = [...cluster.nodes().map(({ name }) => name).filter((name) => name !== node), ...clients];
  const other = random.chance(0.5) ? ANYBODY : random.pick(others);
  const [there, back] = [[node, other], [other, node]] as const;
  const who = other === ANYBODY ? "all" : other;
  switch (random.int(0, 2)) {
    case 0:
      return { ways: [there, back], what: `from ${who}` };
    case 1:
      return { ways: [there], what: `it isn't heard by ${who}` };
    default:
      return { ways: [back], what: `it doesn't hear ${who}` };
  }
}

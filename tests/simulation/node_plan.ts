/** What a node of a simulated cluster is made of, what it shares with others, and how its process may end. */
import type { HostedMachine } from "../../roles/host.ts";
import type { PeersOptions } from "../../roles/peer.ts";
import type { Air } from "./air.ts";
import type { SimDisk } from "./disk.ts";
import type { SimNetwork } from "./network.ts";
import type { SimNode } from "./node.ts";
import type { SimRandom } from "./random.ts";
import type { Trace } from "./trace.ts";
import type { World } from "./world.ts";

/** How a process ends: `killed` by a signal, or `dark` with its machine. */
export type Death = "killed" | "dark";

/** The calls of ports at which a process can die. */
export type PortCall = "apply" | "read" | "write" | "connect";

/** Where a process dies. */
export interface Trap {
  /** It counts from the step that gives this effect on, such as `save lock` or `ask finish`; undefined: at once. */
  readonly after: string | undefined;
  /** The calls that count; undefined: all. */
  readonly at: PortCall | undefined;
  /** Calls until it dies, 1 and up. */
  readonly calls: number;
  /** Whether that call still does its work. */
  readonly done: boolean;
  readonly death: Death;
  /** Looks at what it is about to hit. */
  readonly dying: () => boolean;
  /** Called when it has died, with what `dying` said. */
  readonly sprung: (lostRounds: number, hitsWork: boolean) => void;
}

/** What a node builds for a process: its machine and whom it serves. */
export interface Built<C, W, Q, R, A, E, O> {
  readonly machine: HostedMachine<C, W, Q, R, A, E, O>;
  readonly peers: PeersOptions;
}

/** What a node is made of. */
export interface NodePlan<C, W, Q, R, A, E, O, S> {
  readonly name: string;
  readonly role: string;
  /** Undefined: it doesn't listen. */
  readonly address: string | undefined;
  readonly disk: SimDisk<W, Q, A, S> | undefined;
  readonly skewMs: number;
  build(state: S | undefined, random: SimRandom): Built<C, W, Q, R, A, E, O>;
  output(output: O): void;
  /** A process has begun. */
  begun?: () => void;
  /** It has ended, in whatever way. */
  over?: () => void;
}

/** Why a process has ended without being killed: it was asked to, its disk failed, or it is a mistake. */
export type Ending =
  | { readonly by: "order" }
  | { readonly by: "disk"; readonly at: "save" | "read" }
  | { readonly by: "mistake"; readonly message: string; readonly stack?: string };

/** What all nodes share. */
export interface Surroundings {
  readonly world: World;
  readonly network: SimNetwork;
  readonly random: SimRandom;
  readonly trace: Trace;
  /** In clusters that have multicast. */
  readonly air?: Air;
  /** A process has ended by its own decision, or because its machine threw. */
  readonly ended: (node: AnyNode, why: Ending) => void;
}

/** A node, whatever its role. */
export type AnyNode = Pick<
  // deno-lint-ignore no-explicit-any -- its parameters matter to its role only
  SimNode<any, any, any, any, any, any, any, any>,
  | "name"
  | "role"
  | "isUp"
  | "isPaused"
  | "starts"
  | "start"
  | "crash"
  | "terminate"
  | "pause"
  | "jump"
  | "trap"
  | "disarm"
  | "failDisk"
  | "failRead"
  | "fillDisk"
  | "slowDisk"
  | "slow"
  | "busyUntilMs"
  | "hang"
  | "behind"
  | "hasDisk"
>;

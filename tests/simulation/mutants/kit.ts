/** What mutants are, and what they are made of: bent effects, bent rounds of disks, machines in other machines. */
import type { Effect, Now } from "../../../core/machine.ts";
import type { AnswerMessage, AskName, Name } from "../../../core/messages.ts";
import type { Answer } from "../../../core/messages.ts";
import type { HostedMachine } from "../../../roles/host.ts";
import type { Cluster } from "../cluster.ts";
import type { SimDisk } from "../disk.ts";
import type { AnyNode } from "../node_plan.ts";
import type { Happened } from "../sometimes/view.ts";
import { labelOf } from "../trace.ts";
import type { Work } from "../workloads.ts";
import type { World } from "../world.ts";

/** How often a mutant provokes the moment at which its mistake shows; more would keep the cluster from all work. */
const PROVOKED_MAX = 12;
/** Who was killed on purpose is there again so soon. */
const AWAY_MS = 60;

/** What is broken, how, and what a checker may say about it. */
export interface MutantCase {
  readonly breaks: string;
  readonly mutate: (cluster: Cluster) => void;
  readonly noticed: RegExp;
  /** So few seeds notice it that only the long search looks for one; the explorer finds it in its small world. */
  readonly isRare?: boolean;
  /** Seen only where storages come and go. */
  readonly isFlapping?: boolean;
  /** Seen only behind a truncation. */
  readonly isTruncated?: boolean;
  /** Seen only where people change the configuration. */
  readonly isConfigured?: boolean;
  /** Seen only where history is packed. */
  readonly isPacked?: boolean;
  /** Seen only where bits turn on disks. */
  readonly isRotting?: boolean;
  /** Seen only where there are so many masters; else there is one. */
  readonly masters?: number;
  /** Seen only where programs do this. */
  readonly work?: readonly Work[];
  /** A seed that is known to notice it. */
  readonly seed: number;
}

/** Something acknowledged is gone, or half of it is, or copies differ, or nothing goes on. */
export const LOSS =
  /isn't there|is there without|had been acknowledged|can't commit|differ|read apart|read object|was read as|lost update|sees copies|holds something else|read accounts/;

// deno-lint-ignore no-explicit-any -- a mutant doesn't care about what a machine attaches to its questions
export type AnyMachine = HostedMachine<any, any, any, any, any, any, any>;
/** What a master tells of itself while it is the primary. */
export interface Viewed {
  readonly view?: { readonly phase: string; readonly lastTid: bigint };
}
/** An effect, whatever is attached to it. */
// deno-lint-ignore no-explicit-any -- as above
export type AnyEffect = Effect<any, any, any, any, any>;

/** What a wrapper does with an event: steps the machine as often as it likes. */
export type Wrapped = (event: Happened, step: (event: unknown) => AnyEffect[]) => AnyEffect[];

/** Nodes that take wrappers. */
interface Wrappable {
  // deno-lint-ignore no-explicit-any -- as above
  wrap: (machine: any) => any;
}

/** Wraps each machine of some nodes. `make`: called for each process. */
export function wrapAll(nodes: readonly Wrappable[], make: (machine: AnyMachine) => Wrapped): void {
  for (const node of nodes) {
    node.wrap = (machine: AnyMachine) => {
      const wrapped = make(machine);
      return {
        due: () => machine.due(),
        step: (event: unknown, now: Now) =>
          wrapped(event as Happened, (inner) => [...machine.step(inner, now)]),
      } as AnyMachine;
    };
  }
}

/** A node whose effects can be bent. */
// deno-lint-ignore no-explicit-any -- as above
export type Bendable = { bend: (effects: any[]) => any[] };

/** Bends each effect of some nodes. */
export function bendAll(nodes: readonly Bendable[], bend: (effect: AnyEffect) => AnyEffect): void {
  for (const node of nodes) node.bend = (effects: AnyEffect[]) => effects.map(bend);
}

/** Another body in the answers of that name. */
export function answering<N extends AskName>(
  name: N,
  change: (body: Answer<N>) => Answer<N>,
): (effect: AnyEffect) => AnyEffect {
  return (effect) => {
    if (effect.do !== "answer" || effect.message.name !== name) return effect;
    const body = change(effect.message.body as Answer<N>);
    return { ...effect, message: { name, body } as unknown as AnswerMessage };
  };
}

/** An event with another body in its message. */
export function withBody<E extends Happened>(event: E, body: object): E {
  const { message } = event as unknown as { message: { name: Name; body: object } };
  return { ...event, message: { ...message, body: { ...message.body, ...body } } };
}

/** Nothing is flushed, whatever the host asks for. */
export function lie<W, Q, A, S>(disk: SimDisk<W, Q, A, S>): void {
  disk.lazyMs = Infinity;
  disk.bend = (round) => ({ ...round, durable: false });
}

/**
 * Provokes the moment at which a mistake shows, a few times in a run: without that, few seeds would come to it. Gives
 * what does it, called where the moment may be.
 */
export function provoking(cluster: Pick<Cluster, "isDisturbed">, run: () => void): () => void {
  let left = PROVOKED_MAX;
  return () => {
    if (cluster.isDisturbed && left-- > 0) run();
  };
}

/** A process dies right after it has done its next call of that kind behind an effect, and is soon there again. */
export function dieBehind(
  node: AnyNode,
  world: World,
  after: string | undefined,
  at: "apply" | "write",
): void {
  const sprung = () => world.after(AWAY_MS, () => node.start());
  node.trap({ after, at, calls: 1, done: true, death: "killed", dying: () => true, sprung });
}

/** A process dies at once, and is there again after `awayMs`: soon, if it isn't said. */
export function dieNow(node: AnyNode, world: World, awayMs = AWAY_MS): void {
  world.after(0, () => {
    node.crash("killed");
    world.after(awayMs, () => node.start());
  });
}

/** Each `every`th effect with that label is left out. */
export function without<E extends Effect>(label: string, every: number): (effects: E[]) => E[] {
  let count = 0;
  return (effects) => effects.filter((effect) => labelOf(effect) !== label || ++count % every > 0);
}

/** Effects with that label aren't flushed. */
export function lazily<E extends Effect>(label: string): (effects: E[]) => E[] {
  return (effects) =>
    effects.map((effect) => labelOf(effect) === label ? { ...effect, durable: false } : effect);
}

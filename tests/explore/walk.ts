/**
 * Walks every state of a world, nearest first, so that what is found has the shortest history. States are rows of small numbers
 * in one table; a history is what led from row to row, told again from the start.
 *
 * What makes that possible: a machine's next state depends on its state and on what it hears alone. So states of single nodes are
 * numbered (`node.ts`), each of their rounds is run once on the real machine, and most steps are look-ups. Deliveries to
 * different nodes commute, and lead to the same row; nothing else is reduced.
 *
 * What isn't walked: time (all happens at one moment; a short wait may end at any point, a long one only when all is quiet), half-open
 * connections, answers that come too late for their question, rounds of more events than a world says. Several masters agree as
 * `agreement.ts` says: there two may take themselves for the primary at once, but of their elections only the end is walked.
 */
import type { Built } from "./build.ts";
import { breachOf, endBreachOf } from "./checkers.ts";
import { hasWaits, moves } from "./moves.ts";
import { States } from "./states.ts";
import type { Draft } from "./world.ts";

/** What a walk is bounded by. */
export interface Bounds {
  readonly states: number;
  /** Asked now and then whether to go on. */
  readonly goOn?: (walked: Walked) => boolean;
}

/** What a walk has seen. */
export interface Walked {
  states: number;
  /** Moves that were made. */
  steps: number;
  /** The longest of the shortest histories. */
  depth: number;
  /** Ends at which nothing more happens; and those where something waits that isn't walked any more. */
  ends: number;
  cutOff: number;
  /** How calls ended at those ends, all calls of an end together. */
  readonly fates: Map<string, number>;
  /** Whether every state was seen. */
  complete: boolean;
  breach: { readonly what: string; readonly history: readonly string[] } | undefined;
}

const ASK_EVERY = 1_000;

/** Walks a world. */
export function walk({ world, spec, start }: Built, bounds: Bounds): Walked {
  const seen = new States(world.width);
  const walked: Walked = {
    states: 0,
    steps: 0,
    depth: 0,
    ends: 0,
    cutOff: 0,
    fates: new Map(),
    complete: false,
    breach: undefined,
  };
  const found = (what: string | undefined, state: number): boolean => {
    if (what !== undefined) walked.breach = { what, history: historyOf({ world, spec, start }, seen, state) };
    return what !== undefined;
  };
  seen.add(world.rowOf(start), -1);
  let depthEnd = 1;
  for (let state = 0; state < seen.size; state++) {
    if (state === depthEnd) {
      walked.depth += 1;
      depthEnd = seen.size;
    }
    const draft = world.draftOf(seen.row(state));
    const all = moves(world, spec, draft);
    if (!all.some(({ kind }) => kind === "step") && ends(walked, draft, hasWaits(world, draft))) {
      if (found(endBreachOf(world, spec, draft), state)) return walked;
    }
    for (const move of all) {
      const next = move.run();
      walked.steps += 1;
      const at = seen.add(world.rowOf(next), state);
      walked.states = seen.size;
      if (at >= 0 && found(breachOf(world, spec, next), at)) return walked;
    }
    if (seen.size >= bounds.states) return walked;
    if (state % ASK_EVERY === 0 && bounds.goOn?.(walked) === false) return walked;
  }
  walked.complete = true;
  return walked;
}

/** Counts an end; false: something still waits there. */
function ends(walked: Walked, { told }: Draft, waits: boolean): boolean {
  if (waits) {
    walked.cutOff += 1;
    return false;
  }
  walked.ends += 1;
  const fate = told.calls.map(({ is, error }) => error ?? is).join(", ");
  walked.fates.set(fate, (walked.fates.get(fate) ?? 0) + 1);
  return true;
}

/** What happened on the way to a state. */
function historyOf({ world, spec }: Built, seen: States, state: number): string[] {
  const rows: number[] = [];
  for (let at = state; at >= 0; at = seen.parent(at)) rows.unshift(at);
  const told = rows.slice(1).map((to, at) => {
    const draft = world.draftOf(seen.row(rows[at]!));
    const key = seen.row(to).join();
    const move = moves(world, spec, draft).find((one) => world.rowOf(one.run()).join() === key);
    return move?.label() ?? "?";
  });
  return [...spec.path ?? [], ...told];
}

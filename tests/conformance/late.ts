/**
 * A store that answers late: what a machine must stand, because the next adapter may be at the other end of a network.
 * Rounds keep their order; reads are done and answered whenever the schedule pleases.
 */
import type { Random, Store } from "../../core/ports.ts";

/** Runs a task later, and never within the call. */
export type Schedule = (task: () => void) => void;

/**
 * Runs scheduled tasks in an order that `random` draws, each after some turns of the promise queue: no timer is needed,
 * and one seed gives one order.
 */
export function shuffled(random: Random, turnsMax: number = 4): Schedule {
  const waiting: (() => void)[] = [];
  let running = false;
  const run = async () => {
    running = true;
    while (waiting.length > 0) {
      const turns = 1 + Math.floor(random.next() * turnsMax);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const [task] = waiting.splice(Math.floor(random.next() * waiting.length), 1);
      task?.();
    }
    running = false;
  };
  return (task) => {
    waiting.push(task);
    if (!running) void run();
  };
}

/**
 * Gives a store late answers. A round happens when its turn comes, after those that were given before, and is answered
 * later still. A read happens at some moment between its call and its answer: it sees what had been answered before,
 * and maybe more.
 */
export function late<W, Q, A, S>(
  store: Store<W, Q, A> & { readonly state: S },
  schedule: Schedule,
): Store<W, Q, A> & { readonly state: S } {
  let last: Promise<unknown> = Promise.resolve();
  const inFlight = new Set<Promise<unknown>>();

  const afterwards = <T>(action: () => T | Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      schedule(() => {
        try {
          const result = action();
          schedule(() => resolve(result));
        } catch (error) {
          schedule(() => reject(error));
        }
      });
    });

  const counted = <T>(answer: Promise<T>): Promise<T> => {
    inFlight.add(answer);
    const over = () => inFlight.delete(answer);
    answer.then(over, over);
    return answer;
  };

  /** Whatever the one before came to. */
  const inOrder = <T>(action: () => T | Promise<T>): Promise<T> => {
    const turn = () => afterwards(action);
    const answer = last.then(turn, turn);
    last = answer;
    return counted(answer);
  };

  return {
    state: store.state,
    apply: (writes, options) => inOrder(() => store.apply(writes, options)),
    read: (query) => counted(afterwards(() => store.read(query))),
    freeBytes: () => store.freeBytes(),
    close: async () => {
      await Promise.allSettled(inFlight);
      await afterwards(() => store.close());
    },
  };
}

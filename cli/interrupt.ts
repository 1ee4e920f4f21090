/** Ctrl-C and SIGTERM for commands that have something to end: the first ends it in order, the second at once. */
import type { World } from "./context.ts";

/** Listens until `off`. */
export class Interrupt {
  /** Whether a signal has come. */
  came = false;
  readonly first: Promise<void>;
  readonly second: Promise<void>;
  /** Gives signals their usual effect back. */
  readonly off: () => void;

  constructor(world: World) {
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.first = first.promise;
    this.second = second.promise;
    this.off = world.onSignal(() => {
      if (this.came) second.resolve();
      this.came = true;
      first.resolve();
    });
  }
}

/** A process of a simulated node, as long as it lasts. */
import type { WireError } from "../../core/messages.ts";
import type { Trap } from "./node_plan.ts";
import type { Owner } from "./world.ts";

/** What is thrown where a process dies. */
export class Died extends Error {
  override name = "Died";
}

/** One process of a node. */
export class Process implements Owner {
  gone = false;
  pausedUntilMs = 0;
  slowMs = 0;
  trap: { plan: Trap; armed: boolean; left: number } | undefined;
  /** What happens right behind the next effect of that label. */
  behind: { readonly label: string; readonly run: () => void } | undefined;
  /** Told when the next finish isn't sent. */
  hangs: (() => void) | undefined;
  /** Transactions of which nothing is sent any more. */
  readonly hung = new Set<unknown>();
  /** Why its machine threw. */
  failure: { message: string; stack?: string; disk: "save" | "read" | undefined } | undefined;
  /** What its machine gave as the reason to stop. */
  stop: { error?: WireError } | undefined;
}

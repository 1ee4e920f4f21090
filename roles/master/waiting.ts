/**
 * A master without a cluster: its store was made and never initialised. It must not guess one, because two masters that guess
 * make two clusters of one (B8): cluster id and first members are written once, by `neo init`.
 *
 * It has one state. Whoever comes is kept waiting, as at any master that isn't ready, and is told why when its patience
 * ends. It asks, tells and saves nothing; `terminate` ends it.
 */
import { unreachable } from "../../core/errors.ts";
import type { Effect, HostEvent, Machine, PeerEvent } from "../../core/machine.ts";
import type { Hello } from "../../core/messages.ts";
import { helloOf } from "../hello.ts";

/** Events of a master that waits. */
export type WaitingEvent = PeerEvent<never> | HostEvent<never, never>;
/** Its effects. */
export type WaitingEffect = Effect<never, never, never, never, never>;

/** What a master that waits knows of itself. */
export interface WaitingStart {
  /** Its own name. */
  readonly name: string;
  /** The name of the cluster that it is meant for, if its configuration says so. */
  readonly cluster?: string;
}

/**
 * A master that waits to be told its cluster.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { WaitingMaster } from "./waiting.ts";
 * const master = new WaitingMaster({ name: "m1" });
 * assert.deepEqual(master.step({ type: "terminate" }), [{ do: "stop" }]);
 * ```
 */
export class WaitingMaster implements Machine<WaitingEvent, WaitingEffect> {
  #start: WaitingStart;

  constructor(start: WaitingStart) {
    this.#start = start;
  }

  /** What this node says of itself: no cluster id, because it has none. */
  hello(): Hello {
    const { name, cluster = "" } = this.#start;
    return helloOf({ role: "master", name, cluster });
  }

  due(): undefined {
    return undefined;
  }

  step(event: WaitingEvent): WaitingEffect[] {
    switch (event.type) {
      case "opened":
        return [{ do: "log", level: "warning", text: this.#why("serve") }];
      case "impatient": {
        const message = this.#why("let this peer in");
        return [{ do: "reject", conn: event.conn, error: { code: "denied", message } }];
      }
      case "terminate":
        return [{ do: "stop" }];
      case "identified": // kept waiting: the operator may be about to start the right one
      case "lost":
      case "asked":
      case "told":
      case "answered":
      case "failed":
      case "saved":
      case "read":
      case "due":
      case "room":
        return [];
      default:
        return unreachable(event);
    }
  }

  #why(action: string): string {
    return `Cannot ${action}: master ${this.#start.name} has no cluster yet; run \`neo init\`, which makes its data folder`;
  }
}

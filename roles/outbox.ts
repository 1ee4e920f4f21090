/** Where the parts of a role put what they decide in one step, in its order. */
import type { Conn } from "../core/ids.ts";
import type { LogLevel, LogModule } from "../core/log_modules.ts";
import type { Effect } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";

/** A request, to be answered once. */
export interface Asker {
  readonly conn: Conn;
  readonly id: number;
}

/** The effects of a step. `F`: what the role may do. */
export class Outbox<F extends Effect> {
  #effects: F[] = [];

  emit(...effects: readonly F[]): void {
    this.#effects.push(...effects);
  }

  refuse({ conn, id }: Asker, error: WireError): void {
    this.#effects.push({ do: "refuse", conn, id, error } as F);
  }

  log(
    module: LogModule,
    level: LogLevel,
    text: string,
    facts?: { readonly [name: string]: unknown },
  ): void {
    this.#effects.push({ do: "log", module, level, text, ...(facts ? { facts } : {}) } as F);
  }

  /** The effects of the step that ends. */
  taken(): F[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

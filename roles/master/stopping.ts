/**
 * How a primary stops in order: no new clients, finishes are served until a deadline, then everybody is told.
 *
 * Begun once (`terminate`, or an operator's `stop`, which ends the storages as well); ends when no client is left and nothing is
 * pending, when its deadline passed, or when nothing can be finished any more.
 */
import { answer, tell } from "../../core/machine.ts";
import type { Clients } from "./clients.ts";
import type { Asker, Site } from "./site.ts";
import type { Storages } from "./storages.ts";

/** The end of a primary. */
export class Stopping {
  #site: Site;
  #storages: Storages;
  #clients: Clients;
  #pending: () => number;
  #state: { readonly untilMs: number; readonly everything: boolean; readonly askers: Asker[] } | undefined;

  constructor(parts: { site: Site; storages: Storages; clients: Clients; pending: () => number }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#clients = parts.clients;
    this.#pending = parts.pending;
  }

  /** Whether it has begun. */
  get isOn(): boolean {
    return this.#state !== undefined;
  }

  /** The deadline. */
  get dueMs(): number | undefined {
    return this.#state?.untilMs;
  }

  /** Begins, or adds an asker to a stop that goes on. `everything`: storages end too. */
  begin(how: { everything: boolean; asker?: Asker }): void {
    const askers = [...(this.#state?.askers ?? []), ...(how.asker ? [how.asker] : [])];
    const everything = how.everything || (this.#state?.everything ?? false);
    const untilMs = this.#state?.untilMs
      ?? this.#site.now.monoMs + this.#site.setting("master.stopDeadlineMs");
    const first = this.#state === undefined;
    this.#state = { untilMs, everything, askers };
    if (first) this.#site.enter("stopping");
  }

  /** Ends, if that is due. */
  try(): void {
    if (!this.#state || this.#site.phase === "ended") return;
    if (this.#clients.live.length === 0 && this.#pending() === 0) this.finish("all is done");
    else if (this.#site.now.monoMs >= this.#state.untilMs) this.finish("its deadline passed");
  }

  /** Ends now. */
  finish(why: string): void {
    const { everything, askers } = this.#state!;
    this.#site.log("cluster", "info", "Stopping", { why });
    this.#clients.endAll();
    if (everything) {
      const conns = this.#storages.all.flatMap(({ conn }) => (conn === undefined ? [] : [conn]));
      this.#site.emit(tell(conns, "shutdown", { epoch: this.#site.epoch }));
    }
    for (const asker of askers) this.#site.emit(answer(asker, "stop", {}));
    this.#site.enter("ended");
    this.#site.emit({ do: "stop" });
  }
}

/**
 * A storage whose database began as a copy of another one's (N4): it gets out-of-date cells of the same partitions. What it
 * then lacks of them it knows by itself (`progress.ts` of storages), so that only that is transferred.
 */
import type { NodeIndex } from "../../core/ids.ts";
import { answer } from "../../core/machine.ts";
import type { AskMessage } from "../../core/messages.ts";
import type { Layout } from "./layout.ts";
import type { Asker, Site } from "./site.ts";
import type { PlannedChange } from "./tweak.ts";

/** Serves the operator's question. */
export class Clone {
  #site: Site;
  #layout: Layout;

  constructor(parts: { site: Site; layout: Layout }) {
    this.#site = parts.site;
    this.#layout = parts.layout;
  }

  /** Proposes the cells; false: it is asked for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "copyCells") return false;
    const { name, of } = message.body;
    const { phase, proposed } = this.#site;
    const [member, model] = [this.#layout.member(name), this.#layout.member(of)];
    const why = phase !== "running"
      ? `the cluster is ${phase}; wait until it runs`
      : !member || !model
      ? `no storage ${member ? of : name} is a member`
      : proposed.cellsOf(member.index as NodeIndex).length > 0
      ? "it has cells already"
      : undefined;
    if (why !== undefined) {
      const text = `Cannot give ${name} the cells of ${of}: ${why}`;
      this.#site.refuse(asker, { code: "denied", message: text });
      return true;
    }
    const node = member!.index as NodeIndex;
    const cells = proposed.cellsOf(model!.index as NodeIndex).map(({ partition }): PlannedChange => ({
      partition,
      node,
      state: "outOfDate",
    }));
    this.#layout.propose(cells, () => this.#site.emit(answer(asker, "copyCells", { cells: cells.length })));
    return true;
  }
}

/**
 * What became of a transaction whose client lost the answer. The primary has verified, so that only three things can be: it is
 * queued (answered at its publication), final (a readable home cell knows, behind its unlocks), or void for ever.
 */
import type { NodeIndex } from "../../core/ids.ts";
import { answer, ask } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Asker, MasterContext, Site } from "./site.ts";
import type { Storages } from "./storages.ts";
import type { Transactions } from "./transactions.ts";

type OutcomeContext = Extract<MasterContext, { of: "outcome" }>;

/** Questions for outcomes. */
export class Outcomes {
  #site: Site;
  #storages: Storages;
  #transactions: Transactions;

  constructor(parts: { site: Site; storages: Storages; transactions: Transactions }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#transactions = parts.transactions;
  }

  /** A client asks. The session that made the transaction must be over, or the asker's own. */
  want(asker: Asker, { ttid, home }: Body<"outcome">): void {
    if (this.#transactions.awaitOutcome(ttid, asker)) return;
    this.#transactions.abort(ttid, []); // from here it can't be accepted any more
    this.next({ of: "outcome", ttid, home, asker, tried: [], node: 0 as NodeIndex, session: 0, since: 0 });
  }

  /** A home cell has answered. That it knows nothing counts only if it is the same still: rows of a discarded one are deleted. */
  found(context: OutcomeContext, tid: Body<"unlock">["tid"] | null): void {
    const { asker, home, node, since } = context;
    const cell = this.#site.table.cell(home, node);
    if (tid === null && !(isReadable(cell) && cell?.since === since)) return this.next(context);
    this.#site.emit(answer(asker, "outcome", { tid }));
  }

  /** Asks the next readable home cell, on the connection that its unlocks went. */
  next(context: OutcomeContext): void {
    const { ttid, home, asker, tried } = context;
    const { epoch } = this.#site;
    for (const { node: index, since } of this.#site.table.cells(home)) {
      const node = this.#storages.node(index);
      if (tried.includes(index) || node?.conn === undefined || node.state !== "running") continue;
      if (!this.#site.reads(home, index)) continue;
      const next = { ...context, node: index, session: node.session, since, tried: [...tried, index] };
      return this.#site.emit(
        ask(node.conn, "fate", { epoch, ttid }, {
          context: next,
          withinMs: this.#site.setting("master.lockTimeoutMs"),
        }),
      );
    }
    const message =
      `Cannot tell the outcome of transaction ${ttid} yet: no storage with partition ${home} is there`;
    this.#site.refuse(asker, { code: "outcomePending", message, detail: { ttid } });
  }
}

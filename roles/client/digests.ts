/**
 * Compares copies: asks every readable cell of a partition for its digest. A cell that a storage can't read any more, by a
 * table that we haven't yet, makes it begin again with the next news, or after a while.
 */
import { Deadlines } from "../../core/deadlines.ts";
import { AbortedError, UnreachableError } from "../../core/errors.ts";
import type { NodeIndex, Partition, Tid } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN } from "../../core/limits.ts";
import type { AnswerMessage, WireError } from "../../core/messages.ts";
import type { Links } from "./links.ts";
import type { ClientContext, Site } from "./site.ts";

interface Comparison {
  readonly partition: Partition;
  readonly upTo: Tid;
  readonly untilMs: number;
  /** How often it was begun: answers to an earlier time are void. */
  round: number;
  /** Why it waits for a newer table. */
  problem: string | undefined;
  waiting: Set<NodeIndex>;
  found: Found[];
}

interface Found {
  readonly node: string;
  readonly count: number;
  readonly digest: Uint8Array;
  readonly packBound: Tid;
}

type Context = Extract<ClientContext, { of: "digest" }>;

/** Comparisons under way. */
export class DigestCalls {
  #site: Site;
  #links: Links;
  #calls = new Map<number, Comparison>();
  #deadlines = new Deadlines<number>();

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    return this.#deadlines.next();
  }

  /** Begins a comparison. */
  begin(
    call: number,
    { partition, upTo }: { readonly partition: Partition; readonly upTo: Tid },
    untilMs: number,
  ): void {
    const nothing = { round: 0, problem: undefined, waiting: new Set<NodeIndex>(), found: [] };
    const comparison: Comparison = { partition, upTo, untilMs, ...nothing };
    this.#calls.set(call, comparison);
    this.#askAll(call, comparison);
  }

  #askAll(call: number, comparison: Comparison): void {
    const { partition, upTo, untilMs } = comparison;
    const nodes = this.#site.readers(partition);
    const round = ++comparison.round;
    comparison.problem = undefined;
    comparison.waiting = new Set(nodes);
    comparison.found = [];
    this.#deadlines.set(call, untilMs);
    if (nodes.length === 0) return this.#fail(call, `no storage with partition ${partition} is there`);
    for (const node of nodes) {
      const context: Context = { of: "digest", call, node, round };
      this.#links.with(node, (conn, error) => {
        if (!this.#of(context)) return;
        if (conn === undefined) return this.#fail(call, error?.message ?? "lost the storage");
        const { version } = this.#site.view.table!;
        const withinMs = Math.max(untilMs - this.#site.now.monoMs, 1);
        this.#site.ask(conn, "digest", { partition, upTo, version }, { context, withinMs });
      });
    }
  }

  /** Copies have heard of a pack at different times: in a moment all have. */
  #askLater(call: number, comparison: Comparison): void {
    comparison.problem = "some copies haven't heard of a pack yet";
    const { monoMs } = this.#site.now;
    this.#deadlines.set(call, Math.min(comparison.untilMs, monoMs + RETRY_DELAY_MS_MIN));
  }

  /** Nobody waits for a comparison any more; false: it is none of these. */
  cancel(call: number): boolean {
    if (!this.#forget(call)) return false;
    this.#site.fail(call, new AbortedError("Cannot compare copies: it was cancelled"));
    return true;
  }

  answered(context: Context, message: AnswerMessage): void {
    const comparison = this.#of(context);
    if (!comparison || message.name !== "digest") return;
    const { call, node } = context;
    const { count, digest, packBound } = message.body;
    comparison.waiting.delete(node);
    comparison.found.push({
      node: this.#site.view.nodes.get(node)?.name ?? String(node),
      count,
      digest,
      packBound,
    });
    if (comparison.waiting.size > 0) return;
    const isMixed = comparison.found.some((one) => one.packBound !== packBound);
    if (isMixed) return this.#askLater(call, comparison);
    this.#forget(call);
    const found = comparison.found.map(({ packBound: _, ...one }) => one);
    this.#site.settle(call, found.sort((a, b) => (a.node < b.node ? -1 : 1)));
  }

  failed(context: Context, error: WireError): void {
    const comparison = this.#of(context);
    if (!comparison) return;
    if (error.code !== "notReadable") return this.#fail(context.call, error.message);
    comparison.problem = error.message;
    this.#deadlines.set(
      context.call,
      Math.min(comparison.untilMs, this.#site.now.monoMs + RETRY_DELAY_MS_MAX),
    );
  }

  /** The table or the nodes may be others than before. */
  retryAll(): void {
    for (const [call, comparison] of [...this.#calls]) {
      if (comparison.problem === undefined) continue;
      this.#askAll(call, comparison);
    }
  }

  /** Waits that are over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const call of this.#deadlines.take(monoMs)) {
      const comparison = this.#calls.get(call)!;
      if (monoMs >= comparison.untilMs) {
        this.#fail(call, comparison.problem ?? "storages haven't answered in time");
      } else this.#askAll(call, comparison);
    }
  }

  /** The comparison that a question belongs to, unless it was begun again, or waits to be. */
  #of({ call, round }: Context): Comparison | undefined {
    const comparison = this.#calls.get(call);
    return comparison?.round === round && comparison.problem === undefined ? comparison : undefined;
  }

  #forget(call: number): boolean {
    this.#deadlines.delete(call);
    return this.#calls.delete(call);
  }

  #fail(call: number, why: string): void {
    if (!this.#forget(call)) return;
    this.#site.fail(call, new UnreachableError(`Cannot compare copies: ${why}`));
  }
}

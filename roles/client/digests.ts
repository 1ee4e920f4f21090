/** Compares copies: asks every readable cell of a partition for its digest. */
import { AbortedError, UnreachableError } from "../../core/errors.ts";
import type { NodeIndex, Partition, Tid } from "../../core/ids.ts";
import type { AnswerMessage, WireError } from "../../core/messages.ts";
import type { Links } from "./links.ts";
import type { ClientContext, Site } from "./site.ts";

interface Compared {
  readonly waiting: Set<NodeIndex>;
  readonly found: { readonly node: string; readonly count: number; readonly digest: Uint8Array }[];
}

type Context = Extract<ClientContext, { of: "digest" }>;

/** Comparisons under way. */
export class DigestCalls {
  #site: Site;
  #links: Links;
  #calls = new Map<number, Compared>();

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
  }

  /** Begins a comparison. */
  begin(
    call: number,
    { partition, upTo }: { readonly partition: Partition; readonly upTo: Tid },
    untilMs: number,
  ): void {
    const nodes = this.#site.readers(partition);
    const waiting = new Set(nodes);
    this.#calls.set(call, { waiting, found: [] });
    if (nodes.length === 0) return this.#fail(call, `no storage with partition ${partition} is there`);
    for (const node of nodes) {
      const context: Context = { of: "digest", call, node };
      this.#links.with(node, (conn, error) => {
        if (!this.#calls.has(call)) return;
        if (conn === undefined) return this.#fail(call, error?.message ?? "lost the storage");
        const { version } = this.#site.view.table!;
        const withinMs = Math.max(untilMs - this.#site.now.monoMs, 1);
        this.#site.ask(conn, "digest", { partition, upTo, version }, { context, withinMs });
      });
    }
  }

  /** Nobody waits for a comparison any more; false: it is none of these. */
  cancel(call: number): boolean {
    if (!this.#calls.delete(call)) return false;
    this.#site.fail(call, new AbortedError("Cannot compare copies: it was cancelled"));
    return true;
  }

  answered({ call, node }: Context, message: AnswerMessage): void {
    const compared = this.#calls.get(call);
    if (!compared || message.name !== "digest") return;
    const { count, digest } = message.body;
    compared.waiting.delete(node);
    compared.found.push({ node: this.#site.view.nodes.get(node)?.name ?? String(node), count, digest });
    if (compared.waiting.size > 0) return;
    this.#calls.delete(call);
    compared.found.sort((a, b) => (a.node < b.node ? -1 : 1));
    this.#site.settle(call, compared.found);
  }

  failed({ call }: Context, error: WireError): void {
    this.#fail(call, error.message);
  }

  #fail(call: number, why: string): void {
    if (!this.#calls.delete(call)) return;
    this.#site.fail(call, new UnreachableError(`Cannot compare copies: ${why}`));
  }
}

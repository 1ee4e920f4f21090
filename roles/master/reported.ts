/**
 * Storages that clients can't reach (T46). A report is a reason to look, and no more: the storage is asked for a sign of life on
 * its own connection, and is lost only when it doesn't give one in time, which the failed question says (`master.ts`). So a
 * client that is cut off itself takes no copy away, and one that reports all the time costs one heartbeat per pause.
 *
 * A storage with the last readable copy of something isn't asked: without it operation would end, and nothing would be won.
 */
import type { NodeIndex } from "../../core/ids.ts";
import { LIFE_SIGN_MS, UNREACHABLE_PAUSE_MS } from "../../core/limits.ts";
import { ask } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import type { Site } from "./site.ts";
import type { Storages } from "./storages.ts";

/** What clients say of storages. */
export class Reported {
  #site: Site;
  #storages: Storages;
  #asked = new Map<NodeIndex, { readonly session: number; readonly atMs: number }>();

  constructor(parts: { site: Site; storages: Storages }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
  }

  /** A client can't reach a storage, in the session in which it knows it. */
  take({ node: index, session }: Body<"unreachable">): void {
    const node = this.#storages.node(index);
    const { phase, now } = this.#site;
    if (phase !== "running" || node?.conn === undefined || node.state !== "running") return;
    if (node.session !== session || this.#site.isLastReadable(index)) return;
    const last = this.#asked.get(index);
    if (last?.session === session && now.monoMs < last.atMs + UNREACHABLE_PAUSE_MS) return;
    this.#asked.set(index, { session, atMs: now.monoMs });
    this.#site.log(
      "cluster",
      "info",
      `A client can't reach storage ${node.name}: asking it for a sign of life`,
    );
    const context = { of: "life", node: index, session } as const;
    this.#site.emit(ask(node.conn, "ping", {}, { context, withinMs: LIFE_SIGN_MS }));
  }
}

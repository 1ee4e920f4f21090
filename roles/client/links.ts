/**
 * Connections to storages, made when they are needed. One is `connecting` until the storage has said that it is the
 * node we mean, then `open`; what waits for it is told, whichever way it ends. All belong to one session: a new one begins
 * with none.
 *
 * An attempt that fails is told to the primary, which may think that the storage is there (T46); once in a while, as it
 * looks for itself.
 */
import type { Conn, NodeIndex } from "../../core/ids.ts";
import { UNREACHABLE_PAUSE_MS } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { PeerEvent } from "../../core/machine.ts";
import type { Hello, WireError } from "../../core/messages.ts";
import type { Site } from "./site.ts";

type Waiting = (conn: Conn | undefined, error?: WireError) => void;
/** `target` names one attempt: what an earlier one brings, late, is none of this one's. */
type Link = { readonly target: string; conn: Conn | undefined; readonly waiting: Waiting[] };

/** Storages that we talk to. */
export class Links {
  #site: Site;
  #hello: () => Hello;
  #links = new Map<NodeIndex, Link>();
  #nodes = new Map<Conn, NodeIndex>();
  #attempts = 0;
  #reportedMs = new Map<NodeIndex, number>();

  constructor(site: Site, hello: () => Hello) {
    this.#site = site;
    this.#hello = hello;
  }

  /** Whether a storage is connected. */
  isOpen(node: NodeIndex): boolean {
    return this.#links.get(node)?.conn !== undefined;
  }

  /** The connection of a storage, if it is open. */
  conn(node: NodeIndex): Conn | undefined {
    return this.#links.get(node)?.conn;
  }

  /** Calls back with the connection of a storage, now or when it is made, or with why there is none. */
  with(node: NodeIndex, use: Waiting): void {
    const link = this.#links.get(node);
    if (link?.conn !== undefined) return use(link.conn);
    if (link) {
      link.waiting.push(use);
      return;
    }
    const info = this.#site.view.nodes.get(node);
    if (!info) {
      return use(undefined, {
        code: "lost",
        message: `Cannot reach storage ${node}: the cluster doesn't know it`,
      });
    }
    const target = `${++this.#attempts}/${node}`;
    this.#links.set(node, { target, conn: undefined, waiting: [use] });
    this.#site.emit({ do: "connect", address: info.address, target, hello: this.#hello() });
  }

  /** A storage has said who it is. */
  identified(event: Extract<PeerEvent<unknown>, { type: "identified" }>): void {
    const node = this.#nodeOf(event.target);
    const link = node === undefined ? undefined : this.#links.get(node);
    const name = node === undefined ? undefined : this.#site.view.nodes.get(node)?.name;
    if (!link || node === undefined) {
      const message = "Cannot use this connection: its session is over";
      return this.#site.emit({ do: "reject", conn: event.conn, error: { code: "lost", message } });
    }
    if (event.hello.role !== "storage" || event.hello.name !== name) {
      const message =
        `Cannot use this connection: expected storage "${name}", found ${event.hello.role} "${event.hello.name}"`;
      return this.#site.emit({ do: "reject", conn: event.conn, error: { code: "wrongNode", message } });
    }
    link.conn = event.conn;
    this.#nodes.set(event.conn, node);
    this.#site.emit({ do: "accept", conn: event.conn });
    for (const use of link.waiting.splice(0)) use(event.conn);
  }

  /** A connection ended, or couldn't be made; gives its storage. */
  lost(event: Extract<PeerEvent<unknown>, { type: "lost" }>): NodeIndex | undefined {
    const node = this.#nodeOf(event.target);
    const link = node === undefined ? undefined : this.#links.get(node);
    if (node === undefined || !link || (link.conn !== undefined && link.conn !== event.conn)) {
      return undefined;
    }
    this.#links.delete(node);
    this.#nodes.delete(event.conn);
    if (link.conn === undefined) this.#unreachable(node, event.error);
    const error: WireError = { code: "lost", message: event.error.message };
    for (const use of link.waiting) use(undefined, error);
    return node;
  }

  /** The primary has lost a storage: what we asked it is asked elsewhere. */
  drop(node: NodeIndex): void {
    const link = this.#links.get(node);
    if (!link) return;
    const error: WireError = { code: "lost", message: `The cluster has lost storage ${node}` };
    if (link.conn !== undefined) return this.#site.emit({ do: "close", conn: link.conn, error });
    this.#links.delete(node);
    for (const use of link.waiting) use(undefined, error);
  }

  /** The session is over: so are all its connections. */
  endAll(): void {
    const links = [...this.#links.values()];
    this.#reportedMs.clear();
    this.#links.clear();
    this.#nodes.clear();
    const error: WireError = { code: "lost", message: "The client's session is over" };
    for (const { conn, waiting } of links) {
      if (conn !== undefined) this.#site.emit({ do: "close", conn, error });
      for (const use of waiting) use(undefined, error);
    }
  }

  /** No connection could be made; one that was refused shows that the storage is there. */
  #unreachable(node: NodeIndex, { code }: WireError): void {
    const { primary, view, now } = this.#site;
    const info = view.nodes.get(node);
    if (primary === undefined || info?.state !== "running" || (code !== "lost" && code !== "timedOut")) {
      return;
    }
    const lastMs = this.#reportedMs.get(node);
    if (lastMs !== undefined && now.monoMs < lastMs + UNREACHABLE_PAUSE_MS) return;
    this.#reportedMs.set(node, now.monoMs);
    this.#site.emit(tell(primary, "unreachable", { node, session: info.session }));
  }

  #nodeOf(target: string | undefined): NodeIndex | undefined {
    const node = Number(target?.split("/")[1]) as NodeIndex;
    return this.#links.get(node)?.target === target ? node : undefined;
  }
}

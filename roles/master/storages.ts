/**
 * The storages as the primary sees them: connections, sessions, states. A storage is `unavailable`, `pending` while it is
 * connected and not yet serving, `running` when it serves (T29: only then clients hear of it).
 */
import { ZERO_TID } from "../../core/ids.ts";
import type { Conn, NodeIndex, Tid } from "../../core/ids.ts";
import type { Answer, NodeInfo } from "../../core/messages.ts";
import { moveNode } from "../../core/node_states.ts";
import type { NodeState } from "../../core/node_states.ts";
import type { Registered } from "./entries.ts";

/** What a storage said when it was fenced. */
export type Report = Answer<"fence">;

/** One storage of the registry. */
export class StorageNode {
  readonly index: NodeIndex;
  readonly name: string;
  /** Where others reach it; what it says itself wins over the registry. */
  address: string;
  conn: Conn | undefined;
  /** Number of this connection: evidence and failures name it. 0: none. */
  session = 0;
  /** Digest of the table that it has, until its first fence in this session. */
  tableDigest: Uint8Array = new Uint8Array();
  /** Its report in the current epoch. */
  report: Report | undefined;
  /** Connections that came while its loss isn't held yet. */
  early: Conn | undefined;
  /** Outdatings of its cells that aren't held yet. */
  leaving = 0;
  problem: string | undefined;
  /** Broken data in its cells that can't be made anew now. */
  damage: string | undefined;
  /** Up to where it has packed its readable cells, as it says. */
  packedTo: Tid = ZERO_TID;
  /** It has refused us for a later epoch or table that it has seen: our metadata isn't the newest. */
  knowsBetter = false;
  #state: NodeState = "unavailable";

  constructor(registered: Pick<Registered, "index" | "name" | "address">) {
    this.index = registered.index as NodeIndex;
    this.name = registered.name;
    this.address = registered.address;
  }

  /** What an operator should know of it; null: nothing. */
  get trouble(): string | null {
    const all = [this.problem, this.damage].filter((one) => one !== undefined);
    return all.length === 0 ? null : all.join("; ");
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Takes another state; the table of transitions is checked. */
  become(state: NodeState): void {
    this.#state = moveNode(this.#state, state);
  }

  /** As others see it. */
  info(): NodeInfo {
    const { index, name, address, session } = this;
    return { index, name, role: "storage", address, state: this.#state, session };
  }
}

/** All storages. */
export class Storages {
  #all = new Map<NodeIndex, StorageNode>();
  #sessions = 0;
  /** Storages that came with a disk that isn't in the registry, by name. */
  readonly strangers = new Map<
    string,
    { readonly diskId: string; readonly address: string; readonly seenMs: number }
  >();

  constructor(nodes: readonly (Pick<Registered, "index" | "name" | "address" | "role">)[]) {
    for (const node of nodes) {
      if (node.role === "storage") this.#all.set(node.index as NodeIndex, new StorageNode(node));
    }
  }

  /** A number for a new connection. */
  nextSession(): number {
    return ++this.#sessions;
  }

  get all(): readonly StorageNode[] {
    return [...this.#all.values()];
  }

  node(index: NodeIndex): StorageNode | undefined {
    return this.#all.get(index);
  }

  /** Takes in a storage that has become a member. */
  add(registered: Pick<Registered, "index" | "name" | "address">): StorageNode {
    const node = new StorageNode(registered);
    this.#all.set(node.index, node);
    this.strangers.delete(node.name);
    return node;
  }

  /** A storage is a member no more. */
  forget(index: NodeIndex): void {
    this.#all.delete(index);
  }

  /** The storage at a connection. */
  at(conn: Conn): StorageNode | undefined {
    return this.all.find((node) => node.conn === conn);
  }

  /** Connections of storages in these states. */
  conns(...states: readonly NodeState[]): Conn[] {
    return this.all.flatMap((
      node,
    ) => (node.conn !== undefined && states.includes(node.state) ? [node.conn] : []));
  }
}

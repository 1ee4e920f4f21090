/** What points know of a cluster: gathered from the steps of its machines, before the step that they look at. */
import type { Conn, NodeIndex, Oid, Tid, Ttid } from "../../../core/ids.ts";
import type { Effect } from "../../../core/machine.ts";
import type { AnswerMessage, AskMessage, TellMessage } from "../../../core/messages.ts";
import type { Step } from "../trace.ts";

/** An accepted transaction that isn't published. */
interface Accepted {
  readonly tid: Tid;
  readonly waiting: Set<NodeIndex>;
  /** A storage was lost while its answer was waited for. */
  hasLost: boolean;
}

/** What is known of the process of one node. */
export class NodeView {
  readonly name: string;
  /** Who its connections lead to. */
  readonly peers = new Map<Conn, { readonly role: string; readonly name: string }>();
  readonly lost = new Set<Conn>();
  // of a storage
  readonly voted = new Set<Ttid>();
  /** Over which connection a transaction comes. */
  readonly conns = new Map<Ttid, Conn>();
  readonly locked = new Map<Ttid, Tid>();
  readonly aborted = new Set<Ttid>();
  /** Voted for a client whose connection was lost. */
  readonly orphans = new Set<Ttid>();
  isAlone = false;
  epoch = 0;
  // of a master
  phase = "";
  readonly queue = new Map<Ttid, Accepted>();
  readonly askers = new Map<Ttid, Conn>();
  readonly sessions = new Map<NodeIndex, number>();
  lastTid = 0n;
  // of a client
  readonly loads = new Map<Oid, number>();
  readonly finishing = new Set<Ttid>();
  readonly missing = new Set<Ttid>();
  readonly conflicts = new Map<number, number>();
  welcomes = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** All nodes, and what the newest primary told of the table. */
export class View {
  readonly #nodes = new Map<string, NodeView>();
  /** Cells that were ever outdated, and those that are. */
  readonly wereOutdated = new Set<string>();
  readonly outdated = new Set<string>();

  of(name: string): NodeView {
    let node = this.#nodes.get(name);
    if (node === undefined) this.#nodes.set(name, node = new NodeView(name));
    return node;
  }

  /** Takes a step in. */
  after({ node: name, event, effects }: Step): void {
    if (event.type === "opened") this.#nodes.set(name, new NodeView(name));
    const node = this.of(name);
    this.#event(node, event as Happened);
    for (const effect of effects) this.#effect(node, effect);
  }

  #event(node: NodeView, event: Happened): void {
    const { conn } = event;
    switch (event.type) {
      case "identified":
        node.peers.set(conn, { role: event.hello.role, name: event.hello.name });
        return;
      case "lost":
        node.lost.add(conn);
        if (node.peers.get(conn)?.role === "master") node.isAlone = true;
        for (const ttid of node.voted) if (node.conns.get(ttid) === conn) node.orphans.add(ttid);
        if (node.peers.get(conn)?.role === "storage") {
          for (const accepted of node.queue.values()) if (accepted.waiting.size > 0) accepted.hasLost = true;
        }
        return;
      case "asked":
        if (event.message.name === "store" || event.message.name === "vote") {
          node.conns.set(event.message.body.ttid, conn);
        }
        if (event.message.name === "finish") node.askers.set(event.message.body.ttid, conn);
        if (event.message.name === "fence") {
          node.isAlone = false;
          node.epoch = event.message.body.epoch;
        }
        if (event.message.name === "lock") {
          const { ttid, tid } = event.message.body;
          node.locked.set(ttid, tid);
          node.voted.delete(ttid);
        }
        return;
      case "told":
        if (event.message.name === "unlock") node.locked.delete(event.message.body.ttid);
        if (event.message.name === "welcome") node.welcomes += 1;
        return;
      case "answered":
      case "failed": {
        const name = event.type === "answered" ? event.message.name : event.name;
        if (name === "finish") node.finishing.delete(event.context.ttid!);
        if (event.type === "failed" && event.error.code === "missing") node.missing.add(event.context.ttid!);
        if (name === "lock" && event.type === "answered") {
          node.queue.get(event.context.ttid!)?.waiting.delete(event.context.node!);
        }
        return;
      }
      default:
        return;
    }
  }

  #effect(node: NodeView, effect: Effect): void {
    switch (effect.do) {
      case "save":
        return this.#saved(node, effect.write as Saved);
      case "log":
        if (effect.text.startsWith("Cluster is ")) this.#phase(node, effect.text.slice("Cluster is ".length));
        return;
      case "ask":
        return this.#asked(node, effect.message, effect.context as Context);
      case "tell":
        return this.#told(node, effect.message);
      case "output":
        if ((effect.output as Output).type === "conflict") {
          const { call, round } = effect.output as Output;
          node.conflicts.set(call, round);
        }
        return;
    }
  }

  #phase(node: NodeView, phase: string): void {
    node.phase = phase;
    if (phase === "recovering") node.queue.clear();
  }

  #saved(node: NodeView, { op, ttid }: Saved): void {
    if (op === "vote") node.voted.add(ttid);
    if (op === "unvote") node.voted.delete(ttid);
    if (op !== "abort") return;
    node.voted.delete(ttid);
    node.orphans.delete(ttid);
    node.aborted.add(ttid);
  }

  #asked(node: NodeView, message: AskMessage, context: Context): void {
    switch (message.name) {
      case "fence":
        node.sessions.set(context.node!, context.session!);
        return;
      case "lock": {
        if (context.of !== "lock") return;
        const { ttid, tid } = message.body;
        const accepted = node.queue.get(ttid) ?? { tid, waiting: new Set(), hasLost: false };
        accepted.waiting.add(context.node!);
        node.queue.set(ttid, accepted);
        node.lastTid = tid;
        return;
      }
      case "finish":
        node.finishing.add(message.body.ttid);
        return;
      case "load":
        node.loads.set(message.body.oid, node.welcomes);
        return;
      case "loadMany":
        for (const oid of message.body.oids) node.loads.set(oid, node.welcomes);
    }
  }

  #told(node: NodeView, message: TellMessage): void {
    if (message.name === "unlock") node.queue.delete(message.body.ttid);
    if (message.name !== "tableChange") return;
    for (const { partition, node: index, state } of message.body.cells) {
      const cell = `${partition}@${index}`;
      if (state === "outOfDate") {
        this.outdated.add(cell);
        this.wereOutdated.add(cell);
      } else this.outdated.delete(cell);
    }
  }
}

interface Saved {
  readonly op: string;
  readonly ttid: Ttid;
}
interface Output {
  readonly type: string;
  readonly call: number;
  readonly round: number;
}

/** What machines attach to questions, as far as points look at it. */
export interface Context {
  readonly of: string;
  readonly node?: NodeIndex;
  readonly session?: number;
  readonly epoch?: number;
  readonly ttid?: Ttid;
}

/** Events of machines, as far as points look at them. */
export type Happened =
  | {
    readonly type: "identified" | "impatient";
    readonly conn: Conn;
    readonly incoming: boolean;
    readonly hello: { readonly role: string; readonly name: string; readonly session: number };
  }
  | { readonly type: "asked"; readonly conn: Conn; readonly message: AskMessage }
  | { readonly type: "told"; readonly conn: Conn; readonly message: TellMessage }
  | {
    readonly type: "answered";
    readonly conn: Conn;
    readonly context: Context;
    readonly message: AnswerMessage;
  }
  | {
    readonly type: "failed";
    readonly conn: Conn;
    readonly context: Context;
    readonly name: string;
    readonly error: { readonly code: string; readonly message: string };
  }
  | {
    readonly type: "lost";
    readonly conn: Conn;
    readonly error: { readonly code: string; readonly message: string };
  }
  | { readonly type: "opened" | "saved" | "due" | "room" | "terminate" | "command"; readonly conn: Conn }
  | {
    readonly type: "read";
    readonly conn: Conn;
    readonly context: { readonly for: string };
    readonly result: { readonly read: string; readonly tid?: Tid | null };
  };

/** What a client or an admin knows of its cluster: the primary's welcome, and the changes that follow it. */
import { sameBytes } from "../core/bytes.ts";
import type { ClientSession, Conn, NodeIndex, Tid } from "../core/ids.ts";
import { ZERO_TID } from "../core/ids.ts";
import { REQUEST_TIMEOUT_MS } from "../core/limits.ts";
import { ask } from "../core/machine.ts";
import type { Body, NodeInfo, TellMessage } from "../core/messages.ts";
import { PartitionTable } from "../core/partition_table.ts";
import type { Digest } from "../core/ports.ts";
import { tableFrom } from "../core/table_difference.ts";

/** A mirror of the cluster's table, nodes and phase. */
export class View {
  #digest: Digest;
  clusterId = "";
  cluster = "";
  epoch = 0;
  session = 0 as ClientSession;
  truncations = 0;
  phase = "";
  /** The newest tid whose invalidations have been applied. */
  lastTid: Tid = ZERO_TID;
  table: PartitionTable | undefined;
  readonly nodes = new Map<NodeIndex, NodeInfo>();

  constructor(digest: Digest) {
    this.#digest = digest;
  }

  /** How often the cluster has gone on with lost masters, as far as the table that is here tells; 0: there is none. */
  get generation(): number {
    return this.table?.generation ?? 0;
  }

  /** Names the table that is here, for a primary that knows what has changed since. */
  get tableDigest(): Uint8Array {
    return this.table?.digest(this.#digest) ?? new Uint8Array();
  }

  /**
   * Takes the primary's first message. A lower epoch is a deposed primary's; a lower last tid without a truncation
   * means that it doesn't know all that we have seen: both are refused (B6). Only a table of a later generation may lack
   * what was there: its masters were lost, and an operator has chosen what the cluster goes on with (B12).
   *
   * @returns why it is refused, or undefined
   */
  welcome(body: Body<"welcome">): string | undefined {
    if (this.clusterId !== "" && body.clusterId !== this.clusterId) {
      return `the cluster at this address has id ${body.clusterId}, before it had ${this.clusterId}`;
    }
    if (body.epoch < this.epoch) {
      return `its epoch ${body.epoch} is older than ${this.epoch}, which was seen before`;
    }
    // to an admin a primary speaks before it knows: it has no session, and reads nothing
    const reads = body.session !== 0;
    const table = tableFrom(body.image, this.table, this.#digest); // before anything is taken from a message that may be broken
    const isLater = table.generation > this.generation;
    if (reads && body.lastTid < this.lastTid && body.truncations <= this.truncations && !isLater) {
      return `its last tid ${body.lastTid} is before ${this.lastTid}, and nothing was truncated`;
    }
    this.clusterId = body.clusterId;
    this.cluster = body.cluster;
    this.epoch = body.epoch;
    this.session = body.session as ClientSession;
    this.truncations = body.truncations;
    this.phase = body.phase;
    this.lastTid = reads || body.lastTid > this.lastTid ? body.lastTid : this.lastTid;
    this.table = table;
    this.nodes.clear();
    for (const node of body.nodes) this.nodes.set(node.index, node);
    return undefined;
  }

  /** Applies news; gives a question when the whole table is needed. */
  told<C>(conn: Conn, message: TellMessage, context: C): ReturnType<typeof ask<"askTable", C>> | undefined {
    switch (message.name) {
      case "nodes":
        for (const node of message.body.nodes) {
          if (node.state === "unknown") this.nodes.delete(node.index);
          else this.nodes.set(node.index, node);
        }
        return undefined;
      case "phase":
        this.phase = message.body.phase;
        return undefined;
      case "table":
        this.replace(message.body.image);
        return undefined;
      case "tableChange":
        if (this.#change(message.body)) return undefined;
        return ask(conn, "askTable", {}, { context, withinMs: REQUEST_TIMEOUT_MS });
      default:
        return undefined;
    }
  }

  /** Takes a whole table. */
  replace(image: Uint8Array): void {
    this.table = PartitionTable.ofImage(image);
  }

  /** False: it doesn't fit what we have. */
  #change(body: Body<"tableChange">): boolean {
    const { table } = this;
    if (!table || table.generation !== body.generation || table.version !== body.base) return false;
    const next = table.changed(body.version, body.cells);
    if (!sameBytes(next.digest(this.#digest), body.digest)) return false;
    this.table = next;
    return true;
  }
}

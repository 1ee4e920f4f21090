/** What the parts of a client share: the view of the cluster, ports, and where effects go. */
import { DatabaseError } from "../../core/errors.ts";
import type { Conn, NodeIndex, Oid, Tid, Ttid } from "../../core/ids.ts";
import { OBJECT_BYTES_MAX } from "../../core/limits.ts";
import { ask } from "../../core/machine.ts";
import type { Effect, Now } from "../../core/machine.ts";
import type { AskName, Body, Revision, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Compression, Digest, Random } from "../../core/ports.ts";
import type { View } from "../view.ts";
import type { ClientOutput, LoadedRevision } from "./calls.ts";

/** What a client attaches to its questions: the call that asks, and what for. */
export type ClientContext =
  | { readonly of: "call"; readonly call: number }
  | { readonly of: "table" }
  | {
    readonly of: "read";
    readonly call: number;
    readonly node: NodeIndex;
    readonly units: readonly number[];
  }
  | { readonly of: "digest"; readonly call: number; readonly node: NodeIndex }
  | {
    readonly of: "store";
    readonly call: number;
    readonly node: NodeIndex;
    readonly round: number;
    readonly oid: Oid;
  }
  | { readonly of: "vote"; readonly call: number; readonly node: NodeIndex; readonly round: number }
  /** Of one attempt: answers to an earlier one are none of this one's. */
  | { readonly of: "finish" | "outcome" | "catchUp"; readonly call: number; readonly ttid: Ttid };

/** Effects of a client. */
export type ClientEffect = Effect<ClientContext, never, never, never, ClientOutput>;

/** Adapters that a client uses synchronously. */
export interface ClientPorts {
  readonly digest: Digest;
  readonly compression: Compression;
  readonly random: Random;
}

/** Shared state. */
export class Site {
  readonly ports: ClientPorts;
  readonly view: View;
  now: Now = { monoMs: 0, wallMs: 0 };
  /** The primary's connection, while we have a session there. */
  primary: Conn | undefined;
  /** The primary's wall clock minus our monotonic one, at the last time we heard it. */
  clockMs = 0;
  #effects: ClientEffect[] = [];

  constructor(ports: ClientPorts, view: View) {
    this.ports = ports;
    this.view = view;
  }

  emit(...effects: readonly ClientEffect[]): void {
    this.#effects.push(...effects);
  }

  ask<N extends AskName>(
    conn: Conn,
    name: N,
    body: Body<N>,
    options: { context: ClientContext; withinMs: number },
  ): void {
    this.#effects.push(ask(conn, name, body, options));
  }

  /** A call has its result. */
  settle(call: number, result: unknown): void {
    this.#effects.push({ do: "output", output: { type: "settled", call, result } });
  }

  /** A call has failed. */
  fail(call: number, error: DatabaseError): void {
    this.#effects.push({ do: "output", output: { type: "failed", call, error } });
  }

  /** The newest published tid moves on; whoever caches hears of it before any later answer. */
  publish(tid: Tid, oids: readonly Oid[]): void {
    if (tid <= this.view.lastTid) return; // an outcome of an earlier session: this one began behind it
    this.view.lastTid = tid;
    this.#effects.push({ do: "output", output: { type: "published", tid, oids } });
  }

  /** A session begins: what happened since the last one is known by its end only. */
  jump(): void {
    this.#effects.push({ do: "output", output: { type: "published", tid: this.view.lastTid, oids: null } });
  }

  log(
    level: "debug" | "info" | "warning" | "error",
    text: string,
    facts?: { readonly [name: string]: unknown },
  ): void {
    this.#effects.push({ do: "log", level, text, ...(facts ? { facts } : {}) });
  }

  /** Running storages with a readable copy of a partition. */
  readers(partition: number): NodeIndex[] {
    const cells = this.view.table?.cells(partition as never) ?? [];
    return cells.flatMap((
      cell,
    ) => (isReadable(cell) && this.view.nodes.get(cell.node)?.state === "running" ? [cell.node] : []));
  }

  /**
   * A revision as programs see it. Undefined: its data doesn't match its checksum, or can't be expanded.
   * What ends beyond our last tid counts as current: that transaction isn't published to us.
   */
  open({ tid, next, compression, checksum, data, link }: Revision): LoadedRevision | undefined {
    const until = next !== null && next > this.view.lastTid ? null : next;
    if (data === null) return { tid, next: until, data: null, link };
    const actual = this.ports.digest(data);
    if (actual.length !== checksum.length || actual.some((byte, at) => byte !== checksum[at])) {
      return undefined;
    }
    return {
      tid,
      next: until,
      data: this.ports.compression.expand(compression, data, OBJECT_BYTES_MAX),
      link,
    };
  }

  /** The effects of the step that ends. */
  taken(): ClientEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

/** An error from a peer, for a program. */
export function errorOf(error: WireError): DatabaseError {
  return new DatabaseError(error.code, error.message);
}

/** Whether an error says that a node, not the request, is at fault. */
export function isNodeFailure(error: WireError): boolean {
  return error.code === "lost" || error.code === "timedOut" || error.code === "noSpace"
    || error.code === "ioError";
}

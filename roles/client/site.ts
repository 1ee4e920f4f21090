/** What the parts of a client share: the view of the cluster, ports, and where effects go. */
import { DatabaseError, PackedError } from "../../core/errors.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { OBJECT_BYTES_MAX } from "../../core/limits.ts";
import { ask } from "../../core/machine.ts";
import type { Effect, Now } from "../../core/machine.ts";
import type { AskName, Body, Revision, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Cell } from "../../core/partition_table.ts";
import { COMPRESSION_PARTS, decodeManifest } from "../../core/parts.ts";
import type { Compression, Digest, Random } from "../../core/ports.ts";
import { Outbox } from "../outbox.ts";
import { Settings } from "../settings.ts";
import type { View } from "../view.ts";
import { Cache } from "./cache.ts";
import type { Calls, ClientOutput, LoadedRevision } from "./calls.ts";
import { PendingLoads } from "./pending_loads.ts";

/** What a client attaches to its questions: the call that asks, and what for. */
export type ClientContext =
  | { readonly of: "call"; readonly call: number }
  | { readonly of: "table" | "sync" }
  | {
    readonly of: "read";
    readonly call: number;
    readonly node: NodeIndex;
    readonly units: readonly number[];
    readonly sentMs: number;
  }
  | { readonly of: "digest"; readonly call: number; readonly node: NodeIndex; readonly round: number }
  | {
    readonly of: "store";
    readonly call: number;
    readonly node: NodeIndex;
    readonly round: number;
    readonly oid: Oid;
    /** What it weighs in its window. */
    readonly bytes: number;
  }
  | { readonly of: "vote"; readonly call: number; readonly node: NodeIndex; readonly ballot: number }
  /** Of one attempt: answers to an earlier one are none of this one's. */
  | { readonly of: "finish" | "outcome" | "catchUp"; readonly call: number; readonly ttid: Ttid };

/** Effects of a client. */
export type ClientEffect = Effect<ClientContext, never, never, never, ClientOutput>;

/** Adapters that a client uses synchronously. */
export interface ClientPorts {
  readonly digest: Digest;
  readonly compression: Compression;
  readonly random: Random;
  /** Smaller data isn't compressed; `COMPRESS_BYTES_MIN` unless told. */
  readonly compressBytesMin?: number;
}

/** Shared state. */
export class Site extends Outbox<ClientEffect> {
  readonly ports: ClientPorts;
  readonly view: View;
  now: Now = { monoMs: 0, wallMs: 0 };
  /** Up to where the primary says that history is packed, or that it may be in a moment. */
  packBound: Tid = ZERO_TID;
  /** The primary's connection, while we have a session there. */
  primary: Conn | undefined;
  /** The primary's wall clock minus our monotonic one, at the last time we heard it. */
  clockMs = 0;
  /** What was read, and what is being read: both hear of every publication in the step that brings it. */
  readonly cache: Cache;
  readonly loads = new PendingLoads();

  /** What is configured. */
  readonly settings = new Settings();
  /** What the program said of the cache; undefined: the configuration counts. */
  readonly #cacheBytes: number | undefined;

  constructor(ports: ClientPorts, view: View, { cacheBytes }: { readonly cacheBytes: number | undefined }) {
    super();
    const { settings } = this;
    this.ports = {
      ...ports,
      compression: {
        compress: (algorithm, data) =>
          settings.text("client.compression") === "none"
            ? data
            : ports.compression.compress(algorithm, data, settings.number("client.compressionLevel")),
        expand: (algorithm, data, bytesMax) => ports.compression.expand(algorithm, data, bytesMax),
      },
      get compressBytesMin() {
        return settings.number("client.compressBytesMin");
      },
    };
    this.view = view;
    this.#cacheBytes = cacheBytes;
    this.cache = new Cache({ bytesMax: cacheBytes ?? settings.number("client.cacheBytes") });
  }

  /** What a program sees of the cluster besides its table. */
  get shown(): Omit<Calls["view"]["result"], "table"> {
    const { view, packBound } = this;
    const { nodes, lastTid, clusterId, truncations } = view;
    return { nodes: [...nodes.values()], lastTid, clusterId, truncations, packBound };
  }

  /** How long a call may take for which the program doesn't say it. */
  get callTimeoutMs(): number {
    return this.settings.number("client.callTimeoutMs");
  }

  /** How long the outcome of a commit is asked for whose own time is over. */
  get outcomeWaitMs(): number {
    return this.settings.number("client.outcomeWaitMs");
  }

  /** The primary tells what is configured. */
  configured(body: Body<"config">, primary: Conn): void {
    for (const effect of this.settings.take(body, primary)) if (effect.do !== "output") this.emit(effect);
    this.cache.resize(this.#cacheBytes ?? this.settings.number("client.cacheBytes"));
  }

  ask<N extends AskName>(
    conn: Conn,
    name: N,
    body: Body<N>,
    options: { context: ClientContext; withinMs: number },
  ): void {
    this.emit(ask(conn, name, body, options));
  }

  /** A call has its result. */
  settle(call: number, result: unknown): void {
    this.emit({ do: "output", output: { type: "settled", call, result } });
  }

  /** A call has failed. */
  fail(call: number, error: DatabaseError): void {
    this.emit({ do: "output", output: { type: "failed", call, error } });
  }

  /**
   * The newest published tid moves on; whoever caches hears of it before any later answer. Gives false for the outcome of an
   * earlier session: this one began behind it.
   */
  publish(tid: Tid, oids: readonly Oid[]): boolean {
    if (tid <= this.view.lastTid) return false;
    for (const oid of oids) {
      this.cache.invalidate(oid, tid);
      this.loads.invalidated(oid, tid);
    }
    this.view.lastTid = tid;
    this.emit({ do: "output", output: { type: "published", tid, oids } });
    return true;
  }

  /** Our own writes are what others read from now on. */
  keep(tid: Tid, written: Iterable<{ readonly oid: Oid; readonly data: Uint8Array | null }>): void {
    for (const { oid, data } of written) {
      this.cache.insert(oid, copyOf({ tid, next: null, data, link: null }));
    }
  }

  /** A session begins: what happened since the last one is known by its end only. */
  jump(): void {
    this.cache.clearCurrent();
    this.loads.jump();
    this.emit({ do: "output", output: { type: "published", tid: this.view.lastTid, oids: null } });
  }

  /** Running storages with a readable copy of a partition. */
  readers(partition: Partition): NodeIndex[] {
    const { table, nodes } = this.view;
    const isReader = (cell: Cell): boolean => isReadable(cell) && nodes.get(cell.node)?.state === "running";
    return (table?.cells(partition) ?? []).filter(isReader).map(({ node }) => node);
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
    if (compression === COMPRESSION_PARTS) {
      return { tid, next: until, data: null, link, parts: decodeManifest(data) };
    }
    return {
      tid,
      next: until,
      data: this.ports.compression.expand(compression, data, OBJECT_BYTES_MAX),
      link,
    };
  }
}

/** A revision with data of its own: what the cache keeps and what a program has must not share memory. */
export function copyOf({ tid, next, data, link, parts }: LoadedRevision): LoadedRevision {
  const copy = { tid, next, data: data === null ? null : new Uint8Array(data), link };
  return parts === undefined ? copy : { ...copy, parts };
}

/** An error from a peer, for a program. */
export function errorOf(error: WireError): DatabaseError {
  if (error.code === "packed") return new PackedError(error.message, error.detail.bound);
  return new DatabaseError(error.code, error.message);
}

/** Whether an error says that a node, not the request, is at fault. */
export function isNodeFailure(error: WireError): boolean {
  return error.code === "lost" || error.code === "timedOut" || error.code === "noSpace"
    || error.code === "ioError";
}

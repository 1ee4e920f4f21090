/** The promises that adapters keep. Roles reach the world through these only. */
import type { Proof } from "./identity.ts";
import type { Conn } from "./ids.ts";
import type { Now } from "./machine.ts";
import type { Store } from "./store.ts";

export type * from "./database.ts";
export type * from "./store.ts";

/** Time. The only place where timers live. */
export interface Clock {
  now(): Now;
  /** Calls `wake` once `monoMs` has come; a later call replaces an earlier one, undefined cancels it. */
  wakeAt(monoMs: number | undefined, wake: () => void): void;
  /** Runs `task` soon, after what has already arrived. */
  soon(task: () => void): void;
}

/** Randomness: 0 <= next() < 1. */
export interface Random {
  next(): number;
}

/** A digest of 32 bytes; synchronous. */
export type Digest = (...parts: readonly Uint8Array[]) => Uint8Array;

/** Compression; synchronous. `algorithm` 0 is none, 1 is deflate in zlib's format. */
export interface Compression {
  /** @param level from 1, the fastest, to 9, the smallest; what is usual, unless told */
  compress(algorithm: number, data: Uint8Array, level?: number): Uint8Array;
  /** @throws RangeError when the algorithm is unknown, the data is broken, or it grows beyond `bytesMax` */
  expand(algorithm: number, data: Uint8Array, bytesMax: number): Uint8Array;
}

/**
 * What a transport reports. All bytes of a connection come before its `closed`. A transport that asks the other side for proof of
 * who it is gives it with the connection, `refusal` included: whoever hears of it tells the other side why, and closes.
 */
export type TransportEvent =
  | { readonly type: "accepted"; readonly conn: Conn; readonly remote: string; readonly proof?: Proof }
  | { readonly type: "connected"; readonly conn: Conn; readonly proof?: Proof }
  | { readonly type: "bytes"; readonly conn: Conn; readonly bytes: Uint8Array }
  /** What was written has left this process. */
  | { readonly type: "drained"; readonly conn: Conn }
  /** `untrusted`: the two couldn't agree on how to prove who they are, so that trying again is of no use. */
  | { readonly type: "closed"; readonly conn: Conn; readonly reason: string; readonly untrusted?: true };

/** Ordered, reliable byte streams between nodes. */
export interface Transport {
  /** Where events go; called once before anything else. Events never arrive within another call of the transport. */
  onEvent(sink: (event: TransportEvent) => void): void;
  /** Takes connections at `host:port` (port 0: any). Gives the address in use. */
  listen(address: string): Promise<string>;
  /** Begins a connection; `connected` or `closed` follows. */
  connect(address: string): Conn;
  /** Queues bytes. False: nothing more should be written before `drained`. */
  write(conn: Conn, bytes: Uint8Array): boolean;
  /** Stops or goes on reading, so that a fast sender waits in its own memory. */
  setReading(conn: Conn, on: boolean): void;
  /** Sends what is queued, then ends; `closed` follows. */
  close(conn: Conn): void;
  /** Ends at once; `closed` follows. */
  destroy(conn: Conn): void;
  /** Ends everything. */
  shutdown(): Promise<void>;
}

/** What multicast reports. */
export type MulticastEvent =
  /** Datagrams of this group come from now on. */
  | { readonly type: "joined"; readonly group: string }
  | { readonly type: "datagram"; readonly bytes: Uint8Array };

/** Datagrams to all who listen to a group: any may get lost, come twice, late, in another order, or from somebody else. */
export interface Multicast {
  /** Where events go; called once before anything else. Events never arrive within another call. */
  onEvent(sink: (event: MulticastEvent) => void): void;
  /** Listens to `address:port`; `joined` follows, or nothing if the network doesn't let it. */
  join(group: string): void;
  /** Sends to `address:port`, as well as it can. */
  send(group: string, bytes: Uint8Array): void;
  /** Ends everything. */
  close(): void;
}

/** One entry of a master's log of cluster metadata, encoded. */
export interface LogEntry {
  readonly index: number;
  readonly term: number;
  readonly entry: Uint8Array;
}

/** A change of a master's metadata store. */
export type MetadataWrite =
  | { readonly op: "append"; readonly entries: readonly LogEntry[] }
  /** Replaces everything up to `index` by its result; with `alone` what stands behind it goes as well. */
  | {
    readonly op: "snapshot";
    readonly index: number;
    readonly term: number;
    readonly image: Uint8Array;
    readonly alone?: boolean;
  }
  /** The newest term that was seen, and whom this master has voted for in it. */
  | { readonly op: "ballot"; readonly term: number; readonly votedFor: number | null };

/** What a master finds when it opens its store. */
export interface MetadataState {
  /** Null before `init` wrote the cluster's first members: such a master waits. */
  readonly snapshot: { readonly index: number; readonly term: number; readonly image: Uint8Array } | null;
  readonly entries: readonly LogEntry[];
  readonly ballot: { readonly term: number; readonly votedFor: number | null };
  /** Random, made with the store: the master's identity. Empty in stores of a version that had none. */
  readonly diskId: string;
}

/** The durable memory of a master. One process at a time may have it open. */
export interface MetadataStore extends Store<MetadataWrite, never, never> {
  readonly state: MetadataState;
}

/**
 * What clients ask of a storage, before it reaches locks or reads: whose transaction it is, whether the table that it was
 * made with is ours, whether the object belongs here and its data is whole (T56). A request of a newer table waits.
 */
import { sameBytes } from "../../core/bytes.ts";
import { Deadlines } from "../../core/deadlines.ts";
import { MalformedError } from "../../core/errors.ts";
import { partitionOf, sessionOf } from "../../core/ids.ts";
import type { Conn, Oid, Ttid } from "../../core/ids.ts";
import {
  NOTE_BYTES_MAX,
  OBJECT_BYTES_MAX,
  PART_BYTES_MAX,
  PARTS_MAX,
  RESERVE_BYTES,
} from "../../core/limits.ts";
import type { Now } from "../../core/machine.ts";
import type { AskMessage, Body, Note, WireError } from "../../core/messages.ts";
import { COMPRESSION_PARTS, decodeManifest } from "../../core/parts.ts";
import type { Clients } from "./clients.ts";
import type { ReadMessage, Reads } from "./reads.ts";
import type { Asker, Site } from "./site.ts";
import type { Transactions } from "./transactions.ts";

/** Requests of clients. */
export type ClientMessage = Extract<AskMessage, { name: "part" | "store" | "check" | "vote" }> | ReadMessage;

/** A request, with how long it may wait. */
export interface ClientRequest {
  readonly asker: Asker;
  readonly message: ClientMessage;
  readonly untilMs: number;
}

function isLong(note: Note | null): boolean {
  return note !== null
    && [note.user, note.description, note.extension].some(({ length }) => length > NOTE_BYTES_MAX);
}

/** What no part may be, if it is that. */
function oddPart({ oid, seq, compression, data }: Body<"part">): WireError | undefined {
  const why = seq >= PARTS_MAX
    ? `a value has at most ${PARTS_MAX}`
    : data.length > PART_BYTES_MAX
    ? `${data.length} bytes are more than ${PART_BYTES_MAX}`
    : undefined;
  if (why) return { code: "tooLarge", message: `Cannot take part ${seq} of object ${oid}: ${why}` };
  if (compression !== COMPRESSION_PARTS) return undefined;
  return { code: "malformed", message: `Cannot take part ${seq} of object ${oid}: it is a manifest itself` };
}

/** Judges requests. */
export class Intake {
  #site: Site;
  #clients: Clients;
  #transactions: Transactions;
  #reads: Reads;
  #parked = new Set<ClientRequest>();
  #patience = new Deadlines<ClientRequest>();

  constructor(parts: { site: Site; clients: Clients; transactions: Transactions; reads: Reads }) {
    this.#site = parts.site;
    this.#clients = parts.clients;
    this.#transactions = parts.transactions;
    this.#reads = parts.reads;
  }

  /** Requests that wait for a newer table. */
  get waiting(): number {
    return this.#parked.size;
  }

  /** When `tick` wants to be called. */
  get dueMs(): number | undefined {
    return this.#patience.next();
  }

  /** Whether a client's connection may speak for a transaction. */
  owns(conn: Conn, ttid: Ttid): boolean {
    return this.#clients.sessionOf(conn) === sessionOf(ttid);
  }

  /** Serves, refuses, or keeps a request until our table is as new as the one it was made with. */
  take(request: ClientRequest, now: Now): void {
    const { asker, message } = request;
    const table = this.#site.table!;
    if (message.body.version > table.version) {
      this.#parked.add(request);
      this.#patience.set(request, request.untilMs);
      return;
    }
    switch (message.name) {
      case "part":
        return this.#part(asker, message.body, now);
      case "store":
      case "check":
        return this.#store(request, message, now);
      case "vote":
        if (!this.owns(asker.conn, message.body.ttid)) return this.#disown(asker, message.body.ttid);
        if (message.body.home >= table.partitions) return this.#wrongPartition(asker, message.body.home);
        if (isLong(message.body.note)) {
          const text =
            `Cannot take the note of transaction ${message.body.ttid}: a part of it is over ${NOTE_BYTES_MAX} bytes`;
          return this.#site.refuse(asker, { code: "tooLarge", message: text });
        }
        return this.#transactions.vote(asker, message.body, now);
      case "transactions": {
        const wrong = message.body.partitions.find((partition) => partition >= table.partitions);
        return wrong === undefined ? this.#reads.take(asker, message) : this.#wrongPartition(asker, wrong);
      }
      case "digest":
        if (message.body.partition >= table.partitions) {
          return this.#wrongPartition(asker, message.body.partition);
        }
        return this.#reads.take(asker, message);
      default:
        return this.#reads.take(asker, message);
    }
  }

  /** A newer table is here: requests that waited are judged again. */
  retry(now: Now): void {
    const parked = [...this.#parked];
    this.clear();
    for (const request of parked) this.take(request, now);
  }

  /** Operation ends: nothing waits any more. */
  clear(): void {
    for (const request of this.#parked) this.#patience.delete(request);
    this.#parked.clear();
  }

  /** A transaction is given up: so is what waits here for it. */
  abort(ttid: Ttid): void {
    for (const request of this.#parked) {
      const { body } = request.message;
      if (!("ttid" in body) || body.ttid !== ttid) continue;
      this.#parked.delete(request);
      this.#patience.delete(request);
      const message = `Cannot serve ${request.message.name}: transaction ${ttid} was aborted`;
      this.#site.refuse(request.asker, { code: "aborted", message });
    }
  }

  /** Requests of a lost connection go with it. */
  disconnected(conn: Conn): void {
    for (const request of this.#parked) {
      if (request.asker.conn !== conn) continue;
      this.#parked.delete(request);
      this.#patience.delete(request);
    }
  }

  /** Waits that are over. */
  tick(nowMs: number): void {
    for (const request of this.#patience.take(nowMs)) {
      this.#parked.delete(request);
      const { name, body } = request.message;
      const message =
        `Cannot serve ${name}: it needs table version ${body.version}, this storage has ${this.#site.table?.version}`;
      this.#site.refuse(request.asker, { code: "timedOut", message });
    }
  }

  #store(
    { asker, untilMs }: ClientRequest,
    message: Extract<AskMessage, { name: "store" | "check" }>,
    now: Now,
  ): void {
    const { ttid, oid, base, ageMs } = message.body;
    if (!this.owns(asker.conn, ttid)) return this.#disown(asker, ttid);
    const error = message.name === "store" ? this.#wrongData(message.body) : undefined;
    if (error) return this.#site.refuse(asker, error);
    if (!this.#isAssigned(asker, oid)) return;
    const common = { asker, ttid, ageMs, oid, base, untilMs };
    if (message.name === "check") {
      const nothing = { content: { stored: null, link: null }, checksum: null, restore: false };
      return this.#transactions.store({ ...common, ...nothing, mode: "check" }, now);
    }
    const { compression, checksum, data, link, restore } = message.body;
    if (data !== null && compression === COMPRESSION_PARTS && !this.#hasParts(asker, message.body, data)) {
      return;
    }
    this.#site.freeBytes -= data?.length ?? 0; // until the disk is looked at again
    const stored = data === null ? null : { compression, checksum, data };
    const content = { stored, link };
    const kept = data === null ? null : checksum;
    this.#transactions.store({ ...common, mode: "store", content, checksum: kept, restore }, now);
  }

  #part(asker: Asker, body: Body<"part">, now: Now): void {
    const { ttid, ageMs, oid, seq, compression, checksum, data } = body;
    if (!this.owns(asker.conn, ttid)) return this.#disown(asker, ttid);
    const error = oddPart(body) ?? this.#wrongData(body);
    if (error) return this.#site.refuse(asker, error);
    if (!this.#isAssigned(asker, oid)) return;
    this.#site.freeBytes -= data.length;
    const stored = { compression, checksum, data };
    this.#transactions.part({ asker, ttid, ageMs, oid, seq, stored }, now);
  }

  #isAssigned(asker: Asker, oid: Oid): boolean {
    const { partitions, version } = this.#site.table!;
    const partition = partitionOf(oid, partitions);
    if (this.#site.cell(partition)) return true;
    const message =
      `Cannot store object ${oid}: this storage has no cell of partition ${partition} in table version ${version}`;
    this.#site.refuse(asker, { code: "notAssigned", message });
    return false;
  }

  /** Whether the parts that a manifest speaks of are here. */
  #hasParts(asker: Asker, { ttid, oid }: Body<"store">, manifest: Uint8Array): boolean {
    let checksums: readonly Uint8Array[];
    try {
      checksums = decodeManifest(manifest).checksums;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      const message = `Cannot store object ${oid}: ${error.message}`;
      this.#site.refuse(asker, { code: "malformed", message });
      return false;
    }
    if (this.#transactions.hasParts(ttid, oid, checksums)) return true;
    const message = `Cannot store object ${oid}: the parts of its value aren't here, or others`;
    this.#site.refuse(asker, { code: "lacks", message, detail: { held: [] } });
    return false;
  }

  /** What is wrong with the data itself, if anything. */
  #wrongData(
    { oid, data, checksum }: Pick<Body<"store">, "oid" | "data" | "checksum">,
  ): WireError | undefined {
    if (this.#site.low || this.#site.freeBytes - (data?.length ?? 0) < RESERVE_BYTES) {
      const message =
        `Cannot store object ${oid}: ${this.#site.freeBytes} bytes are free, ${RESERVE_BYTES} are kept in reserve`;
      return { code: "noSpace", message };
    }
    if ((data?.length ?? 0) > OBJECT_BYTES_MAX) {
      return {
        code: "tooLarge",
        message: `Cannot store object ${oid}: ${data?.length} bytes are more than ${OBJECT_BYTES_MAX}`,
      };
    }
    if (data !== null && !sameBytes(this.#site.digest(data), checksum)) {
      return {
        code: "badChecksum",
        message: `Cannot store object ${oid}: its data doesn't match its checksum`,
      };
    }
    return undefined;
  }

  #disown(asker: Asker, ttid: Ttid): void {
    this.#site.refuse(asker, {
      code: "denied",
      message: `Cannot take transaction ${ttid}: it is of another client session`,
    });
  }

  #wrongPartition(asker: Asker, partition: number): void {
    const message = `Cannot serve partition ${partition}: the cluster has ${this.#site.table!.partitions}`;
    this.#site.refuse(asker, { code: "wrongPartition", message });
  }
}

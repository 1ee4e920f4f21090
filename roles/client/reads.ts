/**
 * Reads of a client. A read is made of units (an object each, or a group of partitions), and each unit goes to one storage that can
 * answer it (`readers.ts` says which). A storage that fails is not asked for that unit again until all others were tried;
 * then the read catches up with the primary, whose table may have changed, and starts over.
 *
 * What the cache has is answered in the step that asks. A load that is under way is shared by those who want the same
 * object meanwhile; what it brings goes into the cache with the end that was published while it was on its way.
 */
import { Deadlines } from "../../core/deadlines.ts";
import { AbortedError, type DatabaseError, UnreachableError } from "../../core/errors.ts";
import { partitionOf, ZERO_TID } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid } from "../../core/ids.ts";
import {
  LOAD_MANY_MAX,
  PAGE_TRANSACTIONS,
  RETRY_DELAY_MS_MAX,
  RETRY_DELAY_MS_MIN,
} from "../../core/limits.ts";
import type { AnswerMessage, TransactionInfo, WireError } from "../../core/messages.ts";
import { openPart } from "../../core/parts.ts";
import type { Manifest } from "../../core/parts.ts";
import type { StoredData } from "../../core/ports.ts";
import type { LoadedRevision } from "./calls.ts";
import type { Links } from "./links.ts";
import type { PendingLoad } from "./pending_loads.ts";
import { Readers } from "./readers.ts";
import { copyOf, errorOf, isNodeFailure } from "./site.ts";
import type { ClientContext, Site } from "./site.ts";

/** What is read. */
export type ReadRequest =
  | { readonly name: "load"; readonly oid: Oid; readonly at: Tid }
  | { readonly name: "loadExact"; readonly oid: Oid; readonly tid: Tid }
  | {
    readonly name: "loadPart";
    readonly oid: Oid;
    readonly tid: Tid;
    readonly seq: number;
    readonly parts: Manifest;
  }
  | { readonly name: "loadMany"; readonly oids: readonly Oid[]; readonly at: Tid }
  | { readonly name: "transactions"; readonly after: Tid; readonly upTo: Tid; readonly count: number };

type Context = Extract<ClientContext, { of: "read" }>;

interface Read {
  readonly call: number;
  readonly request: ReadRequest;
  readonly untilMs: number;
  /** The object of each unit; none when transactions are read. */
  readonly oids: readonly Oid[];
  /** A partition a unit; units that have their answer are undefined. */
  readonly units: (Partition | undefined)[];
  /** What is published of a unit's object since it was asked for. */
  readonly loads: (PendingLoad | undefined)[];
  readonly tried: Set<NodeIndex>[];
  readonly loaded: (LoadedRevision | undefined)[];
  /** The part that was asked for. */
  part: Uint8Array | undefined;
  readonly transactions: TransactionInfo[];
  /** Transactions are complete up to here, over all storages. */
  upTo: Tid;
  open: number;
  /** Questions that wait for their answers. */
  asked: number;
  delayMs: number;
  /** While it waits to start over. */
  retryMs: number | undefined;
  /** When another copy is asked as well. */
  hedgeMs: number | undefined;
  /** Reads of the same object that wait for this one. */
  readonly followers: Read[];
  problem: WireError | undefined;
}

/** The reads that are under way. */
export class Reads {
  #site: Site;
  #links: Links;
  #readers: Readers;
  #hedges: boolean | undefined;
  #reads = new Map<number, Read>();
  #leaders = new Map<Oid, Read>(); // loads that others may wait for
  #deadlines = new Deadlines<Read>();

  constructor(site: Site, links: Links, options: { readonly hedges: boolean | undefined }) {
    this.#site = site;
    this.#links = links;
    this.#readers = new Readers(site, links);
    this.#hedges = options.hedges;
  }

  /** Reads that haven't ended. */
  get size(): number {
    return this.#reads.size;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    return this.#deadlines.next();
  }

  /** Begins a read. */
  begin(call: number, request: ReadRequest, untilMs: number): void {
    const units = this.#unitsOf(request);
    const oids = request.name === "transactions"
      ? []
      : request.name === "loadMany"
      ? request.oids
      : [request.oid];
    const read: Read = {
      call,
      request,
      untilMs,
      oids,
      units,
      loads: [],
      tried: units.map(() => new Set()),
      loaded: units.map(() => undefined),
      part: undefined,
      transactions: [],
      upTo: request.name === "transactions" ? request.upTo : ZERO_TID,
      open: units.length,
      asked: 0,
      delayMs: RETRY_DELAY_MS_MIN,
      retryMs: undefined,
      hedgeMs: undefined,
      followers: [],
      problem: undefined,
    };
    this.#reads.set(call, read);
    this.#arm(read);
    this.#go(read);
  }

  /** Nobody waits for a read any more; false: it is none of these. */
  cancel(call: number): boolean {
    const read = this.#reads.get(call);
    if (read) this.#fail(read, new AbortedError("Cannot read: it was cancelled"));
    return read !== undefined;
  }

  /** A storage has answered. */
  answered(context: Context, message: AnswerMessage): void {
    this.#readers.ended(context.node, context.sentMs);
    const read = this.#reads.get(context.call);
    if (!read) return;
    read.asked -= 1;
    switch (message.name) {
      case "load":
      case "loadExact":
        this.#take(read, context, 0, this.#site.open(message.body.revision));
        break;
      case "loadMany":
        // an answer that is cut is gone on with, at the same storage
        for (const unit of context.units.slice(message.body.objects.length)) {
          read.tried[unit]!.delete(context.node);
        }
        message.body.objects.forEach(({ revision }, at) => {
          const unit = context.units[at];
          if (unit === undefined) return;
          if (revision === null) this.#close(read, unit, undefined);
          else this.#take(read, context, unit, this.#site.open(revision));
        });
        break;
      case "loadPart":
        this.#takePart(read, context, message.body);
        break;
      case "transactions": {
        // a partition that was asked for again elsewhere has two answers: the first one counts
        const open = new Set(context.units.flatMap((unit) => read.units[unit] ?? []));
        if (open.size > 0 && message.body.upTo < read.upTo) read.upTo = message.body.upTo;
        const { partitions } = this.#site.view.table!;
        read.transactions.push(
          ...message.body.transactions.filter(({ tid }) => open.has(partitionOf(tid, partitions))),
        );
        for (const unit of context.units) this.#close(read, unit, undefined);
        break;
      }
    }
    if (read.open === 0) return this.#done(read);
    const left = context.units.filter((unit) => read.units[unit] !== undefined);
    if (left.length > 0) this.#send(read, left);
  }

  /** A storage has refused, or is gone. */
  failed(context: Context, error: WireError): void {
    this.#readers.ended(context.node, context.sentMs);
    const read = this.#reads.get(context.call);
    if (!read) return;
    read.asked -= 1;
    if (error.code === "oidUnknown" || error.code === "noSuchRevision") {
      for (const unit of context.units) this.#close(read, unit, undefined);
      return read.open === 0 ? this.#done(read) : undefined;
    }
    if (!isNodeFailure(error) && error.code !== "notReadable" && error.code !== "sessionEnded") {
      return this.#fail(read, errorOf(error));
    }
    this.#elsewhere(read, context, error);
  }

  #elsewhere(read: Read, { node, units }: Pick<Context, "node" | "units">, error: WireError): void {
    if (isNodeFailure(error)) this.#readers.failed(node);
    read.problem = error;
    const open = units.filter((unit) => read.units[unit] !== undefined);
    if (open.length > 0) this.#send(read, open);
  }

  /** Waits that are over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const read of this.#deadlines.take(monoMs)) {
      if (monoMs >= read.untilMs) {
        const why = read.problem ? `: ${read.problem.message}` : "";
        this.#fail(read, new UnreachableError(`Cannot read in time${why}`));
        continue;
      }
      if (read.hedgeMs !== undefined && monoMs >= read.hedgeMs) this.#hedge(read);
      if (read.retryMs !== undefined && monoMs >= read.retryMs) this.retry(read);
      else this.#arm(read);
    }
  }

  /** The primary's table or nodes may have changed: reads that wait start over. */
  retryAll(): void {
    for (const read of [...this.#reads.values()]) if (read.retryMs !== undefined) this.retry(read);
  }

  retry(read: Read): void {
    read.retryMs = undefined;
    this.#arm(read);
    for (const tried of read.tried) tried.clear();
    this.#send(read, this.#openUnits(read));
  }

  #arm(read: Read): void {
    const { untilMs, retryMs = untilMs, hedgeMs = untilMs } = read;
    this.#deadlines.set(read, Math.min(untilMs, retryMs, hedgeMs));
  }

  /** What the cache has is there; the rest is waited for, or asked. */
  #go(read: Read): void {
    const { request, oids } = read;
    const { cache, loads, view } = this.#site;
    oids.forEach((oid, unit) => {
      const hit = request.name === "loadExact"
        ? cache.lookupExact(oid, request.tid)
        : "at" in request && request.at <= view.lastTid
        ? cache.lookup(oid, request.at)
        : undefined;
      if (hit) this.#close(read, unit, copyOf(hit));
    });
    if (read.open === 0) return this.#done(read);
    if (request.name === "load") {
      const leader = this.#leaders.get(request.oid);
      if (leader) {
        leader.followers.push(read);
        return;
      }
      this.#leaders.set(request.oid, read);
    }
    oids.forEach((oid, unit) => {
      if (read.units[unit] !== undefined) read.loads[unit] = loads.begin(oid);
    });
    this.#send(read, this.#openUnits(read));
  }

  #openUnits(read: Read): number[] {
    return read.units.flatMap((partition, unit) => (partition === undefined ? [] : [unit]));
  }

  #unitsOf(request: ReadRequest): Partition[] {
    const { partitions } = this.#site.view.table!;
    switch (request.name) {
      case "load":
      case "loadExact":
      case "loadPart":
        return [partitionOf(request.oid, partitions)];
      case "loadMany":
        return request.oids.map((oid) => partitionOf(oid, partitions));
      case "transactions":
        return Array.from({ length: partitions }, (_, partition) => partition as Partition);
    }
  }

  /** Sends units to storages, one message a storage. */
  #send(read: Read, units: readonly number[]): void {
    const groups = new Map<NodeIndex, number[]>();
    for (const unit of units) {
      const node = this.#readers.best(read.units[unit]!, read.tried[unit]!);
      // a hedged load may still have its other answer
      if (node === undefined) {
        return read.hedgeMs === Infinity && read.asked > 0
          ? undefined
          : this.#wait(read);
      }
      const group = groups.get(node);
      if (group) group.push(unit);
      else groups.set(node, [unit]);
    }
    for (const [node, group] of groups) {
      for (let at = 0; at < group.length; at += LOAD_MANY_MAX) {
        this.#sendTo(read, node, group.slice(at, at + LOAD_MANY_MAX));
      }
    }
  }

  #sendTo(read: Read, node: NodeIndex, units: readonly number[]): void {
    for (const unit of units) read.tried[unit]!.add(node);
    read.asked += 1;
    this.#readers.enter(node, () =>
      this.#links.with(node, (conn, error) => {
        read.asked -= 1;
        if (this.#reads.get(read.call) !== read) return;
        const open = units.filter((unit) => read.units[unit] !== undefined);
        if (open.length === 0) return;
        if (conn === undefined) {
          return this.#elsewhere(
            read,
            { node, units: open },
            error ?? { code: "lost", message: "Lost the storage" },
          );
        }
        read.asked += 1;
        this.#readers.began(node);
        this.#ask(read, conn, {
          of: "read",
          call: read.call,
          node,
          units: open,
          sentMs: this.#site.now.monoMs,
        });
      }));
  }

  #ask(read: Read, conn: Conn, context: Context): void {
    const { version } = this.#site.view.table!;
    const options = { context, withinMs: Math.max(read.untilMs - this.#site.now.monoMs, 1) };
    const { request } = read;
    switch (request.name) {
      case "load": {
        const hedges = this.#hedges ?? this.#site.settings.text("client.hedgedReads") === "true";
        if (hedges && read.hedgeMs === undefined) {
          read.hedgeMs = this.#site.now.monoMs + this.#readers.hedgeMs;
          this.#arm(read);
        }
        return this.#site.ask(conn, "load", { oid: request.oid, at: request.at, version }, options);
      }
      case "loadExact":
        return this.#site.ask(conn, "loadExact", { oid: request.oid, tid: request.tid, version }, options);
      case "loadPart": {
        const { oid, tid, seq } = request;
        return this.#site.ask(conn, "loadPart", { oid, tid, seq, version }, options);
      }
      case "loadMany": {
        const oids = context.units.map((unit) => request.oids[unit]!);
        return this.#site.ask(conn, "loadMany", { oids, at: request.at, version }, options);
      }
      case "transactions": {
        const partitions = context.units.map((unit) => read.units[unit]!);
        const { after, upTo } = request;
        const count = Math.min(request.count, PAGE_TRANSACTIONS);
        return this.#site.ask(conn, "transactions", { partitions, after, upTo, count, version }, options);
      }
    }
  }

  /** The answer takes longer than nearly all others did: another copy is asked as well, once. */
  #hedge(read: Read): void {
    read.hedgeMs = Infinity;
    const node = this.#readers.best(read.units[0]!, read.tried[0]!);
    if (node !== undefined && read.asked > 0) this.#sendTo(read, node, [0]);
  }

  /** No storage is left to ask: hears the primary first, then starts over. */
  #wait(read: Read): void {
    if (read.retryMs !== undefined) return;
    read.retryMs = this.#site.now.monoMs + read.delayMs;
    read.delayMs = Math.min(read.delayMs * 2, RETRY_DELAY_MS_MAX);
    this.#arm(read);
  }

  #take(read: Read, { node }: Context, unit: number, revision: LoadedRevision | undefined): void {
    if (read.units[unit] === undefined) return;
    if (revision) {
      const { cache, loads, view } = this.#site;
      const { revision: found, cacheable } = loads.end(read.loads[unit]!, revision);
      const isCached = cacheable && found.tid <= view.lastTid && found.parts === undefined;
      if (isCached) cache.insert(read.oids[unit]!, copyOf(found));
      return this.#close(read, unit, found);
    }
    this.#isBad(read, node);
  }

  #takePart(read: Read, { node }: Context, body: Pick<StoredData, "compression" | "data">): void {
    const { request } = read;
    if (request.name !== "loadPart" || read.units[0] === undefined) return;
    read.part = openPart(request.parts, request.seq, body, this.#site.ports);
    if (read.part) this.#close(read, 0, undefined);
    else this.#isBad(read, node);
  }

  /** What a storage sent isn't what was stored: another copy is asked. */
  #isBad(read: Read, node: NodeIndex): void {
    this.#readers.failed(node);
    const message = `Storage ${node} sent data that doesn't match its checksum`;
    read.problem = { code: "badChecksum", message };
    this.#site.log("client", "error", message);
  }

  #close(read: Read, unit: number, revision: LoadedRevision | undefined): void {
    if (read.units[unit] === undefined) return;
    const load = read.loads[unit];
    if (load) this.#site.loads.drop(load);
    read.units[unit] = undefined;
    read.loaded[unit] = revision;
    read.open -= 1;
  }

  #done(read: Read): void {
    this.#leave(read);
    const { request, loaded, transactions } = read;
    if (request.name === "transactions") {
      const whole = transactions.filter(({ tid }) => tid <= read.upTo).sort((
        a,
        b,
      ) => (a.tid < b.tid ? -1 : 1));
      const page = whole.slice(0, request.count);
      const upTo = page.length < whole.length ? page.at(-1)!.tid : read.upTo;
      this.#site.settle(read.call, { transactions: page, upTo });
    } else if (request.name === "loadPart") this.#site.settle(read.call, read.part);
    else this.#site.settle(read.call, request.name === "loadMany" ? loaded : loaded[0]);
    for (const follower of read.followers) {
      if (this.#reads.get(follower.call) !== follower) continue;
      if (request.name !== "load" || follower.request.name !== "load" || follower.request.at !== request.at) {
        this.#go(follower);
        continue;
      }
      this.#close(follower, 0, loaded[0] && copyOf(loaded[0]));
      this.#done(follower);
    }
  }

  #fail(read: Read, error: DatabaseError): void {
    this.#leave(read);
    for (const load of read.loads) if (load) this.#site.loads.drop(load);
    this.#site.fail(read.call, error);
    for (const follower of read.followers) {
      if (this.#reads.get(follower.call) === follower) this.#go(follower);
    }
  }

  #leave(read: Read): void {
    this.#reads.delete(read.call);
    this.#deadlines.delete(read);
    const { request } = read;
    if (request.name === "load" && this.#leaders.get(request.oid) === read) this.#leaders.delete(request.oid);
  }
}

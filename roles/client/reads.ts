/**
 * Reads of a client. A read is made of units (an object each, or a group of partitions), and each unit goes to one storage that can
 * answer it: connected ones first, then those without a recent failure. A storage that fails is not asked for that unit again
 * until all others were tried; then the read catches up with the primary, whose table may have changed, and starts over.
 */
import { type DatabaseError, UnreachableError } from "../../core/errors.ts";
import { partitionOf, ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid } from "../../core/ids.ts";
import {
  LOAD_MANY_MAX,
  PAGE_TRANSACTIONS,
  RETRY_DELAY_MS_MAX,
  RETRY_DELAY_MS_MIN,
} from "../../core/limits.ts";
import type { AnswerMessage, TransactionInfo, WireError } from "../../core/messages.ts";
import type { LoadedRevision } from "./calls.ts";
import type { Links } from "./links.ts";
import { errorOf, isNodeFailure } from "./site.ts";
import type { ClientContext, Site } from "./site.ts";

/** What is read. */
export type ReadRequest =
  | { readonly name: "load"; readonly oid: Oid; readonly at: Tid }
  | { readonly name: "loadExact"; readonly oid: Oid; readonly tid: Tid }
  | { readonly name: "loadMany"; readonly oids: readonly Oid[]; readonly at: Tid }
  | { readonly name: "transactions"; readonly after: Tid; readonly upTo: Tid; readonly count: number };

interface Read {
  readonly call: number;
  readonly request: ReadRequest;
  readonly untilMs: number;
  /** A partition a unit; units that have their answer are undefined. */
  readonly units: (Partition | undefined)[];
  readonly tried: Set<NodeIndex>[];
  readonly loaded: (LoadedRevision | undefined)[];
  readonly transactions: TransactionInfo[];
  /** Transactions are complete up to here, over all storages. */
  upTo: Tid;
  open: number;
  delayMs: number;
  /** While it waits to start over. */
  retryMs: number | undefined;
  problem: WireError | undefined;
}

/** The reads that are under way. */
export class Reads {
  #site: Site;
  #links: Links;
  #reads = new Map<number, Read>();
  #failedMs = new Map<NodeIndex, number>();

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    let due: number | undefined;
    for (const { retryMs, untilMs } of this.#reads.values()) {
      const at = Math.min(retryMs ?? untilMs, untilMs);
      if (due === undefined || at < due) due = at;
    }
    return due;
  }

  /** Begins a read. */
  begin(call: number, request: ReadRequest, untilMs: number): void {
    const units = this.#unitsOf(request);
    const read: Read = {
      call,
      request,
      untilMs,
      units,
      tried: units.map(() => new Set()),
      loaded: units.map(() => undefined),
      transactions: [],
      upTo: request.name === "transactions" ? request.upTo : ZERO_TID,
      open: units.length,
      delayMs: RETRY_DELAY_MS_MIN,
      retryMs: undefined,
      problem: undefined,
    };
    this.#reads.set(call, read);
    if (read.open === 0) this.#done(read);
    else this.#send(read, units.map((_, at) => at));
  }

  /** Whether a call is one of these. */
  has(call: number): boolean {
    return this.#reads.has(call);
  }

  /** A storage has answered. */
  answered(context: Extract<ClientContext, { of: "read" }>, message: AnswerMessage): void {
    const read = this.#reads.get(context.call);
    if (!read) return;
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
  failed(context: Extract<ClientContext, { of: "read" }>, error: WireError): void {
    const read = this.#reads.get(context.call);
    if (!read) return;
    if (error.code === "oidUnknown" || error.code === "noSuchRevision") {
      for (const unit of context.units) this.#close(read, unit, undefined);
      return read.open === 0 ? this.#done(read) : undefined;
    }
    if (!isNodeFailure(error) && error.code !== "notReadable" && error.code !== "sessionEnded") {
      return this.#fail(read, errorOf(error));
    }
    if (isNodeFailure(error)) this.#failedMs.set(context.node, this.#site.now.monoMs);
    read.problem = error;
    this.#send(read, context.units);
  }

  /** Waits that are over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const read of [...this.#reads.values()]) {
      if (monoMs >= read.untilMs) {
        const why = read.problem ? `: ${read.problem.message}` : "";
        this.#fail(read, new UnreachableError(`Cannot read in time${why}`));
      } else if (read.retryMs !== undefined && monoMs >= read.retryMs) this.retry(read);
    }
  }

  /** The primary's table or nodes may have changed: reads that wait start over. */
  retryAll(): void {
    for (const read of [...this.#reads.values()]) if (read.retryMs !== undefined) this.retry(read);
  }

  retry(read: Read): void {
    read.retryMs = undefined;
    for (const tried of read.tried) tried.clear();
    this.#send(read, read.units.flatMap((partition, unit) => (partition === undefined ? [] : [unit])));
  }

  #unitsOf(request: ReadRequest): Partition[] {
    const { partitions } = this.#site.view.table!;
    switch (request.name) {
      case "load":
      case "loadExact":
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
      const node = this.#choose(read, unit);
      if (node === undefined) return this.#wait(read);
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
    const context = { of: "read", call: read.call, node, units } as const;
    this.#links.with(node, (conn, error) => {
      if (!this.#reads.has(read.call) || units.some((unit) => read.units[unit] === undefined)) {
        const open = units.filter((unit) => read.units[unit] !== undefined);
        return this.#reads.has(read.call) && open.length > 0 ? this.#send(read, open) : undefined;
      }
      if (conn === undefined) {
        return this.failed(context, error ?? { code: "lost", message: "Lost the storage" });
      }
      const { version } = this.#site.view.table!;
      const options = { context, withinMs: Math.max(read.untilMs - this.#site.now.monoMs, 1) };
      const { request } = read;
      switch (request.name) {
        case "load":
          return this.#site.ask(conn, "load", { oid: request.oid, at: request.at, version }, options);
        case "loadExact":
          return this.#site.ask(conn, "loadExact", { oid: request.oid, tid: request.tid, version }, options);
        case "loadMany": {
          const oids = units.map((unit) => request.oids[unit]!);
          return this.#site.ask(conn, "loadMany", { oids, at: request.at, version }, options);
        }
        case "transactions": {
          const partitions = units.map((unit) => read.units[unit]!);
          const { after, upTo } = request;
          const count = Math.min(request.count, PAGE_TRANSACTIONS);
          return this.#site.ask(conn, "transactions", { partitions, after, upTo, count, version }, options);
        }
      }
    });
  }

  #choose(read: Read, unit: number): NodeIndex | undefined {
    const readers = this.#site.readers(read.units[unit]!).filter((node) => !read.tried[unit]!.has(node));
    const rank = (node: NodeIndex): number =>
      (this.#links.isOpen(node) ? 0 : 1e15) + (this.#failedMs.get(node) ?? 0);
    let best: NodeIndex | undefined;
    for (const node of readers) if (best === undefined || rank(node) < rank(best)) best = node;
    return best;
  }

  /** No storage is left to ask: hears the primary first, then starts over. */
  #wait(read: Read): void {
    if (read.retryMs !== undefined) return;
    read.retryMs = this.#site.now.monoMs + read.delayMs;
    read.delayMs = Math.min(read.delayMs * 2, RETRY_DELAY_MS_MAX);
  }

  #take(
    read: Read,
    context: Extract<ClientContext, { of: "read" }>,
    unit: number,
    revision: LoadedRevision | undefined,
  ): void {
    if (revision) return this.#close(read, unit, revision);
    this.#failedMs.set(context.node, this.#site.now.monoMs);
    read.problem = {
      code: "badChecksum",
      message: `Storage ${context.node} sent data that doesn't match its checksum`,
    };
    this.#site.log("error", read.problem.message);
  }

  #close(read: Read, unit: number, revision: LoadedRevision | undefined): void {
    if (read.units[unit] === undefined) return;
    read.units[unit] = undefined;
    read.loaded[unit] = revision;
    read.open -= 1;
  }

  #done(read: Read): void {
    this.#reads.delete(read.call);
    const { request, loaded, transactions } = read;
    if (request.name === "transactions") {
      const whole = transactions.filter(({ tid }) => tid <= read.upTo).sort((
        a,
        b,
      ) => (a.tid < b.tid ? -1 : 1));
      const page = whole.slice(0, request.count);
      const upTo = page.length < whole.length ? page.at(-1)!.tid : read.upTo;
      this.#site.settle(read.call, { transactions: page, upTo });
    } else this.#site.settle(read.call, request.name === "loadMany" ? loaded : loaded[0]);
  }

  #fail(read: Read, error: DatabaseError): void {
    this.#reads.delete(read.call);
    this.#site.fail(read.call, error);
  }
}

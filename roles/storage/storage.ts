/**
 * The storage role: objects, transactions, locks. It obeys one primary at a time, the one with the highest epoch it
 * has seen (made durable before it answers), whose table isn't older than its own.
 *
 * Messages: from the primary `fence start lock unlock abort fate sessionOpened sessionEnded table tableChange
 * shutdown`; from clients `part store check vote relock abort load loadMany loadExact transactions digest`; to clients `deadlock` (relock this);
 * to the primary `settle` (a transaction is here for too long), `space`, `askTable`. Invariants: what is acknowledged is saved before; a lock is
 * released, and a table served, only after the save that ends or changes it; requests of a newer table wait.
 */
import { unreachable } from "../../core/errors.ts";
import { hexOf } from "../../core/ids.ts";
import type { Conn, Ttid } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS, RESERVE_BYTES, TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import { answer, ask, tell } from "../../core/machine.ts";
import type { HostEvent, Machine, Now, PeerEvent } from "../../core/machine.ts";
import type { AskMessage, Body, Hello, TellMessage, WireError } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { DatabaseAnswer, DatabaseIdentity, DatabaseState, Digest } from "../../core/ports.ts";
import { helloOf } from "../hello.ts";
import { PRIMARY, Seeker } from "../seeker.ts";
import { Clients } from "./clients.ts";
import { Intake } from "./intake.ts";
import { moveStorage } from "./phases.ts";
import type { StoragePhase } from "./phases.ts";
import { Reads } from "./reads.ts";
import { Site } from "./site.ts";
import type { Asker, StorageContext, StorageEffect, StorageRead } from "./site.ts";
import { lockDeadline, sameBytes, Transactions } from "./transactions.ts";

/** Events of a storage. */
export type StorageEvent = PeerEvent<StorageContext> | HostEvent<StorageRead, DatabaseAnswer>;

/** What a storage starts from. */
export interface StorageStart {
  /** What its database holds. */
  readonly state: DatabaseState;
  /** Addresses of the masters. */
  readonly masters: readonly string[];
  /** Where others reach it. */
  readonly address: string;
  readonly digest: Digest;
  /** How long a transaction may be here before the primary is asked what becomes of it; 120,000 unless told. */
  readonly transactionTimeoutMs?: number;
}

/** A storage. */
export class StorageMachine implements Machine<StorageEvent, StorageEffect> {
  #identity: DatabaseIdentity;
  #address: string;
  #site: Site;
  #transactions: Transactions;
  #reads: Reads;
  #clients: Clients;
  #seeker: Seeker;
  #phase: StoragePhase = "seeking";
  #primary: Conn | undefined; // the connection whose fence we answered
  #intake: Intake;
  #now: Now = { monoMs: 0, wallMs: 0 }; // of the step that runs

  constructor(start: StorageStart) {
    const { state, digest } = start;
    this.#identity = state.identity;
    this.#address = start.address;
    const { transactionTimeoutMs = TRANSACTION_TIMEOUT_MS } = start;
    this.#site = new Site({ digest, epoch: state.epoch, image: state.image, transactionTimeoutMs });
    this.#transactions = new Transactions(this.#site, state.held);
    this.#reads = new Reads(this.#site, this.#transactions);
    this.#clients = new Clients(this.#site);
    const parts = {
      site: this.#site,
      clients: this.#clients,
      transactions: this.#transactions,
      reads: this.#reads,
    };
    this.#intake = new Intake(parts);
    this.#seeker = new Seeker(start.masters, () => this.hello());
  }

  /** What this node says of itself. */
  hello(): Hello {
    const { clusterId, cluster, name, diskId } = this.#identity;
    return helloOf({
      role: "storage",
      clusterId,
      cluster,
      name,
      diskId,
      address: this.#address,
      epoch: this.#site.epoch,
    });
  }

  /** For tests and checkers: transactions, parked requests and parked reads that are here. */
  get load(): { transactions: number; parked: number; reads: number; phase: StoragePhase } {
    const { size: transactions } = this.#transactions;
    return { transactions, parked: this.#intake.waiting, reads: this.#reads.waiting, phase: this.#phase };
  }

  due(): number | undefined {
    const all = [this.#seeker.dueMs, this.#transactions.due(), this.#intake.dueMs].filter((at) =>
      at !== undefined
    );
    return all.length === 0 ? undefined : Math.min(...all);
  }

  step(event: StorageEvent, now: Now): StorageEffect[] {
    this.#now = now;
    switch (event.type) {
      case "opened":
        this.#site.emit(...this.#seeker.begin());
        break;
      case "identified":
        this.#identified(event);
        break;
      case "impatient":
        this.#clients.impatient(event.conn);
        break;
      case "asked":
        this.#asked({ conn: event.conn, id: event.id }, event.message, event.withinMs);
        break;
      case "told":
        this.#told(event.conn, event.message);
        break;
      case "answered":
        if (
          event.context.of === "settle" && event.message.name === "settle" && !event.message.body.accepted
          && this.#phase === "serving" // verification may have begun meanwhile: it decides
        ) {
          this.#abort(event.context.ttid);
        } else if (event.message.name === "askTable") {
          this.#take(PartitionTable.ofImage(event.message.body.image));
        }
        break;
      case "failed":
        break; // settle is asked again by its deadline; a lost primary sends its table at the next fence
      case "lost":
        this.#lost(event, now);
        break;
      case "saved":
        this.#transactions.saved();
        break;
      case "read":
        this.#read(event.context, event.result);
        break;
      case "due":
        this.#due(now);
        break;
      case "room":
        this.#room(event.freeBytes);
        break;
      case "terminate":
        this.#stop();
        break;
      default:
        unreachable(event);
    }
    if (this.#transactions.takeFreed()) this.#reads.retry();
    return this.#site.taken();
  }

  #identified(event: Extract<StorageEvent, { type: "identified" }>): void {
    if (!event.incoming) return this.#site.emit(...this.#seeker.identified(event));
    this.#clients.identified(event.conn, event.hello);
  }

  #asked(asker: Asker, message: AskMessage, withinMs: number): void {
    if (asker.conn === this.#seeker.conn) return this.#primaryAsked(asker, message);
    switch (message.name) {
      case "part":
      case "store":
      case "check":
      case "vote":
      case "load":
      case "loadPart":
      case "loadMany":
      case "loadExact":
      case "transactions":
      case "digest":
        return this.#intake.take({ asker, message, untilMs: lockDeadline(this.#now, withinMs) }, this.#now);
      default:
        return this.#site.refuse(asker, {
          code: "denied",
          message: `Cannot serve ${message.name}: a storage takes it from no client`,
        });
    }
  }

  #primaryAsked(asker: Asker, message: AskMessage): void {
    const stale = (epoch: number): boolean => {
      if (this.#primary === asker.conn && epoch === this.#site.epoch) return false;
      const text = `Cannot obey epoch ${epoch}: this storage serves epoch ${this.#site.epoch}`;
      this.#site.refuse(asker, { code: "staleEpoch", message: text });
      return true;
    };
    switch (message.name) {
      case "fence":
        return this.#fence(asker, message.body);
      case "start":
        if (!stale(message.body.epoch)) this.#start(asker, message.body);
        return;
      case "lock": {
        const { epoch, ttid, tid } = message.body;
        if (stale(epoch)) return;
        if (this.#transactions.lock(ttid, tid)) return this.#site.emit(answer(asker, "lock", {}));
        return this.#site.emit({
          do: "read",
          query: { read: "fate", ttid },
          context: { for: "locked", asker, ttid, tid },
        });
      }
      case "fate":
        if (stale(message.body.epoch)) return;
        return this.#site.emit({
          do: "read",
          query: { read: "fate", ttid: message.body.ttid },
          context: { for: "fate", asker },
        });
      default:
        return this.#site.refuse(asker, {
          code: "denied",
          message: `Cannot serve ${message.name}: no primary may ask it`,
        });
    }
  }

  #told(conn: Conn, message: TellMessage): void {
    if (conn !== this.#seeker.conn) {
      // A client speaks of what is its own only.
      if (message.name !== "abort" && message.name !== "relock") return;
      const { ttid } = message.body;
      if (!this.#intake.owns(conn, ttid)) return;
      if (message.name === "abort") this.#abort(ttid);
      else this.#transactions.relock(ttid, message.body.oid, this.#now);
      return;
    }
    if (conn !== this.#primary || !("epoch" in message.body) || message.body.epoch !== this.#site.epoch) {
      return;
    }
    switch (message.name) {
      case "unlock":
        return this.#transactions.unlock(message.body.ttid, message.body.tid);
      case "abort":
        return this.#abort(message.body.ttid);
      case "sessionOpened":
        return this.#clients.opened(message.body.session);
      case "sessionEnded":
        this.#transactions.sessionEnded(message.body.session as never);
        return this.#clients.ended(message.body.session);
      case "table":
        return this.#take(PartitionTable.ofImage(message.body.image));
      case "tableChange":
        return this.#change(message.body);
      case "shutdown":
        return this.#stop();
    }
  }

  /** A transaction is given up, with all that waits for it here. */
  #abort(ttid: Ttid): void {
    this.#intake.abort(ttid);
    this.#transactions.abort(ttid);
  }

  /** A new epoch, or a new session in the same one: older primaries and all clients are void from here. */
  #fence(asker: Asker, body: Body<"fence">): void {
    const { epoch, session, node, image } = body;
    const table = PartitionTable.ofImage(image);
    const own = this.#site.table;
    let error: WireError | undefined;
    if (epoch < this.#site.epoch) {
      error = {
        code: "staleEpoch",
        message: `Cannot obey epoch ${epoch}: this storage has seen epoch ${this.#site.epoch}`,
      };
    } else if (own && isOlder(table, own)) {
      const versions =
        `${table.generation}.${table.version}, this storage has ${own.generation}.${own.version}`;
      error = { code: "staleTable", message: `Cannot obey this primary: it has table ${versions}` };
    } else if (own && isSameVersion(table, own) && !sameBytes(this.#digestOf(table), this.#digestOf(own))) {
      const version = `${own.generation}.${own.version}`;
      error = {
        code: "staleTable",
        message: `Cannot obey this primary: its table ${version} isn't the one seen here`,
      };
    }
    if (error) {
      this.#site.log("error", error.message);
      return this.#site.refuse(asker, error);
    }
    this.#leave();
    this.#phase = moveStorage(this.#phase, "fenced");
    this.#primary = asker.conn;
    this.#seeker.served();
    if (epoch > this.#site.epoch) this.#site.save({ op: "epoch", epoch }, { durable: true });
    this.#site.epoch = epoch;
    this.#site.session = session;
    this.#site.index = node;
    this.#take(table);
    this.#site.emit({ do: "read", query: { read: "marks" }, context: { for: "fence", asker } });
  }

  #start(asker: Asker, body: Body<"start">): void {
    this.#transactions.dropAll();
    this.#phase = moveStorage(this.#phase, "serving");
    this.#clients.start(body.sessions, body.sessionMark);
    this.#site.log("info", "Serving", { epoch: body.epoch, lastTid: hexOf(body.lastTid) });
    this.#site.emit(answer(asker, "start", {}));
    if (this.#site.low) this.#tellSpace();
  }

  /** Operation ends here: clients go, promises stay. */
  #leave(): void {
    this.#clients.halt();
    this.#transactions.dropUnvoted();
    this.#intake.clear();
    if (this.#phase === "serving" || this.#phase === "orphaned") {
      this.#phase = moveStorage(this.#phase, "fenced");
    }
  }

  #lost(event: Extract<StorageEvent, { type: "lost" }>, now: Now): void {
    if (event.target === PRIMARY) {
      if (this.#phase === "serving") this.#phase = moveStorage(this.#phase, "orphaned");
      if (this.#phase === "fenced") this.#phase = moveStorage(this.#phase, "seeking");
      this.#primary = undefined;
      if (event.error.code !== this.#seeker.problem?.code) {
        this.#site.log("warning", event.error.message, { code: event.error.code });
      }
      this.#seeker.lost(event.error, now);
      return;
    }
    this.#clients.disconnected(event.conn);
    this.#transactions.disconnected(event.conn);
    this.#reads.disconnected(event.conn);
    this.#intake.disconnected(event.conn);
  }

  #due(now: Now): void {
    this.#site.emit(...this.#seeker.due(now));
    for (const ttid of this.#transactions.tick(now.monoMs)) {
      if (this.#primary === undefined || this.#phase !== "serving") continue;
      this.#site.emit(
        ask(this.#primary, "settle", { ttid }, {
          context: { of: "settle", ttid },
          withinMs: REQUEST_TIMEOUT_MS,
        }),
      );
    }
    this.#intake.tick(now.monoMs);
  }

  #read(context: StorageRead, result: DatabaseAnswer): void {
    if (context.for === "lock") {
      if (result.read === "latest") {
        this.#transactions.checked(context.ttid, context.oid, context.attempt, result.tid);
      }
    } else if (context.for === "locked") {
      if (result.read !== "fate") return;
      const { asker, ttid, tid } = context;
      if (result.tid === tid) return this.#site.emit(answer(asker, "lock", {}));
      const message = `Cannot lock transaction ${ttid}: its whole vote isn't here`;
      this.#site.refuse(asker, { code: "unknownTransaction", message });
    } else if (context.for === "fence") {
      if (result.read !== "marks") return;
      const { generation, version } = this.#site.table!;
      const { lastTids, lastOid } = result;
      const report = this.#transactions.report();
      this.#site.emit(answer(context.asker, "fence", { generation, version, ...report, lastTids, lastOid }));
    } else this.#reads.answered(context, result);
  }

  #change(body: Body<"tableChange">): void {
    const table = this.#site.table;
    const primary = this.#primary!;
    const askWhole = (): void =>
      this.#site.emit(
        ask(primary, "askTable", {}, { context: { of: "table" }, withinMs: REQUEST_TIMEOUT_MS }),
      );
    if (!table || table.generation !== body.generation || table.version !== body.base) return askWhole();
    const next = table.changed(body.version, body.cells);
    if (!sameBytes(this.#digestOf(next), body.digest)) return askWhole();
    this.#take(next);
  }

  #digestOf(table: PartitionTable): Uint8Array {
    return table.digest(this.#site.digest);
  }

  /** Takes a newer table: drops the writes of cells that changed under them, and lets waiting requests in. */
  #take(table: PartitionTable): void {
    const old = this.#site.table;
    if (old && isSameVersion(old, table)) return;
    this.#site.table = table;
    this.#site.save({ op: "image", image: table.toImage() }, { durable: true });
    for (const { partition, cell } of old?.cellsOf(this.#site.index) ?? []) {
      if (this.#site.cell(partition)?.since !== cell.since) this.#transactions.forget(partition);
    }
    this.#intake.retry(this.#now);
    this.#reads.retry();
  }

  #room(freeBytes: number): void {
    this.#site.freeBytes = freeBytes;
    const low = freeBytes < RESERVE_BYTES;
    if (low === this.#site.low) return;
    this.#site.low = low;
    this.#site.log(
      low ? "error" : "info",
      low ? "Disk space is short: stores are refused" : "Disk space is enough again",
      { freeBytes },
    );
    this.#tellSpace();
  }

  #tellSpace(): void {
    if (this.#primary !== undefined) {
      this.#site.emit(tell(this.#primary, "space", { low: this.#site.low, freeBytes: this.#site.freeBytes }));
    }
  }

  #stop(): void {
    this.#seeker.end();
    this.#clients.halt();
    this.#phase = moveStorage(this.#phase, "ended");
    this.#site.emit({ do: "stop" });
  }
}

function isSameVersion(a: ReadonlyTable, b: ReadonlyTable): boolean {
  return a.generation === b.generation && a.version === b.version;
}

function isOlder(a: ReadonlyTable, b: ReadonlyTable): boolean {
  return a.generation < b.generation || (a.generation === b.generation && a.version < b.version);
}

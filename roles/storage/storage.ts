/**
 * The storage role: objects, transactions, locks. It obeys one primary at a time, the one with the highest epoch it
 * has seen (made durable before it answers), whose table isn't older than its own.
 *
 * Messages: from the primary `fence start lock unlock abort fate sessionOpened sessionEnded table tableChange
 * packTo shutdown`; from clients `part store check vote relock abort load loadMany loadExact transactions digest`; to clients `deadlock` (relock this);
 * to the primary `settle` (what becomes of a transaction?), `space`, `askTable`, `catchUp`. Invariants: what is acknowledged is saved
 * before; a lock is released, and a table served, only after the save that ends or changes it; requests of a newer table wait.
 */
import { unreachable } from "../../core/errors.ts";
import { hexOf } from "../../core/ids.ts";
import type { Conn, Tid, Ttid } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { answer, ask } from "../../core/machine.ts";
import type { HostEvent, Machine, Now, PeerEvent, Standing } from "../../core/machine.ts";
import type { AnswerMessage, AskMessage, Body, Hello, TellMessage } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { DatabaseAnswer, DatabaseIdentity } from "../../core/ports.ts";
import { tableFrom } from "../../core/table_difference.ts";
import { helloOf } from "../hello.ts";
import { PRIMARY } from "../seeker.ts";
import type { Seeker } from "../seeker.ts";
import type { Clients } from "./clients.ts";
import type { Copiers } from "./copiers.ts";
import type { Cuts } from "./cuts.ts";
import { discardsOf } from "./eraser.ts";
import type { Eraser } from "./eraser.ts";
import type { Intake } from "./intake.ts";
import { lockDeadline } from "./locks.ts";
import type { Packer } from "./packer.ts";
import { partsOf } from "./parts.ts";
import type { StorageStart } from "./parts.ts";
import { moveStorage } from "./phases.ts";
import type { StoragePhase } from "./phases.ts";
import type { Progress } from "./progress.ts";
import type { Reads } from "./reads.ts";
import { isToSource } from "./replicator.ts";
import type { Replicator } from "./replicator.ts";
import type { Scrubber } from "./scrubber.ts";
import { Site } from "./site.ts";
import type { Asker, StorageContext, StorageEffect, StorageRead } from "./site.ts";
import type { Space } from "./space.ts";
import type { Tables } from "./tables.ts";
import type { Transactions } from "./transactions.ts";
import type { Use } from "./use.ts";

/** Events of a storage. */
export type StorageEvent = PeerEvent<StorageContext> | HostEvent<StorageRead, DatabaseAnswer>;

export type { StorageStart } from "./parts.ts";

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
  #progress: Progress;
  #tables: Tables;
  #replicator: Replicator;
  #scrubber: Scrubber;
  #space: Space;
  #cuts: Cuts;
  #eraser: Eraser;
  #packer: Packer;
  #use: Use;
  #copiers: Copiers;
  #now: Now = { monoMs: 0, wallMs: 0 }; // of the step that runs

  constructor(start: StorageStart) {
    const { state } = start;
    this.#identity = state.identity;
    this.#address = start.address;
    this.#site = new Site({ ...start, epoch: state.epoch, image: state.image });
    const parts = partsOf(this.#site, start, {
      hello: () => this.hello(),
      tableTaken: () => this.#tableTaken(),
    });
    this.#progress = parts.progress;
    this.#transactions = parts.transactions;
    this.#reads = parts.reads;
    this.#clients = parts.clients;
    this.#intake = parts.intake;
    this.#seeker = parts.seeker;
    this.#replicator = parts.replicator;
    this.#eraser = parts.eraser;
    this.#packer = parts.packer;
    this.#use = parts.use;
    this.#space = parts.space;
    this.#scrubber = parts.scrubber;
    this.#copiers = parts.copiers;
    this.#cuts = parts.cuts;
    this.#tables = parts.tables;
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
      tableDigest: this.#site.table?.digest(this.#site.digest) ?? new Uint8Array(),
    });
  }

  /** For tests and checkers: transactions, parked requests and parked reads that are here. */
  get load(): { transactions: number; parked: number; reads: number; phase: StoragePhase; copies: boolean } {
    const { size: transactions } = this.#transactions;
    const [parked, reads] = [this.#intake.waiting, this.#reads.waiting];
    return { transactions, parked, reads, phase: this.#phase, copies: this.#replicator.isBusy };
  }

  get standing(): Standing {
    return { epoch: this.#site.epoch, phase: this.#phase };
  }

  due(): number | undefined {
    const all = [
      this.#seeker.dueMs,
      this.#transactions.due(),
      this.#intake.dueMs,
      this.#replicator.dueMs,
      this.#scrubber.dueMs,
      this.#eraser.dueMs,
      this.#packer.dueMs,
      this.#use.dueMs,
    ].filter((at) => at !== undefined);
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
        this.#answered(event.context, event.message);
        break;
      case "failed":
        // settle is asked again by its deadline; a lost primary sends its table at the next fence
        if (event.context.of === "copy") this.#replicator.failed(event.context.job, event.error, now);
        else if (event.context.of === "catchUp") this.#replicator.untargeted(event.context.epoch, now);
        break;
      case "lost":
        this.#lost(event, now);
        break;
      case "saved":
        this.#transactions.saved();
        this.#tables.settle(this.#primary);
        break;
      case "read":
        this.#read(event.context, event.result);
        break;
      case "due":
        this.#due(now);
        break;
      case "room":
        this.#space.is(event.freeBytes, this.#primary);
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
    const { conn, hello, incoming, target } = event;
    if (incoming && hello.role === "storage") return this.#copiers.identified(conn, hello);
    if (incoming) return this.#clients.identified(conn, hello);
    if (isToSource(target)) return this.#replicator.identified(conn, target, hello, this.#now);
    this.#site.emit(...this.#seeker.identified(event));
  }

  #answered(context: StorageContext, message: AnswerMessage): void {
    if (context.of === "copy") return this.#replicator.answered(context.job, message, this.#now);
    switch (message.name) {
      case "settle":
        // verification may have begun meanwhile: it decides
        if (context.of !== "settle" || message.body.accepted || this.#phase !== "serving") return;
        return this.#abort(context.ttid);
      case "askTable":
        return this.#tables.take(PartitionTable.ofImage(message.body.image));
      case "catchUp":
        if (context.of !== "catchUp") return;
        return this.#replicator.targeted(context.epoch, message.body.target, this.#now);
    }
  }

  #asked(asker: Asker, message: AskMessage, withinMs: number): void {
    if (asker.conn === this.#seeker.conn) return this.#primaryAsked(asker, message);
    const waitMs = this.#site.settings.number("storage.lockWaitMs");
    const request = { asker, untilMs: lockDeadline(this.#now, withinMs, waitMs) };
    if (!this.#copiers.has(asker.conn)) this.#use.asked(message, this.#now.monoMs);
    switch (message.name) {
      case "slices":
      case "keys":
      case "rows":
      case "pick":
        if (!this.#copiers.has(asker.conn) || !this.#site.table) break;
        return this.#intake.take({ ...request, message }, this.#now);
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
        return this.#intake.take({ ...request, message }, this.#now);
      default:
        break;
    }
    const text = `Cannot serve ${message.name}: a storage doesn't take it from this peer`;
    this.#site.refuse(asker, { code: "denied", message: text });
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
      case "askActivity":
        if (stale(message.body.epoch)) return;
        return this.#site.emit(answer(asker, "askActivity", this.#transactions.activity()));
      case "askSize":
        if (stale(message.body.epoch)) return;
        return this.#site.emit({ do: "read", query: { read: "size" }, context: { for: "size", asker } });
      case "vouch":
        return stale(message.body.epoch) ? undefined : this.#scrubber.vouch(asker, message.body);
      case "inspect":
        return stale(message.body.epoch) ? undefined : this.#scrubber.inspect(asker, message.body);
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
    if (message.name === "truncated") return this.#cuts.told(conn, message.body);
    if (message.name === "nodes") return this.#replicator.nodes(message.body.nodes, this.#now);
    if (message.name === "config") return this.#site.emit(...this.#site.settings.take(message.body, conn));
    if (conn !== this.#primary || !("epoch" in message.body) || message.body.epoch !== this.#site.epoch) {
      return;
    }
    switch (message.name) {
      case "unlock":
        return this.#unlock(message.body.ttid, message.body.tid);
      case "abort":
        return this.#abort(message.body.ttid);
      case "sessionOpened":
        return this.#clients.opened(message.body.session);
      case "sessionEnded":
        this.#transactions.sessionEnded(message.body.session as never);
        return this.#clients.ended(message.body.session);
      case "registry":
        return this.#site.save({ op: "registry", state: message.body.state }, { durable: true });
      case "table":
        return this.#tables.take(PartitionTable.ofImage(message.body.image));
      case "tableChange":
        this.#tables.change(message.body, conn);
        return this.#eraser.discarded(discardsOf(message.body.cells, this.#site.index));
      case "discarded":
        return this.#eraser.discarded(message.body.cells);
      case "packTo":
        return this.#packer.take(message.body.tid);
      case "leave":
        this.#site.log("storage", "warning", `Ending: ${message.body.reason}`);
        return this.#stop();
      case "mend":
        return this.#progress.mend(message.body);
      case "shutdown":
        return this.#stop();
    }
  }

  /** A transaction is published. */
  #unlock(ttid: Ttid, tid: Tid): void {
    this.#progress.unlocked(tid, this.#transactions.unlock(ttid, tid));
  }

  /** A newer table is here: what waited for it goes on. */
  #tableTaken(): void {
    this.#intake.retry(this.#now);
    this.#reads.retry();
    this.#tables.settle(this.#primary);
    this.#eraser.taken();
    this.#replicator.tableChanged(this.#now);
    this.#scrubber.tableChanged();
    this.#packer.tableChanged();
  }

  /** A transaction is given up, with all that waits for it here. */
  #abort(ttid: Ttid): void {
    this.#intake.abort(ttid);
    this.#transactions.abort(ttid);
  }

  /** A new epoch, or a new session in the same one: older primaries and all clients are void from here. */
  #fence(asker: Asker, body: Body<"fence">): void {
    const { epoch, session, node, image } = body;
    const table = tableFrom(image, this.#site.table, this.#site.digest);
    const error = this.#tables.refusal(epoch, table);
    if (error) {
      this.#site.log("storage", "error", error.message);
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
    this.#cuts.fenced(asker.conn, epoch);
    this.#tables.take(table);
    this.#site.emit({ do: "read", query: { read: "marks" }, context: { for: "fence", asker } });
    this.#replicator.fenced(this.#now);
  }

  #start(asker: Asker, body: Body<"start">): void {
    this.#transactions.drop(() => true);
    this.#phase = moveStorage(this.#phase, "serving");
    this.#clients.start(body.sessions, body.sessionMark);
    this.#site.log("storage", "info", "Serving", { epoch: body.epoch, lastTid: hexOf(body.lastTid) });
    this.#site.emit(answer(asker, "start", {}));
    if (this.#site.low) this.#space.tell(asker.conn);
    this.#use.begin(asker.conn, this.#now.monoMs);
    this.#replicator.begin(asker.conn, this.#now);
    this.#scrubber.begin(asker.conn, this.#now);
    this.#eraser.begin();
    this.#packer.begin(asker.conn);
  }

  /** Operation ends here: clients go, promises stay. */
  #leave(): void {
    this.#clients.halt();
    this.#replicator.halt();
    this.#scrubber.halt();
    this.#eraser.halt();
    this.#packer.halt();
    this.#transactions.drop(({ voted }) => !voted);
    this.#intake.clear();
    this.#copiers.end();
    if (this.#phase === "serving" || this.#phase === "orphaned") {
      this.#phase = moveStorage(this.#phase, "fenced");
    }
  }

  #lost(event: Extract<StorageEvent, { type: "lost" }>, now: Now): void {
    if (isToSource(event.target)) return this.#replicator.lost(event.target, event.error, now);
    if (event.target === PRIMARY) {
      this.#replicator.halt();
      this.#scrubber.halt();
      this.#eraser.halt();
      this.#packer.halt();
      if (this.#phase === "serving") this.#phase = moveStorage(this.#phase, "orphaned");
      if (this.#phase === "fenced") this.#phase = moveStorage(this.#phase, "seeking");
      this.#primary = undefined;
      if (event.error.code !== this.#seeker.problem?.code) {
        this.#site.log("storage", "warning", event.error.message, { code: event.error.code });
      }
      this.#seeker.lost(event.error, now);
      return;
    }
    this.#copiers.disconnected(event.conn);
    this.#clients.disconnected(event.conn);
    this.#settle(this.#transactions.disconnected(event.conn), { asks: true });
    this.#reads.disconnected(event.conn);
    this.#intake.disconnected(event.conn);
  }

  #due(now: Now): void {
    this.#site.emit(...this.#seeker.due(now));
    this.#settle(this.#transactions.tick(now.monoMs), { asks: false });
    this.#intake.tick(now.monoMs);
    this.#replicator.due(now);
    this.#scrubber.due(now);
    this.#eraser.due(now);
    this.#packer.due(now);
    this.#use.due(this.#phase === "serving" ? this.#primary : undefined, now.monoMs);
  }

  /** Asks the primary what becomes of transactions. */
  #settle(ttids: readonly Ttid[], { asks }: { asks: boolean }): void {
    if (this.#primary === undefined || this.#phase !== "serving") return;
    for (const ttid of ttids) {
      const how = { context: { of: "settle", ttid }, withinMs: REQUEST_TIMEOUT_MS } as const;
      this.#site.emit(ask(this.#primary, "settle", { ttid, asks }, how));
    }
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
      const { lastTids, lastOid, lastTtid } = result;
      const report = this.#transactions.report();
      this.#site.emit(
        answer(context.asker, "fence", { generation, version, ...report, lastTids, lastOid, lastTtid }),
      );
    } else if (context.for === "copy") this.#replicator.read(context.job, result, this.#now);
    else if (context.for === "scrub") this.#scrubber.read(context.look, result, this.#now);
    else if (context.for === "size") {
      if (result.read === "size") this.#space.answer(context.asker, result, this.#now);
    } else if (context.for === "stocked") {
      if (result.read === "stocked") this.#eraser.found(result.partitions, this.#now);
    } else if (context.for === "packable") {
      if (result.read === "packable") this.#packer.found(context.look, result, this.#now);
    } else {
      this.#use.read(context, result, this.#now.monoMs);
      this.#reads.answered(context, result);
    }
  }

  #stop(): void {
    this.#seeker.end();
    this.#clients.halt();
    this.#replicator.halt();
    this.#scrubber.halt();
    this.#phase = moveStorage(this.#phase, "ended");
    this.#site.emit({ do: "stop" });
  }
}

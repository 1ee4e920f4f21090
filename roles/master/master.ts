/**
 * The master role: it orders transactions and decides phases, the partition table, node states, sessions and oids.
 *
 * Messages: from storages the answers to `fence start lock fate`, `settle`, `space`, `catchUp`, `settled`, `askTable`; from clients `sync
 * newOids finish outcome abort stage follow askTable`; from operators `status stop` and those of `operator.ts`. Invariants: nothing is told that isn't held
 * (`consensus.ts`); a finish that is accepted commits; publication is in tid order, and to each peer table changes come
 * before the answers, invalidations and unlocks that rely on them; a lost storage is admitted again only when the
 * outdating of its cells is held.
 */
import { unreachable } from "../../core/errors.ts";
import { sessionOf } from "../../core/ids.ts";
import type { Conn, NodeIndex, Partition } from "../../core/ids.ts";
import { answer, tell } from "../../core/machine.ts";
import type { HostEvent, Machine, Now, PeerEvent } from "../../core/machine.ts";
import type {
  Answer,
  AnswerMessage,
  AskMessage,
  Body,
  CellChange,
  Hello,
  TellMessage,
  WireError,
} from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import { helloOf } from "../hello.ts";
import type { Admission } from "./admission.ts";
import type { Audit } from "./audit.ts";
import type { Backup } from "./backup.ts";
import type { CatchUp } from "./catch_up.ts";
import type { Checks } from "./checks.ts";
import type { Clients } from "./clients.ts";
import type { Configuration } from "./configuration.ts";
import type { ImportStage } from "./import_stage.ts";
import type { MastersDesk } from "./masters.ts";
import type { OidGrants } from "./oids.ts";
import type { OperatorDesk } from "./operator.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Packing } from "./packing.ts";
import { partsOf } from "./parts.ts";
import type { MasterStart } from "./parts.ts";
import type { Phase } from "./phases.ts";
import type { Recovery } from "./recovery.ts";
import { reportOf } from "./report.ts";
import type { Reported } from "./reported.ts";
import type { SessionsDesk } from "./sessions.ts";
import { Site } from "./site.ts";
import type { Asker, ClientPeer, MasterContext, MasterEffect } from "./site.ts";
import type { Stopping } from "./stopping.ts";
import { Storages } from "./storages.ts";
import type { StorageNode } from "./storages.ts";
import type { Transactions } from "./transactions.ts";

/** Events of a master. */
export type MasterEvent = PeerEvent<MasterContext> | HostEvent<never, never>;

export type { MasterStart } from "./parts.ts";

type Failure = Extract<MasterEvent, { type: "failed" }>;

/** A primary master. */
export class MasterMachine implements Machine<MasterEvent, MasterEffect> {
  #name: string;
  #site: Site;
  #storages: Storages;
  #clients: Clients;
  #recovery: Recovery;
  #transactions: Transactions;
  #phaseTold: Phase = "recovering";
  #outcomes: Outcomes;
  #oids: OidGrants;
  #admission: Admission;
  #importing: ImportStage;
  #backup: Backup;
  #packing: Packing;
  #stopping: Stopping;
  #catchUp: CatchUp;
  #desk: OperatorDesk;
  #checks: Checks;
  #masters: MastersDesk;
  #configuration: Configuration;
  #sessions: SessionsDesk;
  #audit: Audit;
  /** Parts that serve operators. */
  #operators: readonly { ask(asker: Asker, message: AskMessage): boolean }[];
  #reported: Reported;

  constructor(start: MasterStart) {
    this.#name = start.name;
    this.#site = new Site(start.consensus, start.digest, start);
    this.#storages = new Storages(this.#site.metadata.nodes);
    const parts = partsOf(this.#site, this.#storages, start, {
      running: () => this.#running(),
      tableChanged: (...change) => this.#tableChanged(...change),
      outdate: (...cells) => this.#outdate(...cells),
      lost: (node, why) => this.#storageLost(node, why),
      gone: (conn, error) => this.#lost(conn, error),
      recover: () => this.#recover(),
    });
    this.#configuration = parts.configuration;
    this.#clients = parts.clients;
    this.#recovery = parts.recovery;
    this.#catchUp = parts.catchUp;
    this.#transactions = parts.transactions;
    this.#reported = parts.reported;
    this.#outcomes = parts.outcomes;
    this.#oids = parts.oids;
    this.#admission = parts.admission;
    this.#importing = parts.importing;
    this.#backup = parts.backup;
    this.#packing = parts.packing;
    this.#stopping = parts.stopping;
    this.#checks = parts.checks;
    this.#desk = parts.desk;
    this.#masters = parts.masters;
    this.#sessions = parts.sessions;
    this.#audit = parts.audit;
    this.#operators = parts.operators;
  }

  /** What this node says of itself. */
  hello(): Hello {
    const { clusterId, cluster } = this.#site.metadata;
    return helloOf({ role: "master", clusterId, cluster, name: this.#name });
  }

  /** For tests and checkers. */
  get view(): { phase: string; epoch: number; lastTid: bigint; pending: number; table: string } {
    const { phase, epoch, lastTid, table } = this.#site;
    return { phase, epoch, lastTid, pending: this.#transactions.pending, table: table.toString() };
  }

  /** The cluster as operators see it. */
  get report(): Answer<"status"> {
    return reportOf({
      site: this.#site,
      storages: this.#storages,
      name: this.#name,
      admins: this.#clients.admins,
      clients: this.#clients.live.length,
      oldestSnapshot: this.#clients.oldestSnapshot,
      waitingFor: this.#recovery.waitingFor,
      backup: this.#backup.report,
      pack: this.#packing.report,
    });
  }

  due(): number | undefined {
    const all = [this.#recovery.dueMs, this.#stopping.dueMs, this.#desk.dueMs].filter((at) =>
      at !== undefined
    );
    return all.length === 0 ? undefined : Math.min(...all);
  }

  step(event: MasterEvent, now: Now): MasterEffect[] {
    this.#site.now = now;
    switch (event.type) {
      case "opened":
        this.#recovery.begin();
        break;
      case "identified":
        this.#identified(event);
        break;
      case "impatient":
        this.#clients.impatient(event.conn, this.#recovery.waitingFor);
        break;
      case "asked":
        this.#asked({ conn: event.conn, id: event.id }, event.message);
        break;
      case "told":
        this.#told(event.conn, event.message);
        break;
      case "answered":
        this.#answered(event.context, event.message);
        break;
      case "failed":
        this.#failed(event);
        break;
      case "lost":
        this.#lost(event.conn, event.error);
        break;
      case "saved":
        if (this.#site.saved()) this.#recovery.changed();
        this.#masters.look();
        break;
      case "due":
        this.#recovery.due();
        this.#desk.due();
        break;
      case "terminate":
        this.#stopping.begin({ everything: false });
        break;
      case "read":
      case "room":
        break;
      default:
        unreachable(event);
    }
    this.#stopping.try();
    this.#backup.look();
    this.#tellPhase();
    const effects = this.#audit.look(this.#site.taken());
    return [...effects, ...this.#site.taken()];
  }

  #identified({ conn, hello, ...shown }: Extract<MasterEvent, { type: "identified" }>): void {
    const { holder = "" } = shown;
    switch (hello.role) {
      case "storage":
        return this.#admission.came(conn, hello, shown.holder);
      case "client":
        return this.#clients.identified(conn, hello, holder);
      case "admin":
        this.#audit.came(conn, hello, holder);
        return this.#clients.admit(conn, hello);
      default: {
        const message = `Cannot serve a ${hello.role}: this cluster has one master`;
        return this.#site.emit({ do: "reject", conn, error: { code: "wrongRole", message } });
      }
    }
  }

  #asked(asker: Asker, message: AskMessage): void {
    if (message.name === "status") return this.#site.emit(answer(asker, "status", this.report));
    if (message.name === "askTable") {
      return this.#site.emit(answer(asker, "askTable", { image: this.#site.table.toImage() }));
    }
    const client = this.#clients.at(asker.conn);
    if (client) return this.#clientAsked(asker, client, message);
    this.#audit.asked(asker, message);
    const storage = this.#storages.at(asker.conn);
    if (message.name === "catchUp" && storage) return this.#catchUp.ask(asker, storage, message.body);
    if (message.name === "settle" && storage) {
      // before it has verified, a primary knows of no transaction: what it is asked for may be committed yet
      const knows = this.#site.phase === "running" || this.#site.phase === "stopping";
      const accepted = !knows || this.#transactions.settle(message.body);
      return this.#site.emit(answer(asker, "settle", { accepted }));
    }
    if (message.name === "stop" && !storage) {
      return this.#stopping.begin({ everything: true, asker });
    }
    if (!storage && this.#operators.some((part) => part.ask(asker, message))) return;
    this.#site.refuse(asker, { code: "denied", message: `Cannot serve ${message.name} to this peer` });
  }

  #clientAsked(asker: Asker, client: ClientPeer, message: AskMessage): void {
    if (this.#backup.refuses(asker, message)) return;
    switch (message.name) {
      case "sync":
        return this.#site.confirm(() => {
          const { lastTid, now } = this.#site;
          this.#site.emit(answer(asker, "sync", { lastTid, wallMs: now.wallMs }));
        });
      case "newOids":
        return this.#oids.want(asker, message.body.count);
      case "finish":
        return this.#transactions.finish(asker, client, message.body, this.#givesTids(asker.conn));
      case "outcome":
        return this.#outcome(asker, message.body);
      case "stage":
        return this.#importing.ask(asker, message.body);
      case "follow":
        return this.#backup.follow(asker, client);
      case "followPack":
        return this.#backup.followPack(asker, message.body);
      default:
        return this.#site.refuse(asker, {
          code: "denied",
          message: `Cannot serve ${message.name} to a client`,
        });
    }
  }

  /** Whether this client's transactions come with their tids. */
  #givesTids(conn: Conn): boolean {
    return this.#clients.importer === conn || this.#backup.isFollower(conn);
  }

  #told(conn: Conn, message: TellMessage): void {
    if (message.name === "abort") {
      const client = this.#clients.at(conn);
      const { ttid, nodes } = message.body;
      if (client && sessionOf(ttid) === client.session) this.#transactions.abort(ttid, nodes);
    } else if (message.name === "configured") this.#configuration.configured(conn, message.body);
    else if (message.name === "floor") this.#clients.floorTold(conn, message.body.at);
    else if (message.name === "followed") this.#backup.followed(conn, message.body);
    else if (message.name === "unreachable") {
      if (this.#clients.at(conn)) this.#reported.take(message.body);
    } else if (message.name === "space") {
      const node = this.#storages.at(conn);
      if (node) {
        node.problem = message.body.low
          ? `its disk is short of space: ${message.body.freeBytes} bytes are free`
          : undefined;
      }
    } else if (message.name === "packedTo") {
      const node = this.#storages.at(conn);
      if (node) node.packedTo = message.body.tid;
    } else if (message.name === "settled") {
      const node = this.#storages.at(conn);
      if (node) this.#catchUp.settled(node, message.body);
      this.#desk.look();
    } else if (message.name === "use") {
      const node = this.#storages.at(conn);
      if (node) this.#desk.used(node, message.body);
    } else if (message.name === "damaged") {
      const node = this.#storages.at(conn);
      if (node) this.#checks.damaged(node, message.body);
    }
  }

  /** A node that answers, if it is still the one that was asked. */
  #current(context: MasterContext): StorageNode | undefined {
    const node = this.#storages.node(context.node);
    return node?.session === context.session && node.conn !== undefined ? node : undefined;
  }

  #answered(context: MasterContext, message: AnswerMessage): void {
    const node = this.#current(context);
    if (context.of === "outcome") {
      if (!node) this.#outcomes.next(context);
      else if (message.name === "fate") this.#outcomes.found(context, message.body.tid);
      return;
    }
    if (this.#sessions.answered(context, node && message) || this.#packing.answered(context, message)) return;
    if (this.#checks.answered(context, node && message) || !node) return;
    switch (context.of) {
      case "fence":
        if (message.name !== "fence" || context.epoch !== this.#site.epoch) return;
        node.report = message.body;
        node.problem = undefined;
        return this.#recovery.fenced(node);
      case "start":
        if (context.epoch !== this.#site.epoch) return;
        return this.#started(node);
      case "lock":
        return this.#transactions.locked(context.ttid, node.index);
      case "verify":
        return this.#recovery.locked(node.index, context.ttid);
      case "hear":
        return this.#transactions.heard(context.ttid, node.index);
      case "verifyFate":
        if (message.name === "fate" && context.epoch === this.#site.epoch) {
          this.#recovery.fate(node.index, context.ttid, message.body.tid);
        }
        return;
    }
  }

  /** A storage that doesn't answer, or refuses what it must do, is lost; what it was asked for is seen to elsewhere. */
  #failed({ context, name, error }: Failure): void {
    if (context.of === "outcome") this.#outcomes.next(context);
    if (this.#packing.answered(context, undefined, error)) return;
    if (this.#sessions.answered(context, undefined) || this.#checks.answered(context, undefined)) return;
    const node = this.#current(context);
    if (!node || error.code === "lost") return; // its `lost` follows
    if (context.of === "fence") node.problem = error.message;
    node.knowsBetter = error.code === "staleEpoch" || error.code === "staleTable";
    this.#site.log("cluster", "error", `Giving up storage ${node.name}: ${name} failed`, {
      code: error.code,
      reason: error.message,
    });
    this.#site.emit({ do: "close", conn: node.conn!, error });
    this.#storageLost(node, error.message);
    // what we decide from here on may be wrong: we outdate, or publish, what somebody else decided otherwise
    if (node.knowsBetter && this.#recovery.isDeciding && !this.#stopping.isOn) this.#recover();
  }

  #lost(conn: Conn, error: WireError): void {
    this.#configuration.disconnected(conn);
    const node = this.#storages.at(conn);
    if (node) return this.#storageLost(node, error.message);
    for (const waiting of this.#storages.all) if (waiting.early === conn) waiting.early = undefined;
    this.#checks.disconnected(conn);
    this.#audit.disconnected(conn);
    this.#sessions.disconnected(conn);
    this.#packing.disconnected(conn);
    const session = this.#clients.disconnected(conn);
    if (session === undefined) return;
    this.#transactions.disconnected(conn);
    this.#transactions.sessionEnded(session);
    this.#oids.disconnected(conn);
    this.#backup.disconnected(conn);
    if (this.#clients.importer === conn) this.#importing.end();
  }

  /** A storage's session ends: its votes count no more, its cells are outdated, or operation ends. */
  #storageLost(node: StorageNode, why: string): void {
    this.#site.log("cluster", "warning", `Lost storage ${node.name}`, { reason: why });
    this.#catchUp.lost(node);
    const operating = this.#site.phase === "running" || this.#site.phase === "stopping";
    const last = this.#site.isLastReadable(node.index);
    node.conn = undefined;
    node.session = 0;
    node.become("unavailable");
    if (!operating) {
      this.#recovery.lost(node);
      return this.#clients.tellNodes([node.info()]);
    }
    node.report = undefined;
    this.#site.setUp(node.index, false);
    this.#clients.tellNodes([node.info()]);
    if (last && this.#site.phase === "running") return this.#recover();
    if (last) return this.#stopping.finish("the last readable copy of a partition was lost");
    const cells = this.#site.proposed.cellsOf(node.index).flatMap(({ partition, cell }) =>
      isReadable(cell) ? [{ partition, node: node.index }] : []
    );
    if (cells.length > 0) this.#outdate(new Set([node.index]), cells);
    else if (node.leaving === 0) this.#transactions.gone(node.index);
    this.#transactions.retry();
    this.#desk.look();
    this.#checks.look();
  }

  /** Operation ends: what is in doubt is settled by a new recovery. */
  #recover(): void {
    this.#clients.endAll();
    this.#transactions.clear();
    this.#catchUp.clear();
    this.#oids.clear();
    this.#backup.clear();
    this.#packing.clear();
    this.#checks.clear();
    this.#sessions.clear();
    this.#recovery.begin();
  }

  /** Has cells outdated; when that is held everybody hears of it, and nothing waits for lost nodes any more. */
  #outdate(
    nodes: ReadonlySet<NodeIndex>,
    cells: readonly { partition: Partition; node: NodeIndex }[],
    first: () => void = () => {},
  ): void {
    const leaving = [...nodes].map((index) => this.#storages.node(index)!);
    for (const node of leaving) node.leaving += 1;
    this.#site.outdate(cells, (changes, version, digest) => {
      first();
      this.#tableChanged(changes, version, digest);
      for (const node of leaving) {
        node.leaving -= 1;
        if (node.conn === undefined && node.leaving === 0) this.#transactions.gone(node.index);
        this.#admission.admit(node);
      }
      this.#transactions.retry();
    });
  }

  /** A change of the table is held: everybody hears of it, before anything that relies on it. */
  #tableChanged(changes: readonly CellChange[], version: number, digest: Uint8Array): void {
    this.#catchUp.outdated(changes.filter(({ state }) => state === "outOfDate"));
    const { epoch, table } = this.#site;
    const body = { generation: table.generation, base: version - 1, version, cells: changes, epoch };
    const conns = [...this.#storages.conns("pending", "running"), ...this.#clients.followers];
    this.#site.emit(tell(conns, "tableChange", { ...body, digest }));
    this.#desk.look();
    this.#checks.look();
  }

  #started(node: StorageNode): void {
    if (node.state !== "running") node.become("running");
    this.#clients.tellNodes([node.info()]);
    this.#recovery.started(node.index);
    this.#checks.look();
  }

  /** The cluster runs: clients are let in. */
  #running(): void {
    this.#catchUp.clear(); // what was allocated and dropped before is nothing that anybody misses
    if (this.#site.metadata.desired === "import") this.#importing.end();
    this.#packing.running();
    this.#clients.letIn();
    this.#desk.look();
  }

  /** What became of a transaction of a session that is over. */
  #outcome(asker: Asker, body: Body<"outcome">): void {
    const old = this.#clients.live.find(({ session, conn }) =>
      session === sessionOf(body.ttid) && conn !== asker.conn
    );
    if (old) {
      const error = {
        code: "sessionEnded",
        message: "Replaced by a newer session of the same client",
        detail: { session: old.session },
      } as const;
      this.#site.emit({ do: "reject", conn: old.conn, error });
      this.#lost(old.conn, error);
    }
    this.#outcomes.want(asker, body);
  }

  /** Clients and admins hear of each phase once. */
  #tellPhase(): void {
    const { phase, epoch } = this.#site;
    if (phase === this.#phaseTold) return;
    this.#phaseTold = phase;
    this.#site.emit(tell(this.#clients.followers, "phase", { phase, epoch }));
  }
}

/**
 * How a primary takes up operation, at its start and whenever an operational set of storages was lost.
 *
 * 1. `opened`: the new epoch is held before any storage hears of it. 2. `fencing`: each storage that comes makes the
 * epoch durable and reports. 3. Once the set is operational, absent readable nodes are waited for, for a grace time.
 * 4. `outdating`: the absent ones' cells are outdated, held. 5. `asking`: transactions in doubt whose fate a home cell
 * may know. 6. `locking`: what is committed is locked on every readable cell that reports its vote, then unlocked in tid
 * order. 7. `starting`: storages drop all else and serve. A loss of a node that counts begins at 1 again.
 */
import { MAX_TID, sessionOf, ZERO_TID } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { ask, tell } from "../../core/machine.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";

/** How long absent storages with readable cells are waited for. */
export interface Grace {
  readonly startupGraceMs: number;
  readonly failoverGraceMs: number;
}

type Step =
  | { readonly is: "idle" }
  | { readonly is: "opening" }
  | { readonly is: "fencing"; untilMs: number | undefined }
  | { readonly is: "outdating" }
  | { readonly is: "asking"; readonly waiting: Set<string>; readonly tids: Map<Ttid, Tid> }
  | { readonly is: "locking"; readonly waiting: Set<string>; readonly tids: Map<Ttid, Tid> }
  | { readonly is: "starting"; readonly waiting: Set<NodeIndex> };

interface InDoubt {
  readonly ttid: Ttid;
  readonly home: Partition;
  /** Nodes that report its vote and have a readable cell of it. */
  readonly holders: readonly StorageNode[];
}

/** Client sessions, as a recovery needs them. */
export interface Sessions {
  /** Those that live. */
  readonly live: readonly { readonly session: number }[];
  /** The newest that was ever given. */
  readonly mark: number;
  /** A storage knows a transaction of this session: none up to it is given again. */
  seen(session: number): void;
}

/** One recovery after another. */
export class Recovery {
  #site: Site;
  #storages: Storages;
  #grace: Partial<Grace>;
  #cold = true;
  #step: Step = { is: "idle" };
  #sessions: Sessions;
  #told: (node: StorageNode) => void;
  #done: () => void;

  constructor(parts: {
    site: Site;
    storages: Storages;
    /** In place of what is configured. */
    grace: Partial<Grace>;
    sessions: Sessions;
    /** What else a storage hears of, right behind its fence. */
    told: (node: StorageNode) => void;
    /** The cluster runs. */
    done: () => void;
  }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#grace = parts.grace;
    this.#sessions = parts.sessions;
    this.#told = parts.told;
    this.#done = parts.done;
  }

  /** What it waits for, in words; empty when it is done. */
  get waitingFor(): string {
    switch (this.#step.is) {
      case "fencing": {
        const [better] = this.#better;
        if (better) {
          return `the newest metadata: storage ${better.name} has seen a later epoch or table; if this master's disk is an old one, put the newest back, or stop all and run \`neo cluster recover\``;
        }
        const rows = this.#site.table.unready();
        if (rows.length > 0) {
          return `storages with partitions ${rows.slice(0, 5).join(", ")}${rows.length > 5 ? ", ..." : ""}`;
        }
        return this.#absent().map(({ name }) => name).join(", ");
      }
      case "idle":
        return "";
      default:
        return this.#step.is;
    }
  }

  /** Whether it has begun to decide, or is done. */
  get isDeciding(): boolean {
    return this.#step.is !== "opening" && this.#step.is !== "fencing";
  }

  /** When the grace time ends. */
  get dueMs(): number | undefined {
    return this.#step.is === "fencing" ? this.#step.untilMs : undefined;
  }

  /** Begins a recovery, whatever went on before. */
  begin(): void {
    if (this.#step.is === "opening") return;
    if (this.#site.phase !== "recovering") this.#site.enter("recovering");
    for (const node of this.#storages.all) {
      node.report = undefined;
      this.#site.setUp(node.index, false);
      if (node.state === "running") node.become("pending");
    }
    this.#step = { is: "opening" };
    const epoch = this.#site.epoch + 1;
    this.#site.propose({ type: "opened", epoch }, () => {
      this.#step = { is: "fencing", untilMs: undefined };
      for (const node of this.#storages.all) if (node.conn !== undefined) this.fence(node);
    });
  }

  /** Fences a storage that is connected, once the epoch is held. */
  fence(node: StorageNode): void {
    if (this.#step.is === "opening") return; // all are fenced when the epoch is held
    const { epoch } = this.#site;
    const { conn, index, session } = node;
    const image = this.#site.imageFor(node.tableDigest);
    node.tableDigest = new Uint8Array(); // it hears of changes from here on
    this.#site.emit(tell(conn!, "nodes", { nodes: this.#storages.all.map((other) => other.info()) }));
    const { cuts } = this.#site.metadata;
    if (cuts.length > 0) this.#site.emit(tell(conn!, "truncated", { epoch, cuts }));
    const context = { of: "fence", node: index, session, epoch } as const;
    this.#site.emit(
      ask(conn!, "fence", { epoch, session, node: index, image }, {
        context,
        withinMs: this.#site.setting("master.lockTimeoutMs"),
      }),
    );
    this.#told(node);
    this.#tellRegistry([conn!]);
    this.#tellDiscarded(node);
  }

  /** Marks or members are others than storages know. */
  changed(): void {
    const fenced = this.#storages.all.filter(({ report, conn }) => report && conn !== undefined);
    this.#tellRegistry(fenced.map(({ conn }) => conn!));
  }

  /** Storages keep what the masters hold: `neo cluster recover` builds from it when the masters' disks are lost (T39). */
  #tellRegistry(conns: readonly Conn[]): void {
    if (conns.length === 0) return;
    const { epoch, metadata } = this.#site;
    this.#site.emit(tell(conns, "registry", { epoch, state: metadata.toImage() }));
  }

  /** Says which of its cells were discarded, maybe while it was away: only then it may delete them (B9). */
  #tellDiscarded({ conn, index }: StorageNode): void {
    const cells = this.#site.metadata.discardsOf(index);
    if (cells.length > 0) this.#site.emit(tell(conn!, "discarded", { epoch: this.#site.epoch, cells }));
  }

  /** A storage has answered the fence. One that comes late has no readable cell, and is started by itself. */
  fenced(node: StorageNode): void {
    this.#site.setUp(node.index, true);
    this.#site.log("recovery", "debug", `Storage ${node.name} has answered the fence`);
    // storages may copy from it already
    this.#site.emit(tell(this.#storages.conns("pending", "running"), "nodes", { nodes: [node.info()] }));
    if (this.#step.is === "fencing") this.#decide();
    else if (this.#step.is === "starting" || this.#step.is === "idle") this.start(node);
  }

  /** A storage was lost. True: it mattered, and a new recovery has begun. */
  lost(node: StorageNode): boolean {
    const counted = node.report !== undefined;
    node.report = undefined;
    this.#site.setUp(node.index, false);
    if (this.#step.is === "fencing") this.#decide();
    if (this.#step.is === "starting") this.#step.waiting.delete(node.index);
    if (this.#step.is === "idle" || this.#step.is === "opening" || this.#step.is === "fencing") return false;
    const readable = this.#site.table.cellsOf(node.index).some(({ cell }) => isReadable(cell));
    if (!counted || !readable) {
      this.#advance();
      return false;
    }
    this.begin();
    return true;
  }

  /** The grace time may be over. */
  due(): void {
    if (this.#step.is === "fencing") this.#decide();
  }

  /** A readable home cell says what became of a transaction. */
  fate(node: NodeIndex, ttid: Ttid, tid: Tid | null): void {
    if (this.#step.is !== "asking") return;
    if (tid !== null) this.#step.tids.set(ttid, tid);
    this.#step.waiting.delete(`${ttid}@${node}`);
    this.#advance();
  }

  /** A storage has locked a transaction again. */
  locked(node: NodeIndex, ttid: Ttid): void {
    if (this.#step.is !== "locking") return;
    this.#step.waiting.delete(`${ttid}@${node}`);
    this.#advance();
  }

  /** A storage serves. */
  started(node: NodeIndex): void {
    if (this.#step.is !== "starting") return;
    this.#step.waiting.delete(node);
    this.#advance();
  }

  /** Storages that know of a later epoch or table than we do: with our metadata nothing may be decided. */
  get #better(): StorageNode[] {
    return this.#storages.all.filter(({ knowsBetter }) => knowsBetter);
  }

  /** Readable nodes of the table that aren't fenced. */
  #absent(): StorageNode[] {
    return this.#storages.all.filter((node) =>
      node.report === undefined && this.#site.table.cellsOf(node.index).some(({ cell }) => isReadable(cell))
    );
  }

  #graceMs(): number {
    const name = this.#cold ? "startupGraceMs" as const : "failoverGraceMs" as const;
    return this.#grace[name] ?? this.#site.setting(`master.${name}`);
  }

  #decide(): void {
    if (this.#step.is !== "fencing") return;
    const { table, now } = this.#site;
    if (!table.isOperational() || this.#better.length > 0) {
      this.#step.untilMs = undefined;
      return;
    }
    const absent = this.#absent();
    if (absent.length > 0) {
      this.#step.untilMs ??= now.monoMs + this.#graceMs();
      if (now.monoMs < this.#step.untilMs) return;
    }
    this.#cold = false;
    this.#step = { is: "outdating" };
    const cells = absent.flatMap((node) =>
      table.cellsOf(node.index).flatMap((
        { partition, cell },
      ) => (isReadable(cell) ? [{ partition, node: node.index }] : []))
    );
    if (cells.length === 0) return this.#verify();
    const { epoch } = this.#site;
    this.#site.log("recovery", "warning", "Going on without storages", {
      absent: absent.map(({ name }) => name),
    });
    this.#site.outdate(cells, (changes, version, digest) => {
      if (this.#step.is !== "outdating" || this.#site.epoch !== epoch) return;
      const body = {
        generation: table.generation,
        base: version - 1,
        version,
        digest,
        cells: changes,
        epoch,
      };
      this.#site.emit(tell(this.#storages.conns("pending", "running"), "tableChange", body));
      this.#verify();
    });
  }

  /** Transactions that readable cells report. */
  #inDoubt(): InDoubt[] {
    const found = new Map<Ttid, { home: Partition; holders: StorageNode[] }>();
    for (const node of this.#storages.all) {
      for (const { ttid, home, partitions } of node.report?.votes ?? []) {
        if (
          ![home, ...partitions].some((partition) => isReadable(this.#site.table.cell(partition, node.index)))
        ) continue;
        const known = found.get(ttid) ?? { home, holders: [] };
        known.holders.push(node);
        found.set(ttid, known);
      }
    }
    return [...found].map(([ttid, { home, holders }]) => ({ ttid, home, holders }));
  }

  #verify(): void {
    this.#site.enter("verifying");
    const tids = new Map<Ttid, Tid>();
    const waiting = new Set<string>();
    for (const { ttid, home, holders } of this.#inDoubt()) {
      for (const { node: index } of this.#site.table.cells(home)) {
        const node = this.#storages.node(index);
        if (!node?.report || !isReadable(this.#site.table.cell(home, index))) continue;
        const lock = node.report.locks.find((one) => one.ttid === ttid);
        if (lock) tids.set(ttid, lock.tid);
        else if (!holders.includes(node)) {
          waiting.add(`${ttid}@${index}`);
          const { epoch } = this.#site;
          const context = { of: "verifyFate", ttid, node: index, session: node.session, epoch } as const;
          this.#site.emit(
            ask(node.conn!, "fate", { epoch, ttid }, {
              context,
              withinMs: this.#site.setting("master.lockTimeoutMs"),
            }),
          );
        }
      }
    }
    this.#step = { is: "asking", waiting, tids };
    this.#advance();
  }

  #advance(): void {
    if (this.#step.is === "asking" && this.#step.waiting.size === 0) this.#lock(this.#step.tids);
    if (this.#step.is === "locking" && this.#step.waiting.size === 0) this.#unlock(this.#step.tids);
    if (this.#step.is === "starting" && this.#step.waiting.size === 0) {
      this.#step = { is: "idle" };
      this.#site.enter("running");
      this.#done();
    }
  }

  #lock(tids: Map<Ttid, Tid>): void {
    const waiting = new Set<string>();
    this.#step = { is: "locking", waiting, tids };
    const { epoch } = this.#site;
    for (const { ttid, holders } of this.#inDoubt()) {
      const tid = tids.get(ttid);
      if (tid === undefined) continue;
      this.#site.log("recovery", "info", "Completing a transaction that was in doubt", { ttid, tid });
      for (const node of holders) {
        waiting.add(`${ttid}@${node.index}`);
        const context = { of: "verify", ttid, node: node.index, session: node.session } as const;
        this.#site.emit(
          ask(node.conn!, "lock", { epoch, ttid, tid }, {
            context,
            withinMs: this.#site.setting("master.lockTimeoutMs"),
          }),
        );
      }
    }
  }

  /** All holders have it: readers may see it, in tid order everywhere. */
  #unlock(tids: Map<Ttid, Tid>): void {
    const { epoch } = this.#site;
    const committed = this.#inDoubt().filter(({ ttid }) => tids.has(ttid));
    committed.sort((a, b) => (tids.get(a.ttid)! < tids.get(b.ttid)! ? -1 : 1));
    for (const { ttid, holders } of committed) {
      this.#site.emit(
        tell(holders.map((node) => node.conn!), "unlock", { epoch, ttid, tid: tids.get(ttid)! }),
      );
    }
    this.#marks(tids);
    this.#start();
  }

  /**
   * The last tid, and the oids that are in use, as readable cells know them. Our log's marks may be those of an old disk: no id
   * that a storage knows is given again (T39).
   */
  #marks(tids: Map<Ttid, Tid>): void {
    const { upstream, packBound } = this.#site.metadata;
    // what was packed was published: without it only `recover` with older storages comes to less; a backup has less until it is whole
    let last = upstream === "" ? packBound : ZERO_TID;
    let oid = this.#site.metadata.oidMark;
    for (const tid of tids.values()) if (tid > last) last = tid;
    for (const { report, index } of this.#storages.all) {
      for (const { partition, tid } of report?.lastTids ?? []) {
        if (tid > last && tid <= MAX_TID && isReadable(this.#site.table.cell(partition, index))) last = tid;
      }
      if (report && report.lastOid !== null && report.lastOid > oid) oid = report.lastOid;
      if (report && report.lastTtid !== null) this.#sessions.seen(sessionOf(report.lastTtid));
    }
    this.#site.lastTid = last;
    this.#site.allocated = last;
    this.#site.nextOid = (oid + 1n) as Oid;
  }

  #start(): void {
    this.#site.enter("starting");
    const waiting = new Set<NodeIndex>();
    this.#step = { is: "starting", waiting };
    for (const node of this.#storages.all) {
      if (!node.report || node.conn === undefined) continue;
      waiting.add(node.index);
      this.start(node);
    }
    this.#advance();
  }

  /** Lets a fenced storage serve, with the client sessions that live. */
  start(node: StorageNode): void {
    const { epoch, lastTid } = this.#site;
    const { index, session } = node;
    const { live, mark } = this.#sessions;
    const context = { of: "start", node: index, session, epoch } as const;
    const body = { epoch, lastTid, sessions: live.map(({ session }) => session), sessionMark: mark };
    this.#site.emit(
      ask(node.conn!, "start", body, { context, withinMs: this.#site.setting("master.lockTimeoutMs") }),
    );
  }
}

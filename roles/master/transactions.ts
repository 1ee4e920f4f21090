/**
 * The second half of a commit at the primary: `finish` is judged, gets its tid, is locked on every counted node, and is
 * published in tid order.
 *
 * A finish is parked (a row of it changes, or a voter is being heard), then refused (`missing`, `incomplete`, `aborted`), or
 * accepted: from there it commits whatever happens to its client. Accepted ones stand in one queue in tid order; the head
 * is published when each of its nodes has answered `lock`, or the outdating of that node's cells is held. Nodes of which only
 * out-of-date cells were counted lock and unlock too, but hold nothing up: those that haven't answered by then are late
 * (`catch_up.ts`); they are waited for from the proposal on by which such a cell is readable.
 */
import type { ClientSession, Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { hexOf, partitionOf, sessionOf } from "../../core/ids.ts";
import { IMPORT_AHEAD_MS_MAX } from "../../core/limits.ts";
import { answer, ask, tell } from "../../core/machine.ts";
import type { Body, CellVote } from "../../core/messages.ts";
import { dateOfTid, nextTid } from "../../core/tid.ts";
import type { CatchUp } from "./catch_up.ts";
import type { Asker, ClientPeer, Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";
import { Ttids } from "./ttids.ts";

/** A finish that isn't accepted yet. */
interface Request {
  readonly asker: Asker;
  readonly body: Body<"finish">;
  /** Nodes that were heard, so that outdating others leaves a live copy. */
  readonly heard: Set<NodeIndex>;
  /** Nodes that are being asked whether they are there. */
  readonly asked: Set<NodeIndex>;
}

/** An accepted transaction. */
interface Accepted {
  readonly ttid: Ttid;
  readonly tid: Tid;
  readonly stored: readonly Oid[];
  readonly asker: Asker;
  /** Clients that asked for its outcome. */
  readonly outcomes: Asker[];
  /** Nodes that lock it, each with the session in which it voted. */
  readonly nodes: ReadonlyMap<NodeIndex, number>;
  readonly waiting: Set<NodeIndex>;
  /** Nodes that aren't waited for, and haven't answered: they have it in out-of-date cells only. */
  readonly behind: Set<NodeIndex>;
  readonly touched: readonly Partition[];
  /** Its oids are covered by a mark that is held. */
  marked: boolean;
}

interface Judgement {
  readonly missing: { readonly partition: Partition; readonly node: NodeIndex }[];
  readonly failed: { readonly partition: Partition; readonly node: NodeIndex }[];
  /** One counted readable node of each partition that has failed cells. */
  readonly voters: Set<NodeIndex>;
  readonly counted: Set<NodeIndex>;
  /** Counted nodes with a readable cell. */
  readonly awaited: Set<NodeIndex>;
  readonly incomplete: boolean;
}

/** The commits of one epoch. */
export class Transactions {
  #site: Site;
  #storages: Storages;
  #clients: () => readonly ClientPeer[];
  #catchUp: CatchUp;
  #outdated: (
    nodes: ReadonlySet<NodeIndex>,
    cells: readonly { partition: Partition; node: NodeIndex }[],
  ) => void;
  #parked: Request[] = [];
  #queue: Accepted[] = [];
  #byTtid = new Map<Ttid, Accepted>();
  #refused = new Ttids();
  #finished = new Ttids();

  constructor(parts: {
    site: Site;
    storages: Storages;
    clients: () => readonly ClientPeer[];
    catchUp: CatchUp;
    /** Has cells outdated; calls `retry` when that is held. */
    outdate: (
      nodes: ReadonlySet<NodeIndex>,
      cells: readonly { partition: Partition; node: NodeIndex }[],
    ) => void;
  }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#clients = parts.clients;
    this.#catchUp = parts.catchUp;
    this.#outdated = parts.outdate;
  }

  /** Accepted transactions that aren't published, and finishes that wait. */
  get pending(): number {
    return this.#queue.length + this.#parked.length;
  }

  /** Operation ends: nothing here is decided any more; verification decides. */
  clear(): void {
    this.#parked = [];
    this.#queue = [];
    this.#byTtid.clear();
    this.#refused.clear();
    this.#finished.clear();
  }

  /** A client asks to commit. */
  finish(asker: Asker, client: ClientPeer, body: Body<"finish">, importing: boolean): void {
    const { ttid, home, explicit } = body;
    const { partitions } = this.#site.table;
    if (sessionOf(ttid) !== client.session) {
      return this.#site.refuse(asker, {
        code: "denied",
        message: `Cannot finish transaction ${ttid}: it is of another client session`,
      });
    }
    if (home >= partitions) {
      return this.#site.refuse(asker, {
        code: "wrongPartition",
        message: `Cannot finish in partition ${home}: there are ${partitions}`,
      });
    }
    if (this.#finished.has(ttid) || this.#parked.some((request) => request.body.ttid === ttid)) {
      const message = `Cannot finish transaction ${ttid} twice: ask for its outcome`;
      return this.#site.refuse(asker, { code: "denied", message });
    }
    if (this.#refused.has(ttid)) {
      const message = `Cannot finish transaction ${ttid}: it was given up after its time`;
      return this.#site.refuse(asker, { code: "aborted", message });
    }
    if (explicit !== null && !importing) {
      return this.#site.refuse(asker, {
        code: "denied",
        message: "Cannot finish with a given tid: this client doesn't import",
      });
    }
    if (explicit !== null && dateOfTid(explicit) > this.#site.now.wallMs + IMPORT_AHEAD_MS_MAX) {
      const message = `Cannot finish with tid ${
        hexOf(explicit)
      }: its date is in the future; check this machine's clock`;
      return this.#site.refuse(asker, { code: "denied", message });
    }
    if (explicit !== null && partitionOf(explicit, partitions) !== home) {
      return this.#site.refuse(asker, {
        code: "wrongPartition",
        message: `Cannot finish with tid ${hexOf(explicit)}: its home isn't partition ${home}`,
      });
    }
    this.#judge({ asker, body, heard: new Set(), asked: new Set() });
  }

  /** What stood in the way may have changed: waiting finishes are judged again from the beginning. */
  retry(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const request of parked) this.#judge(request);
  }

  /** A voter answered: the copies that remain are alive. */
  heard(ttid: Ttid, node: NodeIndex): void {
    this.#parked.find((request) => request.body.ttid === ttid)?.heard.add(node);
    this.retry();
  }

  /** A storage has locked a transaction. */
  locked(ttid: Ttid, node: NodeIndex): void {
    const accepted = this.#byTtid.get(ttid);
    if (!accepted) return this.#catchUp.locked(ttid, node);
    accepted.waiting.delete(node);
    accepted.behind.delete(node);
    this.publish();
  }

  /** The outdating of a lost storage's cells is held: nothing waits for it any more. */
  gone(node: NodeIndex): void {
    for (const { waiting, behind } of this.#queue) {
      waiting.delete(node);
      behind.delete(node);
    }
    this.publish();
  }

  /** A cell of this node counts as readable from here: readers there must find what is published, or wait for its unlock. */
  opened(node: NodeIndex): void {
    for (const { waiting, behind } of this.#queue) if (behind.delete(node)) waiting.add(node);
  }

  /** A client's connection ended: what it hasn't got accepted is void. */
  disconnected(conn: Conn): void {
    this.#parked = this.#parked.filter(({ asker }) => asker.conn !== conn);
  }

  /** A follower begins anew: what waits behind a transaction that it didn't bring doesn't come. */
  giveUp(conn: Conn): void {
    for (const { asker, body } of [...this.#parked]) {
      if (asker.conn !== conn || body.behind === null || body.behind <= this.#site.tidMark) continue;
      const message = `Cannot finish transaction ${body.ttid}: the one before it, ${
        hexOf(body.behind)
      }, didn't come`;
      this.#site.refuse(asker, { code: "aborted", message });
      this.abort(body.ttid, body.sent);
    }
  }

  /** A client gives a transaction up; it may be on these nodes. */
  abort(ttid: Ttid, nodes: readonly NodeIndex[]): void {
    if (this.#byTtid.has(ttid)) return;
    const parked = this.#parked.find(({ body }) => body.ttid === ttid);
    if (parked) this.#parked = this.#parked.filter((request) => request !== parked);
    this.#refused.add(ttid);
    this.#tellAbort(ttid, [...new Set([...nodes, ...parked?.body.sent ?? []])]);
  }

  /** A storage holds a transaction for too long: says whether it is accepted, and else refuses it for ever. */
  settle({ ttid, asks }: Body<"settle">): boolean {
    if (asks && !this.#finished.has(ttid) && !this.#refused.has(ttid)) return true;
    if (this.#byTtid.has(ttid)) return true;
    const parked = this.#parked.find(({ body }) => body.ttid === ttid);
    if (parked) return true; // it is judged as soon as its rows are settled; the storage asks again
    if (this.#clients().some(({ session }) => session === sessionOf(ttid))) this.#refused.add(ttid);
    if (!asks) {
      this.#site.log("cluster", "info", "Giving up a transaction that is open for too long", { ttid });
    }
    return false;
  }

  /** Refusals of a session that is over are kept no longer: nothing of it can be finished. */
  sessionEnded(session: ClientSession): void {
    this.#finished.sessionEnded(session);
    this.#refused.sessionEnded(session);
  }

  /** Attaches a client to the outcome of an accepted transaction; false: it isn't in the queue. */
  awaitOutcome(ttid: Ttid, asker: Asker): boolean {
    const accepted = this.#byTtid.get(ttid);
    accepted?.outcomes.push(asker);
    return accepted !== undefined;
  }

  /** Publishes what is complete at the head of the queue, in tid order. */
  publish(): void {
    let count = 0;
    while (
      count < this.#queue.length && this.#queue[count]!.waiting.size === 0 && this.#queue[count]!.marked
    ) count += 1;
    for (const accepted of this.#queue.splice(0, count)) this.#publishOne(accepted);
    if (count > 0) this.#catchUp.retry();
  }

  #publishOne({ ttid, tid, stored, asker, outcomes, nodes, behind, touched }: Accepted): void {
    this.#byTtid.delete(ttid);
    for (const node of behind) this.#catchUp.late({ ttid, tid, node, touched });
    this.#site.lastTid = tid;
    this.#site.emit(answer(asker, "finish", { tid }));
    for (const outcome of outcomes) this.#site.emit(answer(outcome, "outcome", { tid }));
    const others = this.#clients().flatMap(({ conn }) => (conn === asker.conn ? [] : [conn]));
    if (others.length > 0) this.#site.emit(tell(others, "invalidate", { tid, oids: stored }));
    const holders = [...nodes].flatMap(([index, session]) => {
      const node = this.#storages.node(index);
      return node?.conn !== undefined && node.session === session ? [node.conn] : [];
    });
    this.#site.emit(tell(holders, "unlock", { epoch: this.#site.epoch, ttid, tid }));
  }

  #judge(request: Request): void {
    const { body, asker, heard, asked } = request;
    const { explicit } = body;
    // also when it has waited: another may have been accepted meanwhile
    if (explicit !== null && explicit <= this.#site.tidMark) {
      const message = `Cannot finish with tid ${hexOf(explicit)}: the last one is ${
        hexOf(this.#site.tidMark)
      }`;
      return this.#site.refuse(asker, { code: "tidTaken", message });
    }
    if (explicit !== null && body.behind !== null && body.behind > this.#site.tidMark) {
      this.#parked.push(request); // those before it come first; without them it would be a hole
      return;
    }
    const touched = this.#touched(body);
    if (touched.some((partition) => this.#site.changes(partition))) {
      this.#parked.push(request);
      return;
    }
    const judgement = this.#weigh(body, touched);
    const { missing, failed, voters, incomplete } = judgement;
    if (missing.length > 0) {
      const { version } = this.#site.table;
      const message =
        `Cannot finish transaction ${body.ttid}: ${missing.length} cells of table version ${version} must have it and don't`;
      return this.#site.refuse(asker, { code: "missing", message, detail: { version, cells: missing } });
    }
    if (incomplete) {
      this.#tellAbort(body.ttid, body.sent);
      const message =
        `Cannot finish transaction ${body.ttid}: a partition of it isn't fully locked on any readable copy`;
      return this.#site.refuse(asker, { code: "incomplete", message });
    }
    if (failed.length > 0) {
      this.#parked.push(request);
      const unheard = [...voters].filter((node) => !heard.has(node));
      for (const index of unheard) {
        if (!asked.has(index)) this.#hear(body.ttid, index);
        asked.add(index);
      }
      if (unheard.length === 0) this.#outdated(new Set(failed.map(({ node }) => node)), failed);
      return;
    }
    this.#accept(request, judgement, touched);
    if (explicit !== null && this.#parked.some(({ body }) => body.behind === explicit)) this.retry();
  }

  #touched({ stored, checked, home }: Body<"finish">): Partition[] {
    const { partitions } = this.#site.table;
    return [
      ...new Set([
        home,
        ...stored.map((oid) => partitionOf(oid, partitions)),
        ...checked.map((oid) => partitionOf(oid, partitions)),
      ]),
    ];
  }

  #weigh(body: Body<"finish">, touched: readonly Partition[]): Judgement {
    const missing: Judgement["missing"] = [];
    const failed: Judgement["failed"] = [];
    const voters = new Set<NodeIndex>();
    const counted = new Set<NodeIndex>();
    const awaited = new Set<NodeIndex>();
    let incomplete = false;
    for (const partition of touched) {
      let locked = false;
      let voter: NodeIndex | undefined;
      let lacking = false;
      for (const { node: index, since } of this.#site.table.cells(partition)) {
        const node = this.#storages.node(index);
        const vote = voteOf(body, node, partition, since);
        const readable = this.#site.reads(partition, index);
        if (vote) counted.add(index);
        if (vote && readable) {
          awaited.add(index);
          voter ??= index;
          locked ||= vote.locked;
        }
        if (!readable || vote) continue;
        const given = node === undefined || node.session === 0 || isFailed(body, node);
        if (given) lacking = true;
        (given ? failed : missing).push({ partition, node: index });
      }
      if (!locked) incomplete = true;
      if (lacking && voter !== undefined) voters.add(voter);
    }
    return { missing, failed, voters, counted, awaited, incomplete };
  }

  #hear(ttid: Ttid, index: NodeIndex): void {
    const { conn, session } = this.#storages.node(index)!;
    const context = { of: "hear", ttid, node: index, session } as const;
    this.#site.emit(
      ask(conn!, "fate", { epoch: this.#site.epoch, ttid }, {
        context,
        withinMs: this.#site.setting("master.lockTimeoutMs"),
      }),
    );
  }

  #accept(
    { asker, body }: Request,
    { counted, awaited }: Pick<Judgement, "counted" | "awaited">,
    touched: readonly Partition[],
  ): void {
    const { ttid, home, stored, explicit } = body;
    const wallMs = this.#site.dateMs;
    const { partitions } = this.#site.table;
    const tid = explicit ?? nextTid({ last: this.#site.tidMark, wallMs, home, partitions });
    this.#site.allocated = tid;
    const nodes = new Map([...counted].map((index) => [index, this.#storages.node(index)!.session]));
    const accepted: Accepted = {
      ttid,
      tid,
      stored,
      asker,
      outcomes: [],
      nodes,
      waiting: new Set(awaited),
      behind: new Set([...counted].filter((index) => !awaited.has(index))),
      touched,
      marked: true,
    };
    this.#queue.push(accepted);
    this.#byTtid.set(ttid, accepted);
    this.#finished.add(ttid);
    this.#catchUp.accepted(
      tid,
      touched,
      (partition, { node, since }) => voteOf(body, this.#storages.node(node), partition, since) !== undefined,
    );
    this.#cover(accepted);
    for (const [index, session] of nodes) {
      const { conn } = this.#storages.node(index)!;
      const context = { of: "lock", ttid, node: index, session } as const;
      this.#site.emit(
        ask(conn!, "lock", { epoch: this.#site.epoch, ttid, tid }, {
          context,
          withinMs: this.#site.setting("master.lockTimeoutMs"),
        }),
      );
    }
    this.#tellAbort(ttid, body.sent.filter((index) => !counted.has(index)));
  }

  /** A foreign oid beyond the mark: a new mark is held before the transaction is published. */
  #cover(accepted: Accepted): void {
    let highest = -1n;
    for (const oid of accepted.stored) if (oid > highest) highest = oid;
    if (highest >= this.#site.nextOid) this.#site.nextOid = (highest + 1n) as Oid;
    if (highest <= this.#site.metadata.oidMark) return;
    accepted.marked = false;
    this.#site.propose({ type: "oidMark", oid: this.#site.oidMarkFor(highest) }, () => {
      accepted.marked = true;
      this.publish();
    });
  }

  #tellAbort(ttid: Ttid, nodes: readonly NodeIndex[]): void {
    const conns = nodes.flatMap((index) => this.#storages.node(index)?.conn ?? []);
    if (conns.length > 0) this.#site.emit(tell(conns, "abort", { ttid, epoch: this.#site.epoch, nodes: [] }));
  }
}

/** A node's vote for a cell, if it was given in the node's current session and for the cell as it is. */
function voteOf(
  body: Body<"finish">,
  node: StorageNode | undefined,
  partition: Partition,
  since: number,
): CellVote | undefined {
  if (!node || node.session === 0) return undefined;
  const evidence = body.evidence.find((one) => one.node === node.index && one.session === node.session);
  return evidence?.cells.find((cell) => cell.partition === partition && cell.since === since);
}

function isFailed(body: Body<"finish">, node: StorageNode): boolean {
  return body.failed.some((one) => one.node === node.index && one.session === node.session);
}

/**
 * What a commit sends to storages: `store` and `check` of each object to every cell of its partition, `vote` behind
 * them; the parts of a large value go before its `store`, or, when its program streams it, as they come. A storage gets a window's worth at once, the rest as it answers, so that a large transaction fills no queues and
 * others get through beside it; the vote follows its last store and waits at the storage for all of them.
 */
import { evidenceDigest } from "../../core/evidence.ts";
import type { Conn, NodeIndex, Oid } from "../../core/ids.ts";
import { STORE_WINDOW_BYTES, STORE_WINDOW_OBJECTS } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { Body, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { StoredData } from "../../core/ports.ts";
import type { Links } from "./links.ts";
import type { Item, Running, Voter } from "./plan.ts";
import type { Site } from "./site.ts";

const NO_BYTES = new Uint8Array();
/** What a request weighs besides its data. */
const REQUEST_BYTES = Math.ceil(STORE_WINDOW_BYTES / STORE_WINDOW_OBJECTS);

/** Sends the objects and votes of commits. */
export class Votes {
  #site: Site;
  #links: Links;
  #rounds = 0;
  #unreachable: (running: Running, voter: Voter, error: WireError) => void;

  /** @param unreachable hears of a storage that no connection can be made to */
  constructor(
    site: Site,
    links: Links,
    unreachable: (running: Running, voter: Voter, error: WireError) => void,
  ) {
    this.#site = site;
    this.#links = links;
    this.#unreachable = unreachable;
  }

  /** Nodes that have no cell of it any more aren't waited for; the primary tells them of its end. */
  prune(running: Running): void {
    const plan = this.#planOf(running);
    for (const node of [...running.voters.keys()]) if (!plan.has(node)) running.voters.delete(node);
  }

  /** Begins with every node of the table that must have the transaction and isn't a voter yet. */
  spread(running: Running): void {
    const { nodes } = this.#site.view;
    this.prune(running);
    for (const [node, oids] of this.#planOf(running)) {
      if (running.voters.has(node) || nodes.get(node)?.state !== "running") continue;
      this.send(running, this.#join(running, node, oids));
    }
  }

  /** Goes on with the nodes that have parts of its values, now that it is known what else they must have. */
  spreadDraft(running: Running): void {
    const plan = this.#planOf(running);
    const hasParts = new Map(running.voters);
    running.voters.clear();
    for (const [node, voter] of hasParts) {
      const oids = plan.get(node);
      if (!oids) continue;
      running.voters.set(node, voter);
      voter.oids = oids;
      voter.isHome = this.#isHome(running, node);
      if (voter.state === "failed") continue;
      voter.unsent = oids.toReversed();
      this.#go(running, voter);
    }
    this.spread(running);
  }

  /** Sends the next part of a value to every cell of its partition. Gives false when none of them is there. */
  spreadPart(running: Running, oid: Oid, seq: number, part: StoredData): boolean {
    const { table, nodes } = this.#site.view;
    let isThere = false;
    for (const cell of table!.cells(table!.partitionOf(oid))) {
      const { node } = cell;
      const known = running.voters.get(node);
      if (!known && (seq > 0 || nodes.get(node)?.state !== "running")) continue;
      const voter = known ?? this.#join(running, node, []);
      if (voter.state === "failed") continue;
      isThere ||= isReadable(cell);
      running.sent.add(node);
      const { round } = voter;
      const { untilMs } = running; // of the call that gives this part
      voter.unanswered += bytesOf(part);
      this.#links.with(node, (conn, error) => {
        if (running.voters.get(node) !== voter || voter.round !== round) return;
        if (conn !== undefined) return this.#part(running, voter, conn, { oid, seq, part, untilMs });
        this.#unreachable(running, voter, error ?? { code: "lost", message: "Lost the storage" });
      });
    }
    return isThere;
  }

  /** The nodes that must have the transaction, each with the objects that it must hold. */
  #planOf({ home, items }: Running): Map<NodeIndex, Oid[]> {
    const table = this.#site.view.table!;
    const plan = new Map<NodeIndex, Oid[]>();
    for (const { node } of table.cells(home)) plan.set(node, []);
    for (const { oid, partition } of items.values()) {
      for (const { node } of table.cells(partition)) {
        const oids = plan.get(node);
        if (oids) oids.push(oid);
        else plan.set(node, [oid]);
      }
    }
    return plan;
  }

  #isHome({ home }: Running, node: NodeIndex): boolean {
    return this.#site.view.table!.cell(home, node) !== undefined;
  }

  #join(running: Running, node: NodeIndex, oids: readonly Oid[]): Voter {
    const voter: Voter = {
      node,
      oids,
      isHome: this.#isHome(running, node),
      round: ++this.#rounds,
      ballot: 0,
      state: "voting",
      unsent: [],
      nextPart: 0,
      unanswered: 0,
      isVoteSent: false,
      evidence: undefined,
      failedSession: 0,
      lacks: 0,
      losses: 0,
      problem: undefined,
    };
    running.voters.set(node, voter);
    return voter;
  }

  /** Sends all of it, from the beginning. */
  send(running: Running, voter: Voter): void {
    voter.round = ++this.#rounds;
    voter.unsent = voter.oids.toReversed();
    voter.nextPart = 0;
    voter.unanswered = 0;
    this.#go(running, voter);
  }

  /** Sends some objects once more, as they are now, and asks for the vote again. */
  sendAgain(running: Running, voter: Voter, oids: readonly Oid[]): void {
    const top = voter.unsent.at(-1);
    voter.unsent = [...new Set([...oids, ...voter.unsent])];
    if (voter.unsent.at(-1) !== top) voter.nextPart = 0;
    this.#go(running, voter);
  }

  /** Gives the lock of an object at a storage to an older transaction, and asks for its vote again, if it has one to give. */
  relock(running: Running, conn: Conn, oid: Oid): void {
    this.#site.emit(tell(conn, "relock", { ttid: running.ttid, oid }));
    const voter = [...running.voters.values()].find(({ node }) => this.#links.conn(node) === conn);
    if (voter && voter.state !== "failed") this.#go(running, voter);
  }

  /** A store has its answer, or won't have one: the next may go. */
  answered(running: Running, voter: Voter, bytes: number): void {
    voter.unanswered -= bytes;
    const isSending = !voter.isVoteSent && voter.state === "voting" && running.step !== "filling";
    if (isSending) this.#go(running, voter);
  }

  #go(running: Running, voter: Voter): void {
    const ballot = ++this.#rounds;
    voter.ballot = ballot;
    voter.state = "voting";
    voter.isVoteSent = false;
    running.sent.add(voter.node);
    this.#links.with(voter.node, (conn, error) => {
      if (running.voters.get(voter.node) !== voter || voter.ballot !== ballot) return;
      if (conn === undefined) {
        return this.#unreachable(running, voter, error ?? { code: "lost", message: "Lost the storage" });
      }
      this.#pump(running, voter, conn);
    });
  }

  /** As much as the window takes; the vote when nothing is left. */
  #pump(running: Running, voter: Voter, conn: Conn): void {
    while (voter.unsent.length > 0 && voter.unanswered < STORE_WINDOW_BYTES) {
      const { oid, parts } = running.items.get(voter.unsent.at(-1)!)!;
      const seq = voter.nextPart++;
      const part = parts?.[seq];
      if (part) {
        voter.unanswered += bytesOf(part);
        this.#part(running, voter, conn, { oid, seq, part, untilMs: running.untilMs });
        continue;
      }
      voter.nextPart = 0;
      this.#store(running, voter, conn, running.items.get(voter.unsent.pop()!)!);
    }
    if (voter.unsent.length > 0) return;
    voter.isVoteSent = true;
    this.#vote(running, voter, conn);
  }

  #part(
    running: Running,
    voter: Voter,
    conn: Conn,
    { oid, seq, part, untilMs }: {
      readonly oid: Oid;
      readonly seq: number;
      readonly part: StoredData;
      readonly untilMs: number;
    },
  ): void {
    const { ttid, ageMs, id: call } = running;
    const { node, round } = voter;
    const { version } = this.#site.view.table!;
    const context = { of: "store", call, node, round, oid, bytes: bytesOf(part) } as const;
    const body = { ttid, version, ageMs, oid, seq, ...part };
    this.#site.ask(conn, "part", body, { context, withinMs: this.#patienceOf(untilMs) });
  }

  #store(running: Running, voter: Voter, conn: Conn, item: Item): void {
    const { ttid, ageMs, id: call, untilMs, commit } = running;
    const { node, round } = voter;
    const { oid, base, mode, stored, link } = item;
    const { version } = this.#site.view.table!;
    const bytes = bytesOf(stored);
    voter.unanswered += bytes;
    const context = { of: "store", call, node, round, oid, bytes } as const;
    const options = { context, withinMs: this.#patienceOf(untilMs) };
    if (mode === "check") return this.#site.ask(conn, "check", { ttid, version, ageMs, oid, base }, options);
    const { compression, checksum, data } = stored ?? { compression: 0, checksum: NO_BYTES, data: null };
    const restore = commit.restoreTid !== undefined;
    const content = { compression, checksum, data, link, restore };
    this.#site.ask(conn, "store", { ttid, version, ageMs, oid, base, ...content }, options);
  }

  /**
   * A storage that has got its home cell since its objects were chosen isn't told that it is home: it would vouch for a
   * partition whose objects it was never sent. The primary calls that cell missing then.
   */
  #vote(running: Running, voter: Voter, conn: Conn): void {
    const { ttid, home, id: call, commit, untilMs, items } = running;
    const { node, ballot, oids } = voter;
    const { table } = this.#site.view;
    const { status, user, description, extension, writes } = commit;
    const note = voter.isHome && this.#isHome(running, node)
      ? { status, user, description, extension, oids: writes.map(({ oid }) => oid) }
      : null;
    const digest = evidenceDigest(oids.map((oid) => items.get(oid)!), this.#site.ports.digest);
    const body: Body<"vote"> = { ttid, version: table!.version, home, count: oids.length, digest, note };
    const context = { of: "vote", call, node, ballot } as const;
    this.#site.ask(conn, "vote", body, { context, withinMs: this.#patienceOf(untilMs) });
  }

  /** Questions of a commit outlast it: that its caller's time is over must not look like a storage that fails. */
  #patienceOf(untilMs: number): number {
    return Math.max(untilMs - this.#site.now.monoMs, 1) + this.#site.outcomeWaitMs;
  }
}

/** What a request with this data weighs in a window. */
function bytesOf(stored: StoredData | null): number {
  return REQUEST_BYTES + (stored?.data.length ?? 0);
}

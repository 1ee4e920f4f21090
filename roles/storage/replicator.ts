/**
 * Brings the out-of-date cells of a storage up to date (T8, T27, T35, N4).
 *
 * While it serves: ask the primary for a target (`catchUp`), copy each cell up to it from a readable one, ask again with what
 * is covered, until the primary's table says that the cell is readable. The primary keeps the question until it has
 * news. While the cluster recovers, cells are copied too, as far as sources have final rows; nothing is covered by that.
 *
 * One partition at a time, those with the fewest readable copies first, over one connection to one source; it is closed
 * when nothing is left to copy (T28). A source that is lost, refuses or sends broken data is left alone for
 * `COPY_PAUSE_MS`, and another is taken. Everything begins again with each fence: targets belong to one epoch and session.
 */
import type { Conn, NodeIndex, Partition, Tid } from "../../core/ids.ts";
import { hexOf, MAX_TID } from "../../core/ids.ts";
import { COPY_AHEAD_MS, COPY_PAUSE_MS, REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { ask } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import type { AnswerMessage, AskName, Body, Hello, NodeInfo, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { DatabaseAnswer } from "../../core/ports.ts";
import { Copy } from "./copy.ts";
import type { Progress } from "./progress.ts";
import type { Site } from "./site.ts";

/** The target of connections to sources: a word, and the number of the attempt. */
const COPY = "copy:";

/** Whether a connection was made to copy from its peer. */
export function isToSource(target: string | undefined): target is string {
  return target?.startsWith(COPY) ?? false;
}

/** One of our cells that isn't up to date. */
interface Lagging {
  readonly partition: Partition;
  readonly since: number;
  /** Readable copies elsewhere. */
  readonly sources: readonly NodeIndex[];
}

/** `off`: no primary, or the node ends. `ahead`: the cluster recovers, since then. `on`: it runs. */
type Mode =
  | { readonly is: "off" }
  | { readonly is: "ahead"; readonly sinceMs: number }
  | { readonly is: "on"; readonly primary: Conn };

/** A connection to copy from. What was begun before a fence isn't taken for what was begun behind it. */
interface Source {
  readonly node: NodeIndex;
  readonly target: string;
  conn: Conn | undefined;
}

/** The receiving side of replication. */
export class Replicator {
  #site: Site;
  #progress: Progress;
  #hello: () => Hello;
  #bytesPerS: number;
  #packedTo: (bound: Tid) => void;
  #mode: Mode = { is: "off" };
  #nodes = new Map<NodeIndex, NodeInfo>();
  #target: Tid | undefined;
  #covered = new Map<Partition, { readonly since: number; readonly tid: Tid }>();
  #ahead = new Set<Partition>(); // copied while the cluster recovers
  #isAsked = false;
  #hasBegun = false;
  #copied = { rows: 0, bytes: 0 }; // since all was up to date last
  #askAgainMs: number | undefined; // the primary has refused, or been silent
  #source: Source | undefined;
  #attempts = 0;
  #avoided = new Map<NodeIndex, number>(); // until
  #copy: { readonly job: number; readonly run: Copy; readonly since: number } | undefined;
  #jobs = 0;
  #held: { readonly untilMs: number; readonly send: () => void } | undefined; // a question that waits for the speed limit
  #now: Now = { monoMs: 0, wallMs: 0 };

  constructor(parts: {
    site: Site;
    progress: Progress;
    hello: () => Hello;
    bytesPerS: number;
    /** A source has packed further than we know of. */
    packedTo: (bound: Tid) => void;
  }) {
    this.#site = parts.site;
    this.#progress = parts.progress;
    this.#hello = parts.hello;
    this.#bytesPerS = parts.bytesPerS;
    this.#packedTo = parts.packedTo;
  }

  /** Whether a copy is under way. */
  get isBusy(): boolean {
    return this.#copy !== undefined;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    if (this.#mode.is === "off") return undefined;
    if (this.#held) return this.#held.untilMs;
    if (this.#copy) return undefined;
    const all = [...this.#avoided.values(), ...(this.#askAgainMs === undefined ? [] : [this.#askAgainMs])];
    if (this.#mode.is === "ahead" && !this.#hasBegun) all.push(this.#mode.sinceMs);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  /** A primary has fenced us: everything that was agreed before is void. */
  fenced(now: Now): void {
    this.halt();
    this.#mode = { is: "ahead", sinceMs: now.monoMs + COPY_AHEAD_MS };
  }

  /** A primary lets us serve. */
  begin(primary: Conn, now: Now): void {
    this.halt();
    this.#mode = { is: "on", primary };
    this.#advance(now);
  }

  /** No primary, or the end. */
  halt(): void {
    this.#mode = { is: "off" };
    this.#target = undefined;
    this.#covered.clear();
    this.#ahead.clear();
    this.#isAsked = false;
    this.#hasBegun = false;
    this.#askAgainMs = undefined;
    this.#leave("the primary begins anew");
  }

  /** The primary tells of nodes. */
  nodes(nodes: readonly NodeInfo[], now: Now): void {
    for (const node of nodes) this.#nodes.set(node.index, node);
    this.#advance(now);
  }

  /** The table is another: a copy that it has no use for ends. */
  tableChanged(now: Now): void {
    const { since, run } = this.#copy ?? {};
    const cell = run && this.#site.cell(run.range.partition);
    if (run && (cell?.state !== "outOfDate" || cell.since !== since)) this.#endCopy();
    this.#advance(now);
  }

  /** Time has come: a source may be tried again, or a question that the speed limit held is asked. */
  due(now: Now): void {
    for (const [node, untilMs] of this.#avoided) if (untilMs <= now.monoMs) this.#avoided.delete(node);
    if (this.#askAgainMs !== undefined && this.#askAgainMs <= now.monoMs) {
      this.#askAgainMs = undefined;
      this.#isAsked = false;
    }
    const held = this.#held;
    if (held && held.untilMs <= now.monoMs) {
      this.#held = undefined;
      held.send();
    }
    this.#advance(now);
  }

  /** The peer at the other end of a connection to a source said who it is. */
  identified(conn: Conn, target: string, hello: Hello, now: Now): void {
    const source = this.#source?.target === target ? this.#source : undefined;
    const wanted = source && this.#nodes.get(source.node)?.name;
    if (source === undefined || wanted !== hello.name) {
      const message = `Cannot copy from ${hello.name}: ${wanted ?? "nobody"} was expected there`;
      return this.#site.emit({ do: "close", conn, error: { code: "wrongNode", message } });
    }
    source.conn = conn;
    this.#site.emit({ do: "accept", conn });
    this.#advance(now);
  }

  /** A connection to a source is gone, or couldn't be made. */
  lost(target: string, error: WireError, now: Now): void {
    if (this.#source?.target !== target) return;
    const { node } = this.#source;
    this.#source = undefined;
    this.#avoid(node, error, now);
    this.#advance(now);
  }

  /** The primary of this epoch gives a target. */
  targeted(epoch: number, target: Tid, now: Now): void {
    if (this.#mode.is !== "on" || epoch !== this.#site.epoch) return;
    this.#isAsked = false;
    this.#target = target;
    this.#advance(now);
  }

  /** It refuses, or hasn't answered in time: it is asked again after a while. */
  untargeted(epoch: number, now: Now): void {
    if (this.#mode.is === "on" && epoch === this.#site.epoch) this.#askAgainMs = now.monoMs + COPY_PAUSE_MS;
  }

  /** A source has answered, if its copy still runs. */
  answered(job: number, message: AnswerMessage, now: Now): void {
    this.#now = now;
    if (this.#copy?.job === job) this.#copy.run.answered(message);
    this.#advance(now);
  }

  /** A source has refused, or not answered in time. */
  failed(job: number, error: WireError, now: Now): void {
    if (this.#copy?.job !== job) return;
    this.#giveUp(error, now);
    this.#advance(now);
  }

  /** Our database has answered a copy. */
  read(job: number, result: DatabaseAnswer, now: Now): void {
    this.#now = now;
    if (this.#copy?.job === job) this.#copy.run.read(result);
    this.#advance(now);
  }

  /** Does what can be done next. */
  #advance(now: Now): void {
    this.#now = now;
    if (this.#mode.is === "off" || this.#copy || !this.#site.table) return;
    if (this.#mode.is === "ahead" && now.monoMs < this.#mode.sinceMs) return;
    this.#hasBegun = true;
    const lagging = this.#lagging();
    const open = lagging.filter((cell) => !this.#isCovered(cell));
    if (lagging.length === 0) return this.#finish();
    if (this.#mode.is === "on" && (this.#target === undefined || open.length === 0)) {
      return this.#askTarget(this.#mode.primary, lagging);
    }
    this.#copyOne(open);
  }

  /** Every cell is up to date. */
  #finish(): void {
    const { rows, bytes } = this.#copied;
    if (rows > 0) this.#site.log("copies", "info", "Caught up", { rows, bytes });
    this.#copied = { rows: 0, bytes: 0 };
    this.#leave("nothing is left to copy");
  }

  /** Our cells that are out of date, those that need it most first. */
  #lagging(): Lagging[] {
    const { table, index } = this.#site;
    const all = table!.cellsOf(index).flatMap(({ partition, cell }) => {
      if (cell.state !== "outOfDate") return [];
      const sources = table!.cells(partition).flatMap((other) => (isReadable(other) ? [other.node] : []));
      return [{ partition, since: cell.since, sources }];
    });
    return all.sort((a, b) => a.sources.length - b.sources.length || a.partition - b.partition);
  }

  #isCovered(cell: Lagging): boolean {
    if (this.#mode.is === "ahead") return this.#ahead.has(cell.partition);
    return this.#target !== undefined && this.#coveredBy(cell) >= this.#target;
  }

  /** Up to where a cell is complete. */
  #coveredBy({ partition, since }: Lagging): Tid {
    const covered = this.#covered.get(partition);
    return covered?.since === since ? covered.tid : this.#progress.resume(partition);
  }

  /** A resume point may lie above the target: a truncation put it between two transactions. The target is what is covered. */
  #askTarget(primary: Conn, lagging: readonly Lagging[]): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const { epoch } = this.#site;
    const target = this.#target;
    const cells = lagging.map((cell) => {
      const { partition, since } = cell;
      const complete = this.#coveredBy(cell);
      const covered = target === undefined ? null : complete < target ? complete : target;
      return { partition, since, covered };
    });
    this.#site.emit(
      ask(primary, "catchUp", { epoch, cells }, {
        context: { of: "catchUp", epoch },
        withinMs: REQUEST_TIMEOUT_MS,
      }),
    );
  }

  /** Takes the first cell that a source is there for. */
  #copyOne(open: readonly Lagging[]): void {
    for (const cell of open) {
      const node = this.#pick(cell.sources);
      if (node === undefined) continue;
      if (this.#source?.node !== node) return this.#connect(node);
      if (this.#source.conn !== undefined) this.#begin(cell, this.#source.conn);
      return;
    }
  }

  /** A source for one of our cells: the one that we are connected to, if it has it. */
  #pick(sources: readonly NodeIndex[]): NodeIndex | undefined {
    const able = sources.filter((node) => {
      const state = this.#nodes.get(node)?.state;
      return !this.#avoided.has(node)
        && (state === "running" || (this.#mode.is === "ahead" && state === "pending"));
    });
    const { node } = this.#source ?? {};
    return node !== undefined && able.includes(node) ? node : able[0];
  }

  #connect(node: NodeIndex): void {
    this.#leave("another storage has what is copied next");
    const target = `${COPY}${++this.#attempts}`;
    this.#source = { node, target, conn: undefined };
    const { address } = this.#nodes.get(node)!;
    this.#site.emit({ do: "connect", address, target, hello: this.#hello() });
  }

  #begin(cell: Lagging, conn: Conn): void {
    const { partition, since, sources } = cell;
    const settled = this.#mode.is === "on";
    const upTo = settled ? this.#target! : MAX_TID;
    const after = this.#coveredBy(cell);
    const job = ++this.#jobs;
    const done = (): void => {
      this.#copy = undefined;
      this.#copied = {
        rows: this.#copied.rows + run.rows,
        bytes: this.#copied.bytes + run.bytes,
      };
      if (!settled) return void this.#ahead.add(partition);
      this.#covered.set(partition, { since, tid: upTo });
      this.#progress.reached(partition, since, upTo);
    };
    const run: Copy = new Copy({ partition, after, upTo, settled, bound: this.#site.packBound }, {
      site: this.#site,
      ask: (name, body) => this.#limited(sources.length, () => this.#askSource(job, conn, name, body)),
      read: (query) => this.#site.emit({ do: "read", query, context: { for: "copy", job } }),
      packedTo: (bound) => {
        this.#endCopy(); // it begins again, with this bound
        this.#packedTo(bound);
      },
      done,
      failed: (error) => this.#giveUp(error, this.#now),
    });
    this.#copy = { job, run, since };
    this.#site.log("copies", "debug", `Copies partition ${partition}`, {
      since: hexOf(after),
      upTo: hexOf(upTo),
    });
    run.begin();
  }

  #askSource<N extends AskName>(job: number, conn: Conn, name: N, body: Body<N>): void {
    if (this.#copy?.job !== job) return;
    this.#site.emit(ask(conn, name, body, { context: { of: "copy", job }, withinMs: REQUEST_TIMEOUT_MS }));
  }

  /** Asks at once, or when the speed limit allows it. */
  #limited(copies: number, send: () => void): void {
    const { settings } = this.#site;
    const bytesPerS = settings.number("storage.copyBytesPerS") || this.#bytesPerS;
    const perS = copies === 1 ? Math.max(bytesPerS, settings.number("storage.copyBytesPerSMin")) : bytesPerS;
    const { run } = this.#copy ?? {};
    const waitMs = run && Number.isFinite(perS) ? (run.takeUnpaid() * 1_000) / perS : 0;
    if (waitMs === 0) return send();
    this.#held = { untilMs: this.#now.monoMs + waitMs, send };
  }

  #giveUp(error: WireError, now: Now): void {
    const { node, conn } = this.#source ?? {};
    this.#endCopy();
    if (node === undefined) return;
    this.#avoid(node, error, now);
    this.#source = undefined;
    if (conn !== undefined && error.code !== "lost") this.#site.emit({ do: "close", conn, error });
  }

  #avoid(node: NodeIndex, error: WireError, now: Now): void {
    this.#endCopy();
    this.#avoided.set(node, now.monoMs + COPY_PAUSE_MS);
    const name = this.#nodes.get(node)?.name;
    this.#site.log("copies", "warning", `Cannot copy from ${name} now`, {
      code: error.code,
      reason: error.message,
    });
  }

  #endCopy(): void {
    this.#copy = undefined;
    this.#held = undefined;
  }

  /** Ends the connection to the source. */
  #leave(why: string): void {
    this.#endCopy();
    const { conn } = this.#source ?? {};
    this.#source = undefined;
    if (conn !== undefined) {
      this.#site.emit({ do: "close", conn, error: { code: "lost", message: `Closed: ${why}` } });
    }
  }
}

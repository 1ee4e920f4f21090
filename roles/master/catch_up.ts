/**
 * Out-of-date cells that become readable (A2, A3, A8).
 *
 * A storage asks how far its cells must come (`catchUp`), copies, and asks again with what they cover. A target is always
 * published: what is only allocated may not have reached the source. For each cell the primary knows the highest tid that it
 * has missed: an accepted transaction in which the cell's vote wasn't counted, and everything that was allocated when its
 * node came or the cell was outdated. It knows too which transactions were published before the node answered their `lock`
 * (`late`), because out-of-date cells hold no commit up: these the cell lacks until the answer. Once a target covers that, and the node is here, `readable` is proposed; from its
 * proposal on the cell counts as readable (`Site.reads`), and everybody hears of it when it is held.
 *
 * A question with nothing new to say is kept, until a later tid is published or one of its cells is readable. All of this
 * belongs to one epoch: a recovery begins it anew.
 */
import type { NodeIndex, Partition, Tid, Ttid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { answer } from "../../core/machine.ts";
import type { Body, CellChange } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Cell } from "../../core/partition_table.ts";
import type { Asker, Site } from "./site.ts";
import type { StorageNode } from "./storages.ts";

type AskedCell = Body<"catchUp">["cells"][number];

interface Question {
  readonly asker: Asker;
  readonly node: StorageNode;
  readonly session: number;
  readonly cells: readonly AskedCell[];
}

/** A cell by partition and node. */
export interface CellKey {
  readonly partition: Partition;
  readonly node: NodeIndex;
}

/** A transaction that was published before one of its nodes had locked it. */
export interface Late {
  readonly ttid: Ttid;
  readonly tid: Tid;
  readonly node: NodeIndex;
  readonly touched: readonly Partition[];
}

/** Told when a change of the table is held: what changed, and the version and digest of the result. */
export type TableChanged = (changes: readonly CellChange[], version: number, digest: Uint8Array) => void;

/** What cells have missed, and who waits to hear how far to come. */
export class CatchUp {
  #site: Site;
  #changed: TableChanged;
  #opened: (node: NodeIndex) => void;
  #late = new Map<NodeIndex, Map<Ttid, Late>>();
  #missed = new Map<NodeIndex, Map<Partition, Tid>>();
  #questions: Question[] = [];
  #unsettled = new Map<NodeIndex, Map<Partition, number>>(); // readable cells with lockless writes left: since

  constructor(parts: {
    site: Site;
    /** A change of the table is held. */
    changed: TableChanged;
    /** A cell of this node is proposed to be readable. */
    opened: (node: NodeIndex) => void;
  }) {
    this.#site = parts.site;
    this.#changed = parts.changed;
    this.#opened = parts.opened;
  }

  /** A recovery begins, or is done: whatever was allocated before and isn't published is void. */
  clear(): void {
    this.#missed.clear();
    this.#late.clear();
    this.#questions = [];
    this.#unsettled.clear();
  }

  /** A storage has come: whatever was allocated before, it may lack, also what it has voted for. */
  admitted(node: NodeIndex): void {
    for (const { partition } of this.#site.proposed.cellsOf(node)) this.#miss({ partition, node });
  }

  /** Cells were created or outdated: what they took before is void. */
  outdated(cells: readonly { readonly partition: Partition; readonly node: NodeIndex }[]): void {
    for (const cell of cells) {
      this.#miss(cell);
      this.#unsettled.get(cell.node)?.delete(cell.partition);
    }
  }

  /** A transaction is accepted: cells of its partitions whose vote doesn't count miss it. */
  accepted(
    tid: Tid,
    touched: readonly Partition[],
    isCounted: (partition: Partition, cell: Cell) => boolean,
  ): void {
    for (const partition of touched) {
      for (const cell of this.#site.table.cells(partition)) {
        if (!isReadable(cell) && !isCounted(partition, cell)) this.#miss({ partition, node: cell.node }, tid);
      }
    }
  }

  /** A transaction is published, and a node that has it in out-of-date cells hasn't locked it yet. */
  late(late: Late): void {
    const ofNode = this.#late.get(late.node) ?? new Map<Ttid, Late>();
    this.#late.set(late.node, ofNode);
    ofNode.set(late.ttid, late);
  }

  /** It has now; its unlock is behind the lock on the way to it. */
  locked(ttid: Ttid, node: NodeIndex): void {
    if (this.#late.get(node)?.delete(ttid)) this.retry();
  }

  /** A storage asks how far its cells must come. */
  ask(asker: Asker, node: StorageNode, { epoch, cells }: Body<"catchUp">): void {
    if (epoch !== this.#site.epoch || this.#site.phase !== "running" || node.state !== "running") {
      const message = `Cannot give a target: the cluster is ${this.#site.phase} in epoch ${this.#site.epoch}`;
      return this.#site.refuse(asker, { code: "denied", message });
    }
    this.#judge({ asker, node, session: node.session, cells });
  }

  /** Something was published, or the table is another: questions that waited are judged again. */
  retry(): void {
    const questions = this.#questions;
    this.#questions = [];
    for (const question of questions) this.#judge(question);
  }

  /** A storage's session ends: whatever it may lack is noted when it comes again. */
  lost(node: StorageNode): void {
    this.#late.delete(node.index);
    this.#questions = this.#questions.filter((question) => question.node !== node);
  }

  /** A cell that became readable has no lockless write left. */
  settled({ index }: StorageNode, { epoch, partition, since }: Body<"settled">): void {
    if (epoch !== this.#site.epoch) return;
    const cells = this.#unsettled.get(index);
    if (cells?.get(partition) === since) cells.delete(partition);
  }

  /** Whether a readable cell may still have writes that it took without a lock. */
  isUnsettled({ partition, node }: CellKey): boolean {
    return this.#unsettled.get(node)?.has(partition) ?? false;
  }

  #miss({ partition, node }: CellKey, tid: Tid = this.#site.allocated): void {
    const cells = this.#missed.get(node) ?? new Map<Partition, Tid>();
    this.#missed.set(node, cells);
    if (tid > (cells.get(partition) ?? ZERO_TID)) cells.set(partition, tid);
  }

  #judge(question: Question): void {
    const { asker, node, session, cells } = question;
    if (node.conn !== asker.conn || node.session !== session) return;
    const open = cells.filter((cell) => this.#isOutdated(node.index, cell));
    const target = this.#site.lastTid;
    const ready = open.filter((cell) => this.#isReady(node.index, cell));
    if (ready.length > 0) this.#propose(node.index, ready);
    const isBehind = ({ covered }: AskedCell): boolean => covered === null || covered < target;
    if (open.length === 0 || open.some((cell) => !ready.includes(cell) && isBehind(cell))) {
      return this.#site.emit(answer(asker, "catchUp", { target }));
    }
    this.#questions.push(question);
  }

  /** Whether it is the cell that the storage speaks of, and still out of date. */
  #isOutdated(node: NodeIndex, { partition, since }: AskedCell): boolean {
    const cell = this.#site.table.cell(partition, node);
    return cell?.state === "outOfDate" && cell.since === since;
  }

  #isReady(node: NodeIndex, { partition, since, covered }: AskedCell): boolean {
    const cell = this.#site.proposed.cell(partition, node);
    if (cell?.state !== "outOfDate" || cell.since !== since || covered === null) return false;
    if (covered > this.#site.lastTid || covered < (this.#missed.get(node)?.get(partition) ?? ZERO_TID)) {
      return false;
    }
    const late = [...this.#late.get(node)?.values() ?? []];
    return late.every(({ tid, touched }) => tid <= covered || !touched.includes(partition));
  }

  #propose(node: NodeIndex, cells: readonly AskedCell[]): void {
    const changes = cells.map(({ partition, since }) => ({ partition, node, state: "upToDate", since }));
    const unsettled = this.#unsettled.get(node) ?? new Map<Partition, number>();
    this.#unsettled.set(node, unsettled);
    for (const { partition, since } of cells) unsettled.set(partition, since);
    this.#opened(node);
    this.#site.change(changes, (version, digest) => {
      this.#changed(changes, version, digest);
      this.retry();
    });
  }
}

/**
 * Rows whose data isn't what its checksum says: made anew from another copy, or kept as a problem of the cluster (N8, X5).
 *
 * A storage tells of broken rows in a cell (`damaged`). `asking`: the storages with other readable copies say which of them they
 * have whole (`vouch`). Each row is whole somewhere: the cell is outdated as a lost one is, its node is told which rows to
 * drop with that (`mend`), and it catches up. Otherwise nothing is outdated: a broken copy has its other rows, and
 * may be the last one. It is judged again when another copy is readable. All of this belongs to one session of a node.
 */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import { INSPECT_TIMEOUT_MS } from "../../core/limits.ts";
import { ask, tell } from "../../core/machine.ts";
import type { Answer, Body, RowName } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { MasterContext, Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";

/** Has cells outdated; `first` runs when that is held, before anybody hears of it. */
export type Outdate = (
  nodes: ReadonlySet<NodeIndex>,
  cells: readonly { readonly partition: Partition; readonly node: NodeIndex }[],
  first: () => void,
) => void;

/** One damaged cell. */
interface Damaged {
  readonly node: StorageNode;
  readonly session: number;
  readonly partition: Partition;
  readonly since: number;
  readonly rows: readonly RowName[];
  /** Which other copies were asked, in which sessions; empty: none was there. */
  asked: string;
  readonly waiting: Set<NodeIndex>;
  /** By row: some copy has it whole. */
  whole: boolean[];
}

/** What is damaged. */
export class Damage {
  #site: Site;
  #storages: Storages;
  #outdate: Outdate;
  #cells = new Map<string, Damaged>();

  constructor(parts: { site: Site; storages: Storages; outdate: Outdate }) {
    this.#site = parts.site;
    this.#storages = parts.storages;
    this.#outdate = parts.outdate;
  }

  /** A recovery begins: storages tell again. */
  clear(): void {
    for (const { node } of this.#cells.values()) node.damage = undefined;
    this.#cells.clear();
  }

  /** A storage has found broken rows. */
  told(node: StorageNode, { epoch, partition, since, rows }: Body<"damaged">): void {
    if (epoch !== this.#site.epoch || this.#site.phase !== "running") return;
    if (rows.length === 0) {
      this.#cells.delete(keyOf(partition, node.index)); // what was broken there was packed
      return this.#describe(node);
    }
    const damaged = { node, session: node.session, partition, since, rows, asked: "" };
    if (!this.#isStill(damaged)) return;
    const cell: Damaged = { ...damaged, waiting: new Set(), whole: [] };
    this.#cells.set(keyOf(partition, node.index), cell);
    this.#judge(cell);
  }

  /** Another copy says which rows it has; undefined: it doesn't answer. */
  vouched(
    context: Extract<MasterContext, { of: "vouch" }>,
    whole: Answer<"vouch">["whole"] | undefined,
  ): void {
    const cell = this.#cells.get(keyOf(context.partition, context.damaged));
    if (cell?.asked !== context.asked || !cell.waiting.delete(context.node)) return;
    whole?.forEach((is, row) => {
      if (is) cell.whole[row] = true;
    });
    if (cell.waiting.size === 0) this.#decide(cell);
  }

  /** The table or the storages are other than before: other copies may be there now, or the damage is over. */
  look(): void {
    for (const [key, cell] of this.#cells) {
      if (!this.#isStill(cell)) {
        this.#cells.delete(key);
        this.#describe(cell.node);
      } else this.#judge(cell);
    }
  }

  #isStill({ node, session, partition, since }: Pick<Damaged, "node" | "session" | "partition" | "since">) {
    const cell = this.#site.proposed.cell(partition, node.index);
    return node.conn !== undefined && node.session === session && isReadable(cell) && cell?.since === since;
  }

  /** Asks the other copies, unless these have been asked. */
  #judge(cell: Damaged): void {
    const { partition, rows, node: { index: damaged } } = cell;
    const others = this.#others(cell);
    const asked = namesOf(others);
    if (asked === cell.asked && asked !== "") return;
    cell.asked = asked;
    cell.whole = rows.map(() => false);
    cell.waiting.clear();
    const { epoch } = this.#site;
    for (const { index, session, conn } of others) {
      cell.waiting.add(index);
      const context = { of: "vouch", node: index, session, partition, damaged, asked } as const;
      const body = { epoch, partition, rows };
      this.#site.emit(ask(conn!, "vouch", body, { context, withinMs: INSPECT_TIMEOUT_MS }));
    }
    if (others.length === 0) this.#describe(cell.node);
  }

  /** Other readable copies whose storages serve. */
  #others({ partition, node }: Damaged): StorageNode[] {
    return this.#site.proposed.cells(partition).flatMap((cell) => {
      const other = this.#storages.node(cell.node);
      const serves = other?.state === "running" && other.conn !== undefined;
      return serves && other !== node && isReadable(cell) ? [other] : [];
    });
  }

  /** By the newest proposed table: of two copies that vouch for each other only one may be outdated. */
  #decide(cell: Damaged): void {
    const { node, partition, since, rows, whole } = cell;
    if (!this.#isStill(cell)) {
      this.#cells.delete(keyOf(partition, node.index));
      return this.#describe(node);
    }
    if (namesOf(this.#others(cell)) !== cell.asked) return this.#judge(cell);
    if (!whole.every((is) => is)) return this.#describe(node);
    this.#cells.delete(keyOf(partition, node.index));
    this.#describe(node);
    this.#site.log(
      "scrub",
      "warning",
      `Storage ${node.name} copies broken rows of partition ${partition} anew`,
      {
        rows: rows.length,
      },
    );
    const lowest = rows.reduce((least, { tid }) => (tid < least ? tid : least), rows[0]!.tid);
    const after = lowest > 1n ? toTid(lowest - 1n) : ZERO_TID;
    this.#outdate(new Set([node.index]), [{ partition, node: node.index }], () => {
      tellMend(this.#site, node, { partition, since, after, rows });
    });
  }

  /** What `status` says of a storage. */
  #describe(node: StorageNode): void {
    const cells = [...this.#cells.values()].filter((cell) => cell.node === node && cell.waiting.size === 0);
    const partitions = cells.map(({ partition }) => partition).sort((a, b) => a - b);
    const some = `${partitions.slice(0, 5).join(", ")}${partitions.length > 5 ? ", ..." : ""}`;
    const before = node.damage;
    node.damage = partitions.length === 0
      ? undefined
      : `its data in partitions ${some} is damaged, and no other copy`
        + " that runs has the broken rows whole: start the storages that have one, or restore from a backup";
    if (node.damage !== undefined && node.damage !== before) {
      this.#site.log("scrub", "error", `Storage ${node.name}: ${node.damage}`);
    }
  }
}

/** Tells a storage, if it is there, what to drop when its cell is outdated, and from where to copy anew. */
export function tellMend(
  site: Site,
  { conn }: StorageNode,
  mending: Omit<Body<"mend">, "epoch">,
): void {
  if (conn !== undefined) site.emit(tell(conn, "mend", { epoch: site.epoch, ...mending }));
}

/** Storages, each in its session. */
function namesOf(nodes: readonly StorageNode[]): string {
  return nodes.map(({ index, session }) => `${index}.${session}`).join(" ");
}

function keyOf(partition: Partition, node: NodeIndex): string {
  return `${partition}@${node}`;
}

/**
 * Changes of the table that an operator wants: proposed on the newest proposed table, told when they are held.
 *
 * A storage that is to leave (`draining`) gives its cells away by tweaks; once it has none it is dropped. A storage is dropped in
 * two entries: its cells are discarded, then it is forgotten; only then it is told. Its disk is never erased by that.
 */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { tell } from "../../core/machine.ts";
import type { CellChange } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { CatchUp } from "./catch_up.ts";
import type { Clients } from "./clients.ts";
import type { Registered } from "./entries.ts";
import type { Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";
import { planTweak, spentFeeding } from "./tweak.ts";
import type { PlannedChange, TweakPlan } from "./tweak.ts";
import { UseBook } from "./use.ts";

/** What the layout of a table is made with. */
export interface LayoutParts {
  readonly site: Site;
  readonly storages: Storages;
  readonly clients: Clients;
  readonly catchUp: CatchUp;
  /** A change of the table is held. */
  readonly changed: (changes: readonly CellChange[], version: number, digest: Uint8Array) => void;
  /** A storage is no member any more; if it is connected, its session is over. */
  readonly lost: (node: StorageNode, why: string) => void;
}

/** Where cells are, and who has them. */
export class Layout {
  readonly use = new UseBook();
  #parts: LayoutParts;
  #dropping = new Set<NodeIndex>();

  constructor(parts: LayoutParts) {
    this.#parts = parts;
  }

  /** Storages of the registry. */
  get members(): Registered[] {
    return this.#parts.site.metadata.nodes.filter(({ role }) => role === "storage");
  }

  /** The storage of this name. */
  member(name: string): Registered | undefined {
    return this.members.find((member) => member.name === name);
  }

  /** Whether a storage is connected and serves. */
  isRunning({ index }: Pick<Registered, "index">): boolean {
    return this.#parts.storages.node(index as NodeIndex)?.state === "running";
  }

  /** Plans a tweak; storages of these names are ignored. `undo`: a wish was taken back, what feeds stays. */
  plan(ignored: readonly string[], { undo = false }: { readonly undo?: boolean } = {}): TweakPlan {
    const { site, catchUp } = this.#parts;
    const table = site.proposed;
    const nodes = this.members.map(({ index, name, address, weight, path, draining }) => ({
      index: index as NodeIndex,
      weight: draining ? 0 : weight,
      path: path.length > 0 ? path : [hostOf(address)],
      ignored: ignored.includes(name),
    }));
    const settled = (partition: Partition, node: NodeIndex) => !catchUp.isUnsettled({ partition, node });
    const use = this.use.loads(table.partitions, table.replicas + 1, site.now.monoMs);
    return planTweak({ table, replicas: table.replicas, nodes, use, settled, undo });
  }

  /** A plan that leaves everything as it is, and why. */
  unchanged(why: string): TweakPlan {
    const { table } = this.#parts.site;
    const nodes = this.members.map(({ index }) => {
      const all = table.cellsOf(index as NodeIndex).filter(({ cell }) => cell.state !== "feeding");
      return { node: index as NodeIndex, cells: all.length, cellsAfter: all.length, useAfter: 0 };
    });
    return { changes: [], moves: 0, nodes, warnings: [why] };
  }

  /** Proposes changes; `held` runs when everybody has been told of them, with the table's version. */
  propose(changes: readonly PlannedChange[], held: (version: number) => void): void {
    const { site, changed } = this.#parts;
    if (changes.length === 0) return held(site.table.version);
    const version = site.proposed.version + 1;
    const cells = changes.map(({ partition, node, state }) => {
      const since = state === "outOfDate" ? version : site.proposed.cell(partition, node)!.since;
      return { partition, node, state, since };
    });
    site.change(cells, (version, digest) => {
      changed(cells, version, digest);
      held(version);
    });
  }

  /** Proposes how many copies there should be besides the first. */
  proposeReplicas(replicas: number, held: (version: number) => void): void {
    const { site, storages, clients } = this.#parts;
    site.change([], (version) => {
      const conns = [...storages.conns("pending", "running"), ...clients.followers];
      site.emit(tell(conns, "table", { image: site.table.toImage(), epoch: site.epoch }));
      held(version);
    }, replicas);
  }

  /** Partitions of which no other storage that runs has a readable copy. */
  soleOf(index: NodeIndex): Partition[] {
    const { site } = this.#parts;
    return site.proposed.cellsOf(index).flatMap(({ partition, cell }) => {
      const others = site.proposed.cells(partition).filter((other) =>
        other.node !== index && isReadable(other) && this.isRunning({ index: other.node })
      );
      return isReadable(cell) && others.length === 0 ? [partition] : [];
    });
  }

  /** Takes a storage in; with `replaced`, in place of that one: it gets its cells, to be copied. */
  add(member: Registered, replaced: Registered | undefined, held: () => void): void {
    const { site, storages, clients } = this.#parts;
    site.propose({ type: "nodes", nodes: [member], forgotten: [] }, () => {
      const node = storages.add(member);
      clients.tellNodes([node.info()]);
      if (replaced === undefined) held();
    });
    if (replaced === undefined) return;
    const old = replaced.index as NodeIndex;
    const cells = site.proposed.cellsOf(old).flatMap(({ partition }): PlannedChange[] => [
      { partition, node: member.index as NodeIndex, state: "outOfDate" },
      { partition, node: old, state: "discarded" },
    ]);
    this.propose(cells, () => {});
    this.#forget(replaced, `it was replaced by ${member.name}`, held);
  }

  /** Changes what the registry says of a member. */
  wish(member: Registered, held: () => void): void {
    this.#parts.site.propose({ type: "nodes", nodes: [member], forgotten: [] }, held);
  }

  /** A storage leaves at once: its cells are discarded, and where a cell feeds a row that loses one, it stays after all. */
  drop(member: Registered, why: string, held: () => void): void {
    const { site } = this.#parts;
    const index = member.index as NodeIndex;
    const changes = site.proposed.cellsOf(index).flatMap(({ partition }): PlannedChange[] => {
      const feeding = site.proposed.cells(partition).find(({ node, state }) =>
        node !== index && state === "feeding"
      );
      return [
        { partition, node: index, state: "discarded" },
        ...(feeding ? [{ partition, node: feeding.node, state: "upToDate" as const }] : []),
      ];
    });
    this.propose(changes, () => {});
    this.#forget(member, why, held);
  }

  /** Discards cells that feed rows which don't need them any more. */
  trim(): void {
    const { site, catchUp } = this.#parts;
    const spent = spentFeeding(site.proposed, (partition, node) => !catchUp.isUnsettled({ partition, node }));
    this.propose(spent, () => {});
  }

  /** Drops storages that were to leave and have given everything away. */
  dropDrained(): void {
    const { site } = this.#parts;
    for (const member of this.members) {
      const index = member.index as NodeIndex;
      if (!member.draining || this.#dropping.has(index) || site.proposed.cellsOf(index).length > 0) continue;
      this.#forget(member, "all its cells are elsewhere, as its operator wanted", () => {});
    }
  }

  #forget(member: Registered, why: string, held: () => void): void {
    const { site, storages, clients, lost } = this.#parts;
    const index = member.index as NodeIndex;
    this.#dropping.add(index);
    site.propose({ type: "nodes", nodes: [], forgotten: [index] }, () => {
      this.#dropping.delete(index);
      this.use.forget(index);
      site.log("cluster", "warning", `Storage ${member.name} is a member no more`, { why });
      const node = storages.node(index);
      if (node) {
        if (node.conn !== undefined) {
          const reason = `storage ${member.name} was dropped from the cluster: ${why}`;
          site.emit(tell(node.conn, "leave", { epoch: site.epoch, reason }));
          lost(node, "it was dropped");
        }
        node.become("unknown");
        storages.forget(index);
        clients.tellNodes([node.info()]);
      }
      held();
    });
  }
}

/** The machine part of an address: storages of one machine fail together. */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** The least that any tweak must copy, found by another way than the planner's: a flow of least cost, path by path. */
import type { Partition } from "../core/ids.ts";
import { quotasOf, spreadOf } from "../roles/master/topology.ts";
import type { TweakInput } from "../roles/master/tweak.ts";

interface Arc {
  readonly to: number;
  readonly back: Arc;
  room: number;
  readonly cost: number;
}

/** A net that carries as much as it can from node 0 to node 1, at the least cost. */
class Net {
  readonly #arcs: Arc[][] = [[], []];

  node(): number {
    return this.#arcs.push([]) - 1;
  }

  join(from: number, to: number, room: number, cost: number): void {
    const arc = { to, room, cost } as { -readonly [K in keyof Arc]: Arc[K] };
    const back = { to: from, room: 0, cost: -cost, back: arc };
    arc.back = back;
    this.#arcs[from]!.push(arc);
    this.#arcs[to]!.push(back);
  }

  /** The cost of the whole flow. */
  flow(): { carried: number; cost: number } {
    let [carried, cost] = [0, 0];
    for (;;) {
      const dist = this.#arcs.map(() => Infinity);
      const by: (Arc | undefined)[] = this.#arcs.map(() => undefined);
      dist[0] = 0;
      for (let changed = true; changed;) {
        changed = false;
        this.#arcs.forEach((arcs, from) => {
          for (const arc of arcs) {
            if (arc.room === 0 || dist[from]! + arc.cost >= dist[arc.to]!) continue;
            dist[arc.to] = dist[from]! + arc.cost;
            by[arc.to] = arc;
            changed = true;
          }
        });
      }
      if (dist[1] === Infinity) return { carried, cost };
      carried += 1;
      cost += dist[1]!;
      for (let arc = by[1]; arc !== undefined; arc = by[arc.back.to]) {
        arc.room -= 1;
        arc.back.room += 1;
      }
    }
  }
}

/** The least number of cells that must be copied, so that all rows and quotas are as they should be. */
export function cheapestMoves({ table, replicas, nodes }: TweakInput): number {
  const takers = nodes.filter(({ weight, ignored }) => weight > 0 && ignored !== true);
  const copies = Math.min(replicas + 1, takers.length);
  const { partitions } = table;
  const quotas = quotasOf(takers.map(({ weight }) => weight), partitions * copies, partitions);
  const { groups, caps } = spreadOf({ paths: takers.map(({ path }) => path), quotas, partitions, copies });
  const net = new Net();
  const worth = 1_000; // of a cell that a quota demands
  const demanded = quotas.map((quota) => Math.floor(quota + 1e-9));
  const places = quotas.map((quota, at) => {
    const place = net.node();
    net.join(place, 1, demanded[at]!, -worth);
    net.join(place, 1, Math.ceil(quota - 1e-9) - demanded[at]!, 0);
    return place;
  });
  for (let p = 0; p < partitions; p++) {
    const row = net.node();
    net.join(0, row, copies, 0);
    const inRow = new Map<number, number>();
    takers.forEach(({ index }, at) => {
      let from = row;
      for (const group of groups[at]!) {
        let next = inRow.get(group);
        if (next === undefined) {
          next = net.node();
          inRow.set(group, next);
          net.join(from, next, caps[group]!, 0);
        }
        from = next;
      }
      net.join(from, places[at]!, 1, table.cell(p as Partition, index) === undefined ? 1 : 0);
    });
  }
  const { carried, cost } = net.flow();
  if (carried !== partitions * copies) throw new Error(`No plan is there: ${carried} cells have a place`);
  return cost + worth * demanded.reduce((all, one) => all + one, 0);
}

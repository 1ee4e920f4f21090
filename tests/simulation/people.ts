/** People at a simulated cluster: an operator, some who change its configuration, one who packs. */
import type { Cluster, Shape } from "./cluster.ts";
import { Configurers } from "./configurers.ts";
import { Operations } from "./operations.ts";
import { Packs } from "./packs.ts";
import type { SimRandom } from "./random.ts";
import type { RunOptions } from "./report.ts";

/** How many have an operator who does more than to stop the cluster, even without storages to add. */
const OPERATED_SHARE = 0.2;
/** Seeds in which people change the configuration, at once. */
const CONFIGURED_SHARE = 0.2;
/** Seeds in which history is packed. */
const PACKED_SHARE = 0.3;

/** Whether somebody adds, drains and drops storages. */
export function isOperated(random: SimRandom, { spares }: Pick<Shape, "spares">): boolean {
  return spares > 0 || random.fork("operations").chance(OPERATED_SHARE);
}

/** Those who are there in a seed. */
export class People {
  readonly operations: Operations | undefined;
  readonly configurers: Configurers | undefined;
  readonly packs: Packs | undefined;

  constructor(cluster: Cluster, random: SimRandom, options: RunOptions) {
    this.operations = isOperated(random, cluster.shape) ? operationsOf(cluster, random) : undefined;
    cluster.operations = this.operations;
    const configuring = random.fork("configuration");
    const configures = !options.mutant && configuring.chance(CONFIGURED_SHARE);
    this.configurers = options.isConfigured ?? configures ? configurersOf(cluster, configuring) : undefined;
    const packing = random.fork("packs");
    const packs = !options.mutant && packing.chance(PACKED_SHARE);
    this.packs = options.isPacked ?? packs ? new Packs(cluster, packing) : undefined;
  }

  /** What was done, by kind. */
  get done(): { readonly [name: string]: number } {
    const packed = this.packs ? { pack: this.packs.done } : {};
    return { ...Object.fromEntries(this.operations?.done ?? []), ...this.configurers?.done, ...packed };
  }

  /** Whether none of those who change the configuration, or pack, waits for an answer. */
  get isIdle(): boolean {
    return (this.configurers?.isIdle ?? true) && (this.packs?.isIdle ?? true);
  }

  begin(): void {
    this.operations?.begin();
    this.configurers?.begin();
    this.packs?.begin();
  }

  end(): void {
    this.operations?.end();
    this.configurers?.end();
    this.packs?.end();
  }
}

function operationsOf({ world, masters, storages, shape, operator }: Cluster, random: SimRandom): Operations {
  const own = random.fork("operations");
  if (shape.spares === 0) own.chance(OPERATED_SHARE); // that was drawn
  return new Operations({
    world,
    random: own,
    storages: storages.map(({ name }) => name),
    masters: shape.masters > 1 ? masters.map(({ name }) => name) : [],
    partitions: shape.partitions,
    call: (command) => operator.call(command),
  });
}

function configurersOf(
  { world, operator, storages, masters, heard }: Cluster,
  random: SimRandom,
): Configurers {
  const names = ["eva", "adam", "noah"].slice(0, random.int(2, 3));
  const nodes = [...storages, ...masters].map(({ name }) => name);
  const call = (command: Parameters<typeof operator.call>[0]): void => operator.call(command);
  const configurers = new Configurers({ world, random, names, nodes, call });
  heard.add((end) => configurers.ended(end));
  return configurers;
}

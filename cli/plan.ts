/** What `init` makes, decided before anything is made. */
import { PARTITIONS_DEFAULT, PARTITIONS_MAX } from "../core/limits.ts";
import { NAME_PATTERN, NAME_RULE } from "./config.ts";
import type { NodeConfig, NodeRole } from "./config.ts";
import { CliError } from "./exit.ts";

/** What may be asked of `init`; what isn't given has a default. */
export type Wishes = {
  readonly name: string | undefined;
  readonly masters: number | undefined;
  readonly storages: number | undefined;
  readonly replicas: number | undefined;
  readonly partitions: number | undefined;
  readonly single: boolean;
};

/** A cluster to be. */
export interface Plan {
  readonly storages: number;
  readonly replicas: number;
  readonly partitions: number;
  /** Nodes in the order of their ports. */
  readonly nodes: readonly Pick<NodeConfig, "name" | "role" | "process">[];
}

/** Process name of the nodes that `--single` puts together. */
const SINGLE = "single";

/**
 * Fills in defaults and checks what doesn't fit together.
 *
 * @throws CliError (`usage`) naming the flag and the rule
 */
export function planCluster(wishes: Wishes): Plan {
  const { name, masters = 1, single } = wishes;
  const { storages = single ? 1 : 2, partitions = PARTITIONS_DEFAULT } = wishes;
  const { replicas = Math.min(1, Math.max(storages - 1, 0)) } = wishes;
  if (name !== undefined && !NAME_PATTERN.test(name)) {
    throw wrong(`--name "${name}"`, `expected ${NAME_RULE}`);
  }
  if (![1, 3, 5].includes(masters)) {
    throw wrong(`--masters ${masters}`, "expected 1, 3 or 5: with 3 one may fail, with 5 two may");
  }
  if (storages < 1) throw wrong(`--storages ${storages}`, "expected 1 or more");
  if (partitions < 1 || partitions > PARTITIONS_MAX) {
    throw wrong(`--partitions ${partitions}`, `expected 1 to ${PARTITIONS_MAX}`);
  }
  if (replicas >= storages) {
    const rule =
      `each copy needs a storage of its own: expected less than the number of storages, ${storages}`;
    throw wrong(`--replicas ${replicas}`, rule);
  }
  const numbered = (role: NodeRole, count: number) =>
    Array.from({ length: count }, (_, index) => {
      const node = `${role[0]}${index + 1}`;
      return { name: node, role, process: single ? SINGLE : node };
    });
  const nodes = [...numbered("master", masters), ...numbered("storage", storages), ...numbered("admin", 1)];
  return { storages, replicas, partitions, nodes };
}

function wrong(flag: string, rule: string): CliError {
  return new CliError("usage", `Cannot use ${flag}: ${rule}`);
}

/** How many storages can have a cell. */
export function storagesMax(partitions: number, replicas: number): number {
  return partitions * (replicas + 1);
}

/** Numbers of storages that all get the same number of cells. */
export function evenDeals(partitions: number, replicas: number): number[] {
  const cells = storagesMax(partitions, replicas);
  const deals: number[] = [];
  for (let storages = replicas + 1; storages <= cells; storages++) {
    if (cells % storages === 0) deals.push(storages);
  }
  return deals;
}

/** Numbers in words that are shown at most; behind them stands "...". */
const SHOWN = 8;

/**
 * Numbers in words, runs of three and more put together.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { inWords } from "./plan.ts";
 * assert.equal(inWords([2, 3, 4, 6, 8]), "2 to 4, 6, 8");
 * ```
 */
export function inWords(numbers: readonly number[]): string {
  const runs: number[][] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.at(-1) === number - 1) run.push(number);
    else runs.push([number]);
  }
  const words = runs.flatMap((run) => run.length < 3 ? run.map(String) : [`${run[0]} to ${run.at(-1)}`]);
  return words.length <= SHOWN ? words.join(", ") : [...words.slice(0, SHOWN), "..."].join(", ");
}

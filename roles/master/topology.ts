/**
 * Where storages stand: region, host, device. Copies of a partition are spread over what can fail as a whole; a level at
 * which that would overload somebody is left out, with a warning.
 */

/** Rules for every row: of each group at most `caps[group]` copies. */
export interface Spread {
  /** Groups of each place, by number. */
  readonly groups: readonly (readonly number[])[];
  readonly caps: readonly number[];
  readonly warnings: readonly string[];
}

/** What the rules are made for. */
export interface SpreadInput {
  /** Where each place stands, outermost first. */
  readonly paths: readonly (readonly string[])[];
  /** Cells that each place should have. */
  readonly quotas: readonly number[];
  readonly partitions: number;
  /** Cells of a row. */
  readonly copies: number;
}

const SLACK = 1e-9;

/**
 * Makes the rules. Below a place that may have `c` copies of a row and has `n` parts, a part may have ceil(c / n).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spreadOf } from "./topology.ts";
 * const paths = [["east"], ["east"], ["west"], ["west"]];
 * const spread = spreadOf({ paths, quotas: [2, 2, 2, 2], partitions: 4, copies: 2 });
 * assert.deepEqual(spread.caps, [1, 1]);
 * assert.deepEqual(spread.groups, [[0], [0], [1], [1]]);
 * ```
 */
export function spreadOf(input: SpreadInput): Spread {
  const groups: number[][] = input.paths.map(() => []);
  const caps: number[] = [];
  const warnings: string[] = [];
  const split = (members: readonly number[], base: number, depth: number, cap: number): void => {
    const deepest = Math.max(0, ...members.map((place) => input.paths[place]!.length));
    if (cap <= 1 || depth >= deepest) return;
    const parts = partsOf(input.paths, members, base, depth + 1);
    const partCap = Math.ceil(cap / parts.length);
    const tooLarge = parts.find((part) =>
      sum(part.map((place) => input.quotas[place]!)) > input.partitions * partCap + SLACK
    );
    if (tooLarge !== undefined) {
      const name = input.paths[tooLarge[0]!]!.slice(0, depth + 1).join("/");
      warnings.push(
        `copies aren't spread at level ${
          depth + 1
        } of the topology: ${name} has too large a part of the storages`,
      );
      return split(members, base, depth + 1, cap);
    }
    for (const part of parts) {
      if (parts.length > 1) {
        const group = caps.push(partCap) - 1;
        for (const place of part) groups[place]!.push(group);
      }
      split(part, depth + 1, depth + 1, partCap);
    }
  };
  split(input.paths.map((_, place) => place), 0, 0, input.copies);
  return { groups, caps, warnings };
}

/** Members by the names of their path from `base` to `depth`; one whose path ends before is a part of its own. */
function partsOf(
  paths: readonly (readonly string[])[],
  members: readonly number[],
  base: number,
  depth: number,
): number[][] {
  const parts = new Map<string, number[]>();
  for (const place of members) {
    const path = paths[place]!;
    const key = path.length < depth ? `alone ${place}` : `in ${JSON.stringify(path.slice(base, depth))}`;
    parts.set(key, [...(parts.get(key) ?? []), place]);
  }
  return [...parts.values()];
}

/** Adds numbers. */
export function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

/**
 * How many of `total` cells each place should have, by weight; nobody gets more than `most`, which is one cell of each
 * partition. What that leaves over goes to the others.
 */
export function quotasOf(weights: readonly number[], total: number, most: number): number[] {
  const quotas = weights.map(() => 0);
  let open = weights.map((_, place) => place);
  let left = Math.min(total, most * weights.length);
  for (;;) {
    const weight = sum(open.map((place) => weights[place]!));
    const full = open.filter((place) => left * weights[place]! / weight >= most);
    if (full.length === 0) {
      for (const place of open) quotas[place] = left * weights[place]! / weight;
      return quotas;
    }
    for (const place of full) quotas[place] = most;
    left -= most * full.length;
    open = open.filter((place) => !full.includes(place));
  }
}

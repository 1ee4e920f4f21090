/** What many seeds gave together. */
import type { SeedReport } from "./report.ts";
import { POINT_NAMES } from "./sometimes/points.ts";

/** Numbers by name. */
export type Counts = Record<string, number>;

/** From so many seeds on, each point must have been reached in some of them, and enough must have been committed. */
export const SEEDS_FOR_POINTS = 2_000;
export const REACHED_MIN = 10;
export const ACKNOWLEDGED_MIN = 200_000;
/** Kinds of faults that hit work in flight in each seed. */
const KINDS_MIN = 3;

/** What many seeds gave. */
export interface Summary {
  seeds: number;
  failed: { readonly seed: number; readonly breaches: readonly string[] }[];
  /** The fewest kinds of faults that hit work in flight in any seed. */
  kindsMin: number;
  hits: Counts;
  faults: Counts;
  commits: Counts;
  operations: Counts;
  /** In how many seeds each point was reached. */
  points: Counts;
  reads: number;
  changes: number;
  imported: number;
  rotten: number;
  simulatedMs: number;
  wallMs: number;
}

export function emptySummary(): Summary {
  return {
    seeds: 0,
    failed: [],
    kindsMin: Infinity,
    hits: {},
    faults: {},
    commits: {},
    operations: {},
    points: {},
    reads: 0,
    changes: 0,
    imported: 0,
    rotten: 0,
    simulatedMs: 0,
    wallMs: 0,
  };
}

function addCounts(to: Counts, from: { readonly [name: string]: number | undefined }): void {
  for (const [name, count] of Object.entries(from)) to[name] = (to[name] ?? 0) + (count ?? 0);
}

/** Takes in what a seed gave. */
export function addReport(to: Summary, report: SeedReport): void {
  const {
    seed,
    breaches,
    hits,
    faults,
    commits,
    operations,
    points,
    reads,
    changes,
    imported,
    rotten,
    simulatedMs,
  } = report;
  merge(to, {
    seeds: 1,
    failed: breaches.length > 0 ? [{ seed, breaches }] : [],
    kindsMin: Object.keys(hits).length,
    hits: { ...hits },
    faults: { ...faults },
    commits: { ...commits },
    operations: { ...operations },
    points: Object.fromEntries(points.map((name) => [name, 1])),
    reads,
    changes,
    imported,
    rotten,
    simulatedMs,
    wallMs: 0,
  });
}

/** Takes in what others gave that ran beside these. */
export function merge(to: Summary, from: Summary): void {
  to.seeds += from.seeds;
  to.failed.push(...from.failed);
  to.kindsMin = Math.min(to.kindsMin, from.kindsMin);
  for (const counts of ["hits", "faults", "commits", "operations", "points"] as const) {
    addCounts(to[counts], from[counts]);
  }
  to.reads += from.reads;
  to.changes += from.changes;
  to.imported += from.imported;
  to.rotten += from.rotten;
  to.simulatedMs += from.simulatedMs;
  to.wallMs = Math.max(to.wallMs, from.wallMs);
}

/** Points that too few of many seeds have reached. */
export function missedPoints({ seeds, points }: Summary): string[] {
  if (seeds < SEEDS_FOR_POINTS) return [];
  return POINT_NAMES.filter((name) => (points[name] ?? 0) < REACHED_MIN);
}

/** What keeps seeds that passed from showing what they should: too few commits, faults, or points. */
export function shortfallsOf(summary: Summary): string[] {
  const { seeds, commits, kindsMin } = summary;
  const { acknowledged = 0 } = commits;
  const all = missedPoints(summary).map((name) =>
    `reached in fewer than ${REACHED_MIN} of ${seeds} seeds: ${name}`
  );
  if (seeds >= SEEDS_FOR_POINTS && acknowledged < ACKNOWLEDGED_MIN) {
    all.push(`only ${acknowledged} transactions were acknowledged: ${ACKNOWLEDGED_MIN} are wanted`);
  }
  if (seeds > 0 && kindsMin < KINDS_MIN) {
    all.push(`a seed had faults of only ${kindsMin} kinds that hit work in flight: ${KINDS_MIN} are wanted`);
  }
  return all;
}

/** Lines for a person. */
export function linesOf(summary: Summary): string[] {
  const { seeds, failed, kindsMin, hits, commits, reads, changes, imported, rotten, simulatedMs, wallMs } =
    summary;
  const list = (counts: Counts) =>
    Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ");
  const failures = failed.map(({ seed, breaches }) => {
    const more = breaches.length > 1 ? ` (and ${breaches.length - 1} more)` : "";
    return `seed ${seed} failed: ${breaches[0]!.split("\n", 1)[0]}${more}`;
  });
  const points = POINT_NAMES.map((name) => ({ name, count: summary.points[name] ?? 0 }));
  points.sort((a, b) => a.count - b.count);
  return [
    ...failures,
    `${seeds - failed.length} seeds passed, ${failed.length} failed, in ${(wallMs / 1_000).toFixed(1)} s`,
    `  ${(simulatedMs / 3_600_000).toFixed(1)} simulated hours; commits: ${list(commits)}`,
    `  ${reads} reads, ${changes} changes followed, ${imported} transactions imported, ${rotten} bits turned on disks`,
    `  commands of operators: ${list(summary.operations)}`,
    `  faults that hit work in flight, at least ${kindsMin} kinds in each seed: ${list(hits)}`,
    `  ${
      points.filter(({ count }) => count > 0).length
    } of ${points.length} points were reached, in so many seeds:`,
    ...points.map(({ name, count }) => `${String(count).padStart(8)}  ${name}`),
    ...shortfallsOf(summary),
  ];
}

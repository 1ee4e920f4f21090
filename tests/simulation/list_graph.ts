/**
 * Who depends on whom in a history of lists. A `ww` edge leads from the writer of a version to that of the next one, `wr`
 * from a writer to who read its version, `rw` from who read a version to who wrote the next one. `order` edges lead to
 * transactions that began when another had ended.
 */
import type { Key, ListTransaction } from "./list_history.ts";
import type { VersionReport, Versions } from "./list_versions.ts";

/** Kinds of edges. */
export type EdgeKind = "ww" | "wr" | "rw" | "order";

/** A dependency of `to` on `from`, by the element that shows it or by what ordered them. */
export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly kind: EdgeKind;
  readonly key: Key;
  readonly element: number | undefined;
}

/** The edges that leave each transaction. */
export type Graph = readonly (readonly Edge[])[];

/** The graph of data; of transactions that aren't committed only what they read counts. */
export function dataGraph(count: number, { versions, committed }: VersionReport): Edge[][] {
  const graph: Edge[][] = Array.from({ length: count }, () => []);
  const add = (from: number, to: number, kind: EdgeKind, key: Key, element: number) => {
    if (from !== to) graph[from]!.push({ from, to, kind, key, element });
  };
  for (const { key, order, appends, seen } of versions) {
    const writers = writersOf(order, appends, committed);
    for (let i = 1; i < order.length; i++) {
      const [from, to] = [writers[i - 1], writers[i]];
      if (from !== undefined && to !== undefined) add(from, to, "ww", key, order[i]!);
    }
    for (const { by, list } of seen) {
      const writer = writers[list.length - 1];
      if (writer !== undefined) add(writer, by, "wr", key, list.at(-1)!);
      const next = writers[list.length];
      if (next !== undefined) add(by, next, "rw", key, order[list.length]!);
    }
  }
  return graph;
}

/** By place in the order; undefined: nobody whose commit counts. */
function writersOf(
  order: readonly number[],
  appends: Versions["appends"],
  committed: readonly boolean[],
): (number | undefined)[] {
  return order.map((element) => {
    const by = appends.get(element)?.by;
    return by !== undefined && committed[by] ? by : undefined;
  });
}

/** When something begins and ends, in whatever counts its time; undefined: nobody knows. */
interface Span<T> {
  readonly begin: T | undefined;
  readonly end: T | undefined;
}

/** Edges of order: time, sessions and snapshots. All of them say: ended before the other's snapshot was taken. */
export function orderGraph(
  transactions: readonly ListTransaction[],
  committed: readonly boolean[],
): Edge[][] {
  const graph: Edge[][] = transactions.map(() => []);
  const add = (key: string) => (from: number, to: number) =>
    graph[from]!.push({ from, to, kind: "order", key, element: undefined });
  // What ends at the very moment at which another begins may be seen by it, or not.
  const times = transactions.map(({ begunMs, endedMs, fate }) => {
    return { begin: begunMs, end: fate === "unknown" ? undefined : endedMs };
  });
  precede(times, (end, begin) => end < begin, add("time"));
  const snapshots = transactions.map(({ at, tid }, i) => ({
    begin: at,
    end: committed[i] ? tid : undefined,
  }));
  precede(snapshots, (end, begin) => end <= begin, add("snapshot"));
  const last = new Map<string, number>();
  transactions.forEach(({ session, fate }, i) => {
    if (session === undefined) return;
    const before = last.get(session);
    if (before !== undefined) add("session")(before, i);
    if (fate !== "unknown") last.set(session, i); // else it may commit at any later time
  });
  return graph;
}

/**
 * Says of each span which ones ended before it begins, without those that follow from others: from those that were the last
 * to end, as many as overlap.
 */
function precede<T extends number | bigint>(
  spans: readonly Span<T>[],
  isBefore: (end: T, begin: T) => boolean,
  add: (from: number, to: number) => void,
): void {
  const up = <V extends { readonly atPoint: T }>(list: V[]) =>
    list.sort((a, b) => (a.atPoint < b.atPoint ? -1 : a.atPoint > b.atPoint ? 1 : 0));
  const begins = up(spans.flatMap(({ begin }, i) => (begin === undefined ? [] : [{ i, atPoint: begin }])));
  const ends = up(spans.flatMap(({ end }, i) => (end === undefined ? [] : [{ i, atPoint: end }])));
  const front = new Set<number>();
  const before: number[][] = []; // by span: the front at its begin
  let ended = 0;
  for (const { i, atPoint } of begins) {
    for (; ended < ends.length && isBefore(ends[ended]!.atPoint, atPoint); ended++) {
      const one = ends[ended]!.i;
      for (const older of before[one] ?? []) front.delete(older);
      front.add(one);
    }
    before[i] = [...front];
    for (const from of front) add(from, i);
  }
}

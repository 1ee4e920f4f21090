/** What a history says without cycles: who wrote which version, in what order, and reads that can't be explained. */
import type { Anomaly, DirectKind, Key, ListHistory, ListTransaction } from "./list_history.ts";

/** Who appended an element, and whether its transaction appended more to this list after it. */
export interface Append {
  /** Index of the transaction. */
  readonly by: number;
  readonly isLast: boolean;
}

/** The version of a list that a transaction saw: that of its first read, without what it had appended itself. */
export interface SeenVersion {
  readonly by: number;
  readonly list: readonly number[];
}

/** One list through the whole history. */
export interface Versions {
  readonly key: Key;
  /** Its elements in the order in which they were installed. */
  readonly order: readonly number[];
  readonly appends: ReadonlyMap<number, Append>;
  /** All that transactions saw of it and that fits the order. */
  readonly seen: readonly SeenVersion[];
}

/** What a history says of its lists. */
export interface VersionReport {
  readonly versions: readonly Versions[];
  /** By transaction: whether it is committed, as far as anybody can tell. */
  readonly committed: readonly boolean[];
  readonly anomalies: readonly Anomaly[];
}

interface ListNotes {
  readonly appends: Map<number, Append>;
  readonly seen: SeenVersion[];
}

/** Reads the lists of a history. */
export function versionsOf(history: ListHistory): VersionReport {
  const anomalies: Anomaly[] = [];
  const add = (kind: DirectKind, text: string) => void anomalies.push({ kind, text: `${kind}: ${text}` });
  const notes = new Map<Key, ListNotes>();
  history.transactions.forEach((transaction, by) => note(transaction, by, notes, add));
  const committed = fatesOf(history, notes);
  const versions = [...notes].map(([key, { appends, seen }]) => {
    const order = history.stored.get(key) ?? longest(seen);
    const fits = seen.filter(({ list }) => isPrefix(list, order));
    return { key, order, appends, seen: fits, all: seen };
  });
  for (const one of versions) {
    checkOrder(history, one, committed, add);
    checkSeen(history, { ...one, seen: one.all }, committed, add);
    checkUpdates(history, one, committed, add);
  }
  return { versions, committed, anomalies };
}

type Add = (kind: DirectKind, text: string) => void;

/** Takes note of what one transaction did, and checks that it saw its own doings. */
function note(transaction: ListTransaction, by: number, notes: Map<Key, ListNotes>, add: Add): void {
  const expected = new Map<Key, number[]>(); // what it knows of a list, once it has read it
  const own = new Map<Key, number[]>();
  for (const step of transaction.steps) {
    const { key } = step;
    const list: ListNotes = notes.get(key) ?? { appends: new Map(), seen: [] };
    notes.set(key, list);
    const mine = own.get(key) ?? [];
    own.set(key, mine);
    const known = expected.get(key);
    if (step.do === "append") {
      const before = mine.at(-1);
      if (list.appends.has(step.element)) {
        throw new RangeError(
          `Cannot judge this history: element ${step.element} was appended twice to ${key}`,
        );
      }
      if (before !== undefined) list.appends.set(before, { by, isLast: false });
      list.appends.set(step.element, { by, isLast: true });
      mine.push(step.element);
      known?.push(step.element);
      continue;
    }
    const right = known ?? [...step.list.slice(0, Math.max(step.list.length - mine.length, 0)), ...mine];
    if (!isSame(step.list, right)) {
      add("internal", `${transaction.name} read ${key} as [${step.list}], and knew [${known ?? mine}] of it`);
    }
    if (known !== undefined) continue;
    list.seen.push({ by, list: step.list.slice(0, step.list.length - mine.length) });
    expected.set(key, [...step.list]);
  }
}

/** Committed is what was acknowledged, and of what has no known end that of which something was seen. */
function fatesOf(
  { transactions, stored }: ListHistory,
  notes: ReadonlyMap<Key, ListNotes>,
): boolean[] {
  const committed = transactions.map(({ fate }) => fate === "committed");
  for (const [key, { appends, seen }] of notes) {
    const visible = new Set<number>(stored.get(key));
    for (const { list } of seen) for (const element of list) visible.add(element);
    for (const element of visible) {
      const by = appends.get(element)?.by;
      if (by !== undefined && transactions[by]!.fate === "unknown") committed[by] = true;
    }
  }
  return committed;
}

/** The order itself: each element once, each of somebody, none of a transaction that was refused. */
function checkOrder(
  { transactions, stored }: ListHistory,
  { key, order, appends }: Versions,
  committed: readonly boolean[],
  add: Add,
): void {
  if (new Set(order).size < order.length) add("duplicate", `${key} is [${order}]`);
  if (!stored.has(key)) return;
  for (const element of order) {
    const append = appends.get(element);
    if (append === undefined) add("garbage", `${key} holds ${element}, which nobody appended`);
    else if (!committed[append.by]) {
      add("dirtyUpdate", `${key} holds ${element} of ${transactions[append.by]!.name}, which was refused`);
    }
  }
}

/** Each version that was seen: a beginning of the order, and the last one of a transaction that is committed. */
function checkSeen(
  { transactions }: ListHistory,
  { key, order, appends, seen }: Versions,
  committed: readonly boolean[],
  add: Add,
): void {
  for (const { by, list } of seen) {
    const what = `${transactions[by]!.name} read ${key} as [${list}]`;
    if (!isPrefix(list, order)) add("incompatibleOrder", `${what}, which is no beginning of [${order}]`);
    if (new Set(list).size < list.length) add("duplicate", what);
    for (const element of list) {
      const append = appends.get(element);
      if (append === undefined) add("garbage", `${what}: nobody appended ${element}`);
      else if (!committed[append.by]) {
        add("G1a", `${what}: ${transactions[append.by]!.name}, which was refused, appended ${element}`);
      }
    }
    const last = appends.get(list.at(-1)!);
    if (last === undefined || last.isLast) continue;
    add("G1b", `${what}: ${transactions[last.by]!.name} appended more than ${list.at(-1)}`);
  }
}

/** Of two commits that saw the same version only one may have changed it; and nothing that was appended is gone. */
function checkUpdates(
  { transactions, stored }: ListHistory,
  { key, order, appends, seen }: Versions,
  committed: readonly boolean[],
  add: Add,
): void {
  const there = new Set(order);
  const writers = new Set<number>();
  for (const [element, { by }] of appends) {
    if (!committed[by]) continue;
    writers.add(by);
    if (!stored.has(key) || there.has(element)) continue;
    add("lostUpdate", `${transactions[by]!.name} appended ${element} to ${key}, which is [${order}]`);
  }
  const first = new Map<number, number>(); // by the length of the version
  for (const { by, list } of seen) {
    if (!writers.has(by)) continue;
    const other = first.get(list.length);
    first.set(list.length, by);
    if (other === undefined) continue;
    const names = `${transactions[other]!.name} and ${transactions[by]!.name}`;
    add("lostUpdate", `${names} both changed ${key} from [${list}]`);
  }
}

function longest(seen: readonly SeenVersion[]): readonly number[] {
  return seen.reduce<readonly number[]>((most, { list }) => (list.length > most.length ? list : most), []);
}

function isPrefix(list: readonly number[], of: readonly number[]): boolean {
  return list.length <= of.length && list.every((element, i) => element === of[i]);
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && isPrefix(one, other);
}

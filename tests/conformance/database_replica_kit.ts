/** What the suites about copies of a partition share. */
import type {
  CopiedRevision,
  DatabaseAnswers,
  DatabaseWrite,
  RevisionKey,
  RowPlace,
} from "../../core/ports.ts";
import { BEGINNING, commit, dataOf, type Driver, homeOf, manifestOf, oidOf, tidAt } from "./database_kit.ts";

/** A place between rows. */
export function place(tid: number, oid: number | null): RowPlace {
  return { tid: tidAt(tid), oid: oid === null ? null : oidOf(oid) };
}

export function keyOf(oid: number, tid: number): RevisionKey {
  return { oid: oidOf(oid), tid: tidAt(tid) };
}

/** Partition 0: transactions 3, 6 and 9, and objects 0 and 3; partition 1: transaction 4, and object 1. */
export const history: readonly DatabaseWrite[] = [
  ...commit(3, [[0, "a"], [3, "b"], [1, "other"]]),
  ...commit(4, [[3, "c"]]),
  ...commit(6, [[0, null]]),
  ...commit(9, [[0, "dd"], [3, "ee"]]),
];

/** A copied revision with a text, or a deletion. */
export function row(
  oid: number,
  tid: number,
  text: string | null,
  link: number | null = null,
): CopiedRevision {
  const stored = text === null ? null : dataOf(text);
  return { oid: oidOf(oid), tid: tidAt(tid), stored, link: link === null ? null : tidAt(link) };
}

/** A copy of revisions without transactions. */
export function copy(partition: number, ...revisions: readonly CopiedRevision[]): DatabaseWrite {
  return { op: "copy", partition: homeOf(partition), transactions: [], revisions };
}

/** All parts of a value, for a copy. */
export function copyParts(oid: number, tid: number, all: readonly string[]): DatabaseWrite[] {
  return all.map((text, seq) => {
    return { op: "copyPart", oid: oidOf(oid), tid: tidAt(tid), seq, stored: dataOf(text) };
  });
}

/** A copied revision whose value is in parts. */
export function inParts(
  oid: number,
  tid: number,
  all: readonly string[],
  link: number | null = null,
): CopiedRevision {
  return { ...row(oid, tid, null, link), stored: manifestOf(all) };
}

/** Copies all that one database has of a partition to another, with parts, in pages of some rows. */
export async function copyAll(
  from: Driver,
  to: Driver,
  { partition, rowsMax = 1_000 }: { readonly partition: number; readonly rowsMax?: number },
): Promise<void> {
  for (let after: RowPlace | null = BEGINNING; after !== null;) {
    const { transactions, revisions, next }: DatabaseAnswers["rows"] = await from.rows(partition, {
      after,
      rowsMax,
    });
    for (const { oid, tid } of revisions) {
      for (const [seq, text] of (await from.parts(Number(oid), Number(tid))).entries()) {
        await to.saveLazily({ op: "copyPart", oid, tid, seq, stored: dataOf(text) });
      }
    }
    await to.saveLazily({ op: "copy", partition: homeOf(partition), transactions, revisions });
    after = next;
  }
}

/** What another copy of a partition asks a database in memory. */
import { unreachable } from "../core/errors.ts";
import { MAX_TID, type Oid, type Tid, toTid } from "../core/ids.ts";
import { ROW_DIGEST_BYTES } from "../core/limits.ts";
import type {
  CopiedRevision,
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseQuery,
  Digest,
  Slice,
} from "../core/ports.ts";
import type { FinalRows, Revision, Row } from "./memory_rows.ts";
import { inspect, ScrubPage } from "./row_checks.ts";
import { RowDigest } from "./row_digest.ts";
import { packableOf, pickRows, RowPage } from "./row_pages.ts";

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;
type ReplicaQuery = Query<"slices" | "keys" | "rows" | "pick" | "stocked" | "scrub" | "packable">;

/** Answers one of the questions of another copy. */
export function replyTo(query: ReplicaQuery, final: FinalRows, digest: Digest): DatabaseAnswer {
  switch (query.read) {
    case "slices":
      return slicesOf(final, query, digest);
    case "keys":
      return keysOf(final, query, digest);
    case "rows":
      return rowsOf(final, query);
    case "pick":
      return pickOf(final, query);
    case "stocked":
      return { read: "stocked", partitions: final.stocked() };
    case "scrub":
      return scrubOf(final, query, digest);
    case "packable":
      return packableOf(final.behind(query.after, query.rowsMax + 1), query);
    default:
      return unreachable(query);
  }
}

/** The digest of some rows in their order. */
export function digestOf(rows: readonly Row[], digest: Digest): { count: number; digest: Uint8Array } {
  const result = new RowDigest(digest);
  for (const row of rows) {
    if (row.oid === null) result.transaction(row.info);
  }
  for (const row of rows) {
    if (row.oid === null) continue;
    const { stored, link } = row.revision;
    result.revision({ tid: row.tid, oid: row.oid, checksum: stored?.checksum ?? null, link });
  }
  return result.end();
}

/** Cuts behind the tid that fills a slice: as many rows as each would have if all had the same. */
function slicesOf(
  final: FinalRows,
  { partition, after, upTo: wanted, count, rowsMax, bound }: Query<"slices">,
  digest: Digest,
): DatabaseAnswers["slices"] {
  const all = final.rows(partition, { tid: after, oid: null }, wanted, bound);
  const upTo = endOf(all, rowsMax) ?? wanted;
  const rows = all.filter(({ tid }) => tid <= upTo);
  const target = Math.max(1, Math.ceil(rows.length / Math.max(1, count)));
  const slices: Slice[] = [];
  let begin = 0;
  for (let end = 1; end <= rows.length; end++) {
    const isTidOver = rows[end]?.tid !== rows[end - 1]?.tid;
    if (end === rows.length || !isTidOver || end - begin < target) continue;
    const { count, digest: sum } = digestOf(rows.slice(begin, end), digest);
    slices.push({ upTo: rows[end - 1]!.tid, rows: count, digest: sum });
    begin = end;
  }
  const last = digestOf(rows.slice(begin), digest);
  return { read: "slices", slices: [...slices, { upTo, rows: last.count, digest: last.digest }] };
}

/** Where a look at so many rows ends, behind a whole tid; undefined: there are no more than that. */
function endOf(all: readonly Row[], rowsMax: number): Tid | undefined {
  const beyond = all[rowsMax];
  return beyond && (beyond.tid === all[0]?.tid ? beyond.tid : toTid(beyond.tid - 1n));
}

/** The keys of a range, each with the beginning of its row's digest. */
function keysOf(
  final: FinalRows,
  { partition, after, upTo, rowsMax, bound }: Query<"keys">,
  digest: Digest,
): DatabaseAnswers["keys"] {
  const all = final.rows(partition, { tid: after, oid: null }, upTo, bound);
  const end = endOf(all, rowsMax) ?? upTo;
  const rows = all.filter(({ tid }) => tid <= end);
  const short = (row: Row) => digestOf([row], digest).digest.slice(0, ROW_DIGEST_BYTES);
  return {
    read: "keys",
    transactions: rows.flatMap((row) => (row.oid === null ? [{ tid: row.tid, digest: short(row) }] : [])),
    revisions: rows.flatMap((row) =>
      row.oid === null ? [] : [{ oid: row.oid, tid: row.tid, digest: short(row) }]
    ),
    upTo: end,
  };
}

/** A page of rows with data. */
function rowsOf(final: FinalRows, query: Query<"rows">): DatabaseAnswers["rows"] {
  const page = new RowPage(query);
  for (const row of final.rows(query.partition, query.after, query.upTo, query.bound)) {
    const more = row.oid === null ? page.transaction(row.info) : page.revision(copied(row.oid, row.revision));
    if (!more) break;
  }
  return page.end();
}

/** The rows of some keys, as far as they are here. */
function pickOf(final: FinalRows, query: Query<"pick">): DatabaseAnswers["pick"] {
  const { partition } = query;
  return pickRows(query, {
    transaction: (tid) => final.transactions(partition).find((info) => info.tid === tid),
    revision: (key) => {
      const revision = final.partitionOf(key.oid) === partition ? final.revision(key) : undefined;
      return revision === undefined ? undefined : copied(key.oid, revision);
    },
  });
}

/** Which revisions are no longer what they were. */
function scrubOf(
  final: FinalRows,
  { partition, after, bytesMax }: Query<"scrub">,
  digest: Digest,
): DatabaseAnswers["scrub"] {
  const page = new ScrubPage(bytesMax);
  for (const row of final.rows(partition, after, MAX_TID)) {
    if (row.oid === null) continue;
    const { stored, parts } = row.revision;
    const more = page.look(row, () => {
      if (stored === null) return { whole: true, bytes: 0 };
      return inspect(stored, (seq) => parts[seq] ?? null, digest);
    });
    if (!more) break;
  }
  return page.end();
}

function copied(oid: Oid, { tid, stored, link }: Revision): CopiedRevision {
  return { oid, tid, stored, link };
}

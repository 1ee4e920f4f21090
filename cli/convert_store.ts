/**
 * Moves what a storage holds from one adapter to another, through the port that both keep: every final row in pages, the table, the
 * epoch, the masters' registry, how far cells are complete. The copy is compared with the original, partition by partition, by digests.
 */
import type { Partition, Tid } from "../core/ids.ts";
import { MAX_TID, ZERO_TID } from "../core/ids.ts";
import { COPY_BYTES_MAX, COPY_ROWS_MAX } from "../core/limits.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { Database, DatabaseAnswers, DatabaseQuery, DatabaseWrite, RowPlace } from "../core/ports.ts";
import { CliError } from "./exit.ts";

/** What was moved. */
export interface Moved {
  readonly transactions: number;
  readonly revisions: number;
  readonly bytes: number;
}

/**
 * Copies everything; `to` is new and empty. `step` hears of each partition that is done.
 *
 * @throws CliError (`refused`) when transactions are under way that only the cluster can end, (`failed`) when the copy isn't equal
 */
export async function copyStore(
  from: Database,
  to: Database,
  step: (done: number, of: number) => void = () => {},
): Promise<Moved> {
  const { state } = from;
  if (state.held.length > 0) {
    const hint = "start it, and stop the whole cluster in order: neo stop; then nothing is left open";
    throw new CliError(
      "refused",
      `Cannot convert: ${state.held.length} transactions wait for the cluster's decision`,
      { hint },
    );
  }
  const { partitions } = await asked(from, { read: "stocked" });
  const moved = { transactions: 0, revisions: 0, bytes: 0 };
  for (const [at, partition] of partitions.entries()) {
    await copyPartition({ from, to, partition }, moved);
    await compare(from, to, partition);
    step(at + 1, partitions.length);
  }
  const ends: DatabaseWrite[] = state.resumes.map((resume) => ({ op: "resume", ...resume }));
  if (state.truncations > 0) ends.push({ op: "truncate", number: state.truncations, tid: MAX_TID as Tid });
  if (state.packBound > ZERO_TID) {
    ends.push({ op: "packBound", tid: state.packBound }, { op: "pack", revisions: [], ...state.packed });
  }
  if (state.image !== null) ends.push({ op: "image", image: state.image });
  if (state.registry !== null) ends.push({ op: "registry", state: state.registry });
  // the epoch comes last: what lacks it obeys any primary
  await to.apply([...ends, { op: "epoch", epoch: state.epoch }], { durable: true });
  return moved;
}

async function copyPartition(
  { from, to, partition }: { readonly from: Database; readonly to: Database; readonly partition: Partition },
  moved: { transactions: number; revisions: number; bytes: number },
): Promise<void> {
  const bounds = { partition, upTo: MAX_TID as Tid, rowsMax: COPY_ROWS_MAX, bytesMax: COPY_BYTES_MAX };
  for (let after: RowPlace | null = { tid: ZERO_TID, oid: null }; after !== null;) {
    const page: DatabaseAnswers["rows"] = await asked(from, { read: "rows", after, ...bounds });
    const { transactions, revisions, next } = page;
    for (const { oid, tid, stored } of revisions) {
      moved.bytes += stored?.data.length ?? 0;
      if (stored?.compression !== COMPRESSION_PARTS) continue;
      for (let seq = 0;; seq++) {
        const { part } = await asked(from, { read: "loadPart", oid, tid, seq });
        if (part === null) break;
        moved.bytes += part.data.length;
        await to.apply([{ op: "copyPart", oid, tid, seq, stored: part }], { durable: false });
      }
    }
    await to.apply([{ op: "copy", partition, transactions, revisions }], { durable: false });
    moved.transactions += transactions.length;
    moved.revisions += revisions.length;
    after = next;
  }
}

async function compare(from: Database, to: Database, partition: Partition): Promise<void> {
  const query = { read: "digest", partition, upTo: MAX_TID as Tid } as const;
  const [one, other] = [await asked(from, query), await asked(to, query)];
  const scrubbed = await isWhole(to, partition);
  const isEqual = one.count === other.count && one.digest.every((byte, at) => byte === other.digest[at]);
  if (isEqual && scrubbed) return;
  const hint =
    "nothing has changed: look at the storage with neo table verify, repair it, and convert it then";
  throw new CliError("failed", `Cannot convert: partition ${partition} of the copy isn't what it should be`, {
    hint,
  });
}

/** Whether all data of a partition is what its checksums say. */
async function isWhole(database: Database, partition: Partition): Promise<boolean> {
  for (let after: RowPlace | null = { tid: ZERO_TID, oid: null }; after !== null;) {
    const found: DatabaseAnswers["scrub"] = await asked(database, {
      read: "scrub",
      partition,
      after,
      bytesMax: COPY_BYTES_MAX,
    });
    if (found.broken.length > 0) return false;
    after = found.next;
  }
  return true;
}

async function asked<R extends DatabaseQuery["read"]>(
  database: Database,
  query: Extract<DatabaseQuery, { read: R }>,
): Promise<DatabaseAnswers[R]> {
  return await database.read(query) as DatabaseAnswers[R];
}

/** A whole history in and out of a cluster: what `import` and `export` do between a file and a client. */
import { hexOf, ZERO_TID } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import { LOAD_MANY_MAX, PAGE_TRANSACTIONS } from "../core/limits.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { ObjectRecord, TransactionRecord, TransactionSource } from "../core/records.ts";
import type { LoadedRevision, Write } from "../roles/client/calls.ts";
import type { CallClient } from "./client.ts";
import { CliError } from "./exit.ts";

/** What has been carried over so far. */
export interface Progress {
  readonly transactions: number;
  readonly objects: number;
  readonly bytes: number;
  /** The newest transaction of them; `ZERO_TID` before the first. */
  readonly tid: Tid;
}

const NOTHING: Progress = { transactions: 0, objects: 0, bytes: 0, tid: ZERO_TID };

/**
 * Commits the transactions of a source under their own tids, one after another, while the cluster admits nobody else.
 *
 * @param options.origin what the cluster keeps as the origin of its data, such as `FS30`
 * @throws DatabaseError `tidTaken` when the database holds later transactions than the source begins with
 */
export async function importTransactions(
  client: CallClient,
  source: TransactionSource,
  options: { readonly origin: string; readonly onProgress: (progress: Progress) => void },
): Promise<Progress> {
  const { origin, onProgress } = options;
  let progress = NOTHING;
  await client.call("stage", { importing: true, origin });
  for await (const transaction of source) {
    progress = added(progress, transaction, await importOne(client, transaction));
    onProgress(progress);
  }
  // After a failure nobody says this: the stage ends with the connection of the client that began it.
  await client.call("stage", { importing: false, origin });
  return progress;
}

async function importOne(client: CallClient, transaction: TransactionRecord): Promise<readonly Write[]> {
  const { tid, status, user, description, extension } = transaction;
  const writes: Write[] = [];
  for (const record of lastOfEach(transaction.records)) writes.push(await writeOf(client, record));
  await client.call("commit", { writes, checks: [], user, description, extension, status, restoreTid: tid });
  return writes;
}

/** A file may name an object twice in one transaction: what comes last is what readers saw. */
function lastOfEach(records: readonly ObjectRecord[]): ObjectRecord[] {
  const last = new Map(records.map((record, index) => [record.oid, index]));
  return records.filter((record, index) => last.get(record.oid) === index);
}

/** A text dump names the revision that a link repeats; the database has it already. */
async function writeOf(client: CallClient, { oid, data, from }: ObjectRecord): Promise<Write> {
  const link = from === undefined ? {} : { link: from };
  if (data !== undefined) return { oid, base: ZERO_TID, data, ...link };
  const found = await client.call("loadExact", { oid, tid: from ?? ZERO_TID });
  if (found !== undefined) return { oid, base: ZERO_TID, data: found.data, ...link };
  const what = `object ${hexOf(oid)} repeats transaction ${
    hexOf(from ?? ZERO_TID)
  }, which isn't in the database`;
  throw new CliError("refused", `Cannot import: ${what}`, { hint: "import the earlier transactions first" });
}

function added(
  before: Progress,
  { tid }: { readonly tid: Tid },
  records: readonly { readonly data?: Uint8Array | null | undefined }[],
): Progress {
  return {
    transactions: before.transactions + 1,
    objects: before.objects + records.length,
    bytes: before.bytes + records.reduce((sum, { data }) => sum + (data?.length ?? 0), 0),
    tid,
  };
}

/** Everything that is published when the export begins, in tid order. */
export async function* exportTransactions(
  client: CallClient,
  onProgress: (progress: Progress) => void,
): AsyncGenerator<TransactionRecord, void, undefined> {
  const { lastTid } = await client.call("sync", {});
  let progress = NOTHING;
  for await (const info of transactionsBetween(client, ZERO_TID, lastTid)) {
    const { tid, user, description, extension } = info;
    const records = await recordsOf(client, info);
    progress = added(progress, info, records);
    onProgress(progress);
    yield { tid, status: info.status === "p" ? "p" : " ", user, description, extension, records };
  }
}

/** Transactions with after < tid <= upTo, in tid order, fetched page by page. */
export async function* transactionsBetween(
  client: CallClient,
  after: Tid,
  upTo: Tid,
): AsyncGenerator<TransactionInfo, void, undefined> {
  for (let last = after; last < upTo;) {
    const page = await client.call("transactions", { after: last, upTo, count: PAGE_TRANSACTIONS });
    yield* page;
    const end = page.at(-1);
    if (end === undefined) return;
    last = end.tid;
  }
}

/** The records of a transaction in its own order, which isn't always that of oids. */
async function recordsOf(client: CallClient, { tid, oids }: TransactionInfo): Promise<ObjectRecord[]> {
  const records: ObjectRecord[] = [];
  for (let done = 0; done < oids.length; done += LOAD_MANY_MAX) {
    const some = oids.slice(done, done + LOAD_MANY_MAX);
    const found = await client.call("loadMany", { oids: some, at: tid });
    some.forEach((oid, index) => records.push(recordOf(oid, tid, found[index])));
  }
  return records;
}

function recordOf(oid: Oid, tid: Tid, found: LoadedRevision | undefined): ObjectRecord {
  if (found?.tid === tid) {
    return { oid, data: found.data, ...(found.link === null ? {} : { from: found.link }) };
  }
  const message = `Cannot export transaction ${hexOf(tid)}: its revision of object ${hexOf(oid)} is missing`;
  throw new CliError("failed", message, { hint: "a pack may be dropping it; export again" });
}

/** Factor by which `newestTransactions` looks further back. */
const FURTHER = 16n;
/** Its first reach: about a millisecond, as tids count time. */
const FIRST_REACH = 2n ** 16n;

/** The newest transactions, `count` at most, the newest last. Looks back further and further until it has enough. */
export async function newestTransactions(client: CallClient, count: number): Promise<TransactionInfo[]> {
  const { lastTid } = await client.call("sync", {});
  for (let reach = FIRST_REACH;; reach *= FURTHER) {
    const after = (lastTid > reach ? lastTid - reach : ZERO_TID) as Tid;
    let found: TransactionInfo[] = [];
    for await (const info of transactionsBetween(client, after, lastTid)) {
      found.push(info);
      if (found.length >= 2 * count) found = found.slice(-count);
    }
    if (found.length >= count || after === ZERO_TID) return found.slice(-count);
  }
}

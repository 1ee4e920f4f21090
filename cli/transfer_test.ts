import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "../core/errors.ts";
import { toOid, toTid } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { TransactionRecord } from "../core/records.ts";
import type { CallName, Calls, Commit, LoadedRevision } from "../roles/client/calls.ts";
import type { CallClient } from "./client.ts";
import { exportTransactions, importTransactions, newestTransactions } from "./transfer.ts";

const none = new Uint8Array();
const bytes = (...values: number[]) => Uint8Array.from(values);

type Handlers = { readonly [N in CallName]?: (request: Calls[N]["request"]) => Calls[N]["result"] };

/** A cluster of plain lists, which answers like a client of one. */
class FakeCluster implements CallClient {
  readonly commits: Commit[] = [];
  readonly stages: boolean[] = [];
  /** Calls so far, by name. */
  readonly counts = new Map<string, number>();

  readonly #handlers: Handlers = {
    stage: ({ importing, origin }) => {
      this.stages.push(importing);
      return { lastTid: this.#lastTid, origin };
    },
    sync: () => ({ lastTid: this.#lastTid, ageMs: 0 }),
    commit: (commit) => {
      const tid = commit.restoreTid!;
      if (tid <= this.#lastTid) throw new DatabaseError("tidTaken", "Cannot restore: too old");
      this.commits.push(commit);
      return { tid, ttid: 1n as never };
    },
    transactions: ({ after, upTo, count }) =>
      this.commits.filter(({ restoreTid: tid }) => after < tid! && tid! <= upTo).slice(0, count).map(infoOf),
    loadExact: ({ oid, tid }) => this.#load(oid, tid, (at) => at === tid),
    loadMany: ({ oids, at }) => oids.map((oid) => this.#load(oid, at, (tid) => tid <= at)),
  };

  get #lastTid(): Tid {
    return this.commits.at(-1)?.restoreTid ?? toTid(0n);
  }

  #load(oid: Oid, _at: Tid, isWanted: (tid: Tid) => boolean): LoadedRevision | undefined {
    for (const { restoreTid, writes } of this.commits.toReversed()) {
      const write = writes.find((write) => write.oid === oid);
      if (write === undefined || !isWanted(restoreTid!)) continue;
      return { tid: restoreTid!, next: null, data: write.data, link: write.link ?? null };
    }
    return undefined;
  }

  call<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]> {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const handler = this.#handlers[name] as
      | ((request: Calls[N]["request"]) => Calls[N]["result"])
      | undefined;
    assert.ok(handler, `${name} is called`);
    return new Promise((resolve) => resolve(handler(request)));
  }
}

function infoOf({ restoreTid, writes, user, description, extension, status }: Commit): TransactionInfo {
  const oids = writes.map(({ oid }) => oid);
  return { tid: restoreTid!, ttid: 1n as never, status, user, description, extension, oids };
}

function transaction(tid: number, records: TransactionRecord["records"]): TransactionRecord {
  return { tid: toTid(tid), status: " ", user: bytes(0xff), description: none, extension: bytes(1), records };
}

const HISTORY: readonly TransactionRecord[] = [
  transaction(1000, [{ oid: toOid(7), data: bytes(1) }, { oid: toOid(3), data: bytes(2, 2) }]),
  transaction(2000, [{ oid: toOid(3), data: null }]),
  { ...transaction(3000, [{ oid: toOid(3), data: bytes(2, 2), from: toTid(1000) }]), status: "p" },
  transaction(4000, [{ oid: toOid(3), data: null, from: toTid(2000) }]),
];

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

test("exportTransactions() gives what importTransactions() took: tids, order, links, deletions, raw texts (T48, T60)", async () => {
  const cluster = new FakeCluster();
  const steps: number[] = [];

  const onProgress = ({ transactions }: { transactions: number }) => steps.push(transactions);
  const done = await importTransactions(cluster, HISTORY, { origin: "FS30", onProgress });

  assert.deepEqual(done, { transactions: 4, objects: 5, bytes: 5, tid: 4000n });
  assert.deepEqual(steps, [1, 2, 3, 4]);
  assert.deepEqual(cluster.stages, [true, false]);
  assert.deepEqual(await all(exportTransactions(cluster, () => {})), HISTORY);
});

test("importTransactions() looks up the data of links that come without, as in a text dump", async () => {
  const cluster = new FakeCluster();
  const dump = HISTORY.map((transaction) => ({
    ...transaction,
    records: transaction.records.map((record) =>
      record.from === undefined ? record : { ...record, data: undefined }
    ),
  }));

  await importTransactions(cluster, dump, { origin: "zodbdump", onProgress: () => {} });

  assert.deepEqual(await all(exportTransactions(cluster, () => {})), HISTORY);
});

test("importTransactions() refuses a link to what isn't in the database", async () => {
  const cluster = new FakeCluster();
  const orphan = transaction(9000, [{ oid: toOid(1), data: undefined, from: toTid(8000) }]);

  const importing = importTransactions(cluster, [orphan], { origin: "zodbdump", onProgress: () => {} });

  await assert.rejects(importing, { name: "CliError", outcome: "refused" });
  assert.deepEqual(cluster.stages, [true]);
});

test("importTransactions() keeps the last of two records of one object", async () => {
  const cluster = new FakeCluster();
  const [a, b] = [toOid(1), toOid(2)];
  const twice = transaction(5, [{ oid: a, data: bytes(1) }, { oid: b, data: bytes(2) }, {
    oid: a,
    data: bytes(3),
  }]);

  await importTransactions(cluster, [twice], { origin: "FS30", onProgress: () => {} });

  assert.deepEqual(cluster.commits[0]?.writes.map(({ oid, data }) => [oid, data?.[0]]), [[b, 2], [a, 3]]);
});

test("exportTransactions() fetches page by page, and objects in large sets", async () => {
  const cluster = new FakeCluster();
  const many = Array.from(
    { length: 2_500 },
    (_, index) => ({ oid: toOid(index), data: bytes(index & 0xff) }),
  );
  const history = Array.from({ length: 250 }, (_, index) => transaction(1 + index, index === 0 ? many : []));
  await importTransactions(cluster, history, { origin: "FS30", onProgress: () => {} });

  assert.deepEqual(await all(exportTransactions(cluster, () => {})), history);

  assert.equal(cluster.counts.get("transactions"), 3);
  assert.equal(cluster.counts.get("loadMany"), 3);
});

for (
  const { count, gap } of [{ count: 3, gap: 1 }, { count: 3, gap: 10 ** 9 }, { count: 500, gap: 10 ** 6 }]
) {
  test(`newestTransactions() gives the last ${count} of transactions ${gap} apart, the newest last`, async () => {
    const cluster = new FakeCluster();
    const history = Array.from({ length: 400 }, (_, index) => transaction((1 + index) * gap, []));
    await importTransactions(cluster, history, { origin: "FS30", onProgress: () => {} });

    const found = await newestTransactions(cluster, count);

    assert.deepEqual(found.map(({ tid }) => tid), history.slice(-count).map(({ tid }) => tid));
  });
}

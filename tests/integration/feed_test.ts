/** The change feed under load, over connections that are lost, and from one process to another. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, Client, Oid, Tid } from "../../mod.ts";
import { TcpProxy } from "../proxy.ts";
import { DetouredClient } from "./detoured_client.ts";
import type { FeedStart } from "./feed_child.ts";
import { CliCluster, within } from "./kit.ts";
import { bytesOf } from "./numbers.ts";
import { Program } from "./programs.ts";
import { isSoak } from "./soak.ts";

const TRANSACTIONS = isSoak ? 100_000 : 20_000;
/** Transactions that a writer has under way. */
const LANES = 40;
/** After how many of them connections are lost. */
const BREAKS = [0.25, 0.5, 0.75].map((part) => part * TRANSACTIONS);
/** A reader notes the tid of this one, and another process goes on behind it. */
const NOTED = TRANSACTIONS / 4;
const WITHIN_MS = 600_000;

/** Two writers, and what they were promised. */
class Writers {
  readonly committed = new Map<Tid, readonly Oid[]>();
  readonly #clients: readonly Client[];
  readonly #oids: readonly Oid[];
  readonly #at = new Map<number, () => void>();
  #begun = 0;

  constructor(clients: readonly Client[], oids: readonly Oid[]) {
    this.#clients = clients;
    this.#oids = oids;
  }

  /** Calls `then` when so many are committed. */
  at(count: number, then: () => void): void {
    this.#at.set(count, then);
  }

  async run(): Promise<void> {
    const lanes = this.#clients.flatMap((client, writer) =>
      Array.from({ length: LANES }, (_, lane) => this.#lane(client, writer * LANES + lane))
    );
    await Promise.all(lanes);
  }

  /** Each lane has objects of its own, and now and then one that it shares with all. */
  async #lane(client: Client, lane: number): Promise<void> {
    const shared = this.#oids[0]!;
    const own = this.#oids[1 + lane]!;
    for (let count = this.#begun++; count < TRANSACTIONS; count = this.#begun++) {
      const oids = count % 100 === 0 ? [own, shared] : [own];
      const { tid } = await client.transact(async (tx) => {
        await tx.loadMany(oids);
        for (const oid of oids) tx.store(oid, bytesOf(count));
      }, { attempts: 1_000 });
      assert.ok(!this.committed.has(tid));
      this.committed.set(tid, oids);
      this.#at.get(this.committed.size)?.();
    }
  }
}

/** Takes changes until one writes the marker. */
async function collect(
  client: Client,
  { since, marker }: { readonly since: Tid; readonly marker: Oid },
  onChange: (change: Change, count: number) => void = () => {},
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of client.changes({ since })) {
    changes.push(change);
    onChange(change, changes.length);
    if (change.oids.includes(marker)) break;
  }
  return changes;
}

test(`P2 changes() under load over three lost connections: ${TRANSACTIONS} transactions, exactly once and in order, also from a noted tid on in another process`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  await using stack = new AsyncDisposableStack();
  const detoured: DetouredClient[] = [];
  for (const name of ["one", "two", "reader"]) {
    detoured.push(stack.use(await DetouredClient.connect(cluster, name)));
  }
  const [one, two, reader] = detoured.map(({ client }) => client) as [Client, Client, Client];
  const [marker, ...oids] = await one.newOids(2 + 2 * LANES) as [Oid, ...Oid[]];
  const writers = new Writers([one, two], oids);
  const proxy = await TcpProxy.start(cluster.node("m1").address); // of the other process
  stack.defer(() => proxy.close());
  const breaking = [proxy, ...[detoured[0]!, detoured[2]!].map(({ proxies }) => proxies.get("m1")!)];
  for (const count of BREAKS) writers.at(count, () => breaking.forEach((one) => one.reset()));
  const since = await one.sync();
  const noted = Promise.withResolvers<Tid>();
  const own = collect(one, { since, marker });
  const other = collect(reader, { since, marker }, ({ tid }, count) => count === NOTED && noted.resolve(tid));

  const running = writers.run();
  const uri = `neo://shop@${proxy.address}`;
  const start: FeedStart = { uri, marker, since: await within("the noted tid", noted.promise) };
  const program = stack.use(new Program("feed_child.ts", start));
  await within("all transactions", running, WITHIN_MS);
  const { tid } = await two.transact((tx) => tx.store(marker, bytesOf(0)));
  writers.committed.set(tid, [marker]);

  const promised = [...writers.committed].sort(([a], [b]) => (a < b ? -1 : 1));
  const expected = promised.map(([tid, oids]) => ({ tid, oids }));
  assert.equal(expected.length, TRANSACTIONS + 1);
  assert.deepEqual(await within("the feed of another client", other, WITHIN_MS), expected);
  assert.deepEqual(await within("the feed of a writer", own, WITHIN_MS), expected);
  assert.equal(await program.hear(), "ready");
  assert.deepEqual(await program.hear(WITHIN_MS), expected.slice(NOTED));
  await program.end();
});

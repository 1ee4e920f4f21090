/** Writers that want the same objects in different orders: nobody waits in a circle, and everybody commits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Oid, Transaction } from "../../mod.ts";
import type { CrossingResult, CrossingStart } from "./crossing_child.ts";
import { DetouredClient } from "./detoured_client.ts";
import { CliCluster, turns, within } from "./kit.ts";
import { addBoth, bytesOf, numberOf } from "./numbers.ts";
import { runTogether } from "./programs.ts";
import { isSoak } from "./soak.ts";

/** Commits of each process. */
const COMMITS = isSoak ? 1_000 : 60;
/** How often two writers are made to cross. */
const ROUNDS = isSoak ? 2_000 : 100;
/** Turns of the event loop that one may be ahead at its storage, at most. */
const TURNS = 100;
/** Transactions that each has under way. */
const LANES = 4;

type Writer = Pick<CrossingStart, "oids" | "shuffled" | "lanes">;

/** `at` gives places of objects, in the order of writing. */
const inOrder = (oids: readonly Oid[], ...at: readonly number[]): Writer => ({
  oids: at.map((place) => oids[place]!),
  shuffled: false,
  lanes: LANES,
});

const cases: readonly { title: string; objects: number; writers: (oids: readonly Oid[]) => Writer[] }[] = [
  {
    title: "two, A then B and B then A",
    objects: 2,
    writers: (oids) => [inOrder(oids, 0, 1), inOrder(oids, 1, 0)],
  },
  {
    title: "three in a ring, and a fourth that wants one object of it",
    objects: 3,
    writers: (oids) => [[0, 1], [1, 2], [2, 0], [1]].map((at) => inOrder(oids, ...at)),
  },
  {
    title: "eight, some of six objects in any order",
    objects: 6,
    writers: (oids) => Array.from({ length: 8 }, () => ({ oids, shuffled: true, lanes: LANES })),
  },
];

for (const { title, objects, writers } of cases) {
  test(`N1 crossing writers under load, none of them fails: ${title}`, async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const client = await cluster.connect();
    const oids = await client.newOids(objects);

    const starts = writers(oids).map((writer, at): CrossingStart => ({
      uri: cluster.uri,
      name: `writer-${at + 1}`,
      commits: COMMITS,
      ...writer,
    }));
    const results = await runTogether<CrossingResult>("crossing_child.ts", starts);

    const said = results.map(({ errors, resolved }) => `${errors.length} failed, ${resolved} resolved`).join(
      "; ",
    );
    assert.deepEqual(results.flatMap(({ errors }) => errors), [], said);
    const found = await (await client.snapshot()).loadMany(oids);
    const added = results.flatMap((result) => result.added);
    const sums = oids.map((wanted) =>
      added.reduce((sum, { oid, count }) => oid === wanted ? sum + count : sum, 0)
    );
    assert.deepEqual(found.map(numberOf), sums, said);
    let committed = 0;
    for await (const _ of client.transactions()) committed += 1;
    assert.equal(committed, starts.length * COMMITS, said);
    assert.ok(results.some(({ resolved }) => resolved > 0), "they have met");
  });
}

test(`N1 A6 two writers that each hold what the other waits for, ${ROUNDS} times: both commit`, async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  await using stack = new AsyncDisposableStack();
  const one = stack.use(await DetouredClient.connect(cluster, "one"));
  const two = stack.use(await DetouredClient.connect(cluster, "two"));
  const oids = await one.client.newOids(2);
  const add = async (client: Client, order: readonly Oid[]): Promise<Transaction> => {
    const tx = await client.begin({ resolve: addBoth });
    for (const oid of order) tx.store(oid, bytesOf(numberOf(await tx.load(oid)) + 1));
    return tx;
  };
  for (const { client } of [one, two]) await (await add(client, oids)).commit(); // both are connected everywhere

  for (let round = 0; round < ROUNDS; round++) {
    const transactions = [await add(one.client, oids), await add(two.client, oids.toReversed())];
    const [toS2, toS1] = [one.proxies.get("s2")!, two.proxies.get("s1")!];
    for (const proxy of [toS2, toS1]) proxy.hold("toTarget");
    const commits = transactions.map((tx) => tx.commit());
    await Promise.all([toS2, toS1].map((proxy) => within("its stores", proxy.held("toTarget", 1))));
    await turns(round % TURNS); // with and without a vote of the other storage
    for (const proxy of [toS2, toS1]) proxy.release();
    await Promise.all(commits);
  }

  const found = await (await one.client.snapshot()).loadMany(oids);
  assert.deepEqual(found.map(numberOf), [2 * ROUNDS + 2, 2 * ROUNDS + 2]);
});
